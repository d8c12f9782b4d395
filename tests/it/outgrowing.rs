//! Sessions on their way from a cookie into a record.

use std::thread;

use futures_util::FutureExt as _;
use http::StatusCode;
use silverback::{ErrorKind, Session, SessionConfig, store::CookieStore};

use crate::support::{
    HOUR, Jar, Kind, Place, START, Stores, World, failure, keys, log_in, no_cookie,
    schedule::{all, now_and_then, rounds},
    scripted::{After, Before, Calls, Create, Fail, Load, Lose, Update, Wait},
    steps::in_between,
};

#[tokio::test]
async fn its_id_stays() {
    for kind in Kind::OVERFLOWING {
        let world = kind.world();
        let jar = &mut Jar::default();
        let id = async |session: Session| {
            session.load().await.unwrap();
            session.record_key().unwrap()
        };
        world.set(jar, "small", 10).await;
        let (before, _) = world.visit(jar, id).await;
        world.set(jar, "large", 1_000).await;
        assert_eq!(world.place(jar).await, Place::Record);
        assert_eq!(world.visit(jar, id).await.0, before);
    }
}

/// Used every eight hours, the session ends after fourteen days, wherever it was kept.
#[tokio::test]
async fn its_age_stays() {
    let end = START.saturating_add(14 * 24 * HOUR);
    for grows_after in [0, 7 * 24, 14 * 24 - 8] {
        let world = Kind::Overflow.world();
        let jar = &mut Jar::default();
        world.set(jar, "small", 10).await;
        for hours in (0..14 * 24).step_by(8) {
            if hours == grows_after {
                world.set(jar, "large", 1_000).await;
            }
            assert_eq!(
                world.lens(jar, ["small"]).await,
                [Some(10)],
                "{hours} hours"
            );
            world.clock.advance(8 * HOUR);
        }
        assert_eq!(world.clock.now(), end);
        assert_eq!(world.lens(jar, ["small"]).await, [None]);
    }
}

#[tokio::test]
async fn a_save_in_mid_request_grows_it() {
    for kind in Kind::OVERFLOWING {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.set(jar, "small", 10).await;
        let before = jar.clone();
        let save = async |session: Session| {
            session.load().await.unwrap();
            session.insert("large", "x".repeat(1_000)).unwrap();
            session.save().await.unwrap();
            assert_eq!(world.records().memory.len(), 1);
            session.insert("small", "x".repeat(20)).unwrap();
        };
        world.visit(jar, save).await;
        assert_eq!(world.place(jar).await, Place::Record);
        let lens = world.lens(jar, ["small", "large"]).await;
        assert_eq!(lens, [Some(20), Some(1_000)]);
        // Had the response been lost, the session would be where it was.
        assert_eq!(world.place(&before).await, Place::Cookie);
    }
}

#[tokio::test]
async fn a_lost_response_loses_no_acknowledged_change() {
    for kind in Kind::OVERFLOWING {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.set(jar, "small", 10).await;
        world.set_lost(jar, "large", 1_000).await;
        let all = ["small", "answered", "large"];
        assert_eq!(world.lens(jar, all).await, [Some(10), None, None]);
        world.clock.advance(HOUR);
        world.set(jar, "answered", 20).await;
        world.set(jar, "large", 2_000).await;
        let lens = world.lens(jar, all).await;
        assert_eq!(lens, [Some(10), Some(20), Some(2_000)]);
    }
}

/// Two overlapping requests with one cookie. Both outgrow the cookie.
async fn two_at_once(world: &World, renews: bool) -> [(Jar, StatusCode); 2] {
    let mut one = Jar::default();
    world.set(&mut one, "small", 10).await;
    let mut two = one.clone();
    let grow = async |session: &Session, key| {
        session.load().await.unwrap();
        session.insert(key, "x".repeat(700)).unwrap();
        session.update("both", |n: &mut u32| *n += 1).unwrap();
    };
    let first = async |session: Session| {
        grow(&session, "one").await;
        let second = async |session: Session| {
            grow(&session, "two").await;
            if renews {
                session.renew();
            }
        };
        world.visit(&mut two, second).await.1.status()
    };
    let (second, response) = world.visit(&mut one, first).await;
    [(one, response.status()), (two, second)]
}

const BY_TWO: [&str; 2] = ["one", "two"];

#[tokio::test]
async fn two_at_once_are_merged() {
    for kind in Kind::OVERFLOWING {
        let world = kind.world();
        for (mut jar, status) in two_at_once(&world, false).await {
            assert_eq!(status, StatusCode::OK);
            assert_eq!(world.lens(&mut jar, BY_TWO).await, [Some(700); 2]);
            assert_eq!(world.get(&mut jar, "both").await, Some(2), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn two_at_once_of_which_one_renews_conflict() {
    for kind in Kind::OVERFLOWING {
        let world = kind.world();
        let [(one, first), (mut two, second)] = two_at_once(&world, true).await;
        assert_eq!([first, second], [StatusCode::CONFLICT, StatusCode::OK]);
        // Without revocation no store remembers which cookies have ended.
        let place = match kind {
            Kind::RevocableOverflow => Place::Nowhere,
            _ => Place::Cookie,
        };
        assert_eq!(world.place(&one).await, place, "{kind:?}");
        assert_eq!(world.lens(&mut two, BY_TWO).await, [None, Some(700)]);
        assert_eq!(world.records().sessions().await, 1, "{kind:?}");
    }
}

/// Each of those who grow is told whether the login has taken its change along.
#[tokio::test]
async fn many_at_once_beside_a_login_lose_nothing() {
    for (seed, kind) in rounds(100).flat_map(|seed| Kind::OVERFLOWING.map(|kind| (seed, kind))) {
        let world = kind.world();
        let mut jar = Jar::default();
        world.set(&mut jar, "small", 10).await;
        let mut jars: [Jar; 4] = std::array::from_fn(|_| jar.clone());
        let requests = jars.iter_mut().enumerate().map(|(at, jar)| {
            let grow = world.set(jar, LARGE[at], 700);
            now_and_then(
                seed * 100 + at as u64,
                async move { (at, grow.await.status()) },
            )
        });
        let login = async |session: Session| {
            session.load().await.unwrap();
            match kind {
                Kind::RevocableOverflow => log_in(session, "ada", "laptop").await,
                _ => session.renew(),
            }
        };
        let login = now_and_then(seed * 100 + 4, world.visit(&mut jar, login));
        let (mut told, (_, response)) = tokio::join!(all(requests.collect()), login);
        // They come in the order in which they were answered.
        told.sort_by_key(|(at, _)| *at);
        let what = format!("{kind:?}, seed {seed}");
        assert_eq!(response.status(), StatusCode::OK, "{what}");
        let taken = told.iter().map(|(_, status)| match *status {
            StatusCode::OK => Some(700),
            StatusCode::CONFLICT => None,
            other => panic!("{what}: {other}"),
        });
        let taken: Vec<_> = taken.collect();
        assert_eq!(world.lens(&mut jar, LARGE).await, *taken, "{what}");
        assert_eq!(world.lens(&mut jar, ["small"]).await, [Some(10)], "{what}");
    }
}

/// As above, in two threads: writes in stores that never wait have no ids.
#[test]
fn one_beside_a_login_loses_nothing_in_stores_that_never_wait() {
    for when in [Before, After] {
        let stores = Stores::new();
        let cookies = CookieStore::new().overflow(stores.records.at_once());
        let cookies = cookies.revocation(stores.ends.at_once()).up_to(500);
        let config = SessionConfig::new("s", cookies, keys()).cookie_name("s");
        let world = &World::new(Kind::RevocableOverflow, stores, config);
        let mut jar = Jar::default();
        at_once(world.set(&mut jar, "small", 10));
        let mut large = jar.clone();
        world.records().at(when, Create, Wait);
        let [grown, renewed] = thread::scope(|scope| {
            let grow = scope.spawn(|| at_once(world.set(&mut large, "large", 700)));
            while world.records().reached().now_or_never().is_none() {
                thread::yield_now();
            }
            let renewed = at_once(world.renew(&mut jar));
            world.records().go();
            [grow.join().unwrap(), renewed].map(|response| response.status())
        });
        let (told, taken) = match when {
            Before => (StatusCode::CONFLICT, None),
            After => (StatusCode::OK, Some(700)),
        };
        assert_eq!([grown, renewed], [told, StatusCode::OK], "{when:?}");
        let lens = at_once(world.lens(&mut jar, ["small", "large"]));
        assert_eq!(lens, [Some(10), taken], "{when:?}");
    }
}

fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing waits")
}

const LARGE: [&str; 4] = ["large0", "large1", "large2", "large3"];

/// One login comes with the record's cookie, the other with the cookie that the session has outgrown.
#[tokio::test]
async fn two_logins_of_which_one_has_the_older_cookie_both_succeed() {
    let world = Kind::RevocableOverflow.world();
    let jar = &mut Jar::default();
    world.set(jar, "small", 10).await;
    let older = &mut jar.clone();
    world.set(jar, "large", 1_000).await;
    let first = async |session: Session| {
        session.load().await.unwrap();
        assert_eq!(world.log_in(older, "ada", "older").await.status(), 200);
        log_in(session, "ada", "newer").await;
    };
    let (_, response) = world.visit(jar, first).await;
    assert_eq!(failure(&response), None);
    assert!(world.is_alive(jar).await && world.is_alive(older).await);
    assert_eq!(world.lens(jar, ["small", "large"]).await, [None; 2]);
    assert_eq!(
        world.lens(older, ["small", "large"]).await,
        [Some(10), Some(1_000)]
    );
    assert_eq!(world.notes("ada").await.len(), 2);
}

#[tokio::test]
async fn many_at_once_are_counted() {
    for seed in rounds(100) {
        let world = Kind::Overflow.world();
        let mut jar = Jar::default();
        world.set(&mut jar, "small", 10).await;
        let mut jars: [Jar; 5] = std::array::from_fn(|_| jar.clone());
        let requests = jars.iter_mut().enumerate().map(|(at, jar)| {
            let world = &world;
            let grow = async move |session: Session| {
                session.load().await.unwrap();
                session.update("count", |n: &mut u32| *n += 1).unwrap();
                session
                    .insert(&format!("large{at}"), "x".repeat(700))
                    .unwrap();
            };
            let visit = async move { world.visit(jar, grow).await.1.status() };
            now_and_then(seed * 100 + at as u64, visit)
        });
        let done = all(requests.collect()).await;
        assert_eq!(done, [StatusCode::OK; 5], "seed {seed}");
        for jar in &mut jars {
            let read = async |session: Session| {
                session.load().await.unwrap();
                (session.get("count").unwrap(), session.keys().unwrap().len())
            };
            assert_eq!(world.visit(jar, read).await.0, (Some(5), 7), "seed {seed}");
        }
    }
}

/// The store's client retries, and meets its own write.
#[tokio::test]
async fn a_lost_answer_of_a_merge_counts_once() {
    for kind in Kind::OVERFLOWING {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "n", 1).await;
        world.set_lost(jar, "lost", 1_000).await;
        let grow = async |session: Session| {
            session.load().await.unwrap();
            session.update("n", |n: &mut u32| *n += 1).unwrap();
            session.insert("large", "x".repeat(1_000)).unwrap();
            world.records().at(After, Update, Lose);
        };
        let (_, response) = world.visit(jar, grow).await;
        assert_eq!(response.status(), StatusCode::OK, "{kind:?}");
        assert_eq!(world.get(jar, "n").await, Some(2), "{kind:?}");
    }
}

/// The logout comes before and after the record is created.
#[tokio::test]
async fn a_logout_on_the_way_wins() {
    for when in [Before, After] {
        let world = Kind::RevocableOverflow.world();
        let jar = &mut Jar::default();
        world.set(jar, "small", 10).await;
        let mut other = jar.clone();
        world.records().at(when, Create, Wait);
        let logout = async {
            world.records().reached().await;
            world.destroy(&mut other).await;
            world.records().go();
        };
        let (response, ()) = tokio::join!(world.set(jar, "large", 1_000), logout);
        assert_eq!(failure(&response), Some(ErrorKind::Gone), "{when:?}");
        assert!(no_cookie(&response), "{when:?}");
        assert_eq!(world.records().memory.len(), 0, "{when:?}");
        assert_eq!(world.place(jar).await, Place::Nowhere, "{when:?}");
    }
}

/// The renewal finds the record, and takes its values along.
#[tokio::test]
async fn a_renewal_on_the_way_carries_it_along() {
    for leaves in [false, true] {
        let world = Kind::RevocableOverflow.world();
        let small = &mut world.logged_in("ada", "laptop").await;
        let large = &mut small.clone();
        world.set(large, "cart", 600).await;
        let grow = async |session: Session| {
            session.load().await.unwrap();
            session.insert("more", "x".repeat(600)).unwrap();
            world.ends().at(Before, Load.of_sessions(), Wait);
            let renew = async |session: Session| {
                session.load().await.unwrap();
                match leaves {
                    true => drop(session.remove_subject().unwrap()),
                    false => session.renew(),
                }
            };
            let (saved, ()) = tokio::join!(session.save(), async {
                world.ends().reached().await;
                world.visit(large, renew).await;
                world.ends().go();
            });
            saved.unwrap();
            session.renew();
            session.insert("user", "ada").unwrap();
        };
        let (_, response) = world.visit(small, grow).await;
        assert_eq!(failure(&response), None, "{leaves}");
        let carried = world.lens(large, ["more"]).await;
        assert_eq!(carried, [Some(600)], "{leaves}");
        let own = world.lens(small, ["more", "user"]).await;
        assert_eq!(own, [None, Some(3)], "{leaves}");
    }
}

/// The session grows at each call of the logout.
#[tokio::test]
async fn a_logout_leaves_no_record_of_it() {
    for (of_ends, when) in [
        (false, Before),
        (false, After),
        (true, Before),
        (true, After),
    ] {
        for n in 1.. {
            let world = Kind::RevocableOverflow.world();
            let jar = &mut Jar::default();
            world.set(jar, "small", 10).await;
            let mut other = jar.clone();
            let store = if of_ends {
                world.ends()
            } else {
                world.records()
            };
            let logout = world.destroy(&mut other);
            let (_, grown) = in_between((store, n, when), logout, world.set(jar, "x", 1_000)).await;
            if grown.is_none() {
                assert!(n > 1);
                break;
            }
            let what = format!("{when:?} call {n} of its own, ends: {of_ends}");
            assert_eq!(world.place(jar).await, Place::Nowhere, "{what}");
            assert_eq!(world.records().sessions().await, 0, "{what}");
        }
    }
}

#[tokio::test]
async fn a_failing_store_leaves_it_in_its_cookie() {
    let calls: [Calls; 3] = [Create.into(), Load.into(), Update.into()];
    for kind in Kind::OVERFLOWING {
        for calls in calls {
            let world = kind.world();
            let jar = &mut Jar::default();
            world.set(jar, "small", 10).await;
            // There already is a record of its name, with which it is to be merged.
            world.set_lost(jar, "lost", 1_000).await;
            let before = jar.value("s").to_owned();
            world.records().at(Before, calls, Fail);
            let response = world.set(jar, "large", 1_000).await;
            let what = format!("{kind:?}, {calls:?}");
            assert_eq!(failure(&response), Some(ErrorKind::StoreFailed), "{what}");
            assert!(no_cookie(&response), "{what}");
            assert_eq!(jar.value("s"), before, "{what}");
            assert_eq!(world.place(jar).await, Place::Cookie, "{what}");
            let lens = world.lens(jar, ["small", "large"]).await;
            assert_eq!(lens, [Some(10), None], "{what}");
            world.set(jar, "large", 1_000).await;
            let lens = world.lens(jar, ["small", "large"]).await;
            assert_eq!(lens, [Some(10), Some(1_000)], "{what}");
        }
    }
}

#[tokio::test]
async fn one_that_cannot_grow_stays_alive() {
    for destroys_others in [true, false] {
        let world = Kind::RevocableOverflow.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        if destroys_others {
            let others = async |session: Session| {
                session.load().await.unwrap();
                session.destroy_others().await.unwrap();
            };
            world.visit(jar, others).await;
        }
        world.records().every(Before, Create, Fail);
        let response = world.set(jar, "large", 1_000).await;
        assert_eq!(failure(&response), Some(ErrorKind::StoreFailed));
        world.records().calm();
        assert_eq!(world.notes("ada").await, ["laptop"]);
        assert!(world.is_alive(jar).await);
    }
}
