//! Emulators of DynamoDB. The service itself runs only at AWS.

use std::{fs, io, net::TcpStream, ops::Deref, path::Path};

use crate::{
    process::Program,
    program,
    server::{Launch, Place, Server},
};

/// An emulator of DynamoDB. It has the methods of [`Server`] too.
#[derive(Debug)]
pub struct DynamoDb(Server);

/// Makes a server like dynalite's own `cli.js`, but keeps connections that are idle for five
/// seconds, as long as some rules wait.
const DYNALITE: &str = "
const [cli, port] = process.argv.slice(1);
const dynalite = require(require('path').dirname(cli));
const server = dynalite({ path: 'data', createTableMs: 0 });
server.keepAliveTimeout = 0;
server.listen(Number(port), '127.0.0.1');
";

impl DynamoDb {
    /// Starts dynalite, which checks conditions as strictly as DynamoDB, and keeps its data through
    /// a [`kill`](Server::kill). It has no time to live and no transactions.
    ///
    /// # Panics
    ///
    /// If it does not start, or if it or Node.js is not installed and `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        let (node, dynalite) = (program::find("node")?, program::find("dynalite")?);
        Some(Self(Server::start("dynalite", 1, None, |place| {
            // npm puts a link to it into the PATH.
            let cli = fs::canonicalize(&dynalite)?.display().to_string();
            let arguments = ["-e", DYNALITE, "--", &cli, &place.port().to_string()];
            Ok(launch(&node, place, &arguments))
        })))
    }

    /// Starts moto, which has a time to live, and loses everything when it ends. Returns `None` if
    /// it is not installed, even with `CI` set: it takes forty Python packages.
    ///
    /// It checks a condition and writes in two steps, and other threads may do the same in between.
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

/// Both listen once they are ready to answer.
fn is_listening(port: u16) -> io::Result<()> {
    TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port)).map(drop)
}
