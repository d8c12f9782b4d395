//! SecantusDB, which stands in for MongoDB.

use std::{
    net::{Ipv4Addr, TcpStream},
    ops::Deref,
    path::Path,
};

use crate::{
    process::Program,
    program,
    server::{Launch, Place, Server},
};

/// A server that speaks MongoDB's protocol, on MongoDB's storage engine, and is no MongoDB. It calls
/// itself a replica set of one. It has the methods of [`Server`] too.
#[derive(Debug)]
pub struct SecantusDb(Server);

impl SecantusDb {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// If it does not start; if it is not installed and `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts one with more arguments, such as `["--standalone"]` for one that is no replica set.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        let program = program::find("secantusd-py")?;
        Some(Self(Server::start("secantus", 1, None, |place| {
            Ok(launch(&program, place, arguments))
        })))
    }

    /// Returns the address of a database, with this server alone: one of a replica set would have
    /// the client ask it where the others are, past every proxy. A busy machine may take long to
    /// connect, and a client that has waited too long interrupts what it has under way.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        Self::url_at(self.port(), database)
    }

    /// Returns the same of a proxy.
    #[must_use]
    pub fn url_at(port: u16, database: &str) -> String {
        format!(
            "mongodb://127.0.0.1:{port}/{database}?directConnection=true&connectTimeoutMS=60000"
        )
    }
}

impl Deref for SecantusDb {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

fn launch(path: &Path, place: &Place<'_>, more: &[&str]) -> Launch {
    let port = place.port();
    let (number, data) = (port.to_string(), place.folder.join("data"));
    let fixed = [
        "--host",
        "127.0.0.1",
        "--port",
        &number,
        "--cache-size",
        "128M",
    ];
    let storage = ["--storage-path", &*data.to_string_lossy()].map(str::to_owned);
    let arguments = fixed.iter().chain(more).map(|word| (*word).to_owned());
    Launch {
        program: Program::new(path, arguments.chain(storage)),
        // It listens when it has opened its data.
        ready: Box::new(move || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()),
    }
}
