//! Several cookies of one name: only living sessions count, and two living ones are no session.

use std::{convert::Infallible, sync::Mutex};

use http::{HeaderValue, Request, Response, header};
use silverback::{CookieAttributes, ErrorKind, Rejection, Session};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    DAY, HOUR, Jar, Kind, MINUTE, SECOND, World, failure, no_cookie, scripted::LoadMany,
    set_cookies,
};

/// Kinds that can tell an ended session from a living one.
const TELLING: [Kind; 5] = Kind::ENDED_BY_SERVER;
const ALL: [Kind; 7] = [
    Kind::Cookie,
    Kind::Revocable,
    Kind::RemoteRevocable,
    Kind::Overflow,
    Kind::RevocableOverflow,
    Kind::Memory,
    Kind::Remote,
];

/// The findings and the response of a request with several cookies.
struct Visit {
    user: Option<String>,
    rejection: Option<Rejection>,
    response: Response<String>,
}

async fn visit_with(world: &World, jars: &[&Jar], writes: bool) -> Visit {
    let pairs = jars.iter().map(|jar| format!("s={}", jar.value("s")));
    let field = pairs.collect::<Vec<_>>().join("; ");
    let mut request = Request::new(());
    let field = HeaderValue::from_str(&field).unwrap();
    request.headers_mut().insert(header::COOKIE, field);
    let found = Mutex::new((None, None));
    let service = service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap();
        session.load().await.unwrap();
        *found.lock().unwrap() = (session.get("user").unwrap(), session.rejection());
        if writes {
            session.insert("written", 1).unwrap();
        }
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let response = world.layer.layer(service).oneshot(request).await.unwrap();
    let (user, rejection) = found.into_inner().unwrap();
    Visit {
        user,
        rejection,
        response,
    }
}

/// A browser with a session of this user.
async fn user(world: &World, name: &str) -> Jar {
    let mut jar = Jar::default();
    world.put(&mut jar, "user", name).await;
    jar
}

/// Checks whose session these cookies open, in either order, and that no cookie is set.
async fn assert_is(world: &World, jars: [&Jar; 2], expected: Option<&str>, what: &str) {
    for jars in [jars, [jars[1], jars[0]]] {
        let visit = visit_with(world, &jars, false).await;
        assert_eq!(visit.user.as_deref(), expected, "{what}");
        assert!(no_cookie(&visit.response), "{what}");
        let is_ambiguous = visit.rejection == Some(Rejection::Ambiguous);
        assert_eq!(is_ambiguous, expected.is_none(), "{what}");
    }
}

/// If others can set cookies for a parent domain, a removal could hit the visitor's own cookie and
/// leave the planted one.
#[tokio::test]
async fn two_living_ones_are_no_session_and_stay() {
    for kind in ALL {
        let world = kind.world();
        let (own, planted) = (user(&world, "ada").await, user(&world, "mallory").await);
        for round in 0..3 {
            let what = format!("{kind:?}, {round}");
            assert_is(&world, [&own, &planted], None, &what).await;
        }
        assert_eq!(
            world.get(&mut own.clone(), "user").await,
            Some("ada".to_owned())
        );
    }
}

/// How the session of the other cookie ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dead {
    Destroyed,
    DestroyedLongAgo,
    Renewed,
    Expired,
}

#[tokio::test]
async fn a_dead_one_beside_a_living_one_does_not_count() {
    for kind in TELLING {
        for dead in [
            Dead::Destroyed,
            Dead::DestroyedLongAgo,
            Dead::Renewed,
            Dead::Expired,
        ] {
            let world = kind.world();
            let other = user(&world, "before").await;
            if dead == Dead::Expired {
                world.clock.advance(DAY);
            }
            let mut own = user(&world, "ada").await;
            match dead {
                Dead::Renewed => drop(world.renew(&mut other.clone()).await),
                Dead::Expired => {}
                _ => drop(world.destroy(&mut other.clone()).await),
            }
            if dead == Dead::DestroyedLongAgo {
                world.clock.advance(MINUTE);
            }
            let what = format!("{kind:?}, {dead:?}");
            assert_is(&world, [&own, &other], Some("ada"), &what).await;
            // The living session can be written.
            let visit = visit_with(&world, &[&other, &own], true).await;
            assert_eq!(failure(&visit.response), None, "{what}");
            if let [cookie] = &set_cookies(visit.response.headers())[..] {
                let pair = cookie.split(';').next().unwrap();
                own = Jar::with("s", pair.split_once('=').unwrap().1);
            }
            assert_eq!(world.get(&mut own, "written").await, Some(1), "{what}");
        }
    }
}

#[tokio::test]
async fn one_that_has_just_ended_beside_a_dead_one() {
    for kind in TELLING {
        let world = kind.world();
        let dead = user(&world, "before").await;
        world.destroy(&mut dead.clone()).await;
        world.clock.advance(MINUTE);
        let ended = user(&world, "ada").await;
        world.destroy(&mut ended.clone()).await;
        for jars in [[&dead, &ended], [&ended, &dead]] {
            let visit = visit_with(&world, &jars, true).await;
            assert_eq!(visit.rejection, Some(Rejection::Ended), "{kind:?}");
            assert_eq!(failure(&visit.response), Some(ErrorKind::Gone), "{kind:?}");
            assert!(no_cookie(&visit.response), "{kind:?}");
        }
        world.clock.advance(MINUTE);
        let visit = visit_with(&world, &[&dead, &ended], true).await;
        assert_eq!(failure(&visit.response), None, "{kind:?}");
        assert!(!no_cookie(&visit.response), "{kind:?}");
    }
}

/// Two requests have changed the session of one cookie.
#[tokio::test]
async fn of_two_tokens_of_a_session_the_later_counts() {
    let kinds = [
        Kind::Cookie,
        Kind::Revocable,
        Kind::RemoteRevocable,
        Kind::Overflow,
    ];
    for kind in kinds {
        let world = kind.world();
        let before = user(&world, "ada").await;
        let (mut one, mut other) = (before.clone(), before.clone());
        world.put(&mut one, "user", "one").await;
        let what = format!("{kind:?}");
        assert_is(&world, [&before, &one], Some("one"), &what).await;
        // Equally many changes in the same second: nobody can tell.
        world.put(&mut other, "user", "other").await;
        assert_is(&world, [&one, &other], None, &what).await;
        let mut later = before.clone();
        world.clock.advance(SECOND);
        world.put(&mut later, "user", "later").await;
        assert_is(&world, [&one, &later], Some("later"), &what).await;
        // More changes outweigh a later one.
        let more = &mut one.clone();
        world.put(more, "user", "more").await;
        world.clock.advance(SECOND);
        let mut latest = before.clone();
        world.put(&mut latest, "user", "latest").await;
        assert_is(&world, [&*more, &latest], Some("more"), &what).await;
    }
}

#[tokio::test]
async fn four_are_loaded_at_once_and_five_never() {
    let world = Kind::Remote.world();
    let mut jars = Vec::new();
    for n in 0..5 {
        jars.push(user(&world, &format!("{n}")).await);
    }
    for jar in &jars[1..] {
        world.destroy(&mut jar.clone()).await;
    }
    world.records().take_log();
    let four: Vec<_> = jars.iter().take(4).collect();
    let visit = visit_with(&world, &four, false).await;
    assert_eq!(visit.user.as_deref(), Some("0"));
    assert_eq!(world.records().take_log(), [LoadMany]);
    let five: Vec<_> = jars.iter().collect();
    let visit = visit_with(&world, &five, false).await;
    assert_eq!(visit.rejection, Some(Rejection::Ambiguous));
    assert!(visit.user.is_none() && no_cookie(&visit.response));
    assert_eq!(world.records().take_log(), []);
}

#[tokio::test]
async fn a_failing_store_declares_none_dead() {
    for kind in [Kind::Remote, Kind::RemoteRevocable] {
        let world = kind.world();
        let (one, other) = (user(&world, "ada").await, user(&world, "eve").await);
        world.destroy(&mut other.clone()).await;
        world.fail(LoadMany);
        let jar = &mut Jar::with("s", &format!("{}; s={}", one.value("s"), other.value("s")));
        let load = async |session: Session| session.load().await.unwrap_err().kind();
        let (error, response) = world.visit(jar, load).await;
        assert_eq!(error, ErrorKind::StoreFailed, "{kind:?}");
        assert!(no_cookie(&response), "{kind:?}");
    }
}

/// A deploy has changed the cookies' path.
#[tokio::test]
async fn former_attributes_go_with_the_next_cookie() {
    for kind in ALL {
        let former = CookieAttributes::default().path("/shop");
        let world = kind.with(|config| config.former_attributes(former));
        let jar = &mut Jar::default();
        let response = world.get::<u32>(jar, "nothing").await;
        assert_eq!(response, None);
        let response = world.put(jar, "user", "ada").await;
        let cookies = set_cookies(response.headers());
        assert_eq!(cookies.len(), 2, "{kind:?}: {cookies:?}");
        let is_removal = |cookie: &&String| cookie.contains("Max-Age=0");
        let removals: Vec<_> = cookies.iter().filter(is_removal).collect();
        assert_eq!(removals.len(), 1, "{kind:?}: {cookies:?}");
        assert!(removals[0].contains("Path=/shop"), "{kind:?}: {cookies:?}");
        // A browser with both cookies loses the old one at its next login, not before.
        world.clock.advance(HOUR);
        let read = async |session: Session| {
            session.load().await.unwrap();
            session.len().unwrap()
        };
        let jar = &mut user(&world, "ada").await;
        let (_, response) = world.visit(jar, read).await;
        assert!(no_cookie(&response), "{kind:?}");
        let response = world.renew(jar).await;
        assert_eq!(set_cookies(response.headers()).len(), 2, "{kind:?}");
        let response = world.destroy(jar).await;
        let cookies = set_cookies(response.headers());
        let removals = cookies.iter().filter(is_removal).count();
        assert_eq!((cookies.len(), removals), (2, 2), "{kind:?}");
    }
}
