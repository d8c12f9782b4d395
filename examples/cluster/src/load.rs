//! Visitors who log in, buy with two tabs at once, look, and log out, and keep score.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use silverback::{store::Bytes, testing::Jar};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::score::{Counts, Score};

/// No browser waits longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a visitor waits before repeating a failed request.
const PAUSE: Duration = Duration::from_millis(100);

/// The visitors of one run.
pub(crate) struct Load {
    shared: Arc<Shared>,
    visitors: Vec<JoinHandle<()>>,
    watcher: JoinHandle<()>,
    start: Instant,
}

struct Shared {
    client: Client<HttpConnector, Empty<Bytes>>,
    /// The ports of the site. Requests go to them in turn.
    ports: Vec<u16>,
    turn: AtomicUsize,
    until: Instant,
    counts: Mutex<Counts>,
    /// The cookies of ended sessions, which must not be logged in any more.
    ended: Mutex<Vec<Jar>>,
    is_over: AtomicBool,
    /// Counts the begins and the ends of losses of all data: odd while one is under way.
    forgotten: AtomicU64,
}

impl Load {
    /// Sends visitors to the site for this long.
    pub(crate) fn start(ports: &[u16], visitors: usize, length: Duration) -> Self {
        let start = Instant::now();
        let shared = Arc::new(Shared {
            client: Client::builder(TokioExecutor::new()).build_http(),
            ports: ports.to_vec(),
            turn: AtomicUsize::new(0),
            until: start + length,
            counts: Mutex::default(),
            ended: Mutex::default(),
            is_over: AtomicBool::new(false),
            forgotten: AtomicU64::new(0),
        });
        let visitors = (0..visitors).map(|number| {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move { shared.visit(number).await })
        });
        Self {
            visitors: visitors.collect(),
            watcher: tokio::spawn(watch(Arc::clone(&shared))),
            shared,
            start,
        }
    }

    /// Lets the store forget all sessions. They do not count as lost, but must not come back.
    pub(crate) fn while_all_is_forgotten(&self, forget: impl FnOnce()) {
        self.shared.forgotten.fetch_add(1, Ordering::SeqCst);
        forget();
        self.shared.forgotten.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until all visitors have left, and checks once more that no session has come back.
    pub(crate) async fn end(self) -> Score {
        for visitor in self.visitors {
            if visitor.await.is_err() {
                self.shared.count(|counts| counts.panicked += 1);
            }
        }
        let length = self.start.elapsed();
        self.shared.is_over.store(true, Ordering::Relaxed);
        if self.watcher.await.is_err() {
            self.shared.count(|counts| counts.panicked += 1);
        }
        self.shared.look_for_the_dead(usize::MAX).await;
        let counts = self.shared.count(|counts| counts.clone());
        Score::new(counts, length)
    }
}

/// Keeps trying the cookies of ended sessions.
async fn watch(shared: Arc<Shared>) {
    while !shared.is_over.load(Ordering::Relaxed) {
        shared.look_for_the_dead(20).await;
        sleep(PAUSE).await;
    }
}

/// What a visitor saw of their own session.
enum Looked {
    Items(u64),
    /// It is gone, like all others.
    Forgotten,
    Lost,
}

/// The outcome of a request.
enum Answer {
    /// The answer was 200.
    Done(String),
    /// The request was refused, and changed nothing.
    Refused,
    /// The request may have changed something.
    Unknown,
}

impl Shared {
    fn count<R>(&self, count: impl FnOnce(&mut Counts) -> R) -> R {
        count(&mut self.counts.lock().expect("counting does not panic"))
    }

    async fn visit(&self, number: usize) {
        let mut round = 0;
        while Instant::now() < self.until {
            round += 1;
            self.visit_once(&format!("user-{number}-{round}")).await;
        }
    }

    /// Visits with one session, from login to logout.
    async fn visit_once(&self, user: &str) {
        let (jar, era) = loop {
            let (jar, era) = (Mutex::new(Jar::new()), self.era());
            let path = format!("/login/{user}");
            match self.send(&jar, Method::POST, &path).await {
                Answer::Done(_) => break (jar, era.filter(|_| era == self.era())),
                _ if self.gives_up() => return,
                _ => sleep(PAUSE).await,
            }
        };
        self.count(|counts| counts.logins += 1);
        let login = jar.lock().expect("nobody panics with it").clone();
        // The fewest and the most items that the cart may have.
        let (mut least, mut most) = (0, 0);
        for _ in 0..8 {
            let tab = || self.send(&jar, Method::POST, "/add");
            let (one, two) = tokio::join!(tab(), tab());
            for answer in [one, two] {
                let (done, possible) = match answer {
                    Answer::Done(_) => (1, 1),
                    Answer::Refused => (0, 0),
                    Answer::Unknown => (0, 1),
                };
                (least, most) = (least + done, most + possible);
                self.count(|counts| {
                    counts.added += done;
                    counts.unknown += possible - done;
                });
            }
            let items = match self.look(&jar, user, era).await {
                Looked::Items(items) => items,
                Looked::Forgotten => return self.is_over(login),
                Looked::Lost => return,
            };
            self.count(|counts| {
                counts.lost += least.saturating_sub(items);
                counts.twice += items.saturating_sub(most);
            });
            (least, most) = (items, most.max(items));
        }
        self.log_out(jar).await;
    }

    /// Returns whether retries still fail long after the last fault, and counts that.
    fn gives_up(&self) -> bool {
        let is_late = Instant::now() > self.until + PATIENCE;
        self.count(|counts| counts.hung += u64::from(is_late));
        is_late
    }

    /// Returns the current era, which each loss of all data ends. `None` while a loss is under way.
    fn era(&self) -> Option<u64> {
        Some(self.forgotten.load(Ordering::SeqCst)).filter(|count| count % 2 == 0)
    }

    /// Adds the cookies of a session that must not come back.
    fn is_over(&self, login: Jar) {
        self.ended
            .lock()
            .expect("nobody panics with it")
            .push(login);
    }

    /// Looks at the cart of a session that began in this era, if the era is known.
    async fn look(&self, jar: &Mutex<Jar>, user: &str, era: Option<u64>) -> Looked {
        loop {
            let is_forgotten = era.is_some() && era < self.era();
            if let Answer::Done(page) = self.send(jar, Method::GET, "/").await {
                let items = page.strip_prefix(user).map(|items| items.trim().parse());
                return match items {
                    Some(Ok(_)) if is_forgotten => {
                        self.count(|counts| counts.resurrected += 1);
                        Looked::Lost
                    }
                    Some(Ok(items)) => Looked::Items(items),
                    _ if era.is_none() || era != self.era() => Looked::Forgotten,
                    _ => {
                        self.count(|counts| counts.lost_logins += 1);
                        Looked::Lost
                    }
                };
            }
            if self.gives_up() {
                return Looked::Lost;
            }
            sleep(PAUSE).await;
        }
    }

    /// Logs out until that is confirmed, with the same cookie each time.
    async fn log_out(&self, jar: Mutex<Jar>) {
        let old = jar.lock().expect("nobody panics with it").clone();
        loop {
            let jar = Mutex::new(old.clone());
            match self.send(&jar, Method::POST, "/logout").await {
                // Refused if an earlier try has ended the session.
                Answer::Done(_) | Answer::Refused => break,
                Answer::Unknown if self.gives_up() => return,
                Answer::Unknown => sleep(PAUSE).await,
            }
        }
        self.count(|counts| counts.logouts += 1);
        self.is_over(old);
    }

    /// Sends requests with the cookies of some ended sessions.
    async fn look_for_the_dead(&self, most: usize) {
        let jars: Vec<Jar> = {
            let mut ended = self.ended.lock().expect("nobody panics with it");
            let count = ended.len().min(most);
            // These come last the next time.
            let jars = ended.get(..count).unwrap_or_default().to_vec();
            ended.rotate_left(count);
            jars
        };
        for jar in jars {
            let jar = Mutex::new(jar);
            if let Answer::Done(page) = self.send(&jar, Method::GET, "/").await {
                let is_somebody = page.starts_with("user");
                self.count(|counts| {
                    counts.looked += 1;
                    counts.resurrected += u64::from(is_somebody);
                });
            }
        }
    }

    async fn send(&self, jar: &Mutex<Jar>, method: Method, path: &str) -> Answer {
        let sent = Instant::now();
        let answer = timeout(PATIENCE, self.exchange(jar, method, path)).await;
        self.count(|counts| counts.hung += u64::from(answer.is_err()));
        let (status, body) = answer.unwrap_or_default().unwrap_or_default();
        self.count(|counts| counts.answered(status, sent.elapsed()));
        match status {
            Some(StatusCode::OK) => Answer::Done(body),
            Some(StatusCode::CONFLICT) => Answer::Refused,
            _ => Answer::Unknown,
        }
    }

    async fn exchange(
        &self,
        jar: &Mutex<Jar>,
        method: Method,
        path: &str,
    ) -> Option<(Option<StatusCode>, String)> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let port = self.ports.get(turn % self.ports.len())?;
        let uri: Uri = format!("http://127.0.0.1:{port}{path}").parse().ok()?;
        let mut request = Request::builder().method(method).uri(&uri);
        let cookies = jar.lock().ok()?.header(&uri);
        if let Some(cookies) = cookies {
            request = request.header(header::COOKIE, cookies);
        }
        let response = self.client.request(request.body(Empty::new()).ok()?);
        let (head, body) = response.await.ok()?.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        jar.lock().ok()?.keep(&uri, &head.headers);
        let body = String::from_utf8_lossy(&body).into_owned();
        Some((Some(head.status), body))
    }
}
