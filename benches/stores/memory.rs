//! The memory store: threads that share it, bytes per session, and how long other threads wait
//! while it sweeps or grows.

use std::{
    collections::HashMap,
    convert::Infallible,
    env,
    error::Error,
    fs,
    future::Future,
    hint::black_box,
    pin::pin,
    process::Command,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Instant,
};

use http::{HeaderMap, HeaderValue, Request, Response, header};
use silverback::{
    Clock, Keys, Session, SessionConfig, SessionLayer, Timestamp,
    store::{Bytes, MemoryStore, Read, Record, Store, StoreError, Sweep, Version},
};
use tower::{Layer, Service, service_fn};

use kit::{
    floor::{Floor, Slot},
    page::Page,
    scenario::{Action, Content},
    sessions::Kind,
    time::{micros, percentile, wall_of},
};

use crate::{
    NEVER, Scale,
    goals::{GOAL, goal, put},
    key_of, now, until,
};

const LEN: usize = 120;
const START: Timestamp = Timestamp::from_secs(1_000_000_000);
/// A value as long as a profile in the other benchmarks.
const VALUE: &str = "a profile of a visitor, as an application might keep it: a name, a mail address, a language, \
    and what was put aside";

pub(crate) fn run(scale: &Scale, page: &Page) -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    threads(scale, &mut rows)?;
    sizes(scale, &mut rows)?;
    waits(scale, &mut rows);
    put(page, "memory-store", GOAL, &rows)
}

fn threads(scale: &Scale, rows: &mut Vec<[String; 5]>) -> Result<(), Box<dyn Error>> {
    let count = scale.sessions / 10;
    let store = MemoryStore::new();
    let bare = Bare::default();
    for number in 0..count {
        now(store.create(&key_of(number), data(), NEVER));
        bare.insert(number);
    }
    let (service, floor) = (service(MemoryStore::new())?, Floor::new(Kind::Memory));
    let in_service = |cookie: Option<&HeaderValue>| visit(&service, cookie);
    let in_floor = |cookie: Option<&HeaderValue>| visit_floor(&floor, cookie);
    // Each thread uses all sessions, far from those that the other thread uses: any free processor
    // may serve a visitor's next request.
    let of = |thread: u64, call: u64| (call * 7_919 + thread * (count / 2)) % count;
    let in_store = |thread: u64| {
        for call in 0..count {
            let key = key_of(of(thread, call));
            let Some(record) = now(store.load(&key, Read::Current)) else {
                unreachable!("it was made")
            };
            let version = record.version();
            // Like a session, this copies the values into a new record.
            let data = Bytes::from(record.data().to_vec());
            let _ = black_box(now_or_conflict(store.update(&key, version, data, NEVER)));
        }
    };
    let in_bare = |thread: u64| (0..count).for_each(|call| bare.read_and_write(of(thread, call)));
    let (in_service, in_floor) = (
        Visits::new(count, of, in_service)?,
        Visits::new(count, of, in_floor)?,
    );
    let in_service = |thread: u64| in_service.of(thread);
    let in_floor = |thread: u64| in_floor.of(thread);
    let mut rates: [Vec<f64>; 8] = Default::default();
    for _ in 0..scale.rounds / 8 + 1 {
        let round: [(u64, &(dyn Fn(u64) + Sync)); 8] = [
            (1, &in_store),
            (2, &in_store),
            (1, &in_bare),
            (2, &in_bare),
            (1, &in_service),
            (2, &in_service),
            (1, &in_floor),
            (2, &in_floor),
        ];
        for ((threads, work), rates) in round.into_iter().zip(&mut rates) {
            rates.push((threads * count) as f64 / together(threads, work));
        }
    }
    // Millions a second, the slowest of the fastest tenth.
    let [
        one,
        two,
        bare_one,
        bare_two,
        by_one,
        by_two,
        floor_one,
        floor_two,
    ] = rates.map(|rates| percentile(rates, 90) / 1e6);
    let text = |rate: f64| format!("{rate:.2} M/s");
    rows.push(goal(
        "read and write, 1 thread",
        "",
        text(one),
        text(bare_one),
        true,
    ));
    rows.push(goal(
        "read and write, 2 threads",
        "≥ 1 M/s",
        text(two),
        text(bare_two),
        two >= 1.0,
    ));
    let gain = |two: f64, one: f64| format!("{:.2} times", two / one);
    rows.push(goal(
        "2 threads beside 1",
        "≥ 1.7 times",
        gain(two, one),
        gain(bare_two, bare_one),
        two >= 1.7 * one,
    ));
    rows.push(goal(
        "the same by requests, 1 thread",
        "",
        text(by_one),
        text(floor_one),
        true,
    ));
    rows.push(goal(
        "the same by requests, 2 threads",
        "≥ 0.9 M/s",
        text(by_two),
        text(floor_two),
        by_two >= 0.9,
    ));
    rows.push(goal(
        "2 threads beside 1",
        "≥ 1.8 times",
        gain(by_two, by_one),
        gain(floor_two, floor_one),
        by_two >= 1.8 * by_one,
    ));
    Ok(())
}

fn data() -> Bytes {
    Bytes::from(vec![7; LEN])
}

/// The output, or `None` on a conflict: two threads may update one session at the same time.
fn now_or_conflict<T, E>(future: impl Future<Output = Result<T, E>>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output.ok(),
        Poll::Pending => unreachable!("nothing waits"),
    }
}

/// Seconds from the start of the first thread to the end of the last. Each thread reads the clock
/// itself, as the thread that started them may not get a processor meanwhile.
fn together(threads: u64, work: &(dyn Fn(u64) + Sync)) -> f64 {
    let barrier = Barrier::new(usize::try_from(threads).unwrap_or(1));
    std::thread::scope(|scope| {
        let start = |thread| {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                let started = Instant::now();
                work(thread);
                (started, Instant::now())
            })
        };
        let handles: Vec<_> = (0..threads).map(start).collect();
        let times: Vec<_> = handles
            .into_iter()
            .filter_map(|handle| handle.join().ok())
            .collect();
        let started = times.iter().map(|(started, _)| *started).min();
        let ended = times.iter().map(|(_, ended)| *ended).max();
        started
            .zip(ended)
            .map_or(f64::NAN, |(started, ended)| (ended - started).as_secs_f64())
    })
}

/// The floor: maps behind locks, without anything else that a store has.
struct Bare([Mutex<HashMap<[u8; 32], Record>>; 64]);

impl Default for Bare {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Bare {
    fn with<T>(
        &self,
        number: u64,
        work: impl FnOnce(&mut HashMap<[u8; 32], Record>, [u8; 32]) -> T,
    ) -> Option<T> {
        let key = *key_of(number).as_bytes();
        let [first, ..] = key;
        let shard = self.0.get(usize::from(first) % 64)?;
        Some(work(&mut *shard.lock().ok()?, key))
    }

    fn insert(&self, number: u64) {
        self.with(number, |map, key| {
            map.insert(key, Record::new(data(), Version::from_u64(1), NEVER.at))
        });
    }

    fn read_and_write(&self, number: u64) {
        let record = self
            .with(number, |map, key| map.get(&key).cloned())
            .flatten();
        let Some(record) = record else {
            unreachable!("it was made")
        };
        let data = record.data().to_vec();
        let version = Version::from_u64(record.version().to_u64().unwrap_or(0) + 1);
        self.with(number, |map, key| {
            map.insert(key, Record::new(data, version, NEVER.at))
        });
    }
}

/// The service that is called. As in axum, each request gets a clone.
fn service(
    store: MemoryStore,
) -> Result<impl Service<Request<()>, Response = Response<()>> + Clone + Sync, Box<dyn Error>> {
    let layer = SessionLayer::new(SessionConfig::new("s", store, Keys::generate()?));
    Ok(layer.layer(service_fn(async |request: Request<()>| {
        if let Some(session) = request.extensions().get::<Session>() {
            let count = session.get::<u64>("n").ok().flatten();
            let _ = match count {
                Some(count) => session.insert("n", count + 1),
                None => session
                    .insert("profile", VALUE)
                    .and_then(|()| session.insert("n", 1)),
            };
        }
        Ok::<_, Infallible>(Response::new(()))
    })))
}

/// Makes a session, or increments the counter of the cookie's session. Returns the cookie of the
/// response.
fn visit(
    service: &(impl Service<Request<()>, Response = Response<()>> + Clone),
    cookie: Option<&HeaderValue>,
) -> Option<HeaderValue> {
    let request = request(cookie);
    let answer = pin!(service.clone().call(request)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(response)) = answer else {
        unreachable!("nothing waits or fails");
    };
    set_cookie(response.headers())
}

/// The same request to the floor.
fn visit_floor(floor: &Floor, cookie: Option<&HeaderValue>) -> Option<HeaderValue> {
    const NEW: Content = Content {
        profiles: 1,
        texts: 0,
        bytes: 0,
    };
    let mut request = request(cookie);
    let slot = Slot::default();
    request.extensions_mut().insert(Arc::clone(&slot));
    let action = cookie.map_or(Action::Prepare(NEW), |_| Action::Count);
    let slot_of = || request.extensions().get();
    let done = floor.act(slot_of, || request.headers().get(header::COOKIE), action);
    done.expect("the cookie is valid");
    let mut response = Response::new(());
    floor.finish(&slot, response.headers_mut());
    set_cookie(response.headers())
}

fn request(cookie: Option<&HeaderValue>) -> Request<()> {
    let mut request = Request::new(());
    if let Some(cookie) = cookie {
        request.headers_mut().insert(header::COOKIE, cookie.clone());
    }
    request
}

/// Requests of two threads to the sessions of one store, each with a cookie.
struct Visits<V> {
    sent: [Vec<HeaderValue>; 2],
    visit: V,
}

impl<V: Fn(Option<&HeaderValue>) -> Option<HeaderValue>> Visits<V> {
    /// Makes `count` sessions. `of` is the order in which a thread uses them.
    fn new(count: u64, of: impl Fn(u64, u64) -> u64, visit: V) -> Result<Self, Box<dyn Error>> {
        let cookies = (0..count).map(|_| visit(None));
        let cookies: Option<Vec<_>> = cookies.collect();
        let cookies = cookies.ok_or("no session was made")?;
        // In the order of use. A server has just read a cookie, so it is in the caches.
        let sent = [0, 1].map(|thread| {
            let cookies = (0..count).filter_map(|call| {
                let at = usize::try_from(of(thread, call)).ok()?;
                HeaderValue::from_bytes(cookies.get(at)?.as_bytes()).ok()
            });
            cookies.collect()
        });
        Ok(Self { sent, visit })
    }

    fn of(&self, thread: u64) {
        let sent = usize::try_from(thread)
            .ok()
            .and_then(|at| self.sent.get(at));
        for cookie in sent.into_iter().flatten() {
            let _ = black_box((self.visit)(Some(cookie)));
        }
    }
}

fn set_cookie(headers: &HeaderMap) -> Option<HeaderValue> {
    let text = headers.get(header::SET_COOKIE)?.to_str().ok()?;
    HeaderValue::from_str(text.split(';').next()?).ok()
}

/// Fills a store in a separate process and compares that process's resident memory before and
/// after.
fn sizes(scale: &Scale, rows: &mut Vec<[String; 5]>) -> Result<(), Box<dyn Error>> {
    let floor = filled("bare", scale.sessions)?;
    for (kind, name, most) in [
        ("requests", "made by requests", 225.0),
        ("records", "of 120 B, each loaded once", 225.0),
    ] {
        let bytes = filled(kind, scale.sessions)?;
        let name = format!("bytes per session {name}, at {}", scale.sessions);
        rows.push(goal(
            &name,
            &format!("≤ {most}"),
            format!("{bytes:.0}"),
            format!("{floor:.0}"),
            bytes <= most,
        ));
    }
    Ok(())
}

fn filled(kind: &str, count: u64) -> Result<f64, Box<dyn Error>> {
    let output = Command::new(env::current_exe()?)
        .args(["--fill", kind, &count.to_string()])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text
        .trim()
        .parse()
        .map_err(|_| format!("{kind}: {text} {}", String::from_utf8_lossy(&output.stderr)))?)
}

/// Fills a store and prints the bytes per session, in the process that [`filled`] starts.
pub(crate) fn fill(mut arguments: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let (kind, count) = arguments
        .next()
        .zip(arguments.next())
        .ok_or("what, and how many?")?;
    let count: u64 = count.parse()?;
    let store = MemoryStore::new().max_bytes(usize::MAX);
    let bare = Bare::default();
    let service = service(store.clone())?;
    let before = resident()?;
    match &*kind {
        "requests" => (0..count).for_each(|_| drop(visit(&service, None))),
        "records" => {
            (0..count).for_each(|number| _ = now(store.create(&key_of(number), data(), NEVER)))
        }
        _ => (0..count).for_each(|number| bare.insert(number)),
    }
    if kind == "records" {
        (0..count)
            .for_each(|number| assert!(now(store.load(&key_of(number), Read::Current)).is_some()));
    }
    let after = resident()?;
    assert!(kind == "bare" || store.len() as u64 == count);
    println!("{}", (after - before) as f64 / count as f64);
    drop(bare);
    Ok(())
}

/// Bytes of resident memory of this process.
fn resident() -> Result<u64, Box<dyn Error>> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .ok_or("/proc/self/statm has another format")?
        .parse()?;
    Ok(pages * 4_096)
}

/// The longest load while another thread works on the whole store. The shortest result of several
/// rounds counts: other work on the machine lengthens some of them, a store that holds a lock
/// lengthens all.
fn waits(scale: &Scale, rows: &mut Vec<[String; 5]>) {
    let clock = Clock::manual(START);
    let end = until(Timestamp::from_secs(START.as_secs() + 1));
    let mut longest: [Vec<f64>; 3] = Default::default();
    let mut sweeping = Vec::new();
    for _ in 0..(scale.rounds / 20).max(1) {
        clock.set(START);
        let store = MemoryStore::new()
            .clock(clock.clone())
            .max_bytes(usize::MAX);
        let mut creating = 0.0_f64;
        for number in 0..scale.sessions {
            let (time, _) = wall_of(|| now(store.create(&key_of(number), data(), end)));
            creating = creating.max(micros(time));
        }
        let [idle, swept, create] = &mut longest;
        create.push(creating);
        idle.push(longest_load_while(&store, || {
            _ = (0..100_000_000_u64).fold(0, |all, one| black_box(all ^ one))
        }));
        clock.set(end.at);
        let mut time = 0.0;
        swept.push(longest_load_while(&store, || {
            time = wall_of(|| now(async { Ok::<_, StoreError>(store.sweep().await) }))
                .0
                .as_secs_f64()
        }));
        sweeping.push(time);
        assert!(store.is_empty());
    }
    let [idle, swept, create] = longest.map(|times| percentile(times, 0));
    let time = percentile(sweeping, 0) * 1e3;
    rows.push(goal(
        &format!("longest load while all of {} are swept", scale.sessions),
        "≤ 1,000 µs",
        format!("{swept:.0} µs, of {time:.0} ms"),
        format!("{idle:.0} µs: while a thread computes"),
        swept <= 1_000.0,
    ));
    let name = format!("longest create on the way to {}", scale.sessions);
    rows.push(goal(
        &name,
        "≤ 1,000 µs",
        format!("{create:.0} µs"),
        String::new(),
        create <= 1_000.0,
    ));
}

fn longest_load_while(store: &MemoryStore, work: impl FnOnce()) -> f64 {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut longest = 0.0_f64;
            for number in (0..).take_while(|_| !done.load(Ordering::Relaxed)) {
                let key = key_of(number);
                longest = longest.max(micros(
                    wall_of(|| black_box(now(store.load(&key, Read::Current)))).0,
                ));
            }
            longest
        });
        work();
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap_or(f64::NAN)
    })
}
