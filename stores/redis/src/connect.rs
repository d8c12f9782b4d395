//! Making a store from an address or from the application's own connection.

use std::{sync::Arc, time::Duration};

use redis::{
    Client, IntoConnectionInfo, Pipeline, RedisError, ServerErrorKind, Value, io::tcp::TcpSettings,
};
use silverback::store::StoreError;

use crate::{
    RedisStore, error,
    link::{Link, Source, To},
};

/// Sends each command at once (`TCP_NODELAY`). Otherwise the system would hold a command back until
/// the one before it on the connection is acknowledged (RFC 896). The server acknowledges with its
/// answer, so under load each call would wait for another's round trip.
fn at_once() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

/// How long to wait for a server that starts together with the application.
const STARTING: Duration = Duration::from_secs(10);

impl RedisStore {
    /// Connects to one server: `redis://user:password@host:6379/0`, `rediss://` with the feature
    /// `tls`, or `redis+unix:///path`.
    ///
    /// All tasks share the connection. It is replaced when it is lost.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_redis::RedisStore;
    /// # async fn f() -> Result<(), StoreError> {
    /// let store = RedisStore::connect("redis://127.0.0.1:6379").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if the address cannot be parsed or the server refuses the login.
    /// [`StoreError::Unavailable`] if the server cannot be reached within ten seconds. This leaves
    /// time for a server that starts together with the application.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let info = url.into_connection_info().map_err(bad_address)?;
        let client = Client::open(info.set_tcp_settings(at_once())).map_err(bad_address)?;
        Self::of(Source::Single(Box::new(client))).await
    }

    /// Connects to a cluster, by the addresses of some of its servers.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_redis::RedisStore;
    /// # async fn f() -> Result<(), StoreError> {
    /// let store = RedisStore::connect_cluster(["redis://10.0.0.1", "redis://10.0.0.2"]).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    #[cfg(feature = "cluster")]
    #[cfg_attr(docsrs, doc(cfg(feature = "cluster")))]
    pub async fn connect_cluster<U: AsRef<str>>(
        urls: impl IntoIterator<Item = U>,
    ) -> Result<Self, StoreError> {
        let urls: Vec<_> = urls
            .into_iter()
            .map(|url| url.as_ref().to_owned())
            .collect();
        // The client would resend a command that got no answer, which could then run twice. The
        // link resends only commands that did not run.
        let client = redis::cluster::ClusterClient::builder(urls)
            .connection_timeout(crate::link::CONNECTING)
            .response_timeout(STARTING)
            .overall_response_timeout(None)
            .retries(0)
            .tcp_settings(at_once())
            .build()
            .map_err(bad_address)?;
        Self::of(Source::Cluster(Box::new(client))).await
    }

    /// Connects to the master of this name, by the addresses of the Sentinels that watch it. After
    /// a failover it connects to the successor.
    ///
    /// The master is a name. If it needs a password or another database, give an address with the
    /// name in place of the host: `redis://user:password@mymaster/1`.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_redis::RedisStore;
    /// # async fn f() -> Result<(), StoreError> {
    /// let sentinels = ["redis://10.0.0.1:26379", "redis://10.0.0.2:26379"];
    /// let store = RedisStore::connect_sentinel(sentinels, "mymaster").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect), and if the Sentinels know no master of this name.
    #[cfg(feature = "sentinel")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sentinel")))]
    pub async fn connect_sentinel<U: AsRef<str>>(
        sentinels: impl IntoIterator<Item = U>,
        master: &str,
    ) -> Result<Self, StoreError> {
        use redis::{
            ConnectionAddr, TlsMode,
            sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType},
        };

        let mut node = SentinelNodeConnectionInfo::default().set_tcp_settings(at_once());
        let mut name = master.to_owned();
        if master.contains("://") {
            let info = master.into_connection_info().map_err(bad_address)?;
            node = node.set_redis_connection_info(info.redis_settings().clone());
            name = match info.addr() {
                ConnectionAddr::Tcp(host, _) => host.to_string(),
                ConnectionAddr::TcpTls { host, insecure, .. } => {
                    let mode = if *insecure {
                        TlsMode::Insecure
                    } else {
                        TlsMode::Secure
                    };
                    node = node.set_tls_mode(mode);
                    host.to_string()
                }
                _ => return Err(StoreError::refused("the master's address has no name")),
            };
        }
        let urls: Vec<_> = sentinels
            .into_iter()
            .map(|url| url.as_ref().to_owned())
            .collect();
        let kind = SentinelServerType::Master;
        let client = SentinelClient::build(urls, name, Some(node), kind).map_err(bad_address)?;
        Self::of(Source::Sentinel(Box::new(tokio::sync::Mutex::new(client)))).await
    }

    /// Uses your application's own connection to one server, which reconnects by itself.
    ///
    /// The store gives up on a connection that is slower, by its own settings, than the store's
    /// [`timeout`](Self::timeout). With [`wait_replicas`](Self::wait_replicas), whatever else the
    /// application sends on the connection waits for the replicas too.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_redis::RedisStore;
    /// # async fn f() -> Result<(), StoreError> {
    /// let client = redis::Client::open("redis://127.0.0.1:6379").map_err(StoreError::unavailable)?;
    /// let connection = client.get_connection_manager().await.map_err(StoreError::unavailable)?;
    /// let store = RedisStore::from_connection(connection).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    #[cfg(feature = "redis-1")]
    #[cfg_attr(docsrs, doc(cfg(feature = "redis-1")))]
    pub async fn from_connection(
        connection: redis::aio::ConnectionManager,
    ) -> Result<Self, StoreError> {
        Self::of(Source::Given(crate::link::Connection::Managed(connection))).await
    }

    /// Uses your application's own connection to a cluster. Records are read from masters, whatever
    /// the connection's strategy is.
    ///
    /// Build its client with [`retries(0)`](redis::cluster::ClusterClientBuilder::retries): the
    /// store itself follows redirections and waits for a new master. A client that retries also
    /// repeats a write whose answer was lost, so the store says that it [may
    /// repeat](silverback::store::Limits::may_repeat) one. A save that others have overtaken many
    /// times can then be an error where it need not be.
    ///
    /// ```no_run
    /// # use silverback::store::StoreError;
    /// # use silverback_redis::RedisStore;
    /// # async fn f() -> Result<(), StoreError> {
    /// let client = redis::cluster::ClusterClient::builder(["redis://10.0.0.1"])
    ///     .retries(0)
    ///     .build()
    ///     .map_err(StoreError::unavailable)?;
    /// let connection = client.get_async_connection().await.map_err(StoreError::unavailable)?;
    /// let store = RedisStore::from_cluster_connection(connection).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    #[cfg(all(feature = "redis-1", feature = "cluster"))]
    #[cfg_attr(docsrs, doc(cfg(all(feature = "redis-1", feature = "cluster"))))]
    pub async fn from_cluster_connection(
        connection: redis::cluster_async::ClusterConnection,
    ) -> Result<Self, StoreError> {
        Self::of(Source::Given(crate::link::Connection::Cluster(connection))).await
    }

    async fn of(source: Source) -> Result<Self, StoreError> {
        let mut store = Self::new(Link::new(Arc::new(source)), true);
        store.may_forget(store.evicts().await?);
        Ok(store)
    }

    /// Asks whether the server drops records early when it is full. `INFO` answers even where
    /// `CONFIG` is not allowed, as at most providers. A server that does not say counts as one that
    /// may drop records.
    async fn evicts(&self) -> Result<bool, StoreError> {
        let mut info = Pipeline::with_capacity(1);
        info.cmd("INFO").arg("memory");
        #[cfg(feature = "cluster")]
        if self.link.is_cluster() {
            for node in self.masters(STARTING).await? {
                let answers = self.link.run(node.to(), &info, STARTING).await?;
                if evicts(answers)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        evicts(self.link.run(To::Key(""), &info, STARTING).await?)
    }
}

fn evicts(answers: Vec<Value>) -> Result<bool, StoreError> {
    let text = match answers.into_iter().next() {
        Some(Value::BulkString(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        Some(Value::VerbatimString { text, .. }) => text,
        Some(Value::ServerError(failure)) => {
            // The server accepts this client but does not let it ask.
            let is_private = matches!(
                failure.kind(),
                Some(ServerErrorKind::NoPerm | ServerErrorKind::ResponseError)
            );
            return if is_private {
                Ok(true)
            } else {
                Err(error::of(failure.into()))
            };
        }
        _ => String::new(),
    };
    let policy = text
        .lines()
        .find_map(|line| line.strip_prefix("maxmemory_policy:"));
    Ok(policy != Some("noeviction"))
}

/// Does not show the address, which may contain a password.
fn bad_address(error: RedisError) -> StoreError {
    StoreError::refused(error)
}
