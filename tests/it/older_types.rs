//! Values whose type has changed since they were saved.

use serde::{Deserialize, Serialize};
use silverback::{ErrorKind, Former, Session, SessionData, Typed};

use crate::support::{Jar, Kind, World};

#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
struct Strict(Vec<u64>);

impl SessionData for Strict {
    const KEY: &'static str = "cart";

    const FORMER: Former<Self> = Former::Fail;
}

/// Once a list of items, now a list of items and counts.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
struct Counted(Vec<(u64, u32)>);

impl SessionData for Counted {
    const KEY: &'static str = "cart";

    const FORMER: Former<Self> = Former::from_type::<Vec<u64>>();
}

impl From<Vec<u64>> for Counted {
    fn from(old: Vec<u64>) -> Self {
        Self(old.into_iter().map(|item| (item, 1)).collect())
    }
}

/// Drops the old value silently and starts anew.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
struct Fresh(Vec<(u64, u32)>);

impl SessionData for Fresh {
    const KEY: &'static str = "cart";
}

async fn raw(world: &World, jar: &Jar) -> serde_json::Value {
    let jar = &mut jar.clone();
    world.get(jar, "cart").await.unwrap()
}

/// A visitor with this cart.
async fn visitor(world: &World, cart: impl Serialize) -> Jar {
    let mut jar = Jar::default();
    world.put(&mut jar, "cart", cart).await;
    jar
}

#[tokio::test]
async fn one_that_must_not_be_lost_is_an_error_and_stays() {
    for world in Kind::PLAIN.map(Kind::world) {
        let jar = &mut visitor(&world, "something else").await;
        let kinds = async |session: Session| {
            session.load().await.unwrap();
            let cart = Typed::<Strict>::of(&session);
            let updated = cart.update(|cart| cart.0.push(7));
            [cart.read().map(drop), updated].map(|result| result.unwrap_err().kind())
        };
        let (kinds, _) = world.visit(jar, kinds).await;
        assert_eq!(kinds, [ErrorKind::DeserializeFailed; 2]);
        assert_eq!(raw(&world, jar).await, "something else");
    }
}

#[tokio::test]
async fn one_that_can_be_recovered_is() {
    for world in Kind::PLAIN.map(Kind::world) {
        let jar = &mut visitor(&world, [7, 8]).await;
        let read = async |session: Session| {
            session.load().await.unwrap();
            Typed::<Counted>::of(&session).read().unwrap()
        };
        assert_eq!(world.visit(jar, read).await.0.0, [(7, 1), (8, 1)]);
        assert_eq!(
            raw(&world, jar).await,
            serde_json::json!([7, 8]),
            "a read leaves it"
        );
        let add = async |session: Session| {
            session.load().await.unwrap();
            let cart = Typed::<Counted>::of(&session);
            cart.update(|cart| cart.0.push((9, 3))).unwrap();
            cart.read().unwrap()
        };
        let new = [(7, 1), (8, 1), (9, 3)];
        assert_eq!(world.visit(jar, add).await.0.0, new);
        assert_eq!(raw(&world, jar).await, serde_json::json!(new));
    }
}

#[tokio::test]
async fn one_that_cannot_be_recovered_is_the_original_error() {
    let world = Kind::Memory.world();
    let jar = &mut visitor(&world, "something else").await;
    let read = async |session: Session| Typed::<Counted>::of(&session).read().unwrap_err();
    let (error, _) = world.visit(jar, read).await;
    assert_eq!(
        (error.kind(), error.session()),
        (ErrorKind::DeserializeFailed, Some("s"))
    );
}

/// Bytes have no former type.
#[tokio::test]
async fn bytes_are_not_migrated() {
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Text(u8);

    impl SessionData for Text {
        const KEY: &'static str = "cart";
        const FORMER: Former<Self> = Former::Migrate(|json| Some(Self(json.len() as u8)));
    }

    let world = Kind::Memory.world();
    let jar = &mut visitor(&world, "text").await;
    let get = async |session: Session| Typed::<Text>::of(&session).get();
    assert_eq!(world.visit(jar, get).await.0.unwrap(), Some(Text(6)));
    let put = async |session: Session| session.insert_bytes("cart", "bytes").unwrap();
    world.visit(jar, put).await;
    let error = world.visit(jar, get).await.0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeserializeFailed);
}

#[tokio::test]
async fn one_is_taken_and_replaced() {
    let world = Kind::Memory.world();
    let jar = &mut visitor(&world, [7]).await;
    let take = async |session: Session| Typed::<Counted>::of(&session).take().await.unwrap();
    assert_eq!(world.visit(jar, take).await.0, Some(Counted(vec![(7, 1)])));
    assert_eq!(world.visit(jar, take).await.0, None);
    let change = async |session: Session| {
        let cart = Typed::<Counted>::of(&session);
        assert_eq!(cart.get().unwrap(), None);
        cart.replace(&Counted(vec![(8, 2)])).unwrap();
        let refuse = |cart: &mut Counted| {
            cart.0.clear();
            Err::<(), _>("no")
        };
        assert_eq!(cart.try_update(refuse).unwrap(), Err("no"));
        assert_eq!(
            cart.try_update(|cart| Ok::<_, String>(cart.0.pop()))
                .unwrap(),
            Ok(Some((8, 2)))
        );
        cart.get().unwrap()
    };
    assert_eq!(world.visit(jar, change).await.0, Some(Counted(vec![])));
}

#[tokio::test]
async fn one_of_no_policy_counts_as_the_default() {
    let world = Kind::Memory.world();
    let jar = &mut visitor(&world, "something else").await;
    let read = async |session: Session| {
        let cart = Typed::<Fresh>::of(&session);
        (cart.get().unwrap(), cart.read().unwrap())
    };
    assert_eq!(world.visit(jar, read).await.0, (None, Fresh::default()));
    assert_eq!(raw(&world, jar).await, "something else", "a read leaves it");
    let add = async |session: Session| {
        let cart = Typed::<Fresh>::of(&session);
        cart.update(|cart| cart.0.push((7, 1))).unwrap();
        cart.read().unwrap()
    };
    let new = [(7, 1)];
    assert_eq!(world.visit(jar, add).await.0.0, new);
    assert_eq!(raw(&world, jar).await, serde_json::json!(new));
}

/// An older release saves its form of the value while an update is being saved.
#[tokio::test]
async fn one_that_comes_in_a_merge_is_recovered() {
    for world in [Kind::Memory, Kind::Remote].map(Kind::world) {
        let jar = &mut visitor(&world, [(7, 2)]).await;
        let add = async |session: Session| {
            session.load().await.unwrap();
            let cart = Typed::<Counted>::of(&session);
            cart.update(|cart| cart.0.push((9, 3))).unwrap();
            world.put(&mut jar.clone(), "cart", [8]).await;
        };
        world.visit(&mut jar.clone(), add).await;
        assert_eq!(raw(&world, jar).await, serde_json::json!([(8, 1), (9, 3)]));
    }
}
