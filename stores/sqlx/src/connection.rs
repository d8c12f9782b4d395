//! Connections that a call takes from the pool, and how they get back.

use std::{
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use sqlx::{Connection as _, Database, Pool, pool::PoolConnection};

use crate::fault::Fault;

/// A connection for one call, which goes back to the pool when this is dropped.
///
/// sqlx asks the server whether a returned connection is alive before others may have it. A call
/// that is given up has a statement running, whose answer comes first. sqlx waits for as long as
/// the system keeps the connection open: a server that has vanished would block the whole pool for
/// a quarter of an hour, even if its address leads to another server by then. So a connection that
/// does not answer soon is closed.
pub(crate) struct Borrowed<DB: Database>(Option<PoolConnection<DB>>);

/// How long the server may take to answer on a connection that is returned.
const SOON: Duration = Duration::from_secs(2);

impl<DB: Database> Borrowed<DB> {
    pub(crate) const fn new(connection: PoolConnection<DB>) -> Self {
        Self(Some(connection))
    }

    /// Returns the outcome of the call. A connection to a server that is no longer the primary is
    /// closed: the next one may lead to the primary.
    pub(crate) fn after<T>(mut self, outcome: Result<T, Fault>) -> Result<T, Fault> {
        if matches!(outcome, Err(Fault::NotPrimary(_))) {
            self.close();
        }
        outcome
    }

    fn close(&mut self) {
        if let Some(mut connection) = self.0.take() {
            connection.close_on_drop();
        }
    }
}

impl<DB: Database> Deref for Borrowed<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        self.0.as_ref().expect(THERE)
    }
}

impl<DB: Database> DerefMut for Borrowed<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        self.0.as_mut().expect(THERE)
    }
}

/// The number of connections that are tested before they are used.
///
/// What cuts one connection, such as a restart of the server, cuts the others of the pool too. The
/// session layer repeats a call once, which must not meet another one of these. A pool hands its
/// idle connections out in turn, so the next ones are those of that time.
#[derive(Debug, Default)]
pub(crate) struct Suspects(AtomicU32);

impl Suspects {
    /// Suspects each connection of a pool, after one of them failed.
    pub(crate) fn are_all_of<DB: Database>(&self, pool: &Pool<DB>) {
        self.0.store(pool.size(), Ordering::Relaxed);
    }

    /// Takes a connection from the pool. Suspects that do not answer are closed.
    pub(crate) async fn acquire<DB: Database>(
        &self,
        pool: &Pool<DB>,
    ) -> Result<Borrowed<DB>, sqlx::Error> {
        loop {
            let mut connection = Borrowed::new(pool.acquire().await?);
            // In a box, since calls rarely need the room for this.
            if !self.is_next() || Box::pin(connection.ping()).await.is_ok() {
                return Ok(connection);
            }
            connection.close();
        }
    }

    fn is_next(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        let (set, read) = (Ordering::Relaxed, Ordering::Relaxed);
        self.0.fetch_update(set, read, less).is_ok()
    }
}

const THERE: &str = "the connection is taken out only where this ends";

impl<DB: Database> Drop for Borrowed<DB> {
    fn drop(&mut self) {
        let Some(mut connection) = self.0.take() else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return connection.close_on_drop();
        };
        runtime.spawn(async move {
            // A return that is given up closes the connection.
            let _ = tokio::time::timeout(SOON, connection.return_to_pool()).await;
        });
    }
}
