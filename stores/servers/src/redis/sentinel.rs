//! A master and its replica, watched by three Sentinels.

use std::{fs, path::Path, thread, time::Duration};

use super::{
    Flavour, Redis, Reply, resp,
    single::{TLS, launch, speak_tls},
};
use crate::{
    certificates::Certificates,
    process::Program,
    server::{Launch, Server},
    waiting::until,
};

/// A master, a replica, and three Sentinels that promote the replica if the master does not answer
/// for two seconds.
#[derive(Debug)]
pub struct Sentinel {
    nodes: Vec<Redis>,
    sentinels: Vec<Redis>,
}

impl Sentinel {
    /// Starts them.
    ///
    /// # Panics
    ///
    /// If they do not start, or if Redis is not installed and `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(Duration::from_secs(2))
    }

    /// Starts them with Sentinels that wait this long for an answer. A busy machine may delay a
    /// server for seconds.
    ///
    /// # Panics
    ///
    /// Like [`start`](Self::start).
    #[must_use]
    pub fn start_with(patience: Duration) -> Option<Self> {
        let patience = patience.as_millis();
        let path = Flavour::Redis.find()?;
        let node = |settings: &[(&str, &str)]| {
            let name = Flavour::Redis.name();
            Redis(Server::start(name, 1, None, |place| {
                Ok(launch(&path, place, settings))
            }))
        };
        let master = node(&[("repl-diskless-sync-delay", "0")]);
        let at = format!("127.0.0.1 {}", master.port());
        let replica = node(&[("replicaof", &at)]);
        let sentinel = || {
            let conf = format!(
                "sentinel monitor {name} {at} 2\n\
                 sentinel down-after-milliseconds {name} {patience}\n\
                 sentinel failover-timeout {name} 5000\n",
                name = Self::NAME,
            );
            watch(&path, &conf, None)
        };
        let sentinels = thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(sentinel)).collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.collect::<Result<Vec<_>, _>>()
        });
        let started = Self {
            nodes: vec![master, replica],
            sentinels: sentinels.unwrap_or_else(|_| panic!("a Sentinel does not start")),
        };
        started.settle();
        Some(started)
    }

    /// Starts one Sentinel that watches a server over TLS and offers TLS to clients.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start) does.
    #[must_use]
    pub fn of_tls(master: &Redis, certificates: &Certificates) -> Option<Redis> {
        let path = Flavour::Redis.find()?;
        let (name, port) = (Self::NAME, master.port_at(TLS));
        let conf = format!("sentinel monitor {name} 127.0.0.1 {port} 1\n");
        Some(watch(&path, &conf, Some(certificates)))
    }

    /// The Sentinels' name for the master.
    pub const NAME: &'static str = "mymaster";

    /// Returns the address of each Sentinel.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(Redis::url).collect()
    }

    /// Returns the Sentinels.
    #[must_use]
    pub fn sentinels(&self) -> &[Redis] {
        &self.sentinels
    }

    /// Returns the servers with the data, beginning with the one that was the master at first.
    #[must_use]
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// Returns the present master, according to the Sentinels.
    ///
    /// # Panics
    ///
    /// If they know none.
    #[must_use]
    pub fn master(&self) -> &Redis {
        let port = self.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::NAME]);
        let Reply::Many(address) = port else {
            panic!("the Sentinels know no master: {port:?}")
        };
        let port = address.last().map(Reply::text);
        let mut nodes = self.nodes.iter();
        nodes
            .find(|node| Some(node.port().to_string()) == port)
            .unwrap_or_else(|| panic!("the master is none of these servers: {address:?}"))
    }

    /// Waits until the Sentinels know each other, and the running replica has the master's data.
    ///
    /// # Panics
    ///
    /// If that takes more than two minutes.
    pub fn settle(&self) {
        until("the replica follows", || {
            let mut nodes = self.nodes.iter().filter(|node| node.is_running());
            nodes.all(|node| node.says("role:master") || node.says("master_link_status:up"))
        });
        let known = format!(
            "status=ok,address=127.0.0.1:{},slaves={},sentinels={}",
            self.master().port(),
            self.nodes.len() - 1,
            self.sentinels.len(),
        );
        until("the Sentinels know each other", || {
            let line = format!("master0:name={},{known}", Self::NAME);
            self.sentinels.iter().all(|sentinel| sentinel.says(&line))
        });
    }

    fn ask(&self, command: &[&str]) -> Reply {
        let running = self.sentinels.iter().find(|node| node.is_running());
        running
            .unwrap_or_else(|| panic!("no Sentinel runs"))
            .ask(command)
    }
}

/// Starts a Sentinel.
fn watch(path: &Path, conf: &str, certificates: Option<&Certificates>) -> Redis {
    Redis(Server::start("sentinel", 2, None, |place| {
        let (folder, port) = (place.folder, place.port());
        let mut text = format!("port {port}\nbind 127.0.0.1\ndir {}\n", folder.display());
        for (name, value) in speak_tls(certificates, place, "tls-replication")? {
            text += &format!("{name} {value}\n");
        }
        let file = folder.join("sentinel.conf");
        fs::write(&file, text + conf)?;
        let arguments = [file.display().to_string(), "--sentinel".to_owned()];
        Ok(Launch {
            program: Program::new(path, arguments),
            ready: Box::new(move || resp::ask(port, &[b"PING"]).is_ok()),
        })
    }))
}
