//! The servers, and the libraries compared on them.

use std::time::Duration;

use silverback_test_servers::{Postgres, Redis};

use super::{Result, distance, silverback, site::Site, tower_sessions};

/// The compared libraries, in the order of the tables.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Library {
    Silverback,
    TowerSessions,
}

impl Library {
    pub(super) const ALL: [Self; 2] = [Self::Silverback, Self::TowerSessions];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Silverback => "silverback",
            Self::TowerSessions => "tower-sessions",
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Redis,
    Postgres,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Redis, Self::Postgres];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Redis => "Redis",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// A running server.
pub(super) enum Server {
    Redis(Redis),
    Postgres(Postgres),
}

/// The settings of sqlx's pool, the same for both contestants.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolSettings {
    pub(super) connections: u32,
    /// Whether the pool checks that a connection is alive before each use.
    pub(super) asks: bool,
}

impl PoolSettings {
    /// The number of connections is sqlx's default.
    pub(super) const USUAL: Self = Self {
        connections: 10,
        asks: false,
    };
}

impl Server {
    /// Starts a server. Prints a note and returns `None` if it is not installed.
    pub(super) fn start(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Redis => Redis::start().map(Self::Redis),
            Kind::Postgres => Postgres::start().map(Self::Postgres),
        }
    }

    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Redis(_) => Kind::Redis,
            Self::Postgres(_) => Kind::Postgres,
        }
    }

    pub(super) fn port(&self) -> u16 {
        match self {
            Self::Redis(server) => server.port(),
            Self::Postgres(server) => server.port(),
        }
    }

    /// A port through which the server's answers arrive this much later.
    pub(super) fn delayed_port(&self, delay: Duration) -> Result<u16> {
        if delay.is_zero() {
            Ok(self.port())
        } else {
            Ok(distance::delayed_port(self.port(), delay)?)
        }
    }

    pub(super) async fn open(
        &self,
        library: Library,
        port: u16,
        settings: PoolSettings,
    ) -> Result<Site> {
        let redis = format!("redis://127.0.0.1:{port}");
        let postgres = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        match (self, library) {
            (Self::Redis(_), Library::Silverback) => silverback::redis(&redis).await,
            (Self::Redis(_), Library::TowerSessions) => tower_sessions::redis(&redis).await,
            (Self::Postgres(_), Library::Silverback) => {
                silverback::postgres(&postgres, settings).await
            }
            (Self::Postgres(_), Library::TowerSessions) => {
                tower_sessions::postgres(&postgres, settings).await
            }
        }
    }

    pub(super) fn version(&self) -> Option<String> {
        match self {
            Self::Redis(server) => {
                let info = server.ask(&["INFO", "server"]).text();
                let version = info
                    .lines()
                    .find_map(|line| line.strip_prefix("redis_version:"))?;
                Some(format!("Redis {}", version.trim()))
            }
            Self::Postgres(server) => {
                let version = server.sql("SHOW server_version");
                Some(format!("PostgreSQL {}", version.split(' ').next()?.trim()))
            }
        }
    }
}
