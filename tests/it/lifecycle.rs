//! From the first visit to the logout.

use http::header;
use silverback::{ErrorKind, Rejection};

use crate::support::{DAY, HOUR, Jar, Site, no_cookie, set_cookie};

#[tokio::test]
async fn a_session_that_is_not_used_leaves_no_trace() {
    let (site, store) = Site::memory();
    for jar in [&mut Jar::default(), &mut Jar::with("s", "rubbish")] {
        let (_, response) = site.visit(jar, async |_| ()).await;
        assert!(response.headers().is_empty());
    }
    assert!(store.is_empty());
}

#[tokio::test]
async fn reading_says_vary_and_sets_nothing() {
    let (site, store) = Site::memory();
    let jar = &mut Jar::default();
    let (_, response) = site
        .visit(jar, async |session| session.get::<u8>("n").unwrap())
        .await;
    assert!(no_cookie(&response) && store.is_empty());
    assert_eq!(response.headers()[header::VARY], "Cookie");
}

#[tokio::test]
async fn what_comes_and_goes_within_a_request_makes_no_session() {
    let (site, store) = Site::memory();
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
async fn a_written_session_comes_back_with_its_cookie() {
    for site in [Site::cookie(), Site::memory().0] {
        let jar = &mut Jar::default();
        let (_, response) = site
            .visit(jar, async |session| {
                assert!(session.is_new().unwrap() && session.id().is_none());
                session.insert("user", "Ada").unwrap();
            })
            .await;
        assert!(set_cookie(&response).ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/"));
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        site.visit(jar, async |session| {
            assert!(!session.is_new().unwrap() && session.id().is_some());
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
async fn a_server_side_session_keeps_its_cookie_when_it_is_written() {
    let (site, _) = Site::memory();
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
    let (site, store) = Site::memory();
    let jar = &mut Jar::default();
    site.visit(jar, async |session| session.insert("cart", 1).unwrap())
        .await;
    let old = jar.clone();
    let (before, response) = site
        .visit(jar, async |session| {
            session.renew();
            session.insert("user", "Ada").unwrap();
            session.id()
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
            session.id()
        })
        .await;
    assert!(before.is_some() && after.is_some() && before != after);
    assert_eq!(store.len(), 1);

    let (rejection, response) = site
        .visit(&mut old.clone(), async |session| session.rejection())
        .await;
    assert_eq!(rejection, Some(Rejection::NotFound));
    assert!(
        no_cookie(&response),
        "a stale cookie is not removed: the browser may be getting a new one"
    );
}

#[tokio::test]
async fn an_unknown_id_is_never_adopted() {
    let (site, store) = Site::memory();
    let jar = &mut Jar::default();
    site.visit(jar, async |session| session.insert("n", 1).unwrap())
        .await;
    let stale = jar.clone();
    site.visit(jar, async |session| session.destroy().await.unwrap())
        .await;
    let jar = &mut stale.clone();
    let (_, _) = site
        .visit(jar, async |session| session.insert("n", 2).unwrap())
        .await;
    assert_ne!(jar.value("s"), stale.value("s"));
    assert_eq!(store.len(), 1);
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
        let (site, store) = Site::memory();
        let keys = crate::support::keys();
        let config = silverback::SessionConfig::new(named, store.clone(), keys);
        let site = Site {
            layer: silverback::SessionLayer::new(config).clock(site.clock.clone()),
            clock: site.clock,
        };
        let jar = &mut Jar::default();
        site.visit(jar, async |session| session.insert("n", 1).unwrap())
            .await;
        let store_seen = store.clone();
        let (_, response) = site
            .visit(jar, async move |session| {
                session.destroy().await.unwrap();
                assert!(store_seen.is_empty(), "gone when destroy returns");
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

#[tokio::test]
async fn destroying_nothing_writes_nothing() {
    let (site, store) = Site::memory();
    let (_, response) = site
        .visit(&mut Jar::default(), async |session| {
            session.destroy().await.unwrap()
        })
        .await;
    assert!(no_cookie(&response) && store.is_empty());
}

#[tokio::test]
async fn a_session_after_destroy_is_another_one() {
    for site in [Site::cookie(), Site::memory().0] {
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
async fn an_explicit_save_is_in_the_store_and_its_cookie_in_the_response() {
    let (site, store) = Site::memory();
    let jar = &mut Jar::default();
    let seen = store.clone();
    let (_, response) = site
        .visit(jar, async move |session| {
            session.insert("n", 1).unwrap();
            session.save().await.unwrap();
            assert_eq!(seen.len(), 1);
            assert!(!session.is_new().unwrap() && session.id().is_some());
            session.save().await.unwrap();
        })
        .await;
    set_cookie(&response);
    let (read, _) = site
        .visit(jar, async |session| session.get("n").unwrap())
        .await;
    assert_eq!(read, Some(1));
}

#[tokio::test]
async fn writes_after_the_response_are_errors() {
    for site in [Site::cookie(), Site::memory().0] {
        let jar = &mut Jar::default();
        let (late, _) = site
            .visit(jar, async |session| {
                session.insert("n", 1).unwrap();
                session
            })
            .await;
        assert_eq!(late.get("n").unwrap(), Some(1), "reading goes on");
        for refused in [
            late.insert("n", 2),
            late.clear(),
            late.flash("x"),
            late.set_attributes(|a| a.path("/x")),
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::AlreadyCommitted);
        }
        assert_eq!(
            late.update("n", |n: &mut u8| *n += 1).unwrap_err().kind(),
            ErrorKind::AlreadyCommitted
        );
        late.renew();
        late.persist_for(HOUR);
        assert_eq!(
            late.save().await.unwrap_err().kind(),
            ErrorKind::AlreadyCommitted
        );
        let (read, response) = site
            .visit(jar, async |session| session.get("n").unwrap())
            .await;
        assert_eq!(read, Some(1));
        assert!(no_cookie(&response));
    }
}

#[tokio::test]
async fn a_handle_that_was_not_used_in_time_cannot_write_either() {
    let (late, _) = Site::cookie()
        .visit(&mut Jar::default(), async |session| session)
        .await;
    assert_eq!(
        late.insert("n", 2).unwrap_err().kind(),
        ErrorKind::AlreadyCommitted
    );
}

#[tokio::test]
async fn a_long_lived_handler_loads_and_saves_by_itself() {
    let (site, store) = Site::memory();
    let jar = &mut Jar::default();
    let (socket, _) = site
        .visit(jar, async |session| {
            session.insert("n", 1).unwrap();
            session
        })
        .await;
    site.visit(jar, async |session| session.insert("other", true).unwrap())
        .await;

    socket.load().await.unwrap();
    assert_eq!(
        socket.get("other").unwrap(),
        Some(true),
        "what other requests did is seen"
    );
    socket.update("n", |n: &mut u8| *n += 1).unwrap();
    socket.save().await.unwrap();
    let (read, _) = site
        .visit(jar, async |session| session.get("n").unwrap())
        .await;
    assert_eq!(read, Some(2));

    site.visit(jar, async |session| session.destroy().await.unwrap())
        .await;
    socket.load().await.unwrap();
    assert!(socket.is_new().unwrap(), "a logout is seen");
    socket.insert("n", 3).unwrap();
    assert_eq!(
        socket.save().await.unwrap_err().kind(),
        ErrorKind::AlreadyCommitted
    );
    assert!(store.is_empty());
}

#[tokio::test]
async fn a_long_lived_handler_can_log_out() {
    let (site, store) = Site::memory();
    let (socket, _) = site
        .visit(&mut Jar::default(), async |session| {
            session.insert("n", 1).unwrap();
            session
        })
        .await;
    socket.destroy().await.unwrap();
    assert!(store.is_empty());
}
