//! SecantusDB, in place of MongoDB.

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

/// A server with MongoDB's protocol and storage engine that is not MongoDB. It presents itself as a
/// replica set of one. It has the methods of [`Server`] too.
#[derive(Debug)]
pub struct SecantusDb(Server);

impl SecantusDb {
    /// Starts the server.
    ///
    /// # Panics
    ///
    /// If it does not start, or if it is not installed and `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts the server with more arguments, such as `["--standalone"]` for one without a replica
    /// set.
    ///
    /// # Panics
    ///
    /// Like [`start`](Self::start).
    #[must_use]
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        let program = program::find("secantusd-py")?;
        Some(Self(Server::start("secantus", 1, None, |place| {
            Ok(launch(&program, place, arguments))
        })))
    }

    /// Returns the address of a database, with a direct connection to this server: a client of a
    /// replica set would ask for the other members, past every proxy. The timeout is long because
    /// on a busy machine connecting may take long, and a client that times out interrupts what it
    /// has under way.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        Self::url_at(self.port(), database)
    }

    /// Returns the same address through a proxy.
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
        // It listens once it has opened its data.
        ready: Box::new(move || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()),
    }
}
