//! Sessions without a request, for unit tests of handlers.

use silverback::{
    ConfigError, ErrorKind, Flashes, Session, SessionConfig, SessionLayer, SessionName, SessionOf,
    Sessions, Typed, store::MemoryStore, testing::commit,
};

use crate::support::{
    Kind, START, Stores, keys,
    scripted::{Before, Create, Fail},
};

const ALL: [Kind; 7] = [
    Kind::Cookie,
    Kind::Revocable,
    Kind::RemoteRevocable,
    Kind::Overflow,
    Kind::RevocableOverflow,
    Kind::Memory,
    Kind::Remote,
];

fn detached(kind: Kind, stores: &Stores) -> Session {
    Session::detached(&kind.config(stores, keys())).unwrap()
}

/// A session of a layer with the stores' clock.
async fn of_layer(kind: Kind, stores: &Stores) -> Session {
    let layer = SessionLayer::new(kind.config(stores, keys())).clock(stores.clock.clone());
    layer.detached().get("s").await.unwrap()
}

#[tokio::test]
async fn one_of_any_kind_is_usable_at_once() {
    for kind in ALL {
        let stores = Stores::new();
        let session = detached(kind, &stores);
        assert!(session.is_new().unwrap(), "{kind:?}");
        assert_eq!((session.rejection(), session.record_key()), (None, None));
        assert_eq!(session.get::<u32>("n").unwrap(), None);
        session.insert("n", 1).unwrap();
        session.update("n", |n: &mut u32| *n += 1).unwrap();
        assert_eq!(session.get("n").unwrap(), Some(2));
        session.flash("hello").unwrap();
        assert_eq!(session.flashes::<String>().unwrap(), ["hello"]);
        session.renew();
        assert!(session.authenticated_at().unwrap().is_some());
        session.load().await.unwrap();
        assert_eq!(session.get("n").unwrap(), Some(2), "{kind:?}");
        let calls = [stores.records.take_log(), stores.ends.take_log()].concat();
        assert_eq!(calls, [], "{kind:?}: no store is asked");
    }
}

#[tokio::test]
async fn a_subject_is_set_where_the_settings_allow_it() {
    for kind in Kind::WITH_SUBJECTS {
        let session = detached(kind, &Stores::new());
        session.set_subject("ada", "laptop").unwrap();
        assert_eq!(session.subject().unwrap().as_deref(), Some("ada"));
    }
    let refused = detached(Kind::Cookie, &Stores::new()).set_subject("ada", "laptop");
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NeedsRevocation);
}

#[tokio::test]
async fn saving_puts_it_into_its_store() {
    for (kind, records) in [
        (Kind::Memory, 1),
        (Kind::Remote, 1),
        // Only a response could set the cookie.
        (Kind::Cookie, 0),
        (Kind::Overflow, 0),
    ] {
        let stores = Stores::new();
        let session = of_layer(kind, &stores).await;
        session.insert("n", 1).unwrap();
        session.save().await.unwrap();
        assert_eq!(stores.records.sessions().await, records, "{kind:?}");
        assert_eq!(session.record_key().is_some(), records > 0, "{kind:?}");
        if records > 0 {
            session.insert("n", 2).unwrap();
            session.save().await.unwrap();
            assert_eq!(stores.records.sessions().await, 1, "{kind:?}: the same one");
        }
        session.destroy().await.unwrap();
        assert_eq!(session.get::<u32>("n").unwrap(), None);
        assert_eq!(stores.records.sessions().await, 0, "{kind:?}");
    }
}

#[tokio::test]
async fn a_failed_save_says_so_and_keeps_the_changes() {
    let stores = Stores::new();
    let session = of_layer(Kind::Remote, &stores).await;
    session.insert("n", 1).unwrap();
    stores.records.at(Before, Create, Fail);
    let failed = session.save().await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::StoreFailed);
    session.save().await.unwrap();
    assert_eq!(stores.records.sessions().await, 1);
}

#[tokio::test]
async fn a_layer_makes_all_of_its_sessions() {
    let stores = Stores::new();
    let layer = SessionLayer::new(Kind::Remote.config(&stores, keys()))
        .with(SessionConfig::cookie("cart", keys()))
        .clock(stores.clock.clone());
    let sessions = layer.detached();
    let (session, cart) = (sessions.get("s").await, sessions.get("cart").await);
    let (session, cart) = (session.unwrap(), cart.unwrap());
    cart.insert("n", 3).unwrap();
    session.renew();
    assert_eq!(session.authenticated_at().unwrap(), Some(START));
    assert_eq!(
        sessions.get("cart").await.unwrap().get("n").unwrap(),
        Some(3)
    );
    let unknown = sessions.get("other").await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::UnknownName);
    let other = layer.detached().get("cart").await.unwrap();
    assert_eq!(
        other.get::<u32>("n").unwrap(),
        None,
        "it belongs to another request"
    );
    assert_eq!(stores.records.take_log(), []);
}

#[derive(Clone, Copy)]
struct Account;

impl SessionName for Account {
    const NAME: &'static str = "account";
}

#[tokio::test]
async fn extractors_hand_it_to_handlers() {
    let config = |name| SessionConfig::new(name, MemoryStore::new(), keys());
    let session = Session::detached(&config("account")).unwrap();
    let sessions = Sessions::from(session.clone());
    sessions.open(&config("cart")).await.unwrap();
    let cart = sessions.get("cart").await.unwrap();
    cart.insert("n", 3).unwrap();
    let account = sessions.get(Account).await.unwrap();
    account.insert("user", 7).unwrap();
    assert_eq!(
        session.get("user").unwrap(),
        Some(7),
        "it is the same session"
    );
    sessions.save_all().await.unwrap();
    assert!(cart.record_key().is_some() && account.record_key().is_some());

    Flashes::of(&session).push("hello").unwrap();
    let named = SessionOf::<Account>::of(&session).unwrap();
    let flashes = Flashes::<Account>::from(named.clone());
    assert_eq!(flashes.take::<String>().unwrap(), ["hello"]);
    let typed = Typed::<Visits, Account>::from(named);
    typed.update(|visits: &mut Visits| visits.0 += 1).unwrap();
    assert_eq!(session.get("visits").unwrap(), Some(1));
    let refused = SessionOf::<Account>::of(&cart).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::UnknownName);
    assert_eq!(refused.session(), Some("account"));
}

#[derive(Default, serde::Deserialize, serde::Serialize)]
struct Visits(u32);

impl silverback::SessionData for Visits {
    const KEY: &'static str = "visits";
}

#[test]
fn settings_that_cannot_work_are_an_error() {
    let refused = Session::detached(&SessionConfig::cookie("a b", keys())).unwrap_err();
    assert_eq!(refused, ConfigError::InvalidName("a b".to_owned()));
}

/// There is no response to carry its cookie.
#[tokio::test]
async fn a_commit_after_the_response_makes_no_session() {
    for kind in [Kind::Memory, Kind::Remote] {
        let stores = Stores::new();
        let session = detached(kind, &stores);
        commit(&session).await.unwrap();
        session.load().await.unwrap();
        session.insert("n", 1).unwrap();
        let error = commit(&session).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyCommitted, "{kind:?}");
        assert_eq!(stores.records.sessions().await, 0, "{kind:?}");
    }
}
