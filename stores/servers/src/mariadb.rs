//! MariaDB.

use std::{
    fs,
    io::{self, Read},
    net::{Ipv4Addr, TcpStream},
    ops::Deref,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    certificates::Certificates,
    process::Program,
    program,
    server::{Launch, Place, Server},
    user::User,
};

/// A MariaDB with a database `silverback` and a user `root`, who needs no password. It has the
/// methods of [`Server`] too.
#[derive(Debug)]
pub struct MariaDb {
    pub(crate) server: Server,
    pub(crate) client: PathBuf,
}

impl MariaDb {
    /// Starts a MariaDB that survives [`kill`](Server::kill), but not the end of the machine: it
    /// does not wait for the disk.
    ///
    /// # Panics
    ///
    /// If it does not start, or if it is not installed and `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        MariaDbOptions::default().start()
    }

    /// Starts with other options than [`start`](Self::start).
    #[must_use]
    pub fn options<'a>() -> MariaDbOptions<'a> {
        MariaDbOptions::default()
    }

    /// Returns `mysql://root@127.0.0.1:PORT/silverback`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("silverback")
    }

    /// Returns the address of another database on this server.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!("mysql://root@127.0.0.1:{}/{database}", self.port())
    }

    /// Runs statements with `mariadb`, and returns its output: a line per row, columns separated by
    /// tabs.
    ///
    /// # Panics
    ///
    /// If a statement fails.
    pub fn sql(&self, statements: &str) -> String {
        sql(&self.client, self.port(), statements).unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Deref for MariaDb {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// The options of a MariaDB.
#[derive(Clone, Debug, Default)]
pub struct MariaDbOptions<'a> {
    settings: Vec<(String, String)>,
    certificates: Option<&'a Certificates>,
}

impl<'a> MariaDbOptions<'a> {
    /// Sets an option of `my.cnf`.
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
    /// Like [`MariaDb::start`].
    #[must_use]
    pub fn start(self) -> Option<MariaDb> {
        let programs = Programs::find()?;
        let server = Server::start("mariadb", 1, programs.user, |place| {
            programs.initialize(place.folder)?;
            let mut settings = self.settings.clone();
            if let Some(certificates) = self.certificates {
                let names = ["ssl-ca", "ssl-cert", "ssl-key"];
                settings.extend(certificates.settings(names, place.folder, programs.user)?);
            }
            Ok(programs.launch(place, &settings))
        });
        Some(MariaDb {
            server,
            client: programs.client,
        })
    }
}

/// MariaDB's programs, where they are installed.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    install: PathBuf,
    server: PathBuf,
    pub(crate) client: PathBuf,
    pub(crate) user: Option<User>,
}

impl Programs {
    pub(crate) fn find() -> Option<Self> {
        Some(Self {
            install: program::find("mariadb-install-db")?,
            server: program::find("mariadbd")?,
            client: program::find("mariadb")?,
            user: User::instead_of_root("mysql"),
        })
    }

    /// Creates the system tables.
    pub(crate) fn initialize(&self, folder: &Path) -> io::Result<()> {
        write_first(folder)?;
        let data = format!("--datadir={}", folder.join("data").display());
        let fixed = [
            "--no-defaults",
            &data,
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ];
        Program::new(&self.install, fixed)
            .user(self.user)
            .run_to_end(folder)
    }

    pub(crate) fn launch(&self, place: &Place<'_>, settings: &[(String, String)]) -> Launch {
        let port = place.port();
        let mut arguments = arguments(place);
        let given = settings
            .iter()
            .map(|(name, value)| format!("--{name}={value}"));
        arguments.extend(given);
        Launch {
            program: Program::new(&self.server, arguments).user(self.user),
            ready: Box::new(move || greets(port)),
        }
    }
}

/// The arguments that MySQL knows too.
pub(crate) fn arguments(place: &Place<'_>) -> Vec<String> {
    let (port, folder) = (place.port(), place.folder.display());
    vec![
        "--no-defaults".to_owned(),
        format!("--datadir={folder}/data"),
        format!("--socket={folder}/socket"),
        format!("--pid-file={folder}/pid"),
        format!("--init-file={folder}/first.sql"),
        format!("--port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--innodb-flush-log-at-trx-commit=2".to_owned(),
        // Tests use many pools at once.
        "--max-connections=400".to_owned(),
    ]
}

/// Makes the file of statements that the server runs before it answers.
pub(crate) fn write_first(folder: &Path) -> io::Result<()> {
    let first = "CREATE DATABASE IF NOT EXISTS silverback;\n";
    fs::write(folder.join("first.sql"), first)
}

pub(crate) fn sql(client: &Path, port: u16, statements: &str) -> io::Result<String> {
    let output = Command::new(client)
        .args(["--no-defaults", "-N", "-B", "-h", "127.0.0.1", "-u", "root"])
        .arg(format!("--port={port}"))
        .args(["-D", "silverback", "-e", statements])
        .output()?;
    program::printed(&output)
}

/// Returns whether the server is up. It then speaks first, after the statements of its `init-file`:
/// a packet whose first byte is the protocol's version, 10.
pub(crate) fn greets(port: u16) -> bool {
    let greeting = || -> io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        Ok(head.ends_with(&[10]))
    };
    greeting().unwrap_or(false)
}
