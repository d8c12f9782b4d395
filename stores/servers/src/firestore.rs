//! Google's emulator of Firestore.

use std::{
    env,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    ops::Deref,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    process::Program,
    program,
    server::{Launch, Place, Server},
};

/// An emulator, which loses everything when it ends. It has the methods of [`Server`] too.
///
/// It takes seconds to start, and a hundred megabytes. Tests share one, each with its own project.
#[derive(Debug)]
pub struct Firestore(Server);

impl Firestore {
    /// Starts an emulator.
    ///
    /// Returns `None` if it is not installed, even with `CI` set: only Google's own packages have
    /// it.
    ///
    /// # Panics
    ///
    /// If it does not start, or if Java is not installed and `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        let Some(archive) = find() else {
            eprintln!("skipped: Google's emulator of Firestore is not installed");
            return None;
        };
        let java = program::find("java")?;
        Some(Self(Server::start("firestore", 1, None, |place| {
            Ok(launch(&java, &archive, place))
        })))
    }

    /// Returns `127.0.0.1:PORT`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// Sends a request with JSON, such as a `PATCH` of a document, and returns the whole answer.
    ///
    /// # Panics
    ///
    /// If the emulator does not answer.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str, json: &str) -> String {
        ask(self.port(), method, path, json).unwrap_or_else(|error| panic!("no answer: {error}"))
    }
}

impl Deref for Firestore {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

/// Finds the emulator where Google's packages and its installer put it.
fn find() -> Option<PathBuf> {
    let home = env::var_os("HOME").map(PathBuf::from);
    let homes = home.map(|home| home.join("google-cloud-sdk"));
    let roots = ["/usr/lib/google-cloud-sdk", "/usr/lib/google-cloud-cli"];
    let archive = "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar";
    let paths = roots.map(PathBuf::from).into_iter().chain(homes);
    paths
        .map(|root| root.join(archive))
        .find(|path| path.is_file())
}

fn launch(java: &Path, archive: &Path, place: &Place<'_>) -> Launch {
    let port = place.port();
    let archive = archive.display().to_string();
    let (host, number) = ("--host=127.0.0.1", format!("--port={port}"));
    // Like its own script, but with less of a machine that others use too.
    let arguments = [
        "-Duser.language=en",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Xmx512m",
        "-cp",
        &archive,
        "com.google.cloud.datastore.emulator.firestore.CloudFirestore",
        "start",
        host,
        &number,
    ];
    Launch {
        program: Program::new(java, arguments),
        ready: Box::new(move || reads(port)),
    }
}

/// Reads a document. The first read takes seconds on a busy machine, as the emulator only then
/// loads the code for it, and a store would not wait so long.
fn reads(port: u16) -> bool {
    let documents = "projects/ready/databases/(default)/documents";
    let question = format!(r#"{{"documents":["{documents}/none/none"]}}"#);
    let answer = ask(
        port,
        "POST",
        &format!("/v1/{documents}:batchGet"),
        &question,
    );
    answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn ask(port: u16, method: &str, path: &str, json: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let length = json.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer owner\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{json}"
    );
    stream.write_all(request.as_bytes())?;
    // The emulator keeps each connection open, whatever the request says.
    let mut lines = BufReader::new(stream);
    let (mut answer, mut length) = (String::new(), 0);
    while !answer.ends_with("\r\n\r\n") {
        let begin = answer.len();
        if lines.read_line(&mut answer)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = answer.get(begin..).unwrap_or_default().to_ascii_lowercase();
        if let Some(number) = line.strip_prefix("content-length:") {
            length = number.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body)?;
    answer.push_str(&String::from_utf8_lossy(&body));
    Ok(answer)
}
