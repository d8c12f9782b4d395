//! CPU time of a request that reads and writes, by the size of the session.

use kit::{
    scenario::Content,
    time::{fast, micros, process_time},
};

use super::{
    Effort, Result,
    servers::{Library, PoolSettings, Server},
    site::{Site, path},
};

/// Bytes of values.
const SIZES: [usize; 4] = [40, 600, 2_048, 3_072];
const REQUESTS: u32 = 200;

/// A session on a server.
struct Subject {
    site: Site,
    cookie: String,
    times: Vec<f64>,
}

/// The CPU time of the whole process, which contains no server, for one request after the other.
pub(super) async fn table(servers: &[Server], effort: Effort) -> Result<Vec<Vec<String>>> {
    let head = [
        "µs of CPU time of the application",
        "silverback",
        "tower-sessions",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for server in servers {
        for bytes in SIZES {
            eprintln!("{}: {bytes} B", server.kind().name());
            let mut cells = vec![format!("{}, {bytes} B of values", server.kind().name())];
            let mut subjects = Vec::new();
            for library in Library::ALL {
                subjects.push(Subject::new(server, library, bytes).await?);
            }
            for _ in 0..effort.turns * 3 {
                for subject in &mut subjects {
                    subject.turn().await?;
                }
            }
            cells.extend(
                subjects
                    .into_iter()
                    .map(|subject| format!("{:.0}", fast(subject.times))),
            );
            rows.push(cells);
        }
    }
    Ok(rows)
}

impl Subject {
    async fn new(server: &Server, library: Library, bytes: usize) -> Result<Self> {
        let site = server
            .open(library, server.port(), PoolSettings::USUAL)
            .await?;
        let path = path::START_WITH.replace("{bytes}", &bytes.to_string());
        let cookie = site.start_at(&path).await?;
        Ok(Self {
            site,
            cookie,
            times: Vec::new(),
        })
    }

    async fn turn(&mut self) -> Result {
        let start = process_time();
        for _ in 0..REQUESTS {
            self.site.visit(path::COUNT_ALONE, &self.cookie).await?;
        }
        let time = micros(process_time() - start) / f64::from(REQUESTS);
        self.times.push(time);
        Ok(())
    }
}

/// The text of such a session, apart from the counter.
pub(super) fn text(bytes: usize) -> String {
    Content::of_bytes(bytes).text()
}
