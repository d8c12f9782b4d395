//! Random faults: between the servers and their store, and of the servers themselves.

use std::{
    error::Error,
    ops::Deref,
    sync::Arc,
    time::{Duration, Instant},
};

use silverback_test_servers::{MariaDb, Postgres, Proxy, Redis, Server};
use tokio::{
    task::{JoinError, spawn_blocking},
    time::{sleep, timeout},
};

use crate::{load::Load, score::Score, site::Site};

/// A store with the sessions, and the proxy in front of it.
pub(crate) struct Target {
    store: Store,
    proxy: Proxy,
}

enum Store {
    MariaDb(MariaDb),
    Postgres(Box<Postgres>),
    Redis(Redis),
}

impl Target {
    pub(crate) const NAMES: [&'static str; 3] = ["mariadb", "postgres", "redis"];

    /// Starts the store. Returns `None`, and prints a line, if it is not installed.
    pub(crate) fn start(name: &str) -> Option<Self> {
        let store = match name {
            "mariadb" => Store::MariaDb(MariaDb::start()?),
            "postgres" => Store::Postgres(Box::new(Postgres::start()?)),
            _ => Store::Redis(Redis::options().durable().start()?),
        };
        let proxy = Proxy::to(store.port());
        Some(Self { store, proxy })
    }

    /// Returns the address of the store through the proxy.
    fn url(&self) -> String {
        let url = match &self.store {
            Store::MariaDb(server) => server.url(),
            Store::Postgres(server) => server.url(),
            Store::Redis(server) => server.url(),
        };
        let [from, to] = [self.store.port(), self.proxy.port()].map(|port| format!(":{port}"));
        url.replace(&from, &to)
    }
}

impl Deref for Store {
    type Target = Server;

    fn deref(&self) -> &Server {
        match self {
            Self::MariaDb(server) => server,
            Self::Postgres(server) => server,
            Self::Redis(server) => server,
        }
    }
}

/// A fault between the servers and the store.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Killed,
    Paused,
    Cut,
    Refused,
    Silent,
    Slow,
    AnswersLost,
    Flushed,
}

impl Fault {
    const ALL: [Self; 8] = [
        Self::Killed,
        Self::Paused,
        Self::Cut,
        Self::Refused,
        Self::Silent,
        Self::Slow,
        Self::AnswersLost,
        Self::Flushed,
    ];
}

impl Target {
    /// Causes a fault for this long. A momentary fault is repeated during that time.
    fn suffer(&self, fault: Fault, length: Duration, load: &Load) {
        let wait = || std::thread::sleep(length);
        match fault {
            Fault::Killed => {
                self.store.kill();
                wait();
                self.store.restart();
            }
            Fault::Paused => {
                self.store.pause();
                wait();
                self.store.resume();
            }
            Fault::Refused => {
                self.proxy.refuse();
                wait();
                self.proxy.accept();
            }
            Fault::Silent => {
                self.proxy.silence();
                wait();
                self.proxy.speak();
            }
            Fault::Slow => {
                self.proxy.hold_answers();
                wait();
                self.proxy.release_answers();
            }
            Fault::Cut => {
                for _ in 0..10 {
                    self.proxy.cut();
                    std::thread::sleep(length / 10);
                }
            }
            Fault::AnswersLost => {
                for after in 0..20 {
                    self.proxy.lose_answer(after % 7);
                    std::thread::sleep(length / 20);
                }
            }
            Fault::Flushed => load.while_all_is_forgotten(|| self.forget()),
        }
    }

    fn forget(&self) {
        match &self.store {
            Store::MariaDb(server) => drop(server.sql("TRUNCATE TABLE silverback_sessions")),
            Store::Postgres(server) => drop(server.sql("TRUNCATE TABLE silverback_sessions")),
            Store::Redis(server) => drop(server.ask(&["FLUSHALL"])),
        }
    }
}

/// Puts the site under load for this long, while the storm lasts. The seed decides which faults
/// happen, in which order, and for how long.
pub(crate) async fn run(
    target: Target,
    seed: u64,
    visitors: usize,
    length: Duration,
) -> Result<Score, Box<dyn Error>> {
    let (start, target) = (Instant::now(), Arc::new(target));
    let mut site = Site::start(&target.url()).await?;
    let load = Arc::new(Load::start(&site.ports(), visitors, length));
    let weather = tokio::spawn(faults(Arc::clone(&target), Arc::clone(&load), seed, length));
    let mut chance = Chance::new(!seed);
    while start.elapsed() < length {
        sleep(chance.up_to(length / 4)).await;
        let which = chance.below(2);
        println!(
            "{:5.1} s  server {which} is killed",
            start.elapsed().as_secs_f64()
        );
        site.kill_server(which);
        sleep(chance.up_to(length / 8)).await;
        // A server does not start without its store.
        let started = timeout(PATIENCE, async {
            while site.start_server(which).await.is_err() {
                sleep(PAUSE).await;
            }
        });
        started.await?;
    }
    weather.await??;
    let load = Arc::into_inner(load).ok_or("the storm is not over")?;
    Ok(load.end().await)
}

/// How long a server may need to start, including the time until its store is back.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);

/// Causes one fault after the other, each for up to an eighth of the time. All faults come once
/// before any comes again.
async fn faults(
    target: Arc<Target>,
    load: Arc<Load>,
    seed: u64,
    length: Duration,
) -> Result<(), JoinError> {
    let (start, mut chance) = (Instant::now(), Chance::new(seed));
    let mut left = Vec::new();
    while start.elapsed() < length {
        sleep(chance.up_to(length / 16)).await;
        if left.is_empty() {
            left.extend(Fault::ALL);
        }
        let fault = left.swap_remove(chance.below(left.len()));
        let (lasts, at) = (chance.up_to(length / 8), start.elapsed().as_secs_f64());
        println!("{at:5.1} s  the store: {fault:?} for {lasts:.1?}");
        let (target, load) = (Arc::clone(&target), Arc::clone(&load));
        spawn_blocking(move || target.suffer(fault, lasts, &load)).await?;
    }
    Ok(())
}

/// Random numbers from a seed: SplitMix64, <https://doi.org/10.1145/2714064.2660195>.
struct Chance(u64);

impl Chance {
    const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        most * u32::from((self.next() % 256) as u8) / 255
    }
}
