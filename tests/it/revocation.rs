//! Sessions in a cookie that can be ended, because a store remembers which have.

use http::StatusCode;
use silverback::{
    Clock, ErrorKind, Rejection, Session, SessionConfig, SessionLayer, store::MemoryStore,
};

use crate::support::{Jar, START, Site, keys, no_cookie, set_cookie, store::Remote};

fn site() -> (Site, Remote) {
    let clock = Clock::manual(START);
    let remote = Remote::new(MemoryStore::new().clock(clock.clone()));
    let config = SessionConfig::cookie("s", keys()).revocation(remote.clone());
    (
        Site {
            layer: SessionLayer::new(config).clock(clock.clone()),
            clock,
        },
        remote,
    )
}

async fn logged_in(site: &Site) -> Jar {
    let mut jar = Jar::default();
    let write = async |session: Session| {
        session.load().await.unwrap();
        session.insert("user", 7).unwrap();
    };
    site.visit(&mut jar, write).await;
    jar
}

async fn look(session: Session) -> (Option<u8>, Option<Rejection>) {
    session.load().await.unwrap();
    (session.get("user").unwrap(), session.rejection())
}

#[tokio::test]
async fn a_copy_of_the_cookie_is_worth_nothing_after_logout() {
    let (site, remote) = site();
    let jar = &mut logged_in(&site).await;
    let stolen = jar.clone();
    assert_eq!(
        site.visit(&mut stolen.clone(), look).await.0,
        (Some(7), None)
    );
    let (_, response) = site
        .visit(jar, async |session| session.destroy().await.unwrap())
        .await;
    assert!(set_cookie(&response).contains("Max-Age=0"));
    assert_eq!(
        site.visit(&mut stolen.clone(), look).await.0,
        (None, Some(Rejection::Revoked))
    );
    assert_eq!(remote.records.len(), 1, "what is remembered is one hash");
}

#[tokio::test]
async fn every_cookie_of_the_session_ends_with_it() {
    let (site, _) = site();
    let jar = &mut logged_in(&site).await;
    let older = jar.clone();
    let again = async |session: Session| {
        session.load().await.unwrap();
        session.insert("more", 1).unwrap();
    };
    site.visit(jar, again).await;
    assert_ne!(older.value("s"), jar.value("s"));
    site.visit(jar, async |session| session.destroy().await.unwrap())
        .await;
    assert_eq!(
        site.visit(&mut older.clone(), look).await.0,
        (None, Some(Rejection::Revoked))
    );
}

#[tokio::test]
async fn a_request_in_flight_does_not_bring_it_back() {
    let (site, _) = site();
    let jar = &mut logged_in(&site).await;
    let other = jar.clone();
    site.visit(jar, async |session| {
        session.load().await.unwrap();
        session.insert("slow", 1).unwrap();
        site.visit(&mut other.clone(), async |session| {
            session.destroy().await.unwrap()
        })
        .await;
    })
    .await;
    assert_eq!(
        site.visit(jar, look).await.0,
        (None, Some(Rejection::Revoked))
    );
}

#[tokio::test]
async fn a_renewal_ends_the_old_cookie() {
    let (site, _) = site();
    let jar = &mut logged_in(&site).await;
    let old = jar.clone();
    site.visit(jar, async |session| session.renew()).await;
    assert_eq!(
        site.visit(&mut old.clone(), look).await.0,
        (None, Some(Rejection::Revoked))
    );
    assert_eq!(site.visit(jar, look).await.0, (Some(7), None));
}

#[tokio::test]
async fn without_it_only_the_browser_forgets() {
    let site = Site::cookie();
    let jar = &mut logged_in(&site).await;
    let copy = jar.clone();
    site.visit(jar, async |session| session.destroy().await.unwrap())
        .await;
    assert_eq!(site.visit(&mut copy.clone(), look).await.0, (Some(7), None));
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_an_error_and_one_that_cannot_be_written_no_logout() {
    let (site, remote) = site();
    let jar = &mut logged_in(&site).await;
    remote.fail("load");
    let (error, _) = site
        .visit(jar, async |session| session.load().await.unwrap_err())
        .await;
    assert_eq!(error.kind(), ErrorKind::Store);

    remote.fail("create");
    let logout = async |session: Session| session.destroy().await.unwrap_err();
    let (error, response) = site.visit(jar, logout).await;
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(no_cookie(&response));
    let renew = async |session: Session| {
        session.load().await.unwrap();
        session.renew();
    };
    let (_, response) = site.visit(jar, renew).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    remote.fail("");
    assert_eq!(site.visit(jar, look).await.0, (Some(7), None));
}

#[tokio::test]
async fn with_a_list_that_never_waits_nothing_has_to_be_loaded() {
    let list = MemoryStore::new();
    let config = SessionConfig::cookie("s", keys()).revocation(list.clone());
    let site = Site {
        layer: SessionLayer::new(config),
        clock: Clock::system(),
    };
    let jar = &mut Jar::default();
    site.visit(jar, async |session| session.insert("user", 7).unwrap())
        .await;
    let copy = jar.clone();
    site.visit(jar, async |session| session.destroy().await.unwrap())
        .await;
    let (user, _) = site
        .visit(&mut copy.clone(), async |session| {
            session.get::<u8>("user").unwrap()
        })
        .await;
    assert_eq!(user, None);
}

#[tokio::test]
async fn a_long_lived_handler_can_log_out_of_a_cookie_session_too() {
    let (site, _) = site();
    let jar = &mut logged_in(&site).await;
    let keep = async |session: Session| {
        session.load().await.unwrap();
        session
    };
    let (socket, _) = site.visit(jar, keep).await;
    socket.destroy().await.unwrap();
    assert_eq!(
        site.visit(jar, look).await.0,
        (None, Some(Rejection::Revoked))
    );
}
