//! From the first visit to the logout.

use http::header;
use silverback::{Rejection, Session};

use crate::support::{DAY, Jar, Kind, MINUTE, no_cookie, set_cookie};

#[tokio::test]
async fn an_unused_session_leaves_no_trace() {
    let site = Kind::Memory.world();
    let store = &site.records().memory;
    for jar in [&mut Jar::default(), &mut Jar::with("s", "rubbish")] {
        let (_, response) = site.visit(jar, async |_| ()).await;
        assert!(response.headers().is_empty());
    }
    assert!(store.is_empty());
}

#[tokio::test]
async fn reading_adds_vary_and_sets_nothing() {
    let site = Kind::Memory.world();
    let store = &site.records().memory;
    let jar = &mut Jar::default();
    let (_, response) = site
        .visit(jar, async |session| session.get::<u8>("n").unwrap())
        .await;
    assert!(no_cookie(&response) && store.is_empty());
    assert_eq!(response.headers()[header::VARY], "Cookie");
}

#[tokio::test]
async fn values_added_and_removed_make_no_session() {
    let site = Kind::Memory.world();
    let store = &site.records().memory;
    let (_, response) = site
        .visit(&mut Jar::default(), async |session| {
            session.insert("n", 1).unwrap();
            session.remove("n").unwrap();
            session.persist_for(DAY);
            session.renew();
        })
        .await;
    assert!(no_cookie(&response) && store.is_empty());
}

#[tokio::test]
async fn a_session_comes_back_with_its_cookie() {
    for site in Kind::SIMPLE.map(Kind::world) {
        let jar = &mut Jar::default();
        let (_, response) = site
            .visit(jar, async |session| {
                assert!(session.is_new().unwrap() && session.record_key().is_none());
                session.insert("user", "Ada").unwrap();
            })
            .await;
        assert!(set_cookie(&response).ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/"));
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        site.visit(jar, async |session| {
            assert!(!session.is_new().unwrap() && session.record_key().is_some());
            assert_eq!(session.rejection(), None);
            assert_eq!(
                session.get::<String>("user").unwrap().as_deref(),
                Some("Ada")
            );
        })
        .await;
    }
}

#[tokio::test]
async fn a_write_keeps_a_stores_cookie() {
    let site = Kind::Memory.world();
    let jar = &mut Jar::default();
    site.visit(jar, async |session| session.insert("n", 1).unwrap())
        .await;
    let (_, response) = site
        .visit(jar, async |session| session.insert("n", 2).unwrap())
        .await;
    assert!(no_cookie(&response));
}

#[tokio::test]
async fn renew_keeps_values_and_kills_the_old_id() {
    let site = Kind::Memory.world();
    let jar = &mut Jar::default();
    site.visit(jar, async |session| session.insert("cart", 1).unwrap())
        .await;
    let old = jar.clone();
    let (before, response) = site
        .visit(jar, async |session| {
            session.renew();
            session.insert("user", "Ada").unwrap();
            session.record_key()
        })
        .await;
    set_cookie(&response);
    assert_ne!(old.value("s"), jar.value("s"));
    let (after, _) = site
        .visit(jar, async |session| {
            assert_eq!(session.get("cart").unwrap(), Some(1));
            assert_eq!(
                session.get::<String>("user").unwrap().as_deref(),
                Some("Ada")
            );
            session.record_key()
        })
        .await;
    assert!(before.is_some() && after.is_some() && before != after);
    assert_eq!(site.records().sessions().await, 1);

    for why in [Rejection::Renewed, Rejection::NotFound] {
        let (rejection, response) = site
            .visit(&mut old.clone(), async |session| session.rejection())
            .await;
        assert_eq!(rejection, Some(why));
        assert!(
            no_cookie(&response),
            "a stale cookie is not removed: the browser may be getting a new one"
        );
        site.clock.advance(MINUTE);
    }
}

#[tokio::test]
async fn an_unknown_id_is_never_adopted() {
    let site = Kind::Memory.world();
    let jar = &mut Jar::default();
    site.visit(jar, async |session| session.insert("n", 1).unwrap())
        .await;
    let stale = jar.clone();
    site.visit(jar, async |session| session.destroy().await.unwrap())
        .await;
    site.clock.advance(MINUTE); // its mark is over
    let jar = &mut stale.clone();
    let (_, _) = site
        .visit(jar, async |session| session.insert("n", 2).unwrap())
        .await;
    assert_ne!(jar.value("s"), stale.value("s"));
    assert_eq!(site.records().sessions().await, 1);
    let (read, _) = site
        .visit(&mut stale.clone(), async |session| {
            session.get::<u8>("n").unwrap()
        })
        .await;
    assert_eq!(read, None);
}

#[tokio::test]
async fn destroy_removes_record_and_cookie() {
    for named in ["s", "__Host-s"] {
        let site = Kind::Memory.with(|config| config.cookie_name(named));
        let jar = &mut Jar::default();
        site.visit(jar, async |session| session.insert("n", 1).unwrap())
            .await;
        let (_, response) = site
            .visit(jar, async |session| {
                session.destroy().await.unwrap();
                let left = site.records().sessions().await;
                assert_eq!(left, 0, "gone when destroy returns");
                assert!(session.is_empty().unwrap() && session.is_new().unwrap());
            })
            .await;
        assert_eq!(
            set_cookie(&response),
            format!(
                "{named}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; \
                 HttpOnly; SameSite=Lax; Secure; Path=/"
            )
        );
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        assert!(jar.0.is_empty());
    }
}

/// Nobody knows any longer how the first session ended.
#[tokio::test]
async fn a_session_is_destroyed_again_long_after() {
    for kind in Kind::PLAIN {
        let (world, jar) = (kind.world(), &mut Jar::default());
        world.put(jar, "n", 1).await;
        let destroy = async |session: Session| {
            session.load().await.unwrap();
            session.destroy().await.unwrap();
            world.clock.advance(2 * MINUTE);
            session.destroy().await.unwrap();
        };
        world.visit(jar, destroy).await;
    }
}

#[tokio::test]
async fn destroying_nothing_writes_nothing() {
    let site = Kind::Memory.world();
    let store = &site.records().memory;
    let (_, response) = site
        .visit(&mut Jar::default(), async |session| {
            session.destroy().await.unwrap()
        })
        .await;
    assert!(no_cookie(&response) && store.is_empty());
}

#[tokio::test]
async fn a_session_after_destroy_is_another_one() {
    for site in Kind::SIMPLE.map(Kind::world) {
        let jar = &mut Jar::default();
        site.visit(jar, async |session| session.insert("old", 1).unwrap())
            .await;
        let before = jar.clone();
        let (_, response) = site
            .visit(jar, async |session| {
                session.destroy().await.unwrap();
                session.insert("new", 2).unwrap();
            })
            .await;
        set_cookie(&response);
        assert_ne!(before.value("s"), jar.value("s"));
        let (keys, _) = site
            .visit(jar, async |session| session.keys().unwrap())
            .await;
        assert_eq!(keys, ["new"]);
    }
}

#[tokio::test]
async fn a_save_is_stored_and_sets_the_cookie() {
    let site = Kind::Memory.world();
    let store = &site.records().memory;
    let jar = &mut Jar::default();
    let (_, response) = site
        .visit(jar, async |session| {
            session.insert("n", 1).unwrap();
            session.save().await.unwrap();
            assert_eq!(store.len(), 1);
            assert!(!session.is_new().unwrap() && session.record_key().is_some());
            session.save().await.unwrap();
        })
        .await;
    set_cookie(&response);
    let (read, _) = site
        .visit(jar, async |session| session.get("n").unwrap())
        .await;
    assert_eq!(read, Some(1));
}
