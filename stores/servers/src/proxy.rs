//! A network that fails on demand.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

/// Forwards connections to a server, counts the traffic, and lets a test cut connections, hold
/// answers back or silence them. It knows no protocol. It ends when it is dropped.
///
/// A *request* is what a client sends between two answers. On a connection that one task uses at a
/// time, that is a round trip. On a shared one, what several tasks send at once may be one request.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    server: u16,
    is_over: bool,
    is_silent: bool,
    is_refusing: bool,
    is_holding: bool,
    /// The number of answers that still pass before the next ones are held.
    hold_after: Option<u64>,
    /// Connections up to this number are silent for good.
    abandoned: u64,
    /// The number of answers that still pass before one is lost.
    lose_after: Option<u64>,
    requests: u64,
    connections: u64,
    lost: u64,
    open: Vec<(u64, TcpStream, TcpStream)>,
}

impl Proxy {
    /// Starts a proxy to a port of the loopback.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    #[must_use]
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let bound = listener.and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
        let (port, listener) = bound.unwrap_or_else(|error| panic!("no port: {error}"));
        let shared = Arc::new(Shared::default());
        shared.state().server = server;
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.state().is_over {
                    break;
                }
                // A connection that fails is its client's problem.
                let _ = accepting.open(client);
            }
        });
        Self { port, shared }
    }

    /// Returns the port that clients connect to.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the number of requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.state().requests
    }

    /// Returns the number of connections so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.state().connections
    }

    /// Returns the number of answers lost by [`lose_answer`](Self::lose_answer).
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.state().lost
    }

    /// Cuts every connection. New ones are accepted.
    pub fn cut(&self) {
        self.shared.state().cut(|_| true);
    }

    /// Cuts every connection, present and future, until [`accept`](Self::accept).
    pub fn refuse(&self) {
        let mut state = self.shared.state();
        state.is_refusing = true;
        state.cut(|_| true);
    }

    /// Accepts connections again.
    pub fn accept(&self) {
        self.shared.state().is_refusing = false;
    }

    /// Forwards nothing, in either direction, until [`speak`](Self::speak). Connections stay, and
    /// new ones are accepted.
    pub fn silence(&self) {
        self.shared.change(|state| state.is_silent = true);
    }

    /// Forwards what has come in the meantime, and everything from now on.
    pub fn speak(&self) {
        self.shared.change(|state| state.is_silent = false);
    }

    /// Forwards nothing more on the present connections, which stay open, and goes on with new ones:
    /// the server's host has vanished, and its address leads to another one.
    pub fn abandon(&self) {
        self.shared
            .change(|state| state.abandoned = state.connections);
    }

    /// Forwards requests, but holds answers back until [`release_answers`](Self::release_answers).
    pub fn hold_answers(&self) {
        self.shared.change(|state| state.is_holding = true);
    }

    /// Lets `after` answers pass, then [holds](Self::hold_answers) the next ones.
    pub fn hold_answers_after(&self, after: u64) {
        self.shared.change(|state| state.hold_after = Some(after));
    }

    /// Returns whether answers are held back.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        self.shared.state().is_holding
    }

    /// Forwards the answers that were held back.
    pub fn release_answers(&self) {
        self.shared
            .change(|state| (state.is_holding, state.hold_after) = (false, None));
    }

    /// Lets `after` answers pass, then cuts the connection instead of passing the next one: the
    /// server has done what it was asked, and nobody learns of it. This happens once.
    pub fn lose_answer(&self, after: u64) {
        self.shared.state().lose_after = Some(after);
    }

    /// Directs new connections to another port.
    pub fn redirect(&self, server: u16) {
        self.shared.state().server = server;
    }
}

/// An outage that ends when this is dropped.
#[derive(Debug)]
#[must_use = "it ends when this is dropped"]
pub struct Outage(Arc<Proxy>);

impl Proxy {
    /// Begins a [silence](Self::silence).
    pub fn silenced(self: &Arc<Self>) -> Outage {
        self.silence();
        Outage(Arc::clone(self))
    }

    /// Begins to [refuse](Self::refuse) connections.
    pub fn cut_off(self: &Arc<Self>) -> Outage {
        self.refuse();
        Outage(Arc::clone(self))
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        self.0.speak();
        self.0.accept();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.is_over = true;
            state.cut(|_| true);
        });
        // Wakes the thread that accepts.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl State {
    const fn is_silent_on(&self, number: u64) -> bool {
        self.is_silent || number <= self.abandoned
    }

    fn cut(&mut self, which: impl Fn(u64) -> bool) {
        self.open.retain(|(number, client, server)| {
            let is_cut = which(*number);
            if is_cut {
                let _ = client.shutdown(Shutdown::Both);
                let _ = server.shutdown(Shutdown::Both);
            }
            !is_cut
        });
    }

    /// Begins to hold answers if the present one is the first to be held.
    const fn may_hold(&mut self) {
        match self.hold_after.as_mut() {
            None => {}
            Some(0) => (self.is_holding, self.hold_after) = (true, None),
            Some(after) => *after -= 1,
        }
    }

    /// Returns whether the present answer is to be lost.
    fn loses(&mut self) -> bool {
        match self.lose_after.as_mut() {
            None => false,
            Some(0) => {
                self.lose_after = None;
                self.lost += 1;
                true
            }
            Some(after) => {
                *after -= 1;
                false
            }
        }
    }
}

/// The side whose turn it is on a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Turn {
    Client,
    Server,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// Waits while pieces may not pass.
    fn when_free(&self, is_kept: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let kept = |state: &mut State| is_kept(state) && !state.is_over;
        self.changed
            .wait_while(self.state(), kept)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn open(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        let to = self.state().server;
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, to))?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let mut state = self.state();
        if state.is_refusing || state.is_over {
            return Ok(());
        }
        state.connections += 1;
        let number = state.connections;
        state
            .open
            .push((number, client.try_clone()?, server.try_clone()?));
        drop(state);
        let turn = Arc::new(Mutex::new(Turn::Client));
        let (from, to) = (client.try_clone()?, server.try_clone()?);
        self.pass(number, from, to, &turn, Turn::Client);
        self.pass(number, server, client, &turn, Turn::Server);
        Ok(())
    }

    /// Forwards what one side sends, until that side is done.
    fn pass(
        self: &Arc<Self>,
        number: u64,
        mut from: TcpStream,
        mut to: TcpStream,
        turn: &Arc<Mutex<Turn>>,
        side: Turn,
    ) {
        let (shared, turn) = (Arc::clone(self), Arc::clone(turn));
        thread::spawn(move || {
            let mut piece = vec![0; 64 << 10];
            while let Ok(len @ 1..) = from.read(&mut piece) {
                let passes = match side {
                    Turn::Client => shared.request(number, &turn),
                    Turn::Server => shared.answer(number, &turn),
                };
                let piece = piece.get(..len).unwrap_or_default();
                if !passes || to.write_all(piece).is_err() {
                    break;
                }
            }
            shared.state().cut(|other| other == number);
        });
    }

    /// Counts a piece from a client, and lets it pass.
    fn request(&self, number: u64, turn: &Mutex<Turn>) -> bool {
        let mut state = self.when_free(|state| state.is_silent_on(number));
        let mut turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        if *turn == Turn::Client {
            *turn = Turn::Server;
            state.requests += 1;
        }
        true
    }

    /// Returns whether a piece from the server passes.
    fn answer(&self, number: u64, turn: &Mutex<Turn>) -> bool {
        let mut state = self.state();
        if *turn.lock().unwrap_or_else(PoisonError::into_inner) == Turn::Server {
            state.may_hold();
        }
        drop(state);
        let mut state = self.when_free(|state| state.is_silent_on(number) || state.is_holding);
        let mut turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = *turn == Turn::Server;
        *turn = Turn::Client;
        !(is_first && state.loses())
    }
}
