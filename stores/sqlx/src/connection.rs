//! Connections that a call takes from the pool, and what happens to them if the call is given up.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use sqlx::{Connection as _, Database, pool::PoolConnection};

/// A connection for one call.
///
/// A call that is given up leaves a running statement behind. sqlx waits for its answer before
/// others may have the connection, for as long as the system keeps it open: a server that has
/// vanished would block the whole pool for a quarter of an hour. So a connection that is not [given
/// back](Self::give_back) is closed unless it answers soon.
pub(crate) struct Borrowed<DB: Database>(Option<PoolConnection<DB>>);

/// How long a statement that nobody waits for may still run.
const SOON: Duration = Duration::from_secs(2);

impl<DB: Database> Borrowed<DB> {
    pub(crate) const fn new(connection: PoolConnection<DB>) -> Self {
        Self(Some(connection))
    }

    /// Notes that no statement is running, and gives the connection back.
    pub(crate) fn give_back(mut self) {
        drop(self.0.take());
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
            let answered = tokio::time::timeout(SOON, connection.ping()).await;
            if !matches!(answered, Ok(Ok(()))) {
                connection.close_on_drop();
            }
        });
    }
}
