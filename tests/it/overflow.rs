//! Sessions that overflow into a store: every row of the table in `src/vault/overflow.rs`.

use http::{Response, StatusCode};
use silverback::{
    Session, SessionConfig,
    store::{CookieStore, RecordKey},
};

use crate::support::{
    Jar, Kind,
    Place::{self, Cookie, Nowhere, Record},
    Stores, World, keys, no_cookie,
    schedule::until_it_hangs,
    scripted::{After, Before, Create, Cut, Fail, Hang, Load, Op, Update, Wait, When},
};

/// What a request does to the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Count,
    Grow,
    Shrink,
    Renew,
    GrowAndRenew,
    ShrinkAndRenew,
    Empty,
    Destroy,
}

use Event::*;

impl Event {
    async fn happen(self, world: &World, jar: &mut Jar) -> Response<String> {
        let act = async |session: Session| {
            session.load().await.unwrap();
            match self {
                Count => session.update("n", |n: &mut u32| *n += 1).unwrap(),
                Grow | GrowAndRenew => session.insert("large", "x".repeat(1_000)).unwrap(),
                Shrink | ShrinkAndRenew => assert!(session.remove("large").unwrap()),
                Empty => session.clear().unwrap(),
                Destroy => {
                    session.insert("late", 1).unwrap();
                    session.destroy().await.unwrap();
                }
                Renew => {}
            }
            if matches!(self, Renew | GrowAndRenew | ShrinkAndRenew) {
                session.renew();
            }
        };
        world.visit(jar, act).await.1
    }
}

/// What can be observed of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    id: Option<RecordKey>,
    n: Option<u32>,
    is_large: bool,
}

impl Seen {
    async fn of(world: &World, jar: &Jar) -> Self {
        let see = async |session: Session| {
            session.load().await.unwrap();
            Self {
                id: session.record_key(),
                n: session.get("n").unwrap(),
                is_large: session.contains_key("large").unwrap(),
            }
        };
        world.visit(&mut jar.clone(), see).await.0
    }

    /// The expected values after an event. The ID is checked separately.
    fn after(mut self, event: Event) -> Self {
        match event {
            Count => self.n = Some(self.n.unwrap_or(0) + 1),
            Grow | GrowAndRenew => self.is_large = true,
            Shrink | ShrinkAndRenew => self.is_large = false,
            Empty | Destroy => (self.n, self.is_large) = (None, false),
            Renew => {}
        }
        self
    }
}

/// The worlds in which each row is tried: encrypted and signed, with and without revocation, and
/// with a store that never waits.
fn worlds() -> impl Iterator<Item = World> {
    let both = |kind: Kind| [kind.world(), kind.signed()];
    let waiting = Kind::OVERFLOWING.into_iter().flat_map(both);
    waiting.chain([at_once()])
}

fn at_once() -> World {
    let stores = Stores::new();
    let cookies = CookieStore::new().overflow(stores.records.at_once());
    let config = SessionConfig::new("s", cookies.up_to(500), keys()).cookie_name("s");
    World::new(Kind::Overflow, stores, config)
}

/// Brings a session somewhere by the events `from`. Checks that `event` then moves it to this
/// place, with these calls to the store.
async fn expect(from: &[Event], event: Event, to: Place, calls: &[Op]) {
    for world in worlds() {
        let what = format!("{:?}, {from:?}, then {event:?}", world.kind);
        let jar = &mut Jar::default();
        let mut earlier = Vec::new();
        for event in from {
            event.happen(&world, jar).await;
            earlier.push(jar.clone());
        }
        let before = Seen::of(&world, jar).await;
        world.records().take_log();
        let response = event.happen(&world, jar).await;
        assert_eq!(response.status(), StatusCode::OK, "{what}");
        assert_eq!(world.records().take_log(), calls, "{what}");
        assert_eq!(world.place(jar).await, to, "{what}");
        let is_record = usize::from(to == Record);
        assert_eq!(world.records().sessions().await, is_record, "{what}");
        let after = Seen::of(&world, jar).await;
        let id = after.id;
        let expected = before.clone().after(event);
        assert_eq!(after, Seen { id, ..expected }, "{what}");
        let keeps_id = !from.is_empty() && matches!(event, Count | Grow | Shrink);
        assert_eq!(id == before.id && id.is_some(), keeps_id, "{what}");
        if from.is_empty() || keeps_id {
            continue;
        }
        // Only revocation knows of the cookies that hold values.
        for jar in earlier {
            let is_dead = world.place(&jar).await == Nowhere;
            let is_known = world.kind == Kind::RevocableOverflow;
            assert!(is_dead || !is_known, "{what}");
        }
    }
}

#[tokio::test]
async fn new_that_fits() {
    expect(&[], Count, Cookie, &[]).await;
}

#[tokio::test]
async fn new_too_large() {
    expect(&[], Grow, Record, &[Create]).await;
}

#[tokio::test]
async fn cookie_changed() {
    expect(&[Count], Count, Cookie, &[]).await;
    expect(&[Count, Count], Count, Cookie, &[]).await;
}

#[tokio::test]
async fn cookie_outgrown() {
    expect(&[Count], Grow, Record, &[Create]).await;
}

#[tokio::test]
async fn cookie_outgrown_beside_a_used_record() {
    for world in worlds() {
        let (mut jar, mut late) = two_of_one_cookie(&world).await;
        Grow.happen(&world, &mut jar).await;
        Count.happen(&world, &mut jar).await;
        Count.happen(&world, &mut late).await;
        world.records().take_log();
        world.set(&mut late, "other", 1_000).await;
        assert_eq!(world.records().take_log(), [Create, Load, Update]);
        for jar in [&mut jar, &mut late] {
            assert_eq!(world.place(jar).await, Record);
            let lens = world.lens(jar, ["large", "other"]).await;
            assert_eq!(lens, [Some(1_000); 2]);
            assert_eq!(world.get(jar, "n").await, Some(2));
        }
    }
}

#[tokio::test]
async fn cookie_outgrown_beside_one_of_its_rev() {
    for world in worlds() {
        let (mut jar, mut late) = two_of_one_cookie(&world).await;
        Grow.happen(&world, &mut jar).await;
        world.records().take_log();
        world.set(&mut late, "other", 1_000).await;
        assert_eq!(world.records().take_log(), [Create, Load, Update]);
        for jar in [&mut jar, &mut late] {
            let lens = world.lens(jar, ["large", "other"]).await;
            assert_eq!(lens, [Some(1_000); 2]);
        }
    }
}

#[tokio::test]
async fn cookie_outgrown_beside_an_older_rev() {
    for world in worlds() {
        let (mut jar, lost) = two_of_one_cookie(&world).await;
        world.set_lost(&lost, "lost", 1_000).await;
        Count.happen(&world, &mut jar).await;
        world.records().take_log();
        Grow.happen(&world, &mut jar).await;
        assert_eq!(world.records().take_log(), [Create, Load, Update]);
        let lens = world.lens(&mut jar, ["large", "lost"]).await;
        assert_eq!(lens, [Some(1_000), None]);
        assert_eq!(world.get(&mut jar, "n").await, Some(2));
    }
}

/// The lost response's request does not know that it has made the record, and saves again.
#[tokio::test]
async fn cookie_outgrown_again_beside_a_later_rev() {
    for world in Kind::OVERFLOWING.map(Kind::world) {
        let (mut jar, mut late) = two_of_one_cookie(&world).await;
        let save = async |session: Session| {
            session.load().await.unwrap();
            session.insert("other", "x".repeat(1_000)).unwrap();
            world.records().at(After, Create, Hang);
            assert!(until_it_hangs(session.save()).await.is_none());
            Count.happen(&world, &mut jar).await;
            Grow.happen(&world, &mut jar).await;
        };
        let (_, response) = world.visit(&mut late, save).await;
        assert_eq!(response.status(), StatusCode::OK);
        for jar in [&mut jar, &mut late] {
            let lens = world.lens(jar, ["large", "other"]).await;
            assert_eq!(lens, [Some(1_000); 2], "{:?}", world.kind);
            assert_eq!(world.get(jar, "n").await, Some(2));
        }
    }
}

/// A request that does not know the record has written to it since.
#[tokio::test]
async fn cookie_outgrown_beside_a_used_record_with_a_late_write() {
    for world in worlds() {
        let (mut jar, mut late) = two_of_one_cookie(&world).await;
        let mut later = late.clone();
        world.set(&mut later, "small", 1).await;
        Grow.happen(&world, &mut jar).await;
        Count.happen(&world, &mut jar).await;
        world.set(&mut late, "other", 1_000).await;
        world.set(&mut later, "too", 1_000).await;
        for jar in [&mut jar, &mut late, &mut later] {
            let lens = world.lens(jar, ["large", "other", "too"]).await;
            assert_eq!(lens, [Some(1_000); 3]);
        }
    }
}

#[tokio::test]
async fn cookie_outgrown_beside_a_later_rev() {
    for world in worlds() {
        let (mut jar, mut late) = two_of_one_cookie(&world).await;
        Count.happen(&world, &mut jar).await;
        Grow.happen(&world, &mut jar).await;
        world.records().take_log();
        world.set(&mut late, "other", 1_000).await;
        assert_eq!(world.records().take_log(), [Create, Load, Update]);
        for jar in [&mut jar, &mut late] {
            let lens = world.lens(jar, ["large", "other"]).await;
            assert_eq!(lens, [Some(1_000); 2]);
            assert_eq!(world.get(jar, "n").await, Some(2));
        }
    }
}

/// The request that made the record writes to it again, after one that knows it.
#[tokio::test]
async fn cookie_outgrown_beside_a_used_record_with_a_write_by_its_maker() {
    for world in worlds() {
        let (mut jar, mut later) = two_of_one_cookie(&world).await;
        world.set(&mut later, "small", 1).await;
        let grow = async |session: Session| {
            session.load().await.unwrap();
            session.insert("large", "x".repeat(1_000)).unwrap();
            session
        };
        let (maker, _) = world.visit(&mut jar, grow).await;
        maker.load().await.unwrap();
        maker.insert("other", "x".repeat(1_000)).unwrap();
        Count.happen(&world, &mut jar).await;
        maker.save().await.unwrap();
        world.set(&mut later, "too", 1_000).await;
        for jar in [&mut jar, &mut later] {
            let lens = world.lens(jar, ["large", "other", "too"]).await;
            assert_eq!(lens, [Some(1_000); 3], "{:?}", world.kind);
        }
    }
}

/// A request that fails after it has saved the record leaves it to the others, whichever made it.
#[tokio::test]
async fn cookie_outgrown_beside_one_of_its_rev_while_the_store_of_ends_fails() {
    for is_first in [false, true] {
        let world = Kind::RevocableOverflow.world();
        let (mut one, mut other) = two_of_one_cookie(&world).await;
        if !is_first {
            Grow.happen(&world, &mut one).await;
        }
        let fail = async |session: Session| {
            session.load().await.unwrap();
            session.insert("large", "y".repeat(1_000)).unwrap();
            world.records().at(After, Create, Wait);
        };
        let meanwhile = async {
            world.records().reached().await;
            if is_first {
                Grow.happen(&world, &mut one).await;
            }
            world.ends().every(Before, Load, Fail);
            world.records().go();
        };
        let ((_, response), ()) = tokio::join!(world.visit(&mut other, fail), meanwhile);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        world.calm();
        let seen = Seen::of(&world, &one).await;
        assert_eq!((seen.n, seen.is_large), (Some(1), true), "{is_first}");
    }
}

/// Two jars with one cookie of a session.
async fn two_of_one_cookie(world: &World) -> (Jar, Jar) {
    let mut jar = Jar::default();
    Count.happen(world, &mut jar).await;
    (jar.clone(), jar)
}

#[tokio::test]
async fn record_changed() {
    expect(&[Grow], Count, Record, &[Load, Update]).await;
    expect(&[Count, Grow], Count, Record, &[Load, Update]).await;
}

#[tokio::test]
async fn record_that_would_fit_again() {
    expect(&[Count, Grow], Shrink, Record, &[Load, Update]).await;
    expect(&[Count, Grow, Shrink], Count, Record, &[Load, Update]).await;
}

#[tokio::test]
async fn record_changed_by_two() {
    for world in worlds() {
        let jar = &mut Jar::default();
        Count.happen(&world, jar).await;
        Grow.happen(&world, jar).await;
        let mut other = jar.clone();
        let count = async |session: Session| {
            session.load().await.unwrap();
            session.update("n", |n: &mut u32| *n += 1).unwrap();
            Count.happen(&world, &mut other).await;
            world.records().take_log();
        };
        world.visit(jar, count).await;
        assert_eq!(world.records().take_log(), [Update, Load, Update]);
        assert_eq!(world.get(jar, "n").await, Some(3));
    }
}

#[tokio::test]
async fn record_and_a_late_cookie() {
    for world in worlds() {
        let (mut jar, mut late) = two_of_one_cookie(&world).await;
        Grow.happen(&world, &mut jar).await;
        Count.happen(&world, &mut jar).await;
        world.records().take_log();
        let response = Count.happen(&world, &mut late).await;
        assert!(world.records().take_log().is_empty());
        // The browser keeps the last response's cookie.
        assert!(!no_cookie(&response));
        assert_eq!(world.place(&late).await, Cookie);
        assert!(!Seen::of(&world, &late).await.is_large);
        // The record still exists, and the session outgrows into it.
        let response = Grow.happen(&world, &mut late).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(world.records().take_log(), [Create, Load, Update]);
        assert_eq!(world.place(&late).await, Record);
        assert_eq!(Seen::of(&world, &late).await, Seen::of(&world, &jar).await);
    }
}

#[tokio::test]
async fn new_renewed() {
    expect(&[], GrowAndRenew, Record, &[Create]).await;
}

#[tokio::test]
async fn cookie_renewed() {
    expect(&[Count], Renew, Cookie, &[Create]).await;
}

#[tokio::test]
async fn cookie_renewed_and_outgrown() {
    expect(&[Count], GrowAndRenew, Record, &[Create, Create]).await;
}

/// What a lost response has saved is taken along, as a change beside it would be.
#[tokio::test]
async fn cookie_renewed_beside_one_of_its_rev() {
    for world in worlds() {
        let (mut jar, mut late) = two_of_one_cookie(&world).await;
        Grow.happen(&world, &mut jar).await;
        world.records().take_log();
        Renew.happen(&world, &mut late).await;
        let calls = [Create, Load, Create, Update];
        assert_eq!(world.records().take_log(), calls);
        assert_eq!(world.place(&late).await, Record);
        assert!(Seen::of(&world, &late).await.is_large);
        assert_eq!(world.records().sessions().await, 1);
    }
}

#[tokio::test]
async fn cookie_renewed_beside_an_older_rev() {
    for world in worlds() {
        let (mut jar, lost) = two_of_one_cookie(&world).await;
        world.set_lost(&lost, "lost", 1_000).await;
        Count.happen(&world, &mut jar).await;
        world.records().take_log();
        Renew.happen(&world, &mut jar).await;
        assert_eq!(world.records().take_log(), [Create, Load, Update]);
        assert_eq!(world.place(&jar).await, Cookie);
        assert_eq!(world.lens(&mut jar, ["lost"]).await, [None]);
        assert_eq!(world.get(&mut jar, "n").await, Some(2));
        assert_eq!(world.records().sessions().await, 0);
    }
}

/// Renews the session of these cookies. The others act at this call of the renewal.
async fn renew_beside(
    world: &World,
    jar: &mut Jar,
    (when, call): (When, Op),
    others: impl Future<Output = ()>,
) -> StatusCode {
    world.records().at(when, call, Wait);
    let (response, ()) = tokio::join!(Renew.happen(world, jar), async {
        world.records().reached().await;
        others.await;
        world.records().go();
    });
    response.status()
}

/// The record is gone when the renewal looks at it, or when it has taken it along: then the renewal
/// would bring back what was there.
#[tokio::test]
async fn cookie_renewed_beside_a_record_that_is_emptied() {
    let cases = [
        ((After, Create), StatusCode::OK, Some(1)),
        ((Before, Update), StatusCode::CONFLICT, None),
    ];
    for (call, status, n) in cases {
        for world in Kind::OVERFLOWING.map(Kind::world) {
            let what = format!("{:?}, {call:?}", world.kind);
            let (mut jar, mut late) = two_of_one_cookie(&world).await;
            Grow.happen(&world, &mut jar).await;
            let empty = async { drop(Empty.happen(&world, &mut jar).await) };
            let answered = renew_beside(&world, &mut late, call, empty).await;
            assert_eq!(answered, status, "{what}");
            assert_eq!(world.records().sessions().await, 0, "{what}");
            if n.is_some() {
                assert_eq!(Seen::of(&world, &late).await.n, n, "{what}");
            }
        }
    }
}

/// Nobody remembers its end but the record.
#[tokio::test]
async fn cookie_renewed_beside_a_record_that_has_just_ended() {
    let world = Kind::Overflow.world();
    let (mut jar, mut late) = two_of_one_cookie(&world).await;
    Grow.happen(&world, &mut jar).await;
    Destroy.happen(&world, &mut jar).await;
    let response = Renew.happen(&world, &mut late).await;
    assert_eq!(response.status(), StatusCode::CONFLICT);
}

/// Its cookie lives on, and no store remembers that it has been renewed.
#[tokio::test]
async fn cookie_renewed_again() {
    for renews_first in [Renew, GrowAndRenew] {
        let world = Kind::Overflow.world();
        let (lost, mut jar) = two_of_one_cookie(&world).await;
        renews_first.happen(&world, &mut lost.clone()).await;
        let response = Renew.happen(&world, &mut jar).await;
        assert_eq!(response.status(), StatusCode::OK, "{renews_first:?}");
        assert_eq!(world.get(&mut jar, "n").await, Some(1), "{renews_first:?}");
    }
}

/// The first renewal fails after its mark. Its end was never set, so the second is no loser.
#[tokio::test(start_paused = true)]
async fn cookie_renewed_after_a_renewal_that_failed() {
    let cases = [
        (Kind::Overflow, false, After),
        (Kind::RevocableOverflow, false, After),
        (Kind::RevocableOverflow, true, Before),
    ];
    for (kind, of_ends, when) in cases {
        let world = kind.in_time();
        let what = format!("{kind:?}, {of_ends}");
        let store = if of_ends {
            world.ends()
        } else {
            world.records()
        };
        let (mut jar, _) = two_of_one_cookie(&world).await;
        store.every(when, Create.of_sessions(), Hang);
        Renew.happen(&world, &mut jar.clone()).await;
        world.calm();
        let response = Renew.happen(&world, &mut jar).await;
        assert_eq!(response.status(), StatusCode::OK, "{what}");
        assert_eq!(Seen::of(&world, &jar).await.n, Some(1), "{what}");
    }
}

/// The second of two renewals comes while the first has its mark and no end. The end decides.
#[tokio::test]
async fn cookie_renewed_beside_a_slower_renewal() {
    let world = Kind::RevocableOverflow.world();
    let (mut jar, mut other) = two_of_one_cookie(&world).await;
    let second = async {
        let response = Renew.happen(&world, &mut other).await;
        assert_eq!(response.status(), StatusCode::OK);
    };
    let first = renew_beside(&world, &mut jar, (After, Create), second).await;
    assert_eq!(first, StatusCode::CONFLICT);
    assert_eq!(Seen::of(&world, &other).await.n, Some(1));
}

/// The record that is not merged has been used meanwhile, and cannot be looked at.
#[tokio::test]
async fn cookie_not_renewed_beside_an_older_rev_that_cannot_be_seen() {
    for world in Kind::OVERFLOWING.map(Kind::world) {
        let (mut large, mut jar) = two_of_one_cookie(&world).await;
        Grow.happen(&world, &mut large).await;
        Count.happen(&world, &mut jar).await;
        let used = async {
            Count.happen(&world, &mut large).await;
            world.records().at(Before, Load, Fail);
        };
        let answered = renew_beside(&world, &mut jar, (Before, Update), used).await;
        let what = format!("{:?}", world.kind);
        assert_eq!(answered, StatusCode::SERVICE_UNAVAILABLE, "{what}");
        assert!(Seen::of(&world, &large).await.is_large, "{what}");
        assert_eq!(Seen::of(&world, &jar).await.n, Some(2), "{what}");
    }
}

/// What the renewal has found in the record is another renewal's now, and has ended with it.
#[tokio::test]
async fn cookie_renewed_beside_a_logout_of_what_outgrew_it() {
    let world = Kind::Overflow.world();
    let (mut jar, mut late) = two_of_one_cookie(&world).await;
    Grow.happen(&world, &mut jar).await;
    let ended = async {
        Renew.happen(&world, &mut jar).await;
        Destroy.happen(&world, &mut jar).await;
    };
    let answered = renew_beside(&world, &mut late, (Before, Update), ended).await;
    assert_eq!(answered, StatusCode::CONFLICT);
    assert!(!Seen::of(&world, &late).await.is_large);
}

/// The record is emptied behind the renewal's back, and another cookie outgrows into it.
#[tokio::test]
async fn cookie_renewed_beside_a_record_that_is_emptied_and_outgrown_again() {
    for world in Kind::OVERFLOWING.map(Kind::world) {
        let mut older = Jar::default();
        Count.happen(&world, &mut older).await;
        let mut jar = older.clone();
        Count.happen(&world, &mut jar).await;
        let mut late = jar.clone();
        Grow.happen(&world, &mut jar).await;
        let outgrown_again = async {
            Empty.happen(&world, &mut jar).await;
            world.set(&mut older, "other", 1_000).await;
        };
        let answered = renew_beside(&world, &mut late, (Before, Update), outgrown_again).await;
        assert_eq!(answered, StatusCode::CONFLICT, "{:?}", world.kind);
        assert!(!Seen::of(&world, &late).await.is_large);
    }
}

/// The renewal has taken the record along, so it must be finished.
#[tokio::test]
async fn cookie_half_renewed_beside_one_of_its_rev() {
    let world = Kind::RevocableOverflow.world();
    let (mut jar, mut late) = two_of_one_cookie(&world).await;
    Grow.happen(&world, &mut jar).await;
    let renew = async |session: Session| {
        session.load().await.unwrap();
        session.insert("other", "x".repeat(1_000)).unwrap();
        session.renew();
        world.ends().at(Before, Create, Fail);
        assert!(session.save().await.is_err());
    };
    let (_, response) = world.visit(&mut late, renew).await;
    assert_eq!(response.status(), StatusCode::OK);
    let lens = world.lens(&mut late, ["large", "other"]).await;
    assert_eq!(lens, [Some(1_000); 2]);
    assert_eq!(world.place(&jar).await, Nowhere);
    assert_eq!(world.records().sessions().await, 1);
}

/// The mark may be there, and has taken the record along.
#[tokio::test(start_paused = true)]
async fn cookie_renewed_beside_one_of_its_rev_without_an_answer() {
    for (kind, when) in Kind::OVERFLOWING
        .into_iter()
        .flat_map(|kind| [(kind, Before), (kind, After)])
    {
        let world = kind.world();
        let (mut jar, mut late) = two_of_one_cookie(&world).await;
        Grow.happen(&world, &mut jar).await;
        let renew = async |session: Session| {
            session.load().await.unwrap();
            session.insert("other", "x".repeat(1_000)).unwrap();
            session.renew();
            // The first load finds the record, and the second looks for the mark.
            world.records().nth(2, Before, Load, Cut);
            world.records().nth(3, Before, Load, Cut);
            // The first update is of the new record.
            world.records().nth(2, when, Update, Cut);
            world.records().nth(3, when, Update, Cut);
            assert!(session.save().await.is_err());
            world.calm();
        };
        let (_, response) = world.visit(&mut late, renew).await;
        let what = format!("{kind:?} {when:?}");
        assert_eq!(response.status(), StatusCode::OK, "{what}");
        let lens = world.lens(&mut late, ["large", "other"]).await;
        assert_eq!(lens, [Some(1_000); 2], "{what}");
        assert_eq!(world.records().sessions().await, 1, "{what}");
    }
}

/// It stays in its cookie, and may still outgrow that.
#[tokio::test]
async fn cookie_not_renewed_because_the_store_of_ends_fails() {
    for event in [Renew, GrowAndRenew] {
        let world = Kind::RevocableOverflow.world();
        let (mut jar, _) = two_of_one_cookie(&world).await;
        world.ends().at(Before, Create, Fail);
        let response = event.happen(&world, &mut jar).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(world.records().memory.len(), 0, "no mark stays");
        assert_eq!(world.place(&jar).await, Cookie);
        let response = Grow.happen(&world, &mut jar).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(world.get(&mut jar, "n").await, Some(1));
    }
}

#[tokio::test]
async fn record_renewed() {
    let calls = [Load, Create, Update];
    expect(&[Count, Grow], Renew, Record, &calls).await;
    expect(&[Count, Grow, Count], Renew, Record, &calls).await;
}

#[tokio::test]
async fn record_renewed_that_fits_again() {
    let calls = [Load, Update];
    expect(&[Count, Grow, Shrink], Renew, Cookie, &calls).await;
    expect(&[Count, Grow], ShrinkAndRenew, Cookie, &calls).await;
}

#[tokio::test]
async fn new_destroyed() {
    expect(&[], Destroy, Nowhere, &[]).await;
}

#[tokio::test]
async fn cookie_destroyed() {
    expect(&[Count], Destroy, Nowhere, &[Load]).await;
}

#[tokio::test]
async fn record_destroyed() {
    expect(&[Count, Grow], Destroy, Nowhere, &[Load, Update]).await;
    expect(&[Count, Grow, Shrink], Destroy, Nowhere, &[Load, Update]).await;
}
