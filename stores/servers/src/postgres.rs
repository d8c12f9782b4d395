//! PostgreSQL.

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpStream},
    ops::Deref,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    certificates::Certificates,
    process::Program,
    program,
    server::{Launch, Place, Server},
    user::User,
};

/// A PostgreSQL with one user, `postgres`, who needs no password. It has the methods of [`Server`]
/// too.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    psql: PathBuf,
}

impl Postgres {
    /// Starts a PostgreSQL that survives [`kill`](Server::kill), but not the end of the machine: it
    /// does not wait for the disk.
    ///
    /// # Panics
    ///
    /// If it does not start, or if it is not installed and `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        PostgresOptions::default().start()
    }

    /// Starts with other options than [`start`](Self::start).
    #[must_use]
    pub fn options<'a>() -> PostgresOptions<'a> {
        PostgresOptions::default()
    }

    /// Returns `postgres://postgres@127.0.0.1:PORT/postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Returns the address of another database on this server.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port())
    }

    /// Runs statements with `psql`, and returns its output: a line per row, columns separated by
    /// `|`.
    ///
    /// # Panics
    ///
    /// If a statement fails.
    pub fn sql(&self, statements: &str) -> String {
        let port = self.port().to_string();
        let output = Command::new(&self.psql)
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args(["-h", "127.0.0.1", "-U", "postgres", "-d", "postgres"])
            .args(["-p", &port, "-c", statements])
            .output();
        output
            .and_then(|output| program::printed(&output))
            .unwrap_or_else(|error| panic!("{statements}: {error}"))
    }
}

impl Deref for Postgres {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// The options of a PostgreSQL.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions<'a> {
    settings: Vec<(String, String)>,
    certificates: Option<&'a Certificates>,
}

impl<'a> PostgresOptions<'a> {
    /// Sets an option of `postgresql.conf`.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Offers TLS to clients that ask for it.
    #[must_use]
    pub const fn tls(mut self, certificates: &'a Certificates) -> Self {
        self.certificates = Some(certificates);
        self
    }

    /// Starts the server.
    ///
    /// # Panics
    ///
    /// Like [`Postgres::start`].
    #[must_use]
    pub fn start(self) -> Option<Postgres> {
        let folders = folders();
        let [initdb, postgres, psql] = ["initdb", "postgres", "psql"]
            .map(|name| program::find_in(name, folders.iter().cloned()));
        let (initdb, postgres, psql) = (initdb?, postgres?, psql?);
        let user = User::instead_of_root("postgres");
        let server = Server::start("postgres", 1, user, |place| {
            initialize(&initdb, place.folder, user)?;
            self.launch(&postgres, place, user)
        });
        Some(Postgres { server, psql })
    }

    fn launch(&self, path: &Path, place: &Place<'_>, user: Option<User>) -> io::Result<Launch> {
        let port = place.port();
        let fixed = [
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            ("fsync", "off"),
            // Tests use many pools at once.
            ("max_connections", "400"),
        ];
        let given = self
            .settings
            .iter()
            .map(|(name, value)| (&**name, &**value));
        let mut arguments = vec!["-D".to_owned(), "data".to_owned()];
        arguments.extend(["-p".to_owned(), port.to_string()]);
        for (name, value) in fixed.into_iter().chain(given) {
            arguments.extend(["-c".to_owned(), format!("{name}={value}")]);
        }
        if let Some(certificates) = self.certificates {
            let names = ["ssl_ca_file", "ssl_cert_file", "ssl_key_file"];
            arguments.extend(["-c".to_owned(), "ssl=on".to_owned()]);
            for (name, value) in certificates.settings(names, place.folder, user)? {
                arguments.extend(["-c".to_owned(), format!("{name}={value}")]);
            }
        }
        Ok(Launch {
            program: Program::new(path, arguments)
                .user(user)
                .end_at_once(Signal::QUIT),
            ready: Box::new(move || answers(port)),
        })
    }
}

/// The folders of its programs, which Debian leaves out of the `PATH`.
fn folders() -> Vec<PathBuf> {
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path())
        .collect();
    versions.sort_by_key(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.and_then(|name| name.parse::<u32>().ok())
    });
    let newest_first = versions.into_iter().rev().map(|path| path.join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    newest_first.chain(std::env::split_paths(&path)).collect()
}

fn initialize(initdb: &Path, folder: &Path, user: Option<User>) -> io::Result<()> {
    let arguments = ["-D", "data", "-A", "trust", "-U", "postgres", "--no-sync"];
    Program::new(initdb, arguments)
        .user(user)
        .run_to_end(folder)
}

/// Returns whether a login works, which a server that is still starting refuses.
fn answers(port: u16) -> bool {
    let asked = || -> io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let parameters = b"user\0postgres\0database\0postgres\0\0";
        let len = u32::try_from(parameters.len() + 8).map_err(io::Error::other)?;
        stream.write_all(&len.to_be_bytes())?;
        stream.write_all(&196_608_u32.to_be_bytes())?; // version 3.0
        stream.write_all(parameters)?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        Ok(kind == *b"R") // authentication: no password is asked for
    };
    asked().unwrap_or(false)
}
