//! Moving all sessions to another store while servers use them, and killing the mover.

use std::{
    collections::BTreeMap,
    future::pending,
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use silverback::{
    Clock, Timestamp,
    store::{Bytes, DynStore, Expiry, MigratingStore, Read, RecordKey, Store, StoreError},
};
use silverback_tower_sessions::TowerSessionStore;
use sqlx::SqlitePool;
use tokio::task::{JoinSet, yield_now};
use tower_sessions_core::SessionStore;

use crate::support::{At, Tool, World};

/// Sessions at the beginning.
fn sessions() -> u64 {
    match std::env::var_os("SILVERBACK_SOAK") {
        Some(_) => 100_000,
        None => 2_000,
    }
}

const SERVERS: usize = 4;

/// The content of a record: the last written number, and its end.
type Content = Option<(u64, Timestamp)>;

/// A session as its server knows it. No other server changes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Kept {
    has: Content,
    /// The content if the last write, which was given up, has been done.
    or: Option<Content>,
}

/// What the servers share.
struct Site {
    stores: [DynStore; 2],
    kept: [Mutex<BTreeMap<u64, Kept>>; SERVERS],
    /// The first end of a session.
    end: Timestamp,
    /// Whether the second step is on all servers.
    is_moving: AtomicBool,
    is_over: AtomicBool,
    /// The number of completed operations.
    count: AtomicU64,
}

fn key(number: u64) -> RecordKey {
    let mut numbers = Numbers(number);
    let part = |_| numbers.below(u64::MAX).to_be_bytes();
    let parts = [0; 4].map(part).concat();
    RecordKey::from_bytes(parts.try_into().unwrap())
}

fn bytes(number: u64) -> Bytes {
    [&[1][..], &number.to_be_bytes()].concat().into()
}

fn expiry(end: Timestamp) -> Expiry {
    Expiry::new(end, Clock::system().now())
}

/// splitmix64
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

async fn read(store: &impl Store, number: u64) -> Content {
    let record = store.load(&key(number), Read::Current).await.unwrap()?;
    let data = u64::from_be_bytes(record.data()[1..].try_into().unwrap());
    Some((data, record.expires()))
}

/// Changes a session from its present content to another.
async fn change(store: &impl Store, number: u64, has: Content, next: Content) {
    let key = key(number);
    // A move may change the version meanwhile.
    loop {
        let done = match (has, next) {
            (None, Some((data, end))) => {
                store.create(&key, bytes(data), expiry(end)).await.map(drop)
            }
            (_, None) => store.delete(&key, None).await,
            (Some((old, _)), Some((data, end))) => {
                let record = store.load(&key, Read::Current).await.unwrap();
                let version = record.unwrap().version();
                let changed = match old == data {
                    true => store.touch(&key, version, expiry(end)).await,
                    false => store.update(&key, version, bytes(data), expiry(end)).await,
                };
                changed.map(drop)
            }
        };
        match done {
            Ok(()) => return,
            Err(StoreError::Conflict) => {}
            Err(error) => panic!("{number:x}: {error:?}"),
        }
    }
}

/// Yields to others this many times, or for ever.
async fn turns(count: Option<u64>) {
    let Some(count) = count else {
        return pending().await;
    };
    for _ in 0..count {
        yield_now().await;
    }
}

impl Site {
    fn new(
        stores: [DynStore; 2],
        kept: [BTreeMap<u64, Kept>; SERVERS],
        end: Timestamp,
    ) -> Arc<Self> {
        Arc::new(Self {
            stores,
            kept: kept.map(Mutex::new),
            end,
            is_moving: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            count: AtomicU64::new(0),
        })
    }

    /// The next content of a session.
    fn next(&self, has: Content, what: u64, data: u64) -> Content {
        let end = Timestamp::from_secs(self.end.as_secs() + data % 1_000);
        match (what, has) {
            (1, _) => None,
            (2..5, Some((old, _))) => Some((old, end)),
            (5..9, Some(_)) | (0 | 5, None) => Some((data, end)),
            _ => has,
        }
    }

    /// Uses the sessions of a server until the move is over, and gives up calls now and then.
    async fn serve(self: Arc<Self>, server: usize, seed: u64) {
        let mut numbers = Numbers(seed);
        let [from, to] = self.stores.clone();
        let prepared = MigratingStore::prepared(from.clone(), to.clone());
        let moving = MigratingStore::new(from, to);
        let mut known: Vec<u64> = self.kept[server].lock().unwrap().keys().copied().collect();
        while !self.is_over.load(Ordering::Relaxed) {
            let is_ahead = server == 0 || self.is_moving.load(Ordering::Relaxed);
            let store = if is_ahead { &moving } else { &prepared };
            let what = numbers.below(16);
            let number = match what {
                0 => numbers.below(u64::MAX),
                _ => known[numbers.below(known.len() as u64) as usize],
            };
            known.extend((what == 0).then_some(number));
            let kept = self.kept[server].lock().unwrap().get(&number).copied();
            if kept.is_some_and(|kept| kept.or.is_some()) {
                continue;
            }
            let has = kept.and_then(|kept| kept.has);
            assert_eq!(read(store, number).await, has, "{number:x}");
            let next = self.next(has, what, numbers.below(u64::MAX));
            let patience = match numbers.below(16) {
                0 => Some(numbers.below(40)),
                _ => None,
            };
            let kept = tokio::select! {
                biased;
                () = change(store, number, has, next), if next != has => Kept { has: next, or: None },
                () = turns(patience), if next != has => Kept { has, or: Some(next) },
                else => Kept { has, or: None },
            };
            self.kept[server].lock().unwrap().insert(number, kept);
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until the servers have completed this many more operations.
    async fn serve_some(&self, more: u64) {
        let until = self.count.load(Ordering::Relaxed) + more;
        while self.count.load(Ordering::Relaxed) < until {
            yield_now().await;
        }
    }

    /// Checks that the new store alone has what the servers know of each session.
    async fn check(&self) -> [BTreeMap<u64, Kept>; SERVERS] {
        let [_, to] = &self.stores;
        let mut all = self
            .kept
            .each_ref()
            .map(|kept| kept.lock().unwrap().clone());
        for (number, kept) in all.iter_mut().flatten() {
            let has = read(to, *number).await;
            assert!(
                has == kept.has || Some(has) == kept.or,
                "{number:x}: {has:?}, {kept:?}"
            );
            *kept = Kept { has, or: None };
        }
        all
    }
}

fn store_of(world: &World) -> &str {
    let is_store = |(name, _): &&(String, String)| name == "SILVERBACK_STORE";
    &world.tool.envs().iter().find(is_store).unwrap().1
}

fn start(tool: &Tool, from: &World, to: &World, args: &[&str]) -> Child {
    let mut command = tool.command();
    command.args(["migrate", store_of(from), store_of(to), "--yes", "--json"]);
    command
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Moves everything from one world to another while it is in use.
async fn hop(
    from: &World,
    to: &World,
    kept: [BTreeMap<u64, Kept>; SERVERS],
    end: Timestamp,
) -> [BTreeMap<u64, Kept>; SERVERS] {
    let site = Site::new([from.store.clone(), to.store.clone()], kept, end);
    let mut servers = JoinSet::new();
    for server in 0..SERVERS {
        servers.spawn(Arc::clone(&site).serve(server, end.as_secs() + server as u64));
    }
    for kill in 1..4 {
        let mut child = start(&from.tool, from, to, &["--batch", "40"]);
        site.serve_some(40 * kill).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    site.is_moving.store(true, Ordering::Relaxed);
    // Until each has seen it.
    site.serve_some(8 * SERVERS as u64).await;
    let mut child = start(&from.tool, from, to, &[]);
    while child.try_wait().unwrap().is_none() {
        site.serve_some(1).await;
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    site.is_over.store(true, Ordering::Relaxed);
    while let Some(done) = servers.join_next().await {
        done.unwrap();
    }
    site.check().await
}

#[tokio::test]
async fn sessions_move_from_files_to_redis_to_postgres_and_back_while_they_are_used() {
    let Some(mut files) = World::new(At::Files).await else {
        return;
    };
    let Some(redis) = World::new(At::Redis).await else {
        return;
    };
    let Some(postgres) = World::new(At::Postgres).await else {
        return;
    };
    let end = Timestamp::from_secs(Clock::system().now().as_secs() + 86_400);
    let (mut kept, mut numbers) = ([(); SERVERS].map(|()| BTreeMap::new()), Numbers(7));
    for count in 0..sessions() {
        let (number, has) = (numbers.below(u64::MAX), Some((count, end)));
        change(&files.store, number, None, has).await;
        kept[count as usize % SERVERS].insert(number, Kept { has, or: None });
    }
    let ada = files.log_in("ada", "phone").await;
    for (from, to) in [(&files, &redis), (&redis, &postgres), (&postgres, &files)] {
        kept = hop(from, to, kept, end).await;
        to.tool
            .run(&["explain", &ada.cookie])
            .says(0, "opens the session");
        let listed = to.tool.run(&["list", "--user", "ada", "--json"]).lines();
        assert_eq!(listed.len(), 1);
        let left = from.tool.run(&["list", "--kind", "session", "--json"]);
        assert_eq!(left.lines().len(), 0, "{:?}", from.at);
    }
}

#[tokio::test]
async fn a_move_says_what_it_would_do_and_asks() {
    let mut from = World::new(At::Files).await.unwrap();
    let to = World::new(At::Sqlite).await.unwrap();
    for _ in 0..3 {
        from.visit(|session| session.insert("cart", 1).unwrap())
            .await;
    }
    let (old, new) = (store_of(&from), store_of(&to));
    let (gone, other_name) = (format!("{old}-gone"), format!("{old}/"));
    for (args, code, text) in [
        (&["migrate", old][..], 2, "<TO>"),
        (
            &["migrate", old, old, "--yes"],
            2,
            "FROM and TO are one store",
        ),
        (
            &["migrate", old, &other_name, "--yes"],
            2,
            "FROM and TO are one store",
        ),
        (
            &["migrate", old, "ftp://h", "--yes"],
            2,
            "an address begins with",
        ),
        (&["migrate", old, &gone, "--yes"], 1, "no such directory"),
        (&["migrate", old, new], 2, "Say so by --yes"),
        (
            &["migrate", old, new, "--dry-run"],
            0,
            "would move 3 records, 3 looked at",
        ),
        (
            &["migrate", old, new, "--yes", "--pause", "x"],
            2,
            "--pause",
        ),
        (&["migrate", old, new, "--yes"], 0, "moved 3 records"),
        (&["migrate", old, new, "--yes"], 0, "moved 0 records"),
        (
            &["migrate", old, new, "--dry-run"],
            0,
            "would move 0 records, 3 looked at",
        ),
        (&["list", "--kind", "moved", "--limit", "1"], 0, "moved"),
    ] {
        from.tool.run(args).says(code, text);
    }
    let back = from
        .tool
        .run(&["migrate", new, old, "--yes", "--json"])
        .json(0);
    assert_eq!(
        [
            &back["moved"],
            &back["failed"],
            &back["is_complete"],
            &back["is_dry_run"]
        ],
        [&json!(3), &json!(0), &json!(true), &json!(false)]
    );
}

#[tokio::test]
async fn a_move_is_interrupted_between_two_batches() {
    let mut from = World::new(At::Files).await.unwrap();
    let to = World::new(At::Sqlite).await.unwrap();
    for _ in 0..3 {
        from.visit(|session| session.insert("cart", 1).unwrap())
            .await;
    }
    // The second batch would come in a day.
    let mut child = start(
        &from.tool,
        &from,
        &to,
        &["--batch", "1", "--pause", "1 day"],
    );
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, "1 looked at, 1 moved\n");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["moved"], &report["is_complete"]),
        (&json!(1), &json!(false))
    );
    let args = ["migrate", store_of(&from), store_of(&to), "--yes"];
    from.tool.run(&args).says(0, "moved 2 records");
}

/// The row of a session as tower-sessions-sqlx-store writes it. It ends in the year 2096.
const ROW: &str = "INSERT INTO tower_sessions VALUES ('EA8ODQwLCgkIBwYFBAMCAQ', \
    X'93c4100102030405060708090a0b0c0d0e0f1081a4757365\
    720799cd0830cd0114070628ce075bcd15000000', '2096-10-02T07:06:40Z')";

#[tokio::test]
async fn sessions_of_tower_sessions_move_in_and_keep_their_ids() {
    let to = World::new(At::Files).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.db");
    let url = format!("sqlite:{}?mode=rwc", file.display());
    let pool = SqlitePool::connect(&url).await.unwrap();
    for statement in [
        "CREATE TABLE tower_sessions (id text PRIMARY KEY NOT NULL, data blob NOT NULL, \
         expiry_date integer NOT NULL)",
        ROW,
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let from = format!("tower-sessions+sqlite:{}", file.display());
    let new = store_of(&to);
    for (args, code, text) in [
        (
            &["migrate", &from, new, "--dry-run"][..],
            2,
            "does not count",
        ),
        (
            &["migrate", &from, new],
            2,
            "a TowerSessionStore that moves from there",
        ),
        (
            &["migrate", "tower-sessions+redb:old", new, "--yes"],
            2,
            "keep nothing there",
        ),
        (&["migrate", &from, new, "--yes"], 0, "moved 1 record"),
        (&["migrate", &from, new, "--yes"], 0, "moved 0 records"),
    ] {
        to.tool.run(args).says(code, text);
    }
    let store = TowerSessionStore::new(to.store.clone());
    let id = "EA8ODQwLCgkIBwYFBAMCAQ".parse().unwrap();
    let record = SessionStore::load(&store, &id).await.unwrap().unwrap();
    assert_eq!(record.data.get("user"), Some(&json!(7)));
}
