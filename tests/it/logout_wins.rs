//! A logout wins against a renewal that is under way or recent.

use std::convert::Infallible;

use http::{HeaderValue, Request, Response, header};
use silverback::{Error, ErrorKind, Session, store::Store as _};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    Jar, Kind, MINUTE, SECOND, World, failure,
    log::recorded,
    no_cookie,
    schedule::cut_off,
    scripted::{After, Before, Create, Cut, LoadMany, Scripted, Update, Wait},
    set_cookie,
    steps::in_between,
};

/// The greatest number of renewals that a logout follows.
const HOPS: usize = 8;

async fn is_there(world: &World, jar: &Jar) -> bool {
    let len = async |session: Session| {
        session.load().await.unwrap();
        session.len().unwrap()
    };
    world.visit(&mut jar.clone(), len).await.0 > 0
}

/// Returns whether the session lives under any of these names.
async fn is_alive(world: &World, jars: &[Jar]) -> bool {
    for jar in jars {
        if is_there(world, jar).await {
            return true;
        }
    }
    false
}

async fn log_out(world: &World, jar: &mut Jar) -> (Result<(), ErrorKind>, Response<String>) {
    let destroy = async |session: Session| session.destroy().await;
    let (done, response) = world.visit(jar, destroy).await;
    (done.map_err(|error: Error| error.kind()), response)
}

/// Renews the session this many times, and returns all its cookies.
async fn renewed(world: &World, times: usize) -> Vec<Jar> {
    let mut jar = world.grown().await;
    let mut all = vec![jar.clone()];
    for _ in 0..times {
        world.renew(&mut jar).await;
        all.push(jar.clone());
    }
    all
}

fn worlds() -> impl Iterator<Item = World> {
    let both = |kind: Kind| {
        let sealed = (kind != Kind::Revocable && kind != Kind::RemoteRevocable)
            .then(|| kind.with(|config| config.encrypt_records()));
        std::iter::once(kind.world()).chain(sealed)
    };
    Kind::ENDED_BY_SERVER.into_iter().flat_map(both)
}

#[tokio::test]
async fn it_follows_eight_renewals() {
    for times in [1, 2, HOPS] {
        for world in worlds() {
            let all = renewed(&world, times).await;
            assert!(is_there(&world, &all[times]).await);
            let (done, response) = log_out(&world, &mut all[0].clone()).await;
            let what = format!("{:?}, {times} renewals", world.kind);
            assert_eq!(done, Ok(()), "{what}");
            assert!(set_cookie(&response).starts_with("s=; Max-Age=0"), "{what}");
            assert!(!is_alive(&world, &all).await, "{what}");
        }
    }
}

#[tokio::test]
async fn one_that_cannot_follow_is_an_error() {
    for world in worlds() {
        let all = renewed(&world, HOPS + 1).await;
        let (done, response) = log_out(&world, &mut all[0].clone()).await;
        assert_eq!(done, Err(ErrorKind::Conflict), "{:?}", world.kind);
        assert!(no_cookie(&response), "{:?}", world.kind);
        assert!(is_there(&world, &all[HOPS + 1]).await, "{:?}", world.kind);
    }
}

/// So anyone who knew a session's former name can end the login for at most a minute.
#[tokio::test]
async fn it_follows_for_a_minute() {
    for world in worlds() {
        for (age, lives) in [(59 * SECOND, false), (MINUTE, true)] {
            let all = renewed(&world, 1).await;
            world.clock.advance(age);
            let (done, _) = log_out(&world, &mut all[0].clone()).await;
            let what = format!("{:?}, {age:?}", world.kind);
            assert_eq!(done, Ok(()), "{what}");
            assert_eq!(is_there(&world, &all[1]).await, lives, "{what}");
        }
    }
}

/// Runs one of the two at each call of the other.
async fn at_each_call(first_renews: bool, store: impl Fn(&World) -> Scripted, kind: Kind) {
    for when in [Before, After] {
        for n in 1.. {
            let world = kind.world();
            let before = world.grown().await;
            let (mut renewed, mut ended) = (before.clone(), before.clone());
            let what = format!("{kind:?}, {when:?} call {n}, renews first: {first_renews}");
            let hook = (&store(&world), n, when);
            let renewal = world.renew(&mut renewed);
            let logout = log_out(&world, &mut ended);
            let (done, is_over) = if first_renews {
                let (_, logout) = in_between(hook, renewal, logout).await;
                let is_over = logout.is_none();
                (logout.map_or(Ok(()), |(done, _)| done), is_over)
            } else {
                let ((done, _), renewal) = in_between(hook, logout, renewal).await;
                (done, renewal.is_none())
            };
            if is_over {
                assert!(n > 1, "{what}");
                break;
            }
            assert_eq!(done, Ok(()), "{what}");
            assert!(!is_alive(&world, &[before, renewed, ended]).await, "{what}");
        }
    }
}

#[tokio::test]
async fn a_renewal_meets_it_at_any_call() {
    for first_renews in [true, false] {
        at_each_call(first_renews, |world| world.records().clone(), Kind::Remote).await;
        let kind = Kind::RemoteRevocable;
        at_each_call(first_renews, |world| world.ends().clone(), kind).await;
        let kind = Kind::RevocableOverflow;
        at_each_call(first_renews, |world| world.records().clone(), kind).await;
        at_each_call(first_renews, |world| world.ends().clone(), kind).await;
    }
}

/// The renewal moves the shrunk session from its record into the cookie.
#[tokio::test]
async fn a_renewal_into_the_cookie_meets_it() {
    for n in 1.. {
        let world = Kind::RevocableOverflow.world();
        let jar = &mut world.grown().await;
        world.put(jar, "cart", "").await;
        let mut other = jar.clone();
        let renew = async |session: Session| {
            session.load().await.unwrap();
            session.insert("n", 1).unwrap();
            session.renew();
        };
        let hook = (world.ends(), n, Before);
        let logout = log_out(&world, &mut other);
        let ((_, response), logout) = in_between(hook, world.visit(jar, renew), logout).await;
        let Some((done, _)) = logout else {
            assert!(n > 2);
            break;
        };
        assert_eq!(done, Ok(()), "call {n}");
        let is_done = failure(&response).is_none();
        assert_eq!(no_cookie(&response), !is_done, "call {n}");
        let found = world.get(jar, "n").await;
        assert_eq!(found, is_done.then_some(1), "call {n}");
        assert_eq!(world.get::<String>(jar, "cart").await, None, "call {n}");
    }
}

/// Nobody can tell whether it lives under another name.
#[tokio::test]
async fn without_a_record_or_a_mark_it_is_gone() {
    for kind in [Kind::Memory, Kind::Remote] {
        let world = kind.world();
        let jar = &mut world.grown().await;
        let destroy = async |session: Session| {
            session.load().await.unwrap();
            world.clock.advance(MINUTE);
            let [key] = world.records().keys()[..] else {
                panic!("there is one session")
            };
            world.records().memory.delete(&key, None).await.unwrap();
            let first = session.destroy().await.unwrap_err().kind();
            // A second attempt knows no more.
            [first, session.destroy().await.unwrap_err().kind()]
        };
        let (errors, response) = world.visit(jar, destroy).await;
        assert_eq!(errors, [ErrorKind::Gone; 2], "{kind:?}");
        assert!(set_cookie(&response).starts_with("s=; Max-Age=0"));
    }
}

#[tokio::test]
async fn twice_at_once_is_once() {
    for world in worlds() {
        let jar = world.grown().await;
        let mut other = jar.clone();
        let destroy = async |session: Session| {
            session.load().await.unwrap();
            let (done, _) = log_out(&world, &mut other).await;
            assert_eq!(done, Ok(()), "{:?}", world.kind);
            session.destroy().await.unwrap();
        };
        let (_, response) = world.visit(&mut jar.clone(), destroy).await;
        assert_eq!(failure(&response), None);
        assert!(!is_there(&world, &jar).await, "{:?}", world.kind);
    }
}

async fn log_out_with(world: &World, jars: &[Jar]) {
    let pairs: Vec<_> = jars
        .iter()
        .map(|jar| format!("s={}", jar.value("s")))
        .collect();
    let mut request = Request::new(());
    let field = HeaderValue::from_str(&pairs.join("; ")).unwrap();
    request.headers_mut().insert(header::COOKIE, field);
    let service = service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap();
        session.destroy().await.unwrap();
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    world.layer.layer(service).oneshot(request).await.unwrap();
}

/// An attacker who plants cookies cannot prevent a logout, nor cause a call for each cookie.
#[tokio::test]
async fn sixty_four_of_the_presented_cookies_are_ended() {
    let world = Kind::Remote.world();
    let mut jars = Vec::new();
    for _ in 0..70 {
        jars.push(world.grown().await);
    }
    world.records().take_log();
    let logged = recorded(async || log_out_with(&world, &jars).await).await;
    assert!(logged.contains("more cookies"), "{logged}");
    let log = world.records().take_log();
    assert_eq!(log[0], LoadMany);
    assert_eq!(log[1..], [Update; 64]);
    for (n, jar) in jars.iter().enumerate() {
        assert_eq!(is_there(&world, jar).await, n >= 64, "cookie {n}");
    }
}

/// One of their sessions was renewed a moment ago.
#[tokio::test]
async fn presented_cookies_are_followed() {
    for world in worlds() {
        let mut jars = renewed(&world, 2).await;
        let newest = jars.pop().unwrap();
        jars.push(world.grown().await);
        log_out_with(&world, &jars).await;
        assert!(!is_alive(&world, &jars).await, "{:?}", world.kind);
        assert!(!is_there(&world, &newest).await, "{:?}", world.kind);
    }
}

/// An open session may live under another name, if its renewal is too old to follow.
#[tokio::test]
async fn one_that_comes_too_late_to_follow_is_an_error() {
    for kind in [
        Kind::Revocable,
        Kind::RemoteRevocable,
        Kind::RevocableOverflow,
    ] {
        for (age, expected) in [(59 * SECOND, Ok(())), (MINUTE, Err(ErrorKind::Gone))] {
            let world = kind.world();
            let jar = &mut Jar::default();
            world.put(jar, "cart", 1).await;
            let renewed = &mut jar.clone();
            let destroy = async |session: Session| {
                session.load().await.unwrap();
                world.renew(renewed).await;
                world.clock.advance(age);
                session.destroy().await.map_err(|error| error.kind())
            };
            let done = world.visit(jar, destroy).await.0;
            assert_eq!(done, expected, "{kind:?}, {age:?}");
            let lives = is_there(&world, renewed).await;
            assert_eq!(lives, expected.is_err(), "{kind:?}, {age:?}");
        }
    }
}

/// Its end and its mark are there, but the answers and the second attempts were lost.
#[tokio::test]
async fn it_recognises_its_own_end_and_mark() {
    for kind in [Kind::RemoteRevocable, Kind::RevocableOverflow, Kind::Remote] {
        let world = kind.world();
        let jar = &mut world.grown().await;
        for (store, op) in [(world.ends(), Create), (world.records(), Update)] {
            store.at(After, op, Cut);
            store.nth(2, Before, op, Cut);
        }
        assert_eq!(log_out(&world, jar).await.0, Ok(()), "{kind:?}");
    }
}

/// The first attempt is cut off, and nobody can tell what it has done. The session was renewed too
/// long ago to be followed.
#[tokio::test]
async fn one_that_was_cut_off_is_no_excuse_for_the_next() {
    for kind in [Kind::RemoteRevocable, Kind::RevocableOverflow, Kind::Remote] {
        for polls in 1..=4 {
            let world = kind.world();
            let jar = &mut world.grown().await;
            let renewed = &mut jar.clone();
            let destroy = async |session: Session| {
                session.load().await.unwrap();
                world.renew(renewed).await;
                world.clock.advance(MINUTE);
                let _ = cut_off(polls, session.destroy()).await;
                session.destroy().await.map_err(|error| error.kind())
            };
            let done = world.visit(jar, destroy).await.0;
            assert_eq!(done, Err(ErrorKind::Gone), "{kind:?}, after {polls} polls");
            assert!(is_there(&world, renewed).await, "{kind:?}");
        }
    }
}

/// Only the request knows the ID that it has given the session.
#[tokio::test]
async fn one_that_was_cut_off_can_be_repeated() {
    for kind in [Kind::RevocableOverflow, Kind::Remote] {
        for polls in 1..=4 {
            let world = kind.world();
            let jar = &mut world.grown().await;
            let destroy = async |session: Session| {
                session.load().await.unwrap();
                session.renew();
                session.save().await.unwrap();
                world.clock.advance(MINUTE);
                let _ = cut_off(polls, session.destroy()).await;
                session.destroy().await.unwrap();
            };
            world.visit(jar, destroy).await;
            assert_eq!(world.records().sessions().await, 0, "{kind:?}, {polls}");
        }
    }
}

/// A late request puts a renewed session into a record, and learns of the renewal only then.
#[tokio::test]
async fn it_follows_past_a_record_made_too_late() {
    let world = Kind::RevocableOverflow.world();
    let mut before = Jar::default();
    world.put(&mut before, "cart", 1).await;
    let mut renewed = before.clone();
    let grow = async |session: Session| {
        session.load().await.unwrap();
        world.renew(&mut renewed).await;
        session.insert("large", "x".repeat(600)).unwrap();
        world.records().at(After, Create, Wait);
    };
    let mut late = before.clone();
    let grow = world.visit(&mut late, grow);
    let log_out = async {
        world.records().reached().await;
        let done = log_out(&world, &mut before.clone()).await.0;
        world.records().go();
        done
    };
    let ((_, response), done) = tokio::join!(grow, log_out);
    assert_eq!(done, Ok(()));
    assert_eq!(failure(&response), Some(ErrorKind::Gone));
    assert!(!is_alive(&world, &[before, late, renewed]).await);
}

/// An overlapping request has made the session last longer, and its response has not arrived yet.
#[tokio::test]
async fn an_expired_reference_is_enough() {
    let in_records = [
        Kind::Memory,
        Kind::Remote,
        Kind::Overflow,
        Kind::RevocableOverflow,
    ];
    for kind in in_records {
        let (idle, absolute) = (5 * MINUTE, 5 * MINUTE);
        let world = kind.with(|config| config.idle_timeout(idle).absolute_timeout(absolute));
        let jar = &mut world.grown().await;
        let newer = &mut jar.clone();
        world.clock.advance(absolute - SECOND);
        let remember = async |session: Session| {
            session.load().await.unwrap();
            session.persist_for(2 * absolute);
        };
        world.visit(newer, remember).await;
        world.clock.advance(2 * SECOND);
        assert!(is_there(&world, newer).await, "{kind:?}");
        let (done, response) = log_out(&world, jar).await;
        assert_eq!(done, Ok(()), "{kind:?}");
        assert!(set_cookie(&response).contains("Max-Age=0"), "{kind:?}");
        assert!(!is_there(&world, newer).await, "{kind:?}");
    }
}
