//! Connections that a call takes from the pool, and how they get back.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use sqlx::{Database, pool::PoolConnection};

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
        if matches!(outcome, Err(Fault::NotPrimary(_)))
            && let Some(mut connection) = self.0.take()
        {
            connection.close_on_drop();
        }
        outcome
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
