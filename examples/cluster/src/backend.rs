//! The store that both servers share, started for the run.

use std::{thread, time::Duration};

use silverback_test_servers::{Cluster, Postgres};

/// A store on a server, or on several.
pub(crate) enum Backend {
    Postgres(Box<Postgres>),
    Redis(Cluster),
}

impl Backend {
    pub(crate) const NAMES: [&'static str; 2] = ["redis", "postgres"];

    /// Starts the store. Returns `None`, and prints a line, if it is not installed.
    pub(crate) fn start(name: &str) -> Option<Self> {
        match name {
            "postgres" => Postgres::start().map(|server| Self::Postgres(Box::new(server))),
            _ => Cluster::start().map(Self::Redis),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Postgres(server) => server.url(),
            Self::Redis(cluster) => cluster.urls().join(","),
        }
    }

    /// Announces what [`strike`](Self::strike) is about to do.
    pub(crate) fn threat(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "PostgreSQL is killed",
            Self::Redis(_) => "a master is killed",
        }
    }

    /// Kills the server that hurts most, waits until the store is back, and returns what happened.
    pub(crate) fn strike(&self) -> &'static str {
        match self {
            Self::Postgres(server) => {
                server.kill();
                thread::sleep(Duration::from_secs(1));
                server.restart();
                "PostgreSQL is back"
            }
            Self::Redis(cluster) => {
                let masters = cluster.masters();
                if let Some(master) = masters.first() {
                    master.kill();
                    cluster.settle();
                    master.restart();
                }
                "its replica has taken over"
            }
        }
    }

    /// Returns whether an acknowledged write may be lost with the server that acknowledged it.
    pub(crate) fn replicates_late(&self) -> bool {
        match self {
            Self::Postgres(_) => false,
            Self::Redis(_) => true,
        }
    }
}
