//! memcached.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    ops::Deref,
    time::Duration,
};

use crate::{
    process::Program,
    program,
    server::{Launch, Place, Server},
};

/// A memcached, which loses everything when it ends. It has the methods of [`Server`] too.
#[derive(Debug)]
pub struct Memcached(Server);

impl Memcached {
    /// Starts a memcached of 64 MiB.
    ///
    /// # Panics
    ///
    /// If it does not start, or if it is not installed and `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts a memcached with more arguments, such as `["-m", "1", "-I", "512k"]` for one that is
    /// soon full.
    ///
    /// # Panics
    ///
    /// Like [`start`](Self::start).
    #[must_use]
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        let program = program::find("memcached")?;
        Some(Self(Server::start("memcached", 1, None, |place| {
            Ok(launch(&program, place, arguments))
        })))
    }

    /// Returns `memcached://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("memcached://127.0.0.1:{}", self.port())
    }

    /// Sends bytes on a separate connection, and returns the answer up to a line that ends with
    /// `end`.
    ///
    /// # Panics
    ///
    /// If there is no such answer.
    #[must_use]
    pub fn ask(&self, bytes: &[u8], end: &str) -> String {
        ask(self.port(), bytes, end).unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// Makes it forget everything.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn flush(&self) {
        assert_eq!(self.ask(b"flush_all\r\n", "\r\n"), "OK\r\n");
    }
}

impl Deref for Memcached {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

fn launch(path: &std::path::Path, place: &Place<'_>, more: &[&str]) -> Launch {
    let port = place.port();
    let number = port.to_string();
    // As root it needs to know whose rights it should have.
    let fixed = ["-l", "127.0.0.1", "-p", &number, "-U", "0", "-u", "nobody"];
    let arguments = fixed.iter().chain(more).map(|word| (*word).to_owned());
    Launch {
        program: Program::new(path, arguments),
        ready: Box::new(move || ask(port, b"mn\r\n", "\r\n").is_ok()),
    }
}

fn ask(port: u16, bytes: &[u8], end: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        let mut piece = [0; 4 << 10];
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => answer.extend_from_slice(piece.get(..len).unwrap_or_default()),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
