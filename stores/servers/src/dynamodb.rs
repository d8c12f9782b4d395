//! Emulators of DynamoDB. The service itself runs nowhere but at AWS.

use std::{fs, io, net::TcpStream, ops::Deref, path::Path};

use crate::{
    process::Program,
    program,
    server::{Launch, Place, Server},
};

/// An emulator of DynamoDB. It has the methods of [`Server`] too.
#[derive(Debug)]
pub struct DynamoDb(Server);

/// Makes a server as `cli.js` does, which is given. That would close connections that are idle for
/// five seconds, which is how long some rules wait.
const DYNALITE: &str = "
const [cli, port] = process.argv.slice(1);
const dynalite = require(require('path').dirname(cli));
const server = dynalite({ path: 'data', createTableMs: 0 });
server.keepAliveTimeout = 0;
server.listen(Number(port), '127.0.0.1');
";

impl DynamoDb {
    /// Starts dynalite, which checks conditions as strictly as DynamoDB does, and keeps what it
    /// has through a [`kill`](Server::kill). It knows no time to live and no transactions.
    ///
    /// # Panics
    ///
    /// If it does not start; if it or Node.js is not installed and `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        let (node, dynalite) = (program::find("node")?, program::find("dynalite")?);
        Some(Self(Server::start("dynalite", 1, None, |place| {
            // npm has a link to it in the PATH.
            let cli = fs::canonicalize(&dynalite)?.display().to_string();
            let arguments = ["-e", DYNALITE, "--", &cli, &place.port().to_string()];
            Ok(launch(&node, place, &arguments))
        })))
    }

    /// Starts moto, which knows the time to live, and has lost everything when it ends. `None` if
    /// it is not installed, with `CI` set too: it takes forty Python packages.
    ///
    /// It checks a condition and writes in two steps, between which other threads may do the same.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[must_use]
    pub fn start_moto() -> Option<Self> {
        let moto = program::look_for("moto_server")?;
        Some(Self(Server::start("moto", 1, None, |place| {
            let port = place.port().to_string();
            Ok(launch(&moto, place, &["-H", "127.0.0.1", "-p", &port]))
        })))
    }

    /// Returns `http://127.0.0.1:PORT`, for clients' `endpoint_url`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }
}

impl Deref for DynamoDb {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

fn launch(program: &Path, place: &Place<'_>, arguments: &[&str]) -> Launch {
    let port = place.port();
    Launch {
        program: Program::new(program, arguments.iter().copied()),
        ready: Box::new(move || is_listening(port).is_ok()),
    }
}

/// Both listen when they are ready to answer.
fn is_listening(port: u16) -> io::Result<()> {
    TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port)).map(drop)
}
