//! The keys of subjects' lists in the store.

use silverback::{Key, Keys, store::RecordKey};

use crate::support::{Kind, Stores, World};

fn key(byte: u8) -> Key {
    let secret: Vec<u8> = (0..32).map(|at| at ^ byte).collect();
    Key::from_bytes(&secret).unwrap()
}

fn keyed(kind: Kind, byte: u8) -> World {
    kind.with(|config| config.subject_key(key(byte)))
}

/// Logs Ada in, and returns the key of the only list.
async fn list(world: &World) -> RecordKey {
    world.logged_in("ada", "laptop").await;
    let [list] = world.rosters().roster_keys()[..] else {
        panic!("one list")
    };
    list
}

#[tokio::test]
async fn a_reader_of_the_store_cannot_compute_the_key_of_a_list() {
    for kind in Kind::REMOTE_SUBJECTS {
        let (bare, other) = (list(&kind.world()).await, list(&kind.world()).await);
        assert_eq!(bare, other, "without a key anybody can compute it");
        let one = list(&keyed(kind, 1)).await;
        assert_eq!(
            one,
            list(&keyed(kind, 1)).await,
            "it is the same every time"
        );
        let another = list(&keyed(kind, 2)).await;
        assert!(one != bare && another != bare && one != another, "{kind:?}");
    }
}

#[tokio::test]
async fn a_list_is_found_after_the_keys_were_rotated() {
    for kind in Kind::REMOTE_SUBJECTS {
        let (ring, stores) = (Keys::new(key(8)), Stores::new());
        let config = kind.config(&stores, ring.clone()).subject_key(key(1));
        let world = World::new(kind, stores, config);
        let jar = world.logged_in("ada", "laptop").await;
        ring.rotate(key(9)).unwrap();
        assert_eq!(world.notes("ada").await, ["laptop"], "{kind:?}");
        assert_eq!(world.destroy_all("ada").await, 1);
        assert!(!world.is_alive(&jar).await, "{kind:?}");
    }
}
