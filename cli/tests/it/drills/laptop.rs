//! A user's laptop was stolen.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use silverback::{
    Clock, CookieStore, FilesystemStore, Keys, SessionConfig, Subjects,
    store::{Backend, DynStore, IntoBackend as _, RecordKey},
};
use silverback_redis::RedisStore;

use super::{
    Faults, Log, Node, Site, Traffic, operator, played,
    site::{FOLDER, Seen, Visitor, log_in, look, patient},
};
use crate::support::{At, World};

/// Where the sessions are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kept {
    Files,
    Redis,
    Cookies,
}

#[test]
fn in_files() {
    played(async |log| stolen(&log, Kept::Files).await);
}

#[test]
fn in_redis() {
    played(async |log| stolen(&log, Kept::Redis).await);
}

#[test]
fn in_cookies() {
    played(async |log| stolen(&log, Kept::Cookies).await);
}

/// The store as each server has it: a handle with its own connection.
async fn own_store(world: &World, kept: Kept) -> Backend {
    match kept {
        Kept::Redis => {
            let store = RedisStore::connect(&world.redis().unwrap().url()).await;
            DynStore::new(store.unwrap().prefix("shop:")).into_backend()
        }
        Kept::Files => files(world).into_backend(),
        Kept::Cookies => CookieStore::new().revocation(files(world)).into_backend(),
    }
}

fn files(world: &World) -> FilesystemStore {
    FilesystemStore::open(world.dir.path().join("sessions")).unwrap()
}

/// A thief who keeps using the laptop.
struct Thief {
    ends: Arc<AtomicBool>,
    requests: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Thief {
    fn start(laptop: &Visitor) -> Self {
        let (ends, requests) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (laptop, over, count) = (laptop.clone(), Arc::clone(&ends), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            while !over.load(Ordering::SeqCst) {
                laptop
                    .post(&format!("{FOLDER}/add"), "text/plain", "")
                    .await;
                count.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
        });
        Self {
            ends,
            requests,
            task,
        }
    }

    async fn goes_on(&self) {
        let goal = self.requests.load(Ordering::SeqCst) + 5;
        while self.requests.load(Ordering::SeqCst) < goal {
            tokio::task::yield_now().await;
        }
    }

    async fn stops(self) {
        self.ends.store(true, Ordering::SeqCst);
        self.task.await.unwrap();
    }
}

async fn stolen(log: &Log, kept: Kept) {
    let at = if kept == Kept::Redis {
        At::Redis
    } else {
        At::Files
    };
    let Some(mut world) = World::new(at).await else {
        return;
    };
    if kept == Kept::Cookies {
        world.tool.env("SILVERBACK_KEPT_IN", "cookie");
        world.tool.env("SILVERBACK_REVOCATION", "true");
    }
    let mut nodes = Vec::new();
    for _ in 0..2 {
        nodes.push(Node::with(
            &world,
            own_store(&world, kept).await,
            &Clock::system(),
            patient,
        ));
    }
    let site = Site::new(nodes);
    let traffic = Traffic::start(&site, 5);
    let devices = ["laptop", "phone", "tablet", "desk"].map(|device| (device, site.visitor(6)));
    for (device, browser) in &devices {
        log_in(browser, "ada", device).await;
    }
    let [(_, laptop), (_, phone), (_, tablet), (_, desk)] = &devices;
    traffic.goes_on(16).await;

    // With the tool.
    let thief = Thief::start(laptop);
    thief.goes_on().await;
    let key = key_of(&world, "laptop").await;
    let end = ["end", &key[..12], "--user", "ada", "--yes"];
    operator(&world.tool, &end).await.says(0, "ended");
    is_out_everywhere(&site, laptop).await;
    thief.goes_on().await;
    thief.stops().await;
    is_out_everywhere(&site, laptop).await;
    operator(&world.tool, &end).await.says(3, "no such session");
    assert_eq!(listed(&world).await.len(), 3);

    // With the application.
    let thief = Thief::start(tablet);
    thief.goes_on().await;
    let keys = Keys::from_file(world.key_file()).unwrap();
    let config = SessionConfig::new("account", own_store(&world, kept).await, keys);
    let subjects = Subjects::new(&config.settings(world.settings())).unwrap();
    let key: RecordKey = key_of(&world, "tablet").await.parse().unwrap();
    assert!(subjects.destroy("ada", &key).await.unwrap());
    assert!(log.has(&["INFO", "session_expired", "operator"]));
    is_out_everywhere(&site, tablet).await;
    thief.stops().await;
    is_out_everywhere(&site, tablet).await;

    // All except the device in the user's hand.
    let key = key_of(&world, "phone").await;
    operator(&world.tool, &["end-user", "ada", "--keep", &key, "--yes"])
        .await
        .says(0, "ended 1 session");
    is_out_everywhere(&site, desk).await;
    assert_eq!(look(phone).await.user, "ada");
    assert_eq!(listed(&world).await.len(), 1);
    traffic.goes_on(16).await;
    let (tally, _) = traffic.end().await;
    assert_eq!(tally.faults, Faults::default(), "{kept:?}: {tally:?}");
}

async fn listed(world: &World) -> Vec<serde_json::Value> {
    operator(&world.tool, &["list", "--user", "ada", "--json"])
        .await
        .lines()
}

async fn key_of(world: &World, device: &str) -> String {
    let listed = listed(world).await;
    let found = listed.iter().find(|line| line["note"] == device).unwrap();
    found["key"].as_str().unwrap().to_owned()
}

/// Checks that every server refuses the cookies of this browser, and any that it gets in answers.
async fn is_out_everywhere(site: &Site, browser: &Visitor) {
    for which in [0, 1] {
        let there = site.visitor_of(which);
        there.jar(|jar| *jar = browser.jar(|jar| jar.clone()));
        for _ in 0..2 {
            assert_eq!(look(&there).await.user, "");
            let page = there.post(&format!("{FOLDER}/add"), "text/plain", "").await;
            assert_eq!(Seen::of(page.text()).user, "");
        }
    }
}
