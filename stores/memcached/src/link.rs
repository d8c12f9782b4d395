//! The way to the server: a connection, and another when it is lost.

use std::{
    future::Future,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use silverback::store::StoreError;
use tokio::{task::JoinSet, time};

use crate::{
    address::Address,
    connection::{Connection, Shared},
    error::{Lost, lost},
};

/// A connection that is replaced when it is lost.
#[derive(Debug)]
pub(crate) struct Link {
    address: Address,
    current: Mutex<Option<Shared>>,
    /// Its holder makes a connection; other tasks wait for that.
    connecting: tokio::sync::Mutex<()>,
}

/// The pause before connecting again to a server that is not up yet.
const PAUSE: Duration = Duration::from_millis(25);

impl Link {
    pub(crate) fn new(address: Address) -> Self {
        Self {
            address,
            current: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        }
    }

    /// Runs some work on one connection. Waits for a server that is not up yet, as long as the
    /// whole may take. Never repeats a command that was sent and not answered. Refuses a server
    /// without tokens.
    pub(crate) async fn run<T, F>(
        self: &Arc<Self>,
        within: Duration,
        work: impl Fn(Shared) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<Result<T, StoreError>, Lost>>,
    {
        let mut used: Option<Shared> = None;
        let done = time::timeout(within, async {
            loop {
                let connection = match self.connect(within).await {
                    Ok(connection) => connection,
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        return Err(StoreError::unavailable(error));
                    }
                    Err(_) => {
                        time::sleep(PAUSE).await;
                        continue;
                    }
                };
                if !connection.facts.has_tokens {
                    let sentence = "memcached was started without compare and swap: leave out -C";
                    return Err(StoreError::refused(sentence));
                }
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
                // The connection may be dead without a sign of it.
                used.iter().for_each(|connection| self.give_up(connection));
                let sentence = format!("memcached has not answered within {within:?}");
                Err(StoreError::unavailable(sentence))
            }
        }
    }

    async fn connect(self: &Arc<Self>, within: Duration) -> io::Result<Shared> {
        if let Some(connection) = self.connected() {
            return Ok(connection);
        }
        // In a task, which ends with this future. The others would wait for a future that nobody
        // polls any more.
        let (link, mut task) = (Arc::clone(self), JoinSet::new());
        task.spawn(async move { time::timeout(within, link.connect_in_turn()).await });
        match task.join_next().await {
            Some(connected) => connected??,
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    async fn connect_in_turn(&self) -> io::Result<Shared> {
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

    /// Makes the next call replace this connection.
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

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        io::{BufRead as _, BufReader, Write as _},
        net::{Ipv4Addr, TcpListener, TcpStream},
        pin::pin,
        sync::mpsc,
        task::Poll,
        thread,
    };

    use super::*;
    use crate::meta::Answer;

    /// Greets like memcached, and has no values.
    fn serve(client: TcpStream) {
        let mut to = client.try_clone().unwrap();
        for line in BufReader::new(client).lines().map_while(Result::ok) {
            let answer = match line.rsplit_once(" O") {
                Some((_, number)) => format!("EN O{number}\r\n"),
                None => "STAT item_size_max 1000\r\nSTAT cas_enabled yes\r\nEND\r\n".to_owned(),
            };
            if to.write_all(answer.as_bytes()).is_err() {
                break;
            }
        }
    }

    /// A link to such a server, and the server's ends of its connections.
    fn link() -> (Arc<Link>, mpsc::Receiver<TcpStream>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (accepted, connections) = mpsc::channel();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let served = client.try_clone().unwrap();
                thread::spawn(move || serve(served));
                let _ = accepted.send(client);
            }
        });
        let address = Address::parse(&format!("memcached://127.0.0.1:{port}")).unwrap();
        (Arc::new(Link::new(address)), connections)
    }

    async fn ask(connection: Shared) -> Result<Result<Answer, StoreError>, Lost> {
        Ok(Ok(connection.ask_one(|asked| asked.get("key")).await?))
    }

    /// Only a hang takes this long.
    const LONG: Duration = Duration::from_secs(600);

    /// A command that was not sent is sent on the next connection.
    #[tokio::test]
    async fn a_connection_that_is_known_to_be_over_costs_no_error() {
        let (link, connections) = link();
        for _ in 0..5 {
            assert_eq!(link.run(LONG, ask).await.unwrap(), Answer::Missing);
            let client = connections.recv().unwrap();
            client.shutdown(std::net::Shutdown::Both).unwrap();
            while !link.connected().unwrap().is_over() {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn a_call_that_nobody_polls_any_more_keeps_no_other_waiting() {
        let (link, _connections) = link();
        let mut left = pin!(link.run(LONG, ask));
        let begun = poll_fn(|cx| Poll::Ready(left.as_mut().poll(cx).is_pending()));
        assert!(begun.await, "it is connecting");
        assert_eq!(link.run(LONG, ask).await.unwrap(), Answer::Missing);
    }
}
