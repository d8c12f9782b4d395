//! Subjects and overflow when stores fail, clocks differ, answers come late, and requests are cut
//! off.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use http::StatusCode;
use silverback::{
    Clock, Error, ErrorKind, Key, KeyState, Keys, Session, SessionConfig, SessionLayer, Subjects,
    store::{Bytes, MemoryStore, Record, RecordKey, Store, StoreError, Version},
};

use crate::support::{
    DAY, HOUR, Jar, START, Site, keys, no_cookie,
    schedule::{next, now_and_then, rounds},
    store::Remote,
};

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
enum Act {
    Go,
    Fail,
    /// Never comes back: whoever waits is cut off.
    Hang,
}

type Rule = Box<dyn FnMut(&'static str, bool) -> Act + Send>;

/// A store that waits; a rule decides by operation, and by whether the data is a listing.
#[derive(Clone)]
struct Picky {
    records: MemoryStore,
    rule: Arc<Mutex<Option<Rule>>>,
    /// The most bytes of a record.
    limit: usize,
}

impl Picky {
    fn new(clock: &Clock) -> Self {
        Self {
            records: MemoryStore::new().clock(clock.clone()),
            rule: Arc::default(),
            limit: usize::MAX,
        }
    }

    fn rule(&self, rule: impl FnMut(&'static str, bool) -> Act + Send + 'static) {
        *self.rule.lock().unwrap() = Some(Box::new(rule));
    }

    fn calm(&self) {
        *self.rule.lock().unwrap() = None;
    }

    async fn enter(&self, operation: &'static str, data: &[u8]) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        let act = self
            .rule
            .lock()
            .unwrap()
            .as_mut()
            .map_or(Act::Go, |rule| rule(operation, data.first() == Some(&0x11)));
        match act {
            Act::Go if data.len() > self.limit => Err(StoreError::TooLarge {
                size: data.len(),
                limit: self.limit,
            }),
            Act::Go => Ok(()),
            Act::Fail => Err(StoreError::backend("down")),
            Act::Hang => std::future::pending().await,
        }
    }
}

impl Store for Picky {
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.enter("load", &[]).await?;
        self.records.load(key).await
    }
    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expires: silverback::Timestamp,
    ) -> Result<Version, StoreError> {
        self.enter("create", &data).await?;
        self.records.create(key, data, expires).await
    }
    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expires: silverback::Timestamp,
    ) -> Result<Version, StoreError> {
        self.enter("update", &data).await?;
        self.records.update(key, expected, data, expires).await
    }
    async fn delete(&self, key: &RecordKey) -> Result<(), StoreError> {
        self.enter("delete", &[]).await?;
        self.records.delete(key).await
    }
    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expires: silverback::Timestamp,
    ) -> Result<(), StoreError> {
        self.enter("touch", &[]).await?;
        self.records.touch(key, expected, expires).await
    }
}

struct World {
    site: Site,
    subjects: Subjects,
}

fn world(clock: &Clock, config: SessionConfig) -> World {
    let subjects = Subjects::new(&config).unwrap().clock(clock.clone());
    World {
        site: Site {
            layer: SessionLayer::new(config).clock(clock.clone()),
            clock: clock.clone(),
        },
        subjects,
    }
}

fn plain(clock: &Clock, config: SessionConfig) -> Site {
    Site {
        layer: SessionLayer::new(config).clock(clock.clone()),
        clock: clock.clone(),
    }
}

fn memory(clock: &Clock) -> MemoryStore {
    MemoryStore::new().clock(clock.clone())
}

/// Polls a future as long as it makes progress, and drops it then: `None`.
async fn until_it_hangs<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if polls == 1_000 => Poll::Ready(None),
        Poll::Pending => {
            polls += 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

async fn log_in(session: Session) {
    session.load().await.unwrap();
    session.renew();
    session.insert("user", "ada").unwrap();
    session.set_subject("ada", "laptop").unwrap();
}

async fn look(session: Session) -> Option<String> {
    session.load().await.unwrap();
    session.get("user").unwrap()
}

async fn alive(site: &Site, jar: &Jar) -> bool {
    site.visit(&mut jar.clone(), look).await.0.is_some()
}

async fn put(site: &Site, jar: &mut Jar, key: &str, len: usize) -> StatusCode {
    let write = async |session: Session| {
        session.load().await.unwrap();
        session.insert(key, "x".repeat(len)).unwrap();
    };
    site.visit(jar, write).await.1.status()
}

async fn cut(site: &Site, jar: &mut Jar, key: &str) -> StatusCode {
    let write = async |session: Session| {
        session.load().await.unwrap();
        session.remove(key).unwrap();
    };
    site.visit(jar, write).await.1.status()
}

async fn len(site: &Site, jar: &mut Jar, key: &str) -> Option<usize> {
    let read = async |session: Session| {
        session.load().await.unwrap();
        session.get::<String>(key).unwrap().map(|value| value.len())
    };
    site.visit(jar, read).await.0
}

// silent loss

#[tokio::test]
async fn a_change_is_not_lost_silently_when_the_list_cannot_be_refreshed() {
    let clock = Clock::manual(START);
    let remote = Remote::new(memory(&clock));
    let world = world(
        &clock,
        SessionConfig::cookie("s", keys()).revocation(remote.clone()),
    );
    let jar = &mut Jar::default();
    world.site.visit(jar, log_in).await;
    clock.advance(2 * HOUR); // the listing is due
    let write = async |session: Session| {
        session.load().await.unwrap();
        session.insert("order", "paid").unwrap();
        remote.fail("update");
    };
    let (_, response) = world.site.visit(jar, write).await;
    remote.fail("");
    let kept = len(&world.site, jar, "order").await;
    assert!(
        response.status().is_server_error() || kept.is_some(),
        "200, and the change is gone"
    );
}

#[tokio::test]
async fn not_even_when_the_session_was_ended() {
    let clock = Clock::manual(START);
    let world = world(
        &clock,
        SessionConfig::cookie("s", keys()).revocation(memory(&clock)),
    );
    let jar = &mut Jar::default();
    world.site.visit(jar, log_in).await;
    clock.advance(2 * HOUR);
    let write = async |session: Session| {
        session.load().await.unwrap();
        session.insert("order", "paid").unwrap();
        world.subjects.destroy_all("ada").await.unwrap();
    };
    let (_, response) = world.site.visit(jar, write).await;
    assert!(
        response.status().is_server_error(),
        "Gone was found and dropped"
    );
}

// one store for two purposes

#[tokio::test]
async fn a_logout_lasts_with_one_store_for_overflow_and_revocation() {
    let clock = Clock::manual(START);
    let store = memory(&clock);
    let config = SessionConfig::cookie("s", keys())
        .overflow(store.clone())
        .revocation(store.clone());
    let world = world(&clock, config);
    let jar = &mut Jar::default();
    world.site.visit(jar, log_in).await;
    let copy = jar.clone();
    world
        .site
        .visit(jar, async |session: Session| {
            session.destroy().await.unwrap()
        })
        .await;
    assert!(
        !alive(&world.site, &copy).await,
        "logged out, and the copy of the cookie lives"
    );
}

#[tokio::test]
async fn destroy_all_with_one_store_for_overflow_and_revocation() {
    let clock = Clock::manual(START);
    let store = memory(&clock);
    let config = SessionConfig::cookie("s", keys())
        .overflow(store.clone())
        .revocation(store.clone());
    let world = world(&clock, config);
    let jar = &mut Jar::default();
    world.site.visit(jar, log_in).await;
    let id = world.subjects.list("ada").await.unwrap()[0].id();
    assert!(world.subjects.destroy("ada", &id).await.unwrap());
    assert!(
        !alive(&world.site, jar).await,
        "ended by the administrator, and alive"
    );
}

#[tokio::test]
async fn a_session_grows_with_one_store_for_overflow_and_revocation() {
    let clock = Clock::manual(START);
    let store = memory(&clock);
    let config = SessionConfig::cookie("s", keys())
        .overflow(store.clone())
        .revocation(store.clone())
        .cookie_bytes(500);
    let world = world(&clock, config);
    let jar = &mut Jar::default();
    world.site.visit(jar, log_in).await;
    let status = put(&world.site, jar, "large", 1_000).await;
    assert_eq!(status, StatusCode::OK);
}

// lists

async fn remember_later(config: impl FnOnce(MemoryStore) -> SessionConfig) -> (usize, usize, bool) {
    let clock = Clock::manual(START);
    let world = world(&clock, config(memory(&clock)));
    let jar = &mut Jar::default();
    world.site.visit(jar, log_in).await;
    clock.advance(5 * MINUTE);
    let remember = async |session: Session| {
        session.load().await.unwrap();
        session.persist_for(30 * DAY);
    };
    world.site.visit(jar, remember).await;
    clock.advance(2 * DAY);
    let listed = world.subjects.list("ada").await.unwrap().len();
    let ended = world.subjects.destroy_all("ada").await.unwrap();
    let alive = alive(&world.site, jar).await;
    (listed, ended, alive)
}

#[tokio::test]
async fn who_is_remembered_later_is_ended_with_the_others_in_a_store() {
    let (listed, _, alive) = remember_later(|store| SessionConfig::new("s", store, keys())).await;
    assert!(listed == 1 && !alive);
}

#[tokio::test]
async fn who_is_remembered_later_is_listed_in_a_cookie() {
    let (listed, _, alive) =
        remember_later(|store| SessionConfig::cookie("s", keys()).revocation(store)).await;
    assert!(listed == 1 && !alive);
}

#[tokio::test]
async fn who_is_remembered_later_is_ended_in_overflow() {
    let clock = Clock::manual(START);
    let config = SessionConfig::cookie("s", keys())
        .revocation(memory(&clock))
        .overflow(memory(&clock))
        .cookie_bytes(100);
    let world = world(&clock, config);
    world.site.visit(&mut Jar::default(), log_in).await;
    world.subjects.destroy_all("ada").await.unwrap(); // some earlier time: `not_before` is set
    let jar = &mut Jar::default();
    let log_in_large = async |session: Session| {
        log_in(session.clone()).await;
        session.insert("large", "x".repeat(1_000)).unwrap();
    };
    world.site.visit(jar, log_in_large).await;
    clock.advance(5 * MINUTE);
    let remember = async |session: Session| {
        session.load().await.unwrap();
        session.persist_for(30 * DAY);
    };
    world.site.visit(jar, remember).await;
    clock.advance(2 * DAY);
    let mut ended = Vec::new();
    for _ in 0..5 {
        world.site.visit(jar, look).await;
        clock.advance(2 * HOUR);
        world.site.visit(jar, look).await;
        ended.push(world.subjects.destroy_all("ada").await.unwrap());
    }
    let alive = alive(&world.site, jar).await;
    assert!(!alive, "five times all were ended, while it was used");
}

#[tokio::test]
async fn who_is_cut_off_while_he_is_listed_again_stays_listed() {
    let clock = Clock::manual(START);
    let store = Picky::new(&clock);
    let world = world(&clock, SessionConfig::new("s", store.clone(), keys()));
    let jar = &mut Jar::default();
    world.site.visit(jar, log_in).await;
    // A visitor (a thief, say) who hangs up in each request that is to be listed, once the record
    // is written.
    store.rule(|_, is_listing| if is_listing { Act::Hang } else { Act::Go });
    for _ in 0..27 {
        clock.advance(HOUR);
        let _ = until_it_hangs(world.site.visit(&mut jar.clone(), look)).await;
    }
    store.calm();
    world.subjects.destroy_all("ada").await.unwrap();
    let alive = alive(&world.site, jar).await;
    assert!(!alive);
}

#[tokio::test]
async fn one_failure_to_list_hides_nobody() {
    let clock = Clock::manual(START);
    let store = Picky::new(&clock);
    let world = world(&clock, SessionConfig::new("s", store.clone(), keys()));
    let jar = &mut Jar::default();
    world.site.visit(jar, log_in).await;
    clock.advance(HOUR);
    store.rule(|operation, is_listing| {
        if operation == "update" && is_listing {
            Act::Fail
        } else {
            Act::Go
        }
    });
    assert!(alive(&world.site, jar).await);
    store.calm();
    clock.advance(59 * MINUTE);
    put(&world.site, jar, "more", 10).await;
    clock.advance(DAY - 10 * MINUTE); // alive for ten minutes more
    world.subjects.destroy_all("ada").await.unwrap();
    let alive = alive(&world.site, jar).await;
    assert!(!alive);
}

#[tokio::test]
async fn a_failed_renewal_leaves_the_session_as_it_was() {
    let clock = Clock::manual(START);
    let remote = Remote::new(memory(&clock));
    let config = SessionConfig::cookie("s", keys())
        .overflow(remote.clone())
        .revocation(memory(&clock))
        .cookie_bytes(500);
    let world = world(&clock, config);
    let (site, jar) = (&world.site, &mut Jar::default());
    site.visit(jar, log_in).await;
    put(site, jar, "large", 1_000).await;
    let renew = async |session: Session| {
        session.load().await.unwrap();
        session.renew();
        remote.fail("create");
    };
    assert!(site.visit(jar, renew).await.1.status().is_server_error());
    remote.fail("");
    assert!(alive(site, jar).await);
    let listed = world.subjects.list("ada").await.unwrap().len();
    assert_eq!(put(site, jar, "answered", 10).await, StatusCode::OK);
    assert_eq!(cut(site, jar, "large").await, StatusCode::OK);
    assert_eq!((listed, alive(site, jar).await), (1, true));
    // Into the cookie again.
    assert_eq!(put(site, jar, "answered", 11).await, StatusCode::OK);
    assert_eq!(put(site, jar, "answered", 12).await, StatusCode::OK);
    assert!(
        alive(site, jar).await,
        "lost days after the failure, when it gets small"
    );
}

#[tokio::test]
async fn a_session_that_cannot_overflow_stays_listed_and_alive() {
    let mut results = Vec::new();
    for others in [true, false] {
        let clock = Clock::manual(START);
        let remote = Remote::new(memory(&clock));
        let config = SessionConfig::cookie("s", keys())
            .overflow(remote.clone())
            .revocation(memory(&clock))
            .cookie_bytes(500);
        let world = world(&clock, config);
        let (site, jar) = (&world.site, &mut Jar::default());
        site.visit(jar, log_in).await;
        if others {
            let destroy_others = async |session: Session| {
                session.load().await.unwrap();
                session.destroy_others().await.unwrap();
            };
            site.visit(jar, destroy_others).await;
        }
        remote.fail("create");
        assert!(put(site, jar, "large", 1_000).await.is_server_error());
        remote.fail("");
        let (listed, alive) = (
            world.subjects.list("ada").await.unwrap().len(),
            alive(site, jar).await,
        );
        results.push((listed, alive));
    }
    assert_eq!(results, [(1, true); 2], "listed, alive");
}

// overflow: acknowledged writes

#[tokio::test]
async fn what_was_answered_within_a_second_is_not_lost() {
    let mut results = Vec::new();
    // By how much the clock of the server that made the first cookie is ahead.
    for skew in [0, 30] {
        let clock = Clock::manual(START);
        let site = plain(
            &clock,
            SessionConfig::cookie("s", keys())
                .overflow(memory(&clock))
                .cookie_bytes(500),
        );
        let jar = &mut Jar::default();
        put(&site, jar, "small", 10).await;
        put(&site, &mut jar.clone(), "large", 1_000).await; // its response gets lost
        clock.set(silverback::Timestamp::from_secs(START.as_secs() - skew)); // the next server
        if skew > 0 {
            clock.advance(Duration::from_secs(20));
        }
        assert_eq!(put(&site, jar, "answered", 20).await, StatusCode::OK); // a new cookie, which arrives
        assert_eq!(put(&site, jar, "larger", 2_000).await, StatusCode::OK);
        let kept = len(&site, jar, "answered").await;
        results.push(kept);
    }
    assert_eq!(results, [Some(20); 2]);
}

#[tokio::test]
async fn an_older_copy_that_comes_late_does_not_bring_old_values_back() {
    let clock = Clock::manual(START);
    let site = plain(
        &clock,
        SessionConfig::cookie("s", keys())
            .overflow(memory(&clock))
            .cookie_bytes(500),
    );
    let jar = &mut Jar::default();
    put(&site, jar, "large", 1_000).await;
    put(&site, jar, "admin", 4).await;
    let one = &mut jar.clone();
    cut(&site, one, "large").await; // a copy, on its way for long
    assert_eq!(cut(&site, jar, "admin").await, StatusCode::OK); // by the record; a newer copy, which arrives
    assert_eq!(put(&site, jar, "answered", 20).await, StatusCode::OK);
    assert_eq!(len(&site, jar, "answered").await, Some(20)); // comes back: the session leaves the record
    // Now the first response arrives.
    let (answered, admin) = (
        len(&site, &mut one.clone(), "answered").await,
        len(&site, &mut one.clone(), "admin").await,
    );
    assert_eq!((answered, admin), (Some(20), None));
}

#[tokio::test]
async fn a_read_that_settles_does_not_undo_a_write_whose_answer_came_first() {
    let clock = Clock::manual(START);
    let site = plain(
        &clock,
        SessionConfig::cookie("s", keys())
            .overflow(memory(&clock))
            .cookie_bytes(500),
    );
    let jar = &mut Jar::default();
    put(&site, jar, "large", 1_000).await;
    cut(&site, jar, "large").await;
    let reader = &mut jar.clone();
    len(&site, reader, "large").await; // a read; its response is slow
    assert_eq!(put(&site, jar, "answered", 20).await, StatusCode::OK);
    jar.0.extend(reader.0.clone()); // now it arrives
    assert_eq!(len(&site, jar, "answered").await, Some(20));
}

#[tokio::test]
async fn two_requests_with_one_copy_both_succeed() {
    let mut results = Vec::new();
    for first_writes in [false, true] {
        let clock = Clock::manual(START);
        let remote = Remote::new(memory(&clock));
        let site = plain(
            &clock,
            SessionConfig::cookie("s", keys())
                .overflow(remote.clone())
                .cookie_bytes(500),
        );
        let jar = &mut Jar::default();
        put(&site, jar, "large", 1_000).await;
        cut(&site, jar, "large").await;
        let other = &mut jar.clone();
        let (_, response) = site
            .visit(jar, async |session: Session| {
                session.load().await.unwrap();
                session.insert("mine", 1).unwrap();
                // Another request of the same page.
                if first_writes {
                    assert_eq!(put(&site, other, "other", 5).await, StatusCode::OK);
                } else {
                    len(&site, other, "other").await;
                }
            })
            .await;
        results.push(response.status());
    }
    assert_eq!(
        results,
        [StatusCode::OK; 2],
        "he knows the copy, not only the record"
    );
}

#[tokio::test]
async fn a_record_in_use_is_not_replaced_by_a_request_whose_answer_gets_lost() {
    let clock = Clock::manual(START);
    let site = plain(
        &clock,
        SessionConfig::cookie("s", keys())
            .overflow(memory(&clock))
            .cookie_bytes(500),
    );
    let jar = &mut Jar::default();
    put(&site, jar, "small", 10).await; // P1
    clock.advance(MINUTE);
    let first = &mut jar.clone();
    put(&site, jar, "tiny", 5).await; // P2 arrives
    let slow = &mut jar.clone(); // with P2
    site.visit(slow, async |session: Session| {
        session.load().await.unwrap();
        session.insert("slow", "x".repeat(900)).unwrap();
        put(&site, first, "large", 1_000).await; // with P1, makes the record; its answer arrives last
        *jar = first.clone();
        assert_eq!(put(&site, jar, "answered", 20).await, StatusCode::OK);
        assert_eq!(len(&site, jar, "answered").await, Some(20));
    })
    .await; // and the slow one's answer never arrives
    let kept = [
        len(&site, jar, "large").await,
        len(&site, jar, "answered").await,
    ];
    assert_eq!(kept, [Some(1_000), Some(20)]);
}

// policies

#[tokio::test]
async fn a_session_that_was_ended_ends_no_others() {
    for in_cookie in [true, false] {
        let clock = Clock::manual(START);
        let config = match in_cookie {
            true => SessionConfig::cookie("s", keys()).revocation(memory(&clock)),
            false => SessionConfig::new("s", memory(&clock), keys()),
        };
        let world = world(&clock, config);
        let (thief, owner) = (&mut Jar::default(), &mut Jar::default());
        world.site.visit(thief, log_in).await;
        let (ended, _) = world
            .site
            .visit(thief, async |session: Session| {
                session.load().await.unwrap();
                // A socket, or a slow request. Meanwhile the owner resets the password and logs in.
                world.subjects.destroy_all("ada").await.unwrap();
                world.site.visit(owner, log_in).await;
                session.destroy_others().await.map_err(|error| error.kind())
            })
            .await;
        let alive = alive(&world.site, owner).await;
        assert_eq!((ended, alive), (Err(ErrorKind::Gone), true));
    }
}

#[tokio::test]
async fn log_out_everywhere_is_no_silent_success_without_revocation() {
    let clock = Clock::manual(START);
    let config = SessionConfig::cookie("s", keys());
    let before = world(&clock, config.clone().revocation(memory(&clock)));
    let (jar, thief) = (&mut Jar::default(), &mut Jar::default());
    before.site.visit(jar, log_in).await;
    before.site.visit(thief, log_in).await;
    let after = plain(&clock, config); // the next deployment
    let others =
        async |session: Session| session.destroy_others().await.map_err(|error| error.kind());
    let ended = after.visit(jar, others).await.0;
    assert_eq!(ended, Err(ErrorKind::NeedsRevocation));
}

// keys

#[tokio::test]
async fn a_cookie_of_a_new_key_is_for_listed_sessions_only() {
    let clock = Clock::manual(START);
    let (ring, remote) = (Keys::generate().unwrap(), Remote::new(memory(&clock)));
    let world = world(
        &clock,
        SessionConfig::new("s", remote.clone(), ring.clone()),
    );
    let jar = &mut Jar::default();
    world.site.visit(jar, log_in).await;
    let old = ring.list()[0].0;
    ring.rotate(Key::generate().unwrap()).unwrap();
    clock.advance(MINUTE);
    remote.fail("update"); // for a moment
    let (_, response) = world.site.visit(jar, look).await;
    assert!(no_cookie(&response), "it keeps the one it has");
    remote.fail("");
    ring.revoke(old).unwrap();
    alive(&world.site, jar).await;
    world.subjects.destroy_all("ada").await.unwrap();
    let alive = alive(&world.site, jar).await;
    assert!(!alive);
}

#[tokio::test]
async fn a_rotation_machine_by_machine_loses_no_list() {
    let clock = Clock::manual(START);
    let (one, two) = (Key::generate().unwrap(), Key::generate().unwrap());
    let store = memory(&clock);
    let first = Keys::new(one.clone());
    first.add(two.clone(), KeyState::Pending).unwrap();
    let second = Keys::new(one.clone());
    second.add(two.clone(), KeyState::Pending).unwrap();
    let config = SessionConfig::new("s", store.clone(), first.clone());
    let (a, subjects) = (
        plain(&clock, config.clone()),
        Subjects::new(&config).unwrap().clock(clock.clone()),
    );
    let b = plain(
        &clock,
        SessionConfig::new("s", store.clone(), second.clone()),
    );
    first.rotate(two.clone()).unwrap(); // the first machine is ahead
    let (jar, other) = (&mut Jar::default(), &mut Jar::default());
    a.visit(jar, log_in).await; // a cookie of the new key
    b.visit(other, log_in).await; // the list is sealed with the old one
    second.rotate(two.clone()).unwrap(); // done
    clock.advance(HOUR * 12);
    first.revoke(one.id()).unwrap();
    second.revoke(one.id()).unwrap();
    subjects.destroy_all("ada").await.unwrap();
    let alive = alive(&a, jar).await;
    assert!(!alive);
}

// lock-outs and sizes

#[tokio::test]
async fn a_damaged_list_locks_nobody_out_for_good() {
    let clock = Clock::manual(START);
    let remote = Remote::new(memory(&clock));
    let world = world(&clock, SessionConfig::new("s", remote.clone(), keys()));
    let jar = &mut Jar::default();
    world.site.visit(jar, log_in).await;
    let session = world.subjects.list("ada").await.unwrap()[0].id();
    let list = remote
        .keys()
        .into_iter()
        .find(|key| *key != session)
        .unwrap();
    let record = remote.load(&list).await.unwrap().unwrap();
    remote
        .update(
            &list,
            record.version(),
            Bytes::from_static(b"torn"),
            record.expires(),
        )
        .await
        .unwrap();
    // That the list is damaged is said once, and not the next time.
    world.subjects.destroy_all("ada").await.unwrap_err();
    let login = world
        .site
        .visit(&mut Jar::default(), log_in)
        .await
        .1
        .status();
    assert_eq!(login, StatusCode::OK);
}

#[tokio::test]
async fn what_insert_accepts_is_saved_in_overflow() {
    let mut failed = Vec::new();
    for size in 9_900..10_000 {
        let clock = Clock::manual(START);
        let config = SessionConfig::cookie("s", keys())
            .overflow(memory(&clock))
            .cookie_bytes(500)
            .max_bytes(10_000);
        let site = plain(&clock, config);
        let jar = &mut Jar::default();
        put(&site, jar, "small", 1).await;
        let write = async |session: Session| session.insert("large", "x".repeat(size)).is_ok();
        let (accepted, response) = site.visit(jar, write).await;
        if accepted && !response.status().is_success() {
            failed.push((size, response.extensions().get::<Error>().unwrap().kind()));
        }
    }
    assert_eq!(failed, []);
}

#[tokio::test]
async fn what_insert_accepts_is_saved_in_a_cookie_that_is_kept() {
    let mut failed = Vec::new();
    for size in 2_900..3_072 {
        let site = Site::cookie();
        let write = async |session: Session| {
            let accepted = session.insert("large", "x".repeat(size)).is_ok();
            session.persist_for(30 * DAY);
            accepted
        };
        let (accepted, response) = site.visit(&mut Jar::default(), write).await;
        if accepted && !response.status().is_success() {
            failed.push((size, response.extensions().get::<Error>().unwrap().kind()));
        }
    }
    assert_eq!(failed, []);
}

#[tokio::test]
async fn who_logs_in_often_is_not_locked_out_by_the_size_of_his_list() {
    let clock = Clock::manual(START);
    let store = Picky {
        limit: 20_000,
        ..Picky::new(&clock)
    };
    let world = world(&clock, SessionConfig::new("s", store, keys()));
    let mut failed = None;
    for n in 0..200 {
        let login = async |session: Session| {
            session.load().await.unwrap();
            session
                .set_subject("ada", &"Mozilla/5.0 ".repeat(20))
                .unwrap();
        };
        let (_, response) = world.site.visit(&mut Jar::default(), login).await;
        if !response.status().is_success() {
            failed = Some((n, response.extensions().get::<Error>().unwrap().kind()));
            break;
        }
    }
    assert_eq!(failed, None);
}

// phantoms, and the second store's failures

#[tokio::test]
async fn a_login_that_failed_is_not_listed() {
    let clock = Clock::manual(START);
    let store = Picky::new(&clock);
    let world = world(
        &clock,
        SessionConfig::cookie("s", keys()).revocation(store.clone()),
    );
    let jar = &mut Jar::default();
    put(&world.site, jar, "anonymous", 1).await;
    // Failed when the old name is to be ended.
    store.rule(|operation, is_listing| {
        if operation == "create" && !is_listing {
            Act::Fail
        } else {
            Act::Go
        }
    });
    world.site.visit(jar, log_in).await.1.status();
    store.calm();
    let listed = world.subjects.list("ada").await.unwrap().len();
    assert_eq!(listed, 0, "nobody is logged in");
}

#[tokio::test]
async fn who_was_pushed_out_does_not_push_others_out() {
    for in_cookie in [false, true] {
        let clock = Clock::manual(START);
        let store = Picky::new(&clock);
        let config = match in_cookie {
            true => SessionConfig::cookie("s", keys()).revocation(store.clone()),
            false => SessionConfig::new("s", store.clone(), keys()),
        };
        let world = world(&clock, config.sessions_per_subject(2));
        let mut jars: [Jar; 3] = Default::default();
        for (n, jar) in jars.iter_mut().enumerate() {
            if n == 2 {
                // The first is marked; it cannot be removed, and the login fails.
                let ends = if in_cookie { "create" } else { "delete" };
                store.rule(move |operation, is_listing| {
                    if operation == ends && !is_listing {
                        Act::Fail
                    } else {
                        Act::Go
                    }
                });
            }
            world.site.visit(jar, log_in).await;
            clock.advance(HOUR);
        }
        store.calm();
        world.subjects.list("ada").await.unwrap().len();
        world.site.visit(&mut jars[0], look).await; // a read-only request of the one that was pushed out
        let after = [
            alive(&world.site, &jars[0]).await,
            alive(&world.site, &jars[1]).await,
        ];
        assert!(after[1], "logged out by the other one's read");
    }
}

#[tokio::test]
async fn a_mark_that_was_left_is_seen_to() {
    let clock = Clock::manual(START);
    let store = Picky::new(&clock);
    let world = world(&clock, SessionConfig::new("s", store.clone(), keys()));
    let jar = &mut Jar::default();
    world.site.visit(jar, log_in).await;
    store.rule(|operation, _| {
        if operation == "delete" {
            Act::Hang
        } else {
            Act::Go
        }
    });
    let cut = until_it_hangs(world.subjects.destroy_all("ada")).await;
    assert!(cut.is_none(), "cut off after it has marked the session");
    store.calm();
    assert_eq!(world.subjects.list("ada").await.unwrap().len(), 0);
    clock.advance(HOUR);
    world.site.visit(jar, look).await; // a read
    world.site.visit(&mut Jar::default(), log_in).await; // a change of the list
    let alive = alive(&world.site, jar).await;
    assert!(!alive);
}

#[tokio::test]
async fn in_no_schedule_a_session_escapes_its_list_on_the_way() {
    async fn act(site: &Site, jar: &mut Jar, action: u8) {
        site.visit(jar, async |session: Session| {
            if session.load().await.is_err() {
                return;
            }
            match action % 9 {
                0 => log_in(session).await,
                1 => session.renew(),
                2 => drop(session.insert("large", "x".repeat(1_000))),
                3 => drop(session.remove("large")),
                4 => drop(session.insert("value", action)),
                5 => drop(session.destroy_others().await),
                6 => drop(session.destroy().await),
                7 => {
                    drop(session.insert("large", "x".repeat(1_000)));
                    session.renew();
                }
                _ => {}
            }
        })
        .await;
    }
    let mut bad = Vec::new();
    for round in rounds(400) {
        let clock = Clock::manual(START);
        let (over, list) = (Remote::new(memory(&clock)), Remote::new(memory(&clock)));
        let config = SessionConfig::cookie("s", keys())
            .overflow(over)
            .revocation(list)
            .cookie_bytes(400);
        let world = world(&clock, config);
        let mut jars: [Jar; 3] = Default::default();
        let mut seed = round;
        for jar in &mut jars {
            world.site.visit(jar, log_in).await;
            let phase = next(&mut seed) % 4;
            if phase > 0 {
                put(&world.site, jar, "large", 1_000).await;
            }
            if phase > 1 {
                cut(&world.site, jar, "large").await;
            }
            if phase > 2 {
                alive(&world.site, jar).await;
            }
        }
        let before = jars.clone();
        let actions = [next(&mut seed), next(&mut seed), next(&mut seed)].map(|action| action % 9);
        // Now and then the lists are due.
        if next(&mut seed).is_multiple_of(2) {
            clock.advance(2 * HOUR);
        }
        let [one, two, three] = &mut jars;
        tokio::join!(
            now_and_then(round + 1_000, act(&world.site, one, actions[0])),
            now_and_then(round + 2_000, act(&world.site, two, actions[1])),
            now_and_then(round + 3_000, act(&world.site, three, actions[2])),
            now_and_then(round + 4_000, async {
                world.subjects.destroy_all("ada").await.unwrap()
            }),
        );
        for (n, jar) in before.iter().enumerate() {
            if alive(&world.site, jar).await {
                bad.push(format!(
                    "round {round} {actions:?}: {n} was there at the call"
                ));
            }
        }
        let mut living = 0;
        for jar in &jars {
            living += usize::from(alive(&world.site, jar).await);
        }
        let listed = world.subjects.list("ada").await.unwrap().len();
        if listed < living {
            bad.push(format!(
                "round {round} {actions:?}: {living} alive, {listed} listed"
            ));
        }
        world.subjects.destroy_all("ada").await.unwrap();
        for jar in &jars {
            if alive(&world.site, jar).await {
                bad.push(format!(
                    "round {round} {actions:?}: survives the second end"
                ));
            }
        }
    }
    assert_eq!(bad, [""; 0]);
}

#[tokio::test]
async fn reads_answered_not_modified_do_not_write_each_time() {
    let clock = Clock::manual(START);
    let remote = Remote::new(memory(&clock));
    let world = world(
        &clock,
        SessionConfig::cookie("s", keys()).revocation(remote.clone()),
    );
    let jar = &mut Jar::default();
    world.site.visit(jar, log_in).await;
    clock.advance(2 * HOUR);
    remote.take_log();
    for _ in 0..50 {
        clock.advance(Duration::from_secs(1));
        world.site.answer(jar, StatusCode::NOT_MODIFIED, look).await;
    }
    let writes = remote
        .take_log()
        .iter()
        .filter(|operation| **operation == "update")
        .count();
    assert!(writes <= 1);
}

#[tokio::test]
async fn a_failing_overflow_store_does_not_matter_while_the_session_fits() {
    let mut results = Vec::new();
    for revokes in [false, true] {
        let clock = Clock::manual(START);
        let remote = Remote::new(memory(&clock));
        let config = SessionConfig::cookie("s", keys()).overflow(remote.clone());
        let config = if revokes {
            config.revocation(memory(&clock))
        } else {
            config
        };
        let site = plain(&clock, config);
        let jar = &mut Jar::default();
        put(&site, jar, "user", 1).await;
        remote.fail("all");
        let (_, response) = site
            .visit(jar, async |session: Session| {
                session.load().await.unwrap();
                session.renew();
            })
            .await;
        let alive = alive(&site, jar).await;
        results.push((response.status().is_success(), alive));
    }
    assert_eq!(results, [(true, true); 2], "saved, alive");
}

#[tokio::test]
async fn one_after_the_other_with_lost_answers_and_failures_nothing_acknowledged_is_lost() {
    let mut bad = Vec::new();
    for round in rounds(1_500) {
        let mut seed = round;
        let clock = Clock::manual(START);
        let (store, list) = (Picky::new(&clock), Picky::new(&clock));
        let config = SessionConfig::cookie("s", keys())
            .overflow(store.clone())
            .cookie_bytes(400);
        let (subject, fails) = (round % 2 == 0, round % 4 < 2);
        let config = if subject {
            config.revocation(list.clone())
        } else {
            config
        };
        let site = plain(&clock, config);
        let jar = &mut Jar::default();
        if subject {
            site.visit(jar, log_in).await;
        } else {
            put(&site, jar, "user", 3).await;
        }
        // What each key may be: what was acknowledged last, or asked for since.
        let mut may: [Vec<Option<usize>>; 2] = [vec![None], vec![None]];
        let keys = ["value", "large"];
        let mut history = Vec::new();
        for _ in 0..14 {
            clock.advance(if next(&mut seed).is_multiple_of(8) {
                2 * HOUR
            } else {
                Duration::from_secs(2)
            });
            let (at, number, lost) = (
                usize::from(next(&mut seed) % 2),
                next(&mut seed),
                next(&mut seed).is_multiple_of(3),
            );
            let wish = match (at, number % 4) {
                (1, 0 | 1) => None,
                (1, _) => Some(1_000 + usize::from(number)),
                (_, _) => Some(usize::from(number % 40)),
            };
            if fails {
                let mut after = next(&mut seed) % 12;
                store.rule(move |_, _| {
                    after = after.wrapping_sub(1);
                    if after == 0 { Act::Fail } else { Act::Go }
                });
            }
            let mut used = jar.clone();
            let change = async |session: Session| {
                if session.load().await.is_err() {
                    return None;
                }
                let seen =
                    keys.map(|key| session.get::<String>(key).unwrap().map(|value| value.len()));
                let user = session.get::<String>("user").unwrap().is_some();
                match wish {
                    Some(len) => session.insert(keys[at], "x".repeat(len)).unwrap(),
                    None => drop(session.remove(keys[at]).unwrap()),
                }
                Some((seen, user))
            };
            let (seen, response) = site.visit(&mut used, change).await;
            store.calm();
            list.calm();
            history.push(format!(
                "{} := {wish:?}, lost {lost}, {}, saw {seen:?}",
                keys[at],
                response.status()
            ));
            if let Some((seen, user)) = seen {
                if !user || !may[0].contains(&seen[0]) || !may[1].contains(&seen[1]) {
                    bad.push(format!(
                        "round {round}, subject {subject}: may {may:?} {history:#?}"
                    ));
                    break;
                }
                if response.status().is_success() && !lost {
                    may[at] = vec![wish];
                    // And the other one is what was seen.
                    may[1 - at] = vec![seen[1 - at]];
                } else {
                    may[at].push(wish);
                }
            }
            if !lost {
                *jar = used;
            }
        }
    }
    assert_eq!(bad, [""; 0]);
}

#[tokio::test]
async fn who_leaves_his_subject_and_renews_does_not_escape() {
    let mut escaped = [0, 0];
    for round in rounds(600) {
        let in_cookie = round % 2 == 0;
        let clock = Clock::manual(START);
        let remote = Remote::new(memory(&clock));
        let config = match in_cookie {
            true => SessionConfig::cookie("s", keys()).revocation(remote),
            false => SessionConfig::new("s", remote, keys()),
        };
        let world = world(&clock, config);
        let jar = &mut Jar::default();
        world.site.visit(jar, log_in).await;
        let leave = async |session: Session| {
            session.load().await.unwrap();
            session.renew();
            session.remove_subject().unwrap();
        };
        let all = async { world.subjects.destroy_all("ada").await.unwrap() };
        let (_, ended) = tokio::join!(
            now_and_then(round, world.site.visit(jar, leave)),
            now_and_then(round + 9_000, all)
        );
        if ended == 1 && alive(&world.site, jar).await {
            escaped[usize::from(in_cookie)] += 1;
        }
    }
    assert_eq!(escaped, [0, 0]);
}

#[tokio::test]
async fn a_session_that_cannot_be_listed_does_not_get_the_subject() {
    let clock = Clock::manual(START);
    let store = Picky::new(&clock);
    let world = world(&clock, SessionConfig::new("s", store.clone(), keys()));
    let jar = &mut Jar::default();
    put(&world.site, jar, "anonymous", 1).await;
    store.rule(|_, is_listing| if is_listing { Act::Fail } else { Act::Go });
    let become_ada = async |session: Session| {
        session.load().await.unwrap();
        session.set_subject("ada", "laptop").unwrap();
    };
    let (_, response) = world.site.visit(jar, become_ada).await;
    store.calm();
    assert!(response.status().is_server_error());
    let whose = async |session: Session| {
        session.load().await.unwrap();
        session.subject().unwrap()
    };
    assert_eq!(world.site.visit(jar, whose).await.0, None);
}

#[tokio::test]
async fn a_mark_is_not_taken_back_by_setting_the_subject_again() {
    let clock = Clock::manual(START);
    let store = Picky::new(&clock);
    let world = world(&clock, SessionConfig::new("s", store.clone(), keys()));
    let jar = &mut Jar::default();
    world.site.visit(jar, log_in).await;
    store.rule(|operation, _| {
        if operation == "delete" {
            Act::Hang
        } else {
            Act::Go
        }
    });
    assert!(
        until_it_hangs(world.subjects.destroy_all("ada"))
            .await
            .is_none()
    );
    store.calm();
    let again = async |session: Session| {
        session.load().await.unwrap();
        session.set_subject("ada", "again").unwrap();
    };
    world.site.visit(jar, again).await;
    world.site.visit(&mut Jar::default(), log_in).await;
    assert!(!alive(&world.site, jar).await);
}

#[tokio::test]
async fn a_record_that_stays_behind_opens_for_no_old_copy() {
    let clock = Clock::manual(START);
    let store = Picky::new(&clock);
    let config = SessionConfig::cookie("s", keys())
        .overflow(store.clone())
        .cookie_bytes(500);
    let site = plain(&clock, config.revocation(memory(&clock)));
    let jar = &mut Jar::default();
    put(&site, jar, "large", 1_000).await;
    put(&site, jar, "user", 3).await;
    cut(&site, jar, "large").await;
    let copy = jar.clone();
    put(&site, jar, "more", 1).await;
    store.rule(|operation, _| {
        if operation == "delete" {
            Act::Fail
        } else {
            Act::Go
        }
    });
    site.visit(jar, async |session| session.renew()).await;
    store.calm();
    assert!(alive(&site, jar).await && !alive(&site, &copy).await);
}
