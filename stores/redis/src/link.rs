//! The link to the server: one connection that all tasks share, replaced when it is lost.

use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

#[cfg(feature = "redis-1")]
use redis::aio::ConnectionManager;
#[cfg(feature = "sentinel")]
use redis::sentinel::SentinelClient;
use redis::{
    AsyncConnectionConfig, Client, Pipeline, RedisError, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
#[cfg(feature = "cluster")]
use redis::{
    ErrorKind, ServerErrorKind,
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr},
};
use silverback::store::StoreError;
use tokio::{sync::Mutex, task::JoinSet, time};

#[cfg(feature = "cluster")]
use crate::cluster;
use crate::error;

/// Where connections come from.
pub(crate) enum Source {
    Single(Box<Client>),
    #[cfg(feature = "sentinel")]
    Sentinel(Box<Mutex<SentinelClient>>),
    #[cfg(feature = "cluster")]
    Cluster(Box<ClusterClient>),
    /// The application's own connection, which reconnects by itself.
    #[cfg(feature = "redis-1")]
    Given(Connection),
}

impl Source {
    async fn connect(&self) -> RedisResult<Connection> {
        // The link itself limits how long it waits for answers.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECTING))
            .set_response_timeout(None);
        match self {
            Self::Single(client) => client
                .get_multiplexed_async_connection_with_config(&config)
                .await
                .map(Connection::One),
            #[cfg(feature = "sentinel")]
            Self::Sentinel(client) => {
                let mut client = client.lock().await;
                let connection = client.get_async_connection_with_config(&config);
                connection.await.map(Connection::One)
            }
            #[cfg(feature = "cluster")]
            Self::Cluster(client) => client.get_async_connection().await.map(Connection::Cluster),
            #[cfg(feature = "redis-1")]
            Self::Given(connection) => Ok(connection.clone()),
        }
    }
}

/// How long making a connection may take.
pub(crate) const CONNECTING: Duration = Duration::from_secs(1);

/// How long to wait before asking again a server that is not there yet.
const PAUSE: Duration = Duration::from_millis(25);

#[derive(Clone)]
pub(crate) enum Connection {
    One(MultiplexedConnection),
    #[cfg(feature = "redis-1")]
    Managed(ConnectionManager),
    #[cfg(feature = "cluster")]
    Cluster(ClusterConnection),
}

impl Connection {
    /// Sends commands on one key to the server that has it. Returns an answer for each, which may
    /// be an error.
    #[cfg_attr(
        not(feature = "cluster"),
        expect(unused_variables, reason = "there is one server alone")
    )]
    async fn send(&mut self, to: &To<'_>, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        let count = commands.len();
        match self {
            Self::One(connection) => connection.req_packed_commands(commands, 0, count).await,
            #[cfg(feature = "redis-1")]
            Self::Managed(connection) => connection.req_packed_commands(commands, 0, count).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => {
                let route = to.route();
                let sent = connection.route_pipeline(commands.clone(), 0, count, route);
                match sent.await {
                    Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Ask) => {
                        cluster::ask(connection, commands, error).await
                    }
                    answers => answers,
                }
            }
        }
    }
}

/// A server of a cluster.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "cluster"),
    expect(dead_code, reason = "there is one server alone")
)]
pub(crate) enum To<'a> {
    /// The master that has the key.
    Key(&'a str),
    /// Any server.
    #[cfg(feature = "cluster")]
    Any,
    /// The server at this address.
    #[cfg(feature = "cluster")]
    Node(&'a str, u16),
}

#[cfg(feature = "cluster")]
impl To<'_> {
    fn route(&self) -> SingleNodeRoutingInfo {
        match self {
            Self::Key(key) => {
                SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master))
            }
            Self::Any => SingleNodeRoutingInfo::RandomPrimary,
            Self::Node(host, port) => SingleNodeRoutingInfo::ByAddress {
                host: (*host).to_owned(),
                port: *port,
            },
        }
    }
}

/// A connection that is replaced when it is lost.
pub(crate) struct Link {
    source: Arc<Source>,
    current: RwLock<Current>,
    /// The holder of this lock makes a connection. The others wait for it.
    connecting: Mutex<()>,
}

#[derive(Default)]
struct Current {
    /// Counts connections, so that a caller replaces only the one that failed.
    number: u64,
    connection: Option<Connection>,
}

impl Link {
    pub(crate) fn new(source: Arc<Source>) -> Self {
        Self {
            source,
            current: RwLock::default(),
            connecting: Mutex::new(()),
        }
    }

    /// Makes another link to the same server.
    pub(crate) fn another(&self) -> Self {
        Self::new(Arc::clone(&self.source))
    }

    /// Returns whether the client may resend a write by itself, because the application has built
    /// it.
    pub(crate) fn may_repeat(&self) -> bool {
        match &*self.source {
            #[cfg(all(feature = "redis-1", feature = "cluster"))]
            Source::Given(Connection::Cluster(_)) => true,
            _ => false,
        }
    }

    /// Returns whether the keys are spread over several servers.
    #[cfg(feature = "cluster")]
    pub(crate) fn is_cluster(&self) -> bool {
        match &*self.source {
            Source::Cluster(_) => true,
            #[cfg(feature = "redis-1")]
            Source::Given(Connection::Cluster(_)) => true,
            _ => false,
        }
    }

    /// Sends commands. Returns an answer for each, which may be an error. Waits for a server that
    /// is not there yet or not the master, for as long as the whole call may take. Does not resend
    /// a command that was sent and got no answer.
    pub(crate) async fn run(
        self: &Arc<Self>,
        to: To<'_>,
        commands: &Pipeline,
        within: Duration,
    ) -> Result<Vec<Value>, StoreError> {
        let mut used = None;
        let mut obstacle = None;
        let answered = time::timeout(within, async {
            loop {
                let (number, mut connection) = match self.connect(within).await {
                    Ok(connected) => connected,
                    Err(error) if is_worth_waiting(&error) => {
                        obstacle = Some(error);
                        time::sleep(PAUSE).await;
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                used = Some(number);
                obstacle = None;
                let answers = connection.send(&to, commands).await;
                let failure = match &answers {
                    Err(error) => Some(error.clone()),
                    Ok(values) => values.iter().find_map(error::in_value),
                };
                let Some(failure) = failure else {
                    return answers;
                };
                if error::needs_another_connection(&failure) {
                    self.lose(number);
                }
                if !error::will_pass(&failure) {
                    return answers;
                }
                obstacle = Some(failure);
                time::sleep(PAUSE).await;
            }
        });
        match answered.await {
            Ok(answers) => answers.map_err(error::of),
            Err(_) => {
                // A connection may be dead without a sign of it.
                used.into_iter().for_each(|number| self.give_up(number));
                let mut sentence = format!("Redis has not answered within {within:?}");
                if let Some(error) = obstacle {
                    sentence += &format!(": {error}");
                }
                Err(StoreError::unavailable(sentence))
            }
        }
    }

    async fn connect(self: &Arc<Self>, within: Duration) -> RedisResult<(u64, Connection)> {
        if let Some(connected) = self.connected() {
            return Ok(connected);
        }
        // In a task, which ends with this future. The others would wait for a future that nobody
        // polls any more.
        let (link, mut task) = (Arc::clone(self), JoinSet::new());
        task.spawn(async move { time::timeout(within, link.connect_in_turn()).await });
        match task.join_next().await {
            Some(Ok(Ok(connected))) => connected,
            Some(Ok(Err(late))) => Err(io::Error::from(late).into()),
            Some(Err(ended)) => Err(io::Error::from(ended).into()),
            None => Err(io::Error::from(io::ErrorKind::NotConnected).into()),
        }
    }

    async fn connect_in_turn(&self) -> RedisResult<(u64, Connection)> {
        if let Some(connected) = self.connected() {
            return Ok(connected);
        }
        let turn = self.connecting.lock().await;
        if let Some(connected) = self.connected() {
            return Ok(connected);
        }
        let connection = self.source.connect().await?;
        let number = self.enter(connection.clone());
        drop(turn);
        Ok((number, connection))
    }

    fn connected(&self) -> Option<(u64, Connection)> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some((current.number, current.connection.clone()?))
    }

    fn enter(&self, connection: Connection) -> u64 {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.number += 1;
        current.connection = Some(connection);
        current.number
    }

    /// Has the next call replace a broken connection. A cluster's connection and the application's
    /// own replace themselves.
    fn lose(&self, number: u64) {
        if matches!(self.connected(), Some((_, Connection::One(_)))) {
            self.give_up(number);
        }
    }

    /// Has the next call replace the connection, unless it is the application's own. A cluster's
    /// connection waits for a silent server as long as for any other, and does not look for its
    /// successor.
    fn give_up(&self, number: u64) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.number == number {
            current.connection = None;
        }
    }
}

/// Returns whether the server is not there yet: nobody listens, or the Sentinels are looking for a
/// master.
fn is_worth_waiting(error: &RedisError) -> bool {
    error.is_io_error()
        || error::will_pass(error)
        || matches!(
            error.kind(),
            redis::ErrorKind::MasterNameNotFoundBySentinel
                | redis::ErrorKind::ClusterConnectionNotFound
        )
}
