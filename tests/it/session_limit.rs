//! The limit of sessions per subject.

use crate::support::{
    HOUR, Jar, Kind,
    scripted::{Before, Create, DeleteMany, Fail, Wait},
    user,
};

#[tokio::test]
async fn the_session_used_longest_ago_ends() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.with(|config| config.sessions_per_subject(2));
        let mut jars = Vec::new();
        for device in ["one", "two", "three"] {
            jars.push(world.logged_in("ada", device).await);
            world.clock.advance(HOUR);
        }
        assert_eq!(world.notes("ada").await, ["three", "two"]);
        assert!(!world.is_alive(&jars[0]).await && world.is_alive(&jars[1]).await);
        // A renewal is not a new session.
        world.renew(&mut jars[1]).await;
        assert!(world.is_alive(&jars[1]).await && world.is_alive(&jars[2]).await);
        assert_eq!(world.notes("ada").await.len(), 2);
        // A logout makes room for the next one.
        world.destroy(&mut jars[2]).await;
        let four = world.logged_in("ada", "four").await;
        assert!(world.is_alive(&jars[1]).await && world.is_alive(&four).await);
    }
}

#[tokio::test]
async fn an_ended_session_pushes_out_no_other() {
    for kind in Kind::REMOTE_SUBJECTS {
        let world = kind.with(|config| config.sessions_per_subject(2));
        let mut jars = [(); 3].map(|()| Jar::default());
        for (n, jar) in jars.iter_mut().enumerate() {
            if n == 2 {
                // The first session is marked. It cannot be ended, so the login fails.
                let ends = if kind.is_cookie() { Create } else { DeleteMany };
                world.rosters().every(Before, ends.of_sessions(), Fail);
            }
            world.log_in(jar, "ada", "laptop").await;
            world.clock.advance(HOUR);
        }
        world.rosters().calm();
        world.notes("ada").await;
        world.visit(&mut jars[0], user).await; // a read
        world.is_alive(&jars[0]).await;
        assert!(world.is_alive(&jars[1]).await, "{kind:?}");
    }
}

/// Its session is listed before its record exists.
#[tokio::test]
async fn a_login_under_way_counts_as_a_session() {
    let world = Kind::Remote.with(|config| config.sessions_per_subject(2));
    let first = world.logged_in("ada", "first").await;
    world.clock.advance(HOUR);
    world.records().at(Before, Create.of_sessions(), Wait);
    let second = &mut Jar::default();
    let (response, third) = tokio::join!(world.log_in(second, "ada", "second"), async {
        world.records().reached().await;
        let third = world.logged_in("ada", "third").await;
        world.records().go();
        third
    });
    assert_eq!(response.status(), 200);
    assert!(world.is_alive(second).await && world.is_alive(&third).await);
    assert!(!world.is_alive(&first).await, "it was used longest ago");
}
