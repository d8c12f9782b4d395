//! The way to the server: one connection, and another when it is lost.

use std::{
    future::Future,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use silverback::store::StoreError;
use tokio::time;

use crate::{
    address::Address,
    connection::{Connection, Shared},
    error::{Lost, lost},
};

/// A connection that is made anew when it is lost.
#[derive(Debug)]
pub(crate) struct Link {
    address: Address,
    current: Mutex<Option<Shared>>,
    /// Who has it makes a connection; the others wait for that one.
    connecting: tokio::sync::Mutex<()>,
}

/// How long to wait before a server is asked again that is not there yet.
const PAUSE: Duration = Duration::from_millis(25);

impl Link {
    pub(crate) fn new(address: Address) -> Self {
        Self {
            address,
            current: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        }
    }

    /// Does some work on one connection. Waits for a server that is not there yet, as long as the
    /// whole may take. What it sent and got no answer to, it does not send again.
    pub(crate) async fn run<T, F>(
        &self,
        within: Duration,
        work: impl Fn(Shared) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<Result<T, StoreError>, Lost>>,
    {
        let mut used: Option<Shared> = None;
        let done = time::timeout(within, async {
            loop {
                let connection = match self.connect().await {
                    Ok(connection) => connection,
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        return Err(StoreError::unavailable(error));
                    }
                    Err(_) => {
                        time::sleep(PAUSE).await;
                        continue;
                    }
                };
                used = Some(Arc::clone(&connection));
                match work(Arc::clone(&connection)).await {
                    Ok(done) => return done,
                    Err(Lost::Unsent) => self.give_up(&connection),
                    Err(Lost::Unanswered) => {
                        self.give_up(&connection);
                        return Err(lost());
                    }
                }
            }
        });
        match done.await {
            Ok(done) => done,
            Err(_) => {
                // A connection may be dead without a sign of it.
                used.iter().for_each(|connection| self.give_up(connection));
                let sentence = format!("memcached has not answered within {within:?}");
                Err(StoreError::unavailable(sentence))
            }
        }
    }

    async fn connect(&self) -> io::Result<Shared> {
        if let Some(connection) = self.connected() {
            return Ok(connection);
        }
        let turn = self.connecting.lock().await;
        if let Some(connection) = self.connected() {
            return Ok(connection);
        }
        let connection = Arc::new(Connection::open(&self.address).await?);
        *self.current() = Some(Arc::clone(&connection));
        drop(turn);
        Ok(connection)
    }

    fn connected(&self) -> Option<Shared> {
        self.current().clone()
    }

    /// Has the next call make another connection in the place of this one.
    fn give_up(&self, connection: &Shared) {
        let mut current = self.current();
        if current
            .as_ref()
            .is_some_and(|now| Arc::ptr_eq(now, connection))
        {
            *current = None;
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Shared>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
