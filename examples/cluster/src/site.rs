//! Two servers of the shop.

use std::{
    env,
    error::Error,
    fs::{File, OpenOptions},
    io::Read,
    path::Path,
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::sleep,
};

use silverback_test_servers::Port;

/// A site under load. Its processes are killed when this is dropped.
pub(crate) struct Site {
    ports: [Port; 2],
    servers: [Option<Child>; 2],
    store: String,
    key: String,
    folder: TempDir,
}

impl Site {
    /// Starts two servers with their sessions in this store.
    pub(crate) async fn start(store: &str) -> Result<Self, Box<dyn Error>> {
        let mut site = Self {
            ports: [Port::take(), Port::take()],
            servers: [None, None],
            store: store.to_owned(),
            key: new_key()?,
            folder: tempfile::tempdir()?,
        };
        for which in 0..2 {
            site.start_server(which).await?;
        }
        Ok(site)
    }

    pub(crate) fn ports(&self) -> [u16; 2] {
        self.ports.each_ref().map(Port::number)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills a server, whatever it is doing.
    pub(crate) fn kill_server(&mut self, which: usize) {
        // Dropping the process kills it.
        self.servers
            .iter_mut()
            .skip(which)
            .take(1)
            .for_each(|server| *server = None);
    }

    /// Starts a server that is not running.
    pub(crate) async fn start_server(&mut self, which: usize) -> Result<(), Box<dyn Error>> {
        let ports = self.ports();
        for (server, port) in self.servers.iter_mut().zip(ports).skip(which).take(1) {
            *server = Some(start_server(self.folder.path(), port, &self.store, &self.key).await?);
        }
        Ok(())
    }
}

async fn start_server(
    folder: &Path,
    port: u16,
    store: &str,
    key: &str,
) -> Result<Child, Box<dyn Error>> {
    let log = folder.join(format!("{port}.log"));
    let append =
        || -> std::io::Result<File> { OpenOptions::new().create(true).append(true).open(&log) };
    let mut server = Command::new(env::current_exe()?)
        .args(["server", &port.to_string(), store])
        .env("SESSION_KEY", key)
        .stdin(Stdio::null())
        .stdout(append()?)
        .stderr(append()?)
        .kill_on_drop(true)
        .spawn()?;
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        if server.try_wait()?.is_some() {
            return Err(std::fs::read_to_string(&log)?.into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(server)
}

/// Makes a key for one run, in hexadecimal.
fn new_key() -> std::io::Result<String> {
    let key = random::<32>()?;
    Ok(key.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Returns a random number below 1,000,000, which is easy to type again.
pub(crate) fn random_number() -> std::io::Result<u64> {
    Ok(u64::from_be_bytes(random()?) % 1_000_000)
}

fn random<const LEN: usize>() -> std::io::Result<[u8; LEN]> {
    let mut bytes = [0; LEN];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
