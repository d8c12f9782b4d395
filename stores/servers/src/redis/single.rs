//! One server.

use std::{
    io,
    ops::Deref,
    path::{Path, PathBuf},
};

use super::{Reply, resp};
use crate::{
    certificates::Certificates,
    process::Program,
    program,
    server::{Launch, Place, Server},
};

/// Whose server it is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Flavour {
    /// `redis-server`.
    #[default]
    Redis,
    /// `valkey-server`.
    Valkey,
}

impl Flavour {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis-server",
            Self::Valkey => "valkey-server",
        }
    }

    pub(super) fn find(self) -> Option<PathBuf> {
        program::find(self.name())
    }
}

/// One Redis or Valkey. It has the methods of [`Server`] too.
#[derive(Debug)]
pub struct Redis(pub(super) Server);

impl Redis {
    /// Starts a Redis that keeps nothing when it ends.
    ///
    /// # Panics
    ///
    /// If it does not start, or if it is not installed and `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        RedisOptions::default().start()
    }

    /// Starts with other options than [`start`](Self::start).
    #[must_use]
    pub fn options<'a>() -> RedisOptions<'a> {
        RedisOptions::default()
    }

    /// Returns `redis://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
    }

    /// Returns `rediss://127.0.0.1:PORT`, with the port for TLS. The server has one if
    /// [`RedisOptions::tls`] was set.
    #[must_use]
    pub fn tls_url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.port_at(TLS))
    }

    /// Sends one command on a separate connection, and returns the answer.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    #[must_use]
    pub fn ask(&self, command: &[&str]) -> Reply {
        let words: Vec<_> = command.iter().map(|word| word.as_bytes()).collect();
        resp::ask(self.port(), &words)
            .unwrap_or_else(|error| panic!("{command:?} was not answered: {error}"))
    }

    /// Returns whether `INFO` has this line. `false` if the server does not answer.
    pub(super) fn says(&self, line: &str) -> bool {
        let info = resp::ask(self.port(), &[b"INFO"]);
        info.is_ok_and(|info| info.text().lines().any(|found| found == line))
    }
}

impl Deref for Redis {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

/// The options of a Redis.
#[derive(Clone, Debug, Default)]
pub struct RedisOptions<'a> {
    flavour: Flavour,
    settings: Vec<(String, String)>,
    certificates: Option<&'a Certificates>,
}

impl<'a> RedisOptions<'a> {
    /// Sets whose server it is. The default is [`Flavour::Redis`].
    #[must_use]
    pub const fn flavour(mut self, flavour: Flavour) -> Self {
        self.flavour = flavour;
        self
    }

    /// Saves every write before it is answered: `appendonly yes` and `appendfsync always`.
    /// Otherwise a server that ends loses everything.
    #[must_use]
    pub fn durable(self) -> Self {
        self.set("appendonly", "yes").set("appendfsync", "always")
    }

    /// Sets an option of `redis.conf`.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Offers TLS at [`tls_url`](Redis::tls_url), to clients with and without a certificate.
    #[must_use]
    pub const fn tls(mut self, certificates: &'a Certificates) -> Self {
        self.certificates = Some(certificates);
        self
    }

    /// Starts the server.
    ///
    /// # Panics
    ///
    /// Like [`Redis::start`].
    #[must_use]
    pub fn start(self) -> Option<Redis> {
        let program = self.flavour.find()?;
        let name = self.flavour.name();
        Some(Redis(Server::start(name, 2, None, |place| {
            let files = speak_tls(self.certificates, place, "tls-replication")?;
            let settings = files.iter().chain(&self.settings);
            let settings: Vec<_> = settings.map(|(name, value)| (&**name, &**value)).collect();
            Ok(launch(&program, place, &settings))
        })))
    }
}

/// Which of the ports of a server is for clients.
pub(super) const CLIENTS: usize = 0;

/// Which is for clients that speak TLS.
pub(super) const TLS: usize = 1;

/// What has a server speak TLS to its clients, and to those that this other setting is about.
pub(super) fn speak_tls(
    certificates: Option<&Certificates>,
    place: &Place<'_>,
    others: &str,
) -> io::Result<Vec<(String, String)>> {
    let Some(certificates) = certificates else {
        return Ok(Vec::new());
    };
    let names = ["tls-ca-cert-file", "tls-cert-file", "tls-key-file"];
    let mut settings = certificates.settings(names, place.folder, None)?;
    let port = place.port_at(TLS).to_string();
    let more = [
        ("tls-port", &*port),
        ("tls-auth-clients", "optional"),
        (others, "yes"),
    ];
    settings.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
    Ok(settings)
}

pub(super) fn launch(path: &Path, place: &Place<'_>, settings: &[(&str, &str)]) -> Launch {
    let port = place.port();
    let number = port.to_string();
    let folder = place.folder.display().to_string();
    let fixed = [
        ("bind", "127.0.0.1"),
        ("port", &number),
        ("save", ""),
        ("dir", &folder),
    ];
    let arguments = fixed
        .iter()
        .chain(settings)
        .flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]);
    Launch {
        program: Program::new(path, arguments),
        ready: Box::new(move || answers(port)),
    }
}

/// Returns whether the server is ready. One that is loading its data or waits for its master
/// answers with an error, and one that asks for a password with another.
pub(super) fn answers(port: u16) -> bool {
    match resp::ask(port, &[b"PING"]) {
        Ok(Reply::Error(error)) => error.starts_with("NOAUTH"),
        Ok(_) => true,
        Err(_) => false,
    }
}
