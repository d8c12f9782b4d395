//! Several sessions in one request, in different stores and nested layers.

use std::convert::Infallible;

use http::{Request, Response, StatusCode};
use silverback::{
    ErrorKind, Session, SessionConfig, SessionLayer, Sessions,
    store::{DynStore, MemoryStore},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    Jar, Site, Stores, keys, one_more,
    schedule::until_it_hangs,
    scripted::{ANY, Before, Create, Fail, Load, LoadMany, Scripted, Update, Wait},
    sessions, set_cookie, set_cookies,
};

fn three() -> (Site, Scripted) {
    let Stores {
        clock,
        records,
        ends: other,
    } = Stores::new();
    let layer = SessionLayer::new(SessionConfig::cookie("account", keys()))
        .with(SessionConfig::new("cart", records.clone(), keys()))
        .with(SessionConfig::new("prefs", other.memory, keys()));
    (Site::at(&clock, layer), records)
}

#[tokio::test]
async fn each_name_is_a_session_that_is_saved() {
    let (site, _) = three();
    let jar = &mut Jar::default();
    let (_, response) = site
        .visit(jar, async |session| {
            assert_eq!(
                session.name(),
                "account",
                "the first is the one in the extensions"
            );
            let all = sessions(&session);
            for name in ["prefs", "account", "cart"] {
                all.get(name).await.unwrap().insert("name", name).unwrap();
            }
            assert_eq!(
                session.get::<String>("name").unwrap().as_deref(),
                Some("account")
            );
            let names: Vec<_> = all
                .iter()
                .map(|session| session.name().to_owned())
                .collect();
            assert_eq!(names, ["account", "cart", "prefs"]);
        })
        .await;
    let cookies = set_cookies(response.headers());
    let names: Vec<_> = cookies
        .iter()
        .map(|cookie| cookie.split('=').next().unwrap())
        .collect();
    let expected = ["__Host-account", "__Host-cart", "__Host-prefs"];
    assert_eq!(names, expected, "in the layer's order");

    site.visit(jar, async |session| {
        for name in ["account", "cart", "prefs"] {
            let session = sessions(&session).get(name).await.unwrap();
            assert_eq!(
                session.get::<String>("name").unwrap().as_deref(),
                Some(name)
            );
        }
    })
    .await;
}

#[tokio::test]
async fn one_can_be_destroyed_and_another_written() {
    let (site, remote) = three();
    let jar = &mut Jar::default();
    site.visit(jar, async |session| {
        sessions(&session)
            .get("cart")
            .await
            .unwrap()
            .insert("n", 1)
            .unwrap()
    })
    .await;
    let (_, response) = site
        .visit(jar, async |session| {
            session.flash("Thank you").unwrap();
            sessions(&session)
                .get("cart")
                .await
                .unwrap()
                .destroy()
                .await
                .unwrap();
        })
        .await;
    let cookies = set_cookies(response.headers());
    assert_eq!(cookies.len(), 2);
    assert!(cookies[1].starts_with("__Host-cart=; Max-Age=0"));
    assert_eq!(remote.sessions().await, 0);
}

#[tokio::test]
async fn the_store_of_an_unused_session_gets_no_call() {
    let (site, remote) = three();
    let jar = &mut Jar::default();
    site.visit(jar, async |session| {
        sessions(&session)
            .get("cart")
            .await
            .unwrap()
            .insert("n", 1)
            .unwrap()
    })
    .await;
    remote.take_log();
    remote.every(Before, ANY, Fail);
    let (_, response) = site
        .visit(jar, async |session| session.insert("n", 1).unwrap())
        .await;
    assert_eq!(response.status(), 200);
    assert!(remote.take_log().is_empty());
}

#[tokio::test]
async fn an_unknown_name_is_an_error() {
    let (site, _) = three();
    site.visit(&mut Jar::default(), async |session| {
        let error = sessions(&session).get("other").await.unwrap_err();
        assert_eq!(
            (error.kind(), error.session()),
            (ErrorKind::UnknownName, Some("other"))
        );
    })
    .await;
}

#[tokio::test]
async fn a_batch_reports_all_failures() {
    let remotes = [Scripted::default(), Scripted::default()];
    let layer = SessionLayer::new(SessionConfig::new("a", remotes[0].clone(), keys()))
        .with(SessionConfig::cookie("b", keys()))
        .with(SessionConfig::new("c", remotes[1].clone(), keys()));
    let site = Site::of(layer);
    let (_, response) = site
        .visit(&mut Jar::default(), async |session| {
            let all = sessions(&session);
            for name in ["a", "b", "c"] {
                all.get(name).await.unwrap().insert("n", 1).unwrap();
            }
            remotes
                .iter()
                .for_each(|remote| remote.every(Before, Create, Fail));
            let error = all.save_all().await.unwrap_err();
            let names: Vec<_> = error
                .failures()
                .map(|failure| failure.session().unwrap())
                .collect();
            assert_eq!(names, ["a", "c"]);
            assert_eq!(
                error.to_string(),
                "session \"a\": the store failed (and 1 other error)"
            );
        })
        .await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let error = response.extensions().get::<silverback::Error>().unwrap();
    assert_eq!(error.failures().count(), 2);
    assert!(
        set_cookie(&response).starts_with("__Host-b="),
        "the saved session keeps its cookie"
    );
}

#[tokio::test]
async fn save_all_saves_changed_sessions() {
    let (site, remote) = three();
    let (_, response) = site
        .visit(&mut Jar::default(), async |session| {
            let all = sessions(&session);
            all.get("cart").await.unwrap().insert("n", 1).unwrap();
            all.save_all().await.unwrap();
            assert_eq!(remote.memory.len(), 1);
        })
        .await;
    assert!(set_cookie(&response).starts_with("__Host-cart="));
}

#[tokio::test]
async fn one_that_the_layer_does_not_configure_can_be_opened() {
    let (site, _) = three();
    let store = MemoryStore::new().clock(site.clock.clone());
    let carts = SessionConfig::new("carts", store.clone(), keys());
    let jar = &mut Jar::default();
    for n in 1..=2_u32 {
        let (_, _) = site
            .visit(jar, async |session| {
                let all = sessions(&session);
                let cart = all.open(&carts.clone().named("cart-7")).await.unwrap();
                assert_eq!(cart.update("n", one_more).unwrap(), n);
                let same = all.open(&carts.clone().named("cart-7")).await.unwrap();
                assert_eq!(same.get("n").unwrap(), Some(n));
                let same = all.get("cart-7").await.unwrap();
                assert_eq!(same.get("n").unwrap(), Some(n));
            })
            .await;
    }
    assert_eq!(store.len(), 1);
    assert!(jar.0.contains_key("__Host-cart-7"));
    site.visit(jar, async |session| {
        let all = sessions(&session);
        let taken = all.open(&carts.clone().named("cart")).await.unwrap_err();
        assert_eq!(
            (taken.kind(), taken.session()),
            (ErrorKind::SettingsDiffer, Some("cart"))
        );
        let invalid = all.open(&carts.clone().named("no name")).await.unwrap_err();
        assert_eq!(invalid.kind(), ErrorKind::InvalidSettings);
        assert_eq!(
            all.open(&SessionConfig::cookie("account", keys()))
                .await
                .unwrap()
                .name(),
            "account"
        );
    })
    .await;
}

#[tokio::test]
async fn nested_layers_serve_their_own_sessions() {
    let outer_store = MemoryStore::new();
    let outer = SessionLayer::new(SessionConfig::new("outer", outer_store.clone(), keys()))
        .with(SessionConfig::cookie("second", keys()));
    let inner = SessionLayer::new(SessionConfig::cookie("inner", keys()));
    let service = service_fn(async |request: Request<()>| {
        assert_eq!(
            request.extensions().get::<Session>().unwrap().name(),
            "inner"
        );
        let all = Sessions::from_extensions(request.extensions()).unwrap();
        for name in ["inner", "outer", "second"] {
            all.get(name).await.unwrap().insert("n", 1).unwrap();
        }
        assert_eq!(all.iter().count(), 3);
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let response = outer
        .layer(inner.layer(service))
        .oneshot(Request::new(()))
        .await
        .unwrap();
    let cookies = set_cookies(response.headers());
    let names: Vec<_> = cookies
        .iter()
        .map(|cookie| cookie.split('=').next().unwrap())
        .collect();
    assert_eq!(names, ["__Host-inner", "__Host-outer", "__Host-second"]);
    assert_eq!(outer_store.len(), 1);
    let vary = response.headers().get_all("vary").iter().count();
    assert_eq!(vary, 1);
}

/// Three sessions in one store, and one in another.
fn four() -> (Site, Scripted, Scripted) {
    let stores = Stores::new();
    let store = DynStore::new(stores.records.clone());
    let layer = SessionLayer::new(SessionConfig::new("a", store.clone(), keys()))
        .with(SessionConfig::new("b", store.clone(), keys()))
        .with(SessionConfig::new("c", stores.ends.clone(), keys()))
        .with(SessionConfig::new("d", store, keys()));
    (Site::at(&stores.clock, layer), stores.records, stores.ends)
}

const FOUR: [&str; 4] = ["a", "b", "c", "d"];

async fn put_in_all(session: Session, n: u32) {
    let all = sessions(&session);
    all.load_all().await.unwrap();
    for name in FOUR {
        all.get(name).await.unwrap().insert("n", n).unwrap();
    }
}

#[tokio::test]
async fn all_are_loaded_by_one_call_of_each_store() {
    let (site, store, other) = four();
    let jar = &mut Jar::default();
    site.visit(jar, |session| put_in_all(session, 1)).await;
    store.take_log();
    other.take_log();
    let load = async |session: Session| {
        let all = sessions(&session);
        all.load_all().await.unwrap();
        assert_eq!(store.take_log(), [LoadMany]);
        assert_eq!(other.take_log(), [Load], "one alone");
        for session in all.iter() {
            assert_eq!(session.get("n").unwrap(), Some(1));
        }
        all.load_all().await.unwrap();
    };
    site.visit(jar, load).await;
    // An open session is not read again.
    let load = async |session: Session| {
        session.load().await.unwrap();
        sessions(&session).get("b").await.unwrap();
        sessions(&session).load_all().await.unwrap();
    };
    site.visit(jar, load).await;
    assert_eq!(store.take_log(), [Load, Load, Load]);
    assert_eq!(other.take_log(), [Load]);
}

#[tokio::test]
async fn a_store_that_fails_is_each_session_s_failure() {
    let (site, store, _) = four();
    let jar = &mut Jar::default();
    site.visit(jar, |session| put_in_all(session, 1)).await;
    let load = async |session: Session| {
        store.every(Before, ANY, Fail);
        let error = sessions(&session).load_all().await.unwrap_err();
        store.calm();
        let failed: Vec<_> = error.failures().map(|one| one.session().unwrap()).collect();
        assert_eq!(failed, ["a", "b", "d"]);
        assert_eq!(
            sessions(&session).get("c").await.unwrap().get("n").unwrap(),
            Some(1)
        );
        session.load().await.unwrap();
    };
    site.visit(jar, load).await;
}

/// The last store answers first.
#[tokio::test]
async fn stores_are_called_concurrently_and_cookies_are_in_order() {
    let (site, store, other) = four();
    let jar = &mut Jar::default();
    for (op, n) in [(Create, 1), (Update, 2)] {
        for at in 1..=3 {
            store.nth(at, Before, op, Wait);
        }
        other.at(Before, op, Wait);
        let answer = async {
            for store in [&store, &store, &store, &other] {
                store.reached().await;
            }
            other.go();
            (0..3).for_each(|_| store.go());
        };
        let visit = site.visit(jar, |session| put_in_all(session, n));
        let done = until_it_hangs(async { tokio::join!(visit, answer).0 }).await;
        let (_, response) = done.expect("nobody waits for another's answer");
        store.calm();
        let cookies = set_cookies(response.headers());
        let names: Vec<_> = cookies.iter().map(|cookie| &cookie[..8]).collect();
        if op == Create {
            assert_eq!(names, ["__Host-a", "__Host-b", "__Host-c", "__Host-d"]);
        }
    }
    let save = async |session: Session| {
        put_in_all(session.clone(), 3).await;
        for store in [&store, &other] {
            store.at(Before, Update, Wait);
        }
        let answer = async {
            store.reached().await;
            other.reached().await;
            other.go();
            store.go();
        };
        let all = sessions(&session);
        let saved = until_it_hangs(async { tokio::join!(all.save_all(), answer).0 }).await;
        saved.expect("nobody waits for another's answer").unwrap();
    };
    site.visit(jar, save).await;
}
