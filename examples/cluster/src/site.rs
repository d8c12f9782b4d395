//! Two servers and the proxy in front of them.

use std::{
    env,
    error::Error,
    fs::{File, OpenOptions},
    io::Read,
    net::TcpListener,
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

use crate::front::Front;

/// A site under load. Its processes are killed when this is dropped.
pub(crate) struct Site {
    port: u16,
    servers: [u16; 2],
    store: String,
    key: String,
    one: Option<Child>,
    _two: Child,
    front: Front,
    folder: TempDir,
}

impl Site {
    /// Starts two servers with their sessions in this store; `None` without haproxy.
    pub(crate) async fn start(store: &str) -> Result<Option<Self>, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let (port, servers) = (free_port()?, [free_port()?, free_port()?]);
        let key = new_key()?;
        let [one, two] = servers;
        let first = start_server(folder.path(), one, store, &key).await?;
        let second = start_server(folder.path(), two, store, &key).await?;
        let Some(front) = Front::start(folder.path(), port, servers).await? else {
            return Ok(None);
        };
        Ok(Some(Self {
            port,
            servers,
            store: store.to_owned(),
            key,
            one: Some(first),
            _two: second,
            front,
            folder,
        }))
    }

    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Kills the first server, whatever it is doing.
    pub(crate) fn kill_server(&mut self) {
        // It is killed when it is dropped.
        self.one = None;
    }

    /// Starts the first server again.
    pub(crate) async fn start_server(&mut self) -> Result<(), Box<dyn Error>> {
        let [one, _] = self.servers;
        let server = start_server(self.folder.path(), one, &self.store, &self.key).await?;
        self.one = Some(server);
        Ok(())
    }

    pub(crate) fn cut_connections(&self) {
        self.front.cut_connections();
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

/// A key for one run, in hexadecimal digits.
fn new_key() -> std::io::Result<String> {
    let mut key = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    Ok(key.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
