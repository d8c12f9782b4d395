//! A record that moves to another store during a request gets another version, and is otherwise as
//! before.

use silverback::{
    ErrorKind, Session, SessionConfig, SessionLayer, Subjects, store::MigratingStore,
};

use crate::support::{
    HOUR, Jar, Kind, MINUTE, Site, failure, keys, log_in,
    scripted::{Before, Delete, Move, Scripted, Touch, Update, Wait},
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

/// A renewal that gives up leaves no second record.
#[tokio::test(start_paused = true)]
async fn a_session_whose_records_move_without_end_stays_as_it_was() {
    let world = Kind::Remote.world();
    let jar = &mut world.logged_in("ada", "laptop").await;
    // The old record, and not the new one that is written in between.
    for n in (1..1_000).step_by(2) {
        world.records().nth(n, Before, Update.of_sessions(), Move);
    }
    let response = world.renew(jar).await;
    world.calm();
    assert_eq!(failure(&response), Some(ErrorKind::Conflict));
    assert!(world.is_alive(jar).await);
    assert_eq!(world.notes("ada").await, ["laptop"]);
    assert_eq!(world.records().sessions().await, 1);
}

/// No write tries for ever.
#[tokio::test(start_paused = true)]
async fn a_record_that_moves_without_end_is_a_conflict() {
    for (act, kind, calls) in [
        ("save", Kind::Remote, Update.of_sessions()),
        ("log out", Kind::Remote, Update.of_sessions()),
        ("log in", Kind::Remote, Update.of_rosters()),
        ("outgrow", Kind::Overflow, Update.of_sessions()),
    ] {
        let (world, jar) = (kind.world(), &mut Jar::default());
        match kind {
            Kind::Overflow => drop(world.put(jar, "n", 1).await),
            _ => *jar = world.logged_in("ada", "laptop").await,
        }
        world.set(&mut jar.clone(), "large", 600).await;
        for n in 1..1_000 {
            world.records().nth(n, Before, calls, Move);
        }
        let run = async |session: Session| {
            session.load().await.unwrap();
            match act {
                "log out" => return session.destroy().await,
                "log in" => log_in(session, "ada", "phone").await,
                _ => session.insert("more", "x".repeat(600)).unwrap(),
            }
            Ok(())
        };
        let (ended, response) = world.visit(jar, run).await;
        let error = ended.err().map(|error| error.kind());
        let error = error.or(failure(&response));
        assert_eq!(error, Some(ErrorKind::Conflict), "{act}");
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

/// The list has the new record as soon as it is there, so an administrator can write to it before
/// the renewal writes it again.
#[tokio::test]
async fn a_renewal_does_not_take_another_write_for_a_move() {
    let world = Kind::Remote.world();
    let jar = &mut world.logged_in("ada", "laptop").await;
    let tab = &mut jar.clone();
    let renew = async |session: Session| {
        session.load().await.unwrap();
        session.renew();
        world.put(tab, "n", 1).await;
        world.records().nth(2, Before, Update.of_sessions(), Wait);
    };
    let administer = async {
        world.records().reached().await;
        let listed = world.subjects().list("ada").await.unwrap();
        let key = listed[0].record_key();
        let session = world.session_records().load(&key).await.unwrap().unwrap();
        session.insert("role", "editor").unwrap();
        session.save().await.unwrap();
        world.records().go();
    };
    let ((_, response), ()) = tokio::join!(world.visit(jar, renew), administer);
    assert_eq!(failure(&response), Some(ErrorKind::Gone));
    assert!(world.is_alive(tab).await);
    assert_eq!(world.records().sessions().await, 1);
}

/// As the command-line tool does when it is given one store of a move.
#[tokio::test]
async fn one_store_alone_does_not_list_a_part_of_the_sessions() {
    let stores = [Scripted::default(), Scripted::default()];
    let [from, to] = stores.clone();
    let old = SessionConfig::new("s", from.clone(), keys()).cookie_name("s");
    let site = Site::of(SessionLayer::new(old.clone()));
    let mut jars = [Jar::default(), Jar::default()];
    for jar in &mut jars {
        site.log_in(jar, "ada", "laptop").await;
    }
    let both = MigratingStore::new(from, to).clock(site.clock.clone());
    let both = SessionConfig::new("s", both, keys()).cookie_name("s");
    let moving = Site::at(&site.clock, SessionLayer::new(both.clone()));
    moving.put(&mut jars[0], "n", 1).await;
    let subjects = |config| Subjects::new(config).unwrap().clock(site.clock.clone());
    let error = subjects(&old).list("ada").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LaterFormat);
    assert_eq!(subjects(&both).list("ada").await.unwrap().len(), 2);
}
