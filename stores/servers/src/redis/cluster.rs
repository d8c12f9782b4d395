//! A cluster of masters and their replicas.

use std::{io, thread};

use super::{
    Flavour, Redis, Reply,
    single::{CLIENTS, TLS, launch, speak_tls},
};
use crate::{certificates::Certificates, server::Server, waiting::until};

/// A Redis Cluster. A replica replaces a master that does not answer for two seconds.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Redis>,
}

/// The index of the port for the other servers.
const BUS: usize = 2;

/// The number of slots of a cluster, by the protocol.
const SLOTS: usize = 16_384;

impl Cluster {
    /// Starts three masters with a replica each.
    ///
    /// # Panics
    ///
    /// If the cluster does not start, or if Redis is not installed and `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        ClusterOptions::default().start()
    }

    /// Starts with other options than [`start`](Self::start).
    #[must_use]
    pub fn options<'a>() -> ClusterOptions<'a> {
        ClusterOptions::default()
    }

    /// Returns the servers, beginning with those that were masters at first.
    #[must_use]
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// Returns the address of each server.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }

    /// Returns the TLS address of each server.
    #[must_use]
    pub fn tls_urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::tls_url).collect()
    }

    /// Returns the present masters. A server that does not run is none.
    #[must_use]
    pub fn masters(&self) -> Vec<&Redis> {
        let masters = self.nodes.iter().filter(|node| node.says("role:master"));
        masters.collect()
    }

    /// Returns the present master of this key.
    ///
    /// # Panics
    ///
    /// If no master has it.
    #[must_use]
    pub fn master_of(&self, key: &str) -> &Redis {
        let masters = self.masters();
        let found = masters
            .into_iter()
            .find(|master| !matches!(master.ask(&["GET", key]), Reply::Error(_)));
        found.unwrap_or_else(|| panic!("no master has {key}"))
    }

    /// Waits until every running server knows a master for every slot, and every running replica
    /// has its master's data.
    ///
    /// # Panics
    ///
    /// If that takes more than two minutes.
    pub fn settle(&self) {
        let running = || self.nodes.iter().filter(|node| node.is_running());
        until("the cluster is whole", || {
            running().all(|node| {
                let info = node.ask(&["CLUSTER", "INFO"]).text();
                info.lines().any(|line| line == "cluster_state:ok")
            })
        });
        until("the replicas follow", || {
            running().all(|node| node.says("role:master") || node.says("master_link_status:up"))
        });
    }
}

/// The options of a cluster.
#[derive(Clone, Debug)]
pub struct ClusterOptions<'a> {
    flavour: Flavour,
    masters: usize,
    replicas: usize,
    settings: Vec<(String, String)>,
    certificates: Option<&'a Certificates>,
}

impl Default for ClusterOptions<'_> {
    fn default() -> Self {
        Self {
            flavour: Flavour::default(),
            masters: 3,
            replicas: 1,
            settings: Vec::new(),
            certificates: None,
        }
    }
}

impl<'a> ClusterOptions<'a> {
    /// Sets whose servers they are. The default is [`Flavour::Redis`].
    #[must_use]
    pub const fn flavour(mut self, flavour: Flavour) -> Self {
        self.flavour = flavour;
        self
    }

    /// Sets the number of replicas of each master. The default is 1.
    #[must_use]
    pub const fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// Sets an option of each server's `redis.conf`.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Offers TLS to clients. The servers use it among themselves, too.
    #[must_use]
    pub const fn tls(mut self, certificates: &'a Certificates) -> Self {
        self.certificates = Some(certificates);
        self
    }

    /// Starts the cluster.
    ///
    /// # Panics
    ///
    /// Like [`Cluster::start`].
    #[must_use]
    pub fn start(self) -> Option<Cluster> {
        let path = self.flavour.find()?;
        let node = || {
            let name = self.flavour.name();
            Redis(Server::start(name, 3, None, |place| {
                let bus = place.port_at(BUS).to_string();
                let fixed = [
                    ("cluster-enabled", "yes"),
                    ("cluster-node-timeout", "2000"),
                    ("cluster-port", &bus),
                ];
                let tls = speak_tls(self.certificates, place, "tls-cluster")?;
                let given = tls.iter().chain(&self.settings);
                let given = given.map(|(name, value)| (&**name, &**value));
                let settings: Vec<_> = fixed.into_iter().chain(given).collect();
                io::Result::Ok(launch(&path, place, &settings))
            }))
        };
        let count = self.masters * (1 + self.replicas);
        let nodes = thread::scope(|scope| {
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(node)).collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.collect::<Result<Vec<_>, _>>()
        });
        let cluster = Cluster {
            nodes: nodes.unwrap_or_else(|_| panic!("a server of the cluster does not start")),
        };
        self.join(&cluster);
        Some(cluster)
    }

    /// Does the same as `redis-cli --cluster create`, which takes more time between its steps.
    fn join(&self, cluster: &Cluster) {
        let nodes = &cluster.nodes;
        let (masters, replicas) = nodes.split_at(self.masters);
        for (index, node) in nodes.iter().enumerate() {
            tell(
                node,
                &["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()],
            );
        }
        for (index, master) in masters.iter().enumerate() {
            let first = (index * SLOTS / self.masters).to_string();
            let last = ((index + 1) * SLOTS / self.masters - 1).to_string();
            tell(master, &["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
        }
        // The servers tell each other the port that they speak TLS at.
        let clients = if self.certificates.is_some() {
            TLS
        } else {
            CLIENTS
        };
        for node in nodes {
            let [port, bus] = [clients, BUS].map(|port| node.port_at(port).to_string());
            for first in masters.iter().take(1) {
                tell(first, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
            }
        }
        let known = format!("cluster_known_nodes:{}", nodes.len());
        until("the servers know each other", || {
            nodes.iter().all(|node| {
                let info = node.ask(&["CLUSTER", "INFO"]).text();
                info.lines().any(|line| line == known)
            })
        });
        for (replica, master) in replicas.iter().zip(masters.iter().cycle()) {
            let id = master.ask(&["CLUSTER", "MYID"]).text();
            tell(replica, &["CLUSTER", "REPLICATE", &id]);
        }
        cluster.settle();
        until("the servers know the replicas", || {
            nodes.iter().all(|node| {
                let known = node.ask(&["CLUSTER", "NODES"]).text();
                known.lines().filter(|line| line.contains("slave")).count() == replicas.len()
            })
        });
    }
}

fn tell(node: &Redis, command: &[&str]) {
    if let Reply::Error(error) = node.ask(command) {
        panic!("{command:?}: {error}");
    }
}
