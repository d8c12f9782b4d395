//! A record that moves to another store during a request gets another version, and is otherwise as
//! before.

use silverback::Session;

use crate::support::{
    HOUR, Kind, MINUTE, failure,
    scripted::{Before, Delete, Move, Touch, Update},
};

#[tokio::test]
async fn a_session_whose_records_move_is_renewed() {
    for moves in 1..8 {
        let world = Kind::Remote.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        for n in 1..=moves {
            world.records().nth(n, Before, Update.of_sessions(), Move);
        }
        let response = world.renew(jar).await;
        world.calm();
        assert_eq!(failure(&response), None, "{moves}");
        assert!(world.is_alive(jar).await);
        assert_eq!(world.notes("ada").await, ["laptop"]);
        assert_eq!(world.records().sessions().await, 1);
    }
}

#[tokio::test]
async fn a_session_whose_record_moves_has_been_used() {
    let world = Kind::Remote.with(|config| config.idle_timeout(HOUR));
    let jar = &mut world.grown().await;
    world.clock.advance(59 * MINUTE);
    for n in 1..=3 {
        world.records().nth(n, Before, Touch, Move);
    }
    for _ in 0..3 {
        assert!(world.get::<String>(jar, "cart").await.is_some());
        world.calm();
        world.clock.advance(59 * MINUTE);
    }
}

#[tokio::test]
async fn an_emptied_session_whose_record_moves_is_removed() {
    let world = Kind::Remote.world();
    let jar = &mut world.grown().await;
    for n in 1..=3 {
        world.records().nth(n, Before, Delete, Move);
    }
    let clear = async |session: Session| {
        session.load().await.unwrap();
        session.clear().unwrap();
    };
    let (_, response) = world.visit(jar, clear).await;
    assert_eq!(failure(&response), None);
    world.calm();
    assert_eq!(world.records().sessions().await, 0);
}
