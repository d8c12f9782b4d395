//! Operations concurrent with the commit of a response.

use std::{
    convert::Infallible,
    hint::spin_loop,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use futures_util::FutureExt;
use http::{HeaderMap, Request, Response, StatusCode};
use silverback::{Session, SessionConfig, SessionLayer};
use tokio::task::coop;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    Jar, Kind, Site, Stores, World, keys, no_cookie,
    schedule::{cut_off, until_it_hangs},
    scripted::{After, Before, Create, Load, Wait},
    sessions, set_cookie,
};

/// A cart in a store that waits, and an account in a cookie.
fn shop() -> (Site, Stores) {
    let stores = Stores::new();
    let layer = SessionLayer::new(SessionConfig::new("cart", stores.records.clone(), keys()))
        .with(SessionConfig::cookie("account", keys()));
    (Site::at(&stores.clock, layer), stores)
}

#[tokio::test]
async fn a_used_up_task_budget_does_not_lose_it() {
    let (site, _) = shop();
    let (_, response) = site
        .visit(&mut Jar::default(), async |session| {
            let account = sessions(&session).get("account").await.unwrap();
            account.insert("user", 7).unwrap();
            while coop::has_budget_remaining() {
                coop::consume_budget().await;
            }
        })
        .await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(set_cookie(&response).starts_with("__Host-account="));
}

#[tokio::test]
async fn a_load_in_flight_holds_up_no_other() {
    let (site, stores) = shop();
    let jar = &mut Jar::default();
    site.put(jar, "n", 1).await;
    stores.records.at(Before, Load, Wait);
    let mut load = None;
    let (_, response) = site
        .visit(jar, async |session| {
            let account = sessions(&session).get("account").await.unwrap();
            account.insert("user", 7).unwrap();
            load = Some(tokio::spawn(async move { session.load().await }));
            stores.records.reached().await;
        })
        .await;
    stores.records.go();
    load.unwrap().await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(set_cookie(&response).starts_with("__Host-account="));
}

/// Visits with `handler`, and loads the session again while the commit creates its record. Returns
/// what that load sees, and the response.
async fn load_meanwhile(
    world: &World,
    jar: &mut Jar,
    handler: impl AsyncFnOnce(&Session),
) -> (Option<u32>, Response<String>) {
    let kept = Mutex::new(None);
    world.records().at(After, Create, Wait);
    let visit = world.visit(jar, async |session| {
        handler(&session).await;
        *kept.lock().unwrap() = Some(session);
    });
    let load = async {
        world.records().reached().await;
        let session = kept.lock().unwrap().take().unwrap();
        let mut load = Box::pin(async move {
            session.load().await.unwrap();
            session.get("n").unwrap()
        });
        let early = cut_off(20, load.as_mut()).await;
        world.records().go();
        match early {
            Some(seen) => seen,
            None => load.await,
        }
    };
    let ((_, response), seen) = tokio::join!(visit, load);
    (seen, response)
}

#[tokio::test]
async fn a_load_meanwhile_loses_no_new_session() {
    let world = Kind::Remote.world();
    let write = async |session: &Session| {
        session.load().await.unwrap();
        session.insert("n", 7).unwrap();
    };
    let jar = &mut Jar::default();
    let (seen, response) = load_meanwhile(&world, jar, write).await;
    assert_eq!((seen, response.status()), (Some(7), StatusCode::OK));
    set_cookie(&response);
    assert_eq!(world.records().memory.len(), 1);
}

#[tokio::test]
async fn a_load_meanwhile_loses_no_new_id() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 7).await;
    let renew = async |session: &Session| {
        session.load().await.unwrap();
        session.renew();
    };
    let (_, response) = load_meanwhile(&world, jar, renew).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(world.get(jar, "n").await, Some(7));
}

/// A task of the handler may still be saving when the response is ready.
#[tokio::test]
async fn it_waits_for_a_save_under_way() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    let write = async |session: Session| {
        session.load().await.unwrap();
        session.insert("n", 7).unwrap();
        let mut save = Box::pin(async move { session.save().await });
        assert!(cut_off(1, save.as_mut()).await.is_none());
        tokio::spawn(save);
    };
    world.visit(jar, write).await;
    assert_eq!(world.get(jar, "n").await, Some(7));
}

/// With a store that never waits, a save in another thread may have taken the changes.
#[tokio::test]
async fn it_waits_for_a_save_of_another_thread() {
    let stores = Stores::new();
    let (go, gone) = mpsc::channel::<()>();
    let let_go = move |_, _: &HeaderMap| {
        // Runs when the layer has seen that there is something to commit.
        let _ = go.send(());
        true
    };
    let layer = SessionLayer::new(Kind::Memory.config(&stores, keys())).keep_if(let_go);
    let site = Site::at(&stores.clock, layer);
    let jar = &mut Jar::default();
    site.visit(jar, async |session: Session| {
        session.insert("n", 1).unwrap()
    })
    .await;
    let (sender, receiver) = mpsc::channel();
    let mut runs = 0;
    let again = move |n: &mut u32| {
        runs += 1;
        if runs == 2 {
            while gone.try_recv().is_ok() {}
            sender.send(()).unwrap();
            let _ = gone.recv();
        }
        *n += 10;
    };
    let write = async |session: Session| {
        session.update("n", again).unwrap();
        let other = async |session: Session| session.insert("z", 1).unwrap();
        site.visit(&mut jar.clone(), other).await;
        thread::spawn(move || session.save().now_or_never().unwrap().unwrap());
        receiver.recv().unwrap();
    };
    site.visit(&mut jar.clone(), write).await;
    let read = async |session: Session| session.get::<u32>("n").unwrap();
    assert_eq!(site.visit(jar, read).await.0, Some(11));
}

/// Writes in another thread, while the request ends in this one.
#[tokio::test]
async fn a_write_at_its_start_is_kept_or_refused() {
    let site = Kind::Cookie.world();
    let (give, given) = mpsc::sync_channel::<(Session, Arc<AtomicBool>)>(0);
    let (sender, receiver) = mpsc::sync_channel::<bool>(0);
    thread::spawn(move || {
        for (session, go) in given {
            while !go.load(Ordering::Relaxed) {}
            sender.send(session.insert("n", 1).is_ok()).unwrap();
        }
    });
    for n in 0..3_000_u64 {
        let service = service_fn(async |request: Request<()>| {
            let session = request.extensions().get::<Session>().unwrap().clone();
            let go = Arc::new(AtomicBool::new(false));
            give.send((session, Arc::clone(&go))).unwrap();
            go.store(true, Ordering::Relaxed);
            for _ in 0..(n % 400) {
                spin_loop();
            }
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let request = site.layer.layer(service).oneshot(Request::new(()));
        let response = until_it_hangs(request).await.unwrap().unwrap();
        let accepted = receiver.recv().unwrap();
        assert!(!accepted || !no_cookie(&response), "lost in round {n}");
    }
}
