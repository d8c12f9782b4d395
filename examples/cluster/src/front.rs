//! The proxy in front of the servers.

use std::{
    error::Error,
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::Stdio,
    time::Duration,
};

use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::sleep,
};

/// A running haproxy. It is killed when this is dropped.
pub(crate) struct Front {
    _process: Child,
    admin: std::path::PathBuf,
}

impl Front {
    /// Starts haproxy on this port, in front of the servers on the other ports.
    pub(crate) async fn start(
        folder: &Path,
        port: u16,
        servers: [u16; 2],
    ) -> Result<Option<Self>, Box<dyn Error>> {
        let admin = folder.join("admin");
        let [one, two] = servers;
        // haproxy retries failed connections, but never a request that it has sent.
        let config = format!(
            "
global
    maxconn 4000
    stats socket {} level admin
defaults
    mode http
    retries 3
    option redispatch
    timeout connect 2s
    timeout client 30s
    timeout server 30s
frontend shop
    bind 127.0.0.1:{port}
    default_backend servers
backend servers
    balance roundrobin
    option httpchk GET /health
    default-server check inter 300ms fall 2 rise 1 on-marked-down shutdown-sessions
    server one 127.0.0.1:{one}
    server two 127.0.0.1:{two}
",
            admin.display()
        );
        let path = folder.join("haproxy.cfg");
        fs::write(&path, config)?;
        let process = Command::new("haproxy")
            .args(["-db", "-f"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("haproxy.log"))?)
            .kill_on_drop(true)
            .spawn();
        let mut process = match process {
            Ok(process) => process,
            Err(error) => {
                println!("skipped: haproxy cannot be started: {error}");
                return Ok(None);
            }
        };
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if process.try_wait()?.is_some() {
                return Err(fs::read_to_string(folder.join("haproxy.log"))?.into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(Some(Self {
            _process: process,
            admin,
        }))
    }

    /// Cuts the connections to both servers.
    pub(crate) fn cut_connections(&self) {
        for server in ["one", "two"] {
            let cut = || -> std::io::Result<()> {
                let mut admin = UnixStream::connect(&self.admin)?;
                admin
                    .write_all(format!("shutdown sessions server servers/{server}\n").as_bytes())?;
                admin.read_to_end(&mut Vec::new())?;
                Ok(())
            };
            if let Err(error) = cut() {
                println!("the connections of server {server} are not cut: {error}");
            }
        }
    }
}
