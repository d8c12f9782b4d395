//! Cookies that are foreign, invalid or too many.

use std::{convert::Infallible, sync::Mutex};

use http::{HeaderValue, Request, Response, header};
use silverback::{
    Rejection, Session, SessionConfig, SessionLayer,
    store::{CookieStore, MemoryStore},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Jar, Kind, Site, keys, no_cookie};

/// The value of a valid cookie.
async fn cookie(site: &Site) -> String {
    let jar = &mut Jar::default();
    site.put(jar, "user", "ada").await;
    jar.value("s").to_owned()
}

async fn rejection(site: &Site, value: &str) -> Option<Rejection> {
    let (rejection, response) = site
        .visit(&mut Jar::with("s", value), async |session| {
            assert!(session.is_new().unwrap() && session.is_empty().unwrap());
            session.rejection()
        })
        .await;
    assert_eq!(response.status(), 200);
    rejection
}

#[tokio::test]
async fn a_bad_cookie_is_no_session_and_a_reason() {
    for site in Kind::SIMPLE.map(Kind::world) {
        let good = cookie(&site).await;
        for value in [
            "",
            "rubbish",
            "a%20b",
            "AAAA",
            &format!("{good}="),
            &"A".repeat(70_000),
        ] {
            assert_eq!(
                rejection(&site, value).await,
                Some(Rejection::Malformed),
                "{value:.80}"
            );
        }
        let bent = if good.ends_with("AAAA") {
            "BBBB"
        } else {
            "AAAA"
        };
        let unknown = format!("{}AAAA{}", &good[..2], &good[6..]);
        assert_eq!(
            rejection(&site, &format!("{good}AAAA")).await,
            Some(Rejection::Tampered)
        );
        assert_eq!(
            rejection(&site, &format!("{}{bent}", &good[..good.len() - 4])).await,
            Some(Rejection::Tampered)
        );
        assert_eq!(
            rejection(&site, &unknown).await,
            Some(Rejection::UnknownKey)
        );
    }
}

#[tokio::test]
async fn a_cookie_serves_one_name_and_audience() {
    let value = cookie(&Kind::Cookie.world()).await;
    let configs = [
        SessionConfig::cookie("t", keys()),
        SessionConfig::cookie("t", keys()).audience("other"),
        SessionConfig::new("t", MemoryStore::new(), keys()),
        SessionConfig::new("t", CookieStore::new().signed(), keys()),
    ];
    for config in configs {
        let other = Site::of(SessionLayer::new(config));
        let (reason, _) = other
            .visit(&mut Jar::with("__Host-t", &value), async |session| {
                session.rejection()
            })
            .await;
        assert!(
            matches!(reason, Some(Rejection::Tampered | Rejection::Malformed)),
            "{reason:?}"
        );
    }
}

#[tokio::test]
async fn what_a_store_knows_makes_no_cookie() {
    let site = Kind::Memory.world();
    let jar = &mut Jar::default();
    site.visit(jar, async |session| session.insert("n", 1).unwrap())
        .await;
    let (id, _) = site
        .visit(jar, async |session| session.record_key().unwrap())
        .await;
    assert_eq!(
        rejection(&site, &id.to_string()).await,
        Some(Rejection::Malformed)
    );
}

#[tokio::test]
async fn a_good_cookie_is_found_beside_bad_ones() {
    for site in Kind::SIMPLE.map(Kind::world) {
        let good = cookie(&site).await;
        for fields in [
            vec![format!("s=rubbish; s={good}")],
            vec![format!("s={good}; s=rubbish")],
            vec![format!("s={good}; s={good}")],
            vec!["a=1".into(), format!("s={good}"), "b=2".into()],
            vec![
                "a=1".into(),
                "b=2".into(),
                "c=3".into(),
                "d=4".into(),
                "e=5".into(),
                format!("s={good}"),
            ],
            vec![format!("x=é; s={good}; y=😀")],
        ] {
            let (found, _) = visit_with(&site, &fields).await;
            assert_eq!(found, (None, true), "{fields:?}");
        }
    }
}

#[tokio::test]
async fn two_valid_sessions_are_no_session() {
    for site in Kind::SIMPLE.map(Kind::world) {
        let one = cookie(&site).await;
        let jar = &mut Jar::default();
        site.visit(jar, async |session| {
            session.insert("user", "attacker").unwrap()
        })
        .await;
        let other = jar.value("s");
        for fields in [format!("s={one}; s={other}"), format!("s={other}; s={one}")] {
            let (found, response) = visit_with(&site, &[fields]).await;
            assert_eq!(found, (Some(Rejection::Ambiguous), false));
            assert!(
                no_cookie(&response),
                "nobody can tell which is the visitor's"
            );
        }
    }
}

#[tokio::test]
async fn a_logout_ends_both_ambiguous_sessions() {
    let site = Kind::Memory.world();
    let (one, other) = (cookie(&site).await, cookie(&site).await);
    assert_eq!(site.records().sessions().await, 2);
    let mut jar = Jar::with("s", &format!("{one}; s={other}"));
    site.visit(&mut jar, async |session| session.destroy().await.unwrap())
        .await;
    assert_eq!(site.records().sessions().await, 0);
}

#[tokio::test]
async fn planted_cookies_do_not_prevent_a_logout() {
    let site = Kind::Memory.world();
    let good = cookie(&site).await;
    let crowded = &mut Jar::with("s", &format!("1; s=2; s=3; s=4; s={good}"));
    let destroy = async |session: Session| {
        session.destroy().await.unwrap();
        let left = site.records().sessions().await;
        assert_eq!(left, 0, "gone when it returns");
    };
    site.visit(crowded, destroy).await;
}

#[tokio::test]
async fn a_flood_of_cookies_is_not_verified() {
    let site = Kind::Cookie.world();
    let good = cookie(&site).await;
    let mut pairs: Vec<_> = (0..5_000).map(|n| format!("s={n}")).collect();
    pairs.push(format!("s={good}"));
    let (found, _) = visit_with(&site, &[pairs.join("; ")]).await;
    assert_eq!(found, (Some(Rejection::Ambiguous), false));
}

#[tokio::test]
async fn rejected_cookies_write_nothing() {
    let site = Kind::Memory.world();
    let store = &site.records().memory;
    for n in 0..10_000 {
        let (_, response) = site
            .visit(&mut Jar::with("s", &format!("{n:043}")), async |session| {
                session.destroy().await.unwrap();
                session.flashes::<String>().unwrap();
            })
            .await;
        assert_eq!(response.status(), 200);
    }
    assert!(store.is_empty());
    let (_, response) = site
        .visit(&mut Jar::with("s", "x"), async |session| {
            session.len().unwrap()
        })
        .await;
    assert!(no_cookie(&response));
}

/// The rejection, and whether there is a user.
async fn visit_with(
    site: &Site,
    fields: &[String],
) -> ((Option<Rejection>, bool), Response<String>) {
    let mut request = Request::new(());
    for field in fields {
        request.headers_mut().append(
            header::COOKIE,
            HeaderValue::from_bytes(field.as_bytes()).unwrap(),
        );
    }
    let found = Mutex::new((None, false));
    let service = service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap();
        *found.lock().unwrap() = (session.rejection(), session.contains_key("user").unwrap());
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let response = site.layer.layer(service).oneshot(request).await.unwrap();
    (found.into_inner().unwrap(), response)
}
