//! The round trips of a request.

use std::time::{Duration, Instant};

use kit::browser::Browser;
use silverback_test_servers::Proxy;

use super::{
    Effort, Result, distance,
    servers::{Kind, Library, PoolSettings, Server},
    site::{Site, path},
};

/// The delay of each answer. A request that takes three times as long waits for three answers, one
/// after the other.
const DELAY: Duration = Duration::from_millis(20);
/// The number of requests after which all statements are prepared.
const WARM_UP: usize = 3;

/// Requests of a browser, of which the last is counted.
struct Row {
    name: &'static str,
    paths: &'static [&'static str],
}

const ROWS: [Row; 7] = [
    Row {
        name: "reads",
        paths: &[path::START, path::READ],
    },
    Row {
        name: "reads and writes",
        paths: &[path::START, path::COUNT],
    },
    Row {
        name: "makes a session",
        paths: &[path::START],
    },
    Row {
        name: "login: a new ID",
        paths: &[path::START, path::LOG_IN],
    },
    Row {
        name: "login, and listed among the user's sessions",
        paths: &[path::START, path::LOG_IN_LISTED],
    },
    Row {
        name: "logout",
        paths: &[path::START, path::LOG_IN, path::LOG_OUT],
    },
    Row {
        name: "logout of a listed session",
        paths: &[path::START, path::LOG_IN_LISTED, path::LOG_OUT],
    },
];

/// A contestant on a server, with its own proxy in between.
struct Column {
    name: String,
    site: Site,
    proxy: Proxy,
}

pub(super) async fn table(servers: &[Server], effort: Effort) -> Result<Vec<Vec<String>>> {
    let mut columns = Vec::new();
    for server in servers {
        let pools: &[bool] = match server.kind() {
            Kind::Redis => &[false],
            Kind::Postgres => &[false, true],
        };
        for &asks in pools {
            for library in Library::ALL {
                columns.push(Column::open(server, library, asks).await?);
            }
        }
    }
    let head = columns.iter().map(|column| column.name.clone());
    let title = "round trips: waited for / all".to_owned();
    let mut rows = vec![[title].into_iter().chain(head).collect::<Vec<_>>()];
    for row in &ROWS {
        let mut cells = vec![row.name.to_owned()];
        for column in &columns {
            cells.push(column.cell(row, effort).await?);
        }
        rows.push(cells);
    }
    Ok(rows)
}

impl Column {
    async fn open(server: &Server, library: Library, asks: bool) -> Result<Self> {
        let proxy = Proxy::to(server.port());
        let settings = PoolSettings {
            connections: 2,
            asks,
        };
        let port = distance::delayed_port(proxy.port(), DELAY)?;
        let site = server.open(library, port, settings).await?;
        let pool = if asks { ", a pool that asks" } else { "" };
        let name = format!("{}{pool}: {}", server.kind().name(), library.name());
        Ok(Self { name, site, proxy })
    }

    /// The fewest round trips, as only preparation and the machine add to them.
    async fn cell(&self, row: &Row, effort: Effort) -> Result<String> {
        let mut fewest: Option<(u64, u64)> = None;
        for _ in 0..WARM_UP + effort.counted {
            let Some((waited, all)) = self.count(row.paths).await? else {
                return Ok("–".to_owned());
            };
            let (least_waited, least) = fewest.unwrap_or((waited, all));
            fewest = Some((waited.min(least_waited), all.min(least)));
        }
        Ok(fewest.map_or_else(String::new, |(waited, all)| format!("{waited} / {all}")))
    }

    /// The round trips of the last of these requests, waited for and all. `None` if the contestant
    /// lacks one of the paths.
    async fn count(&self, paths: &[&str]) -> Result<Option<(u64, u64)>> {
        let mut browser = Browser::default();
        let mut counted = (0, 0);
        for path in paths {
            self.site.settle().await;
            let (before, start) = (self.proxy.requests(), Instant::now());
            let answer = self.site.ask(path, &browser.field()).await;
            let time = start.elapsed();
            self.site.settle().await;
            let waited = time.as_nanos() / DELAY.as_nanos();
            counted = (u64::try_from(waited)?, self.proxy.requests() - before);
            if answer.status.as_u16() == 404 {
                return Ok(None);
            }
            if !answer.status.is_success() {
                return Err(format!("{path} was answered with {}", answer.status).into());
            }
            browser.keep(answer.cookies);
        }
        Ok(Some(counted))
    }
}
