//! Whose session it is: listing a subject's sessions, and ending them, whatever they are kept in.

use std::time::Duration;

use http::StatusCode;
use silverback::{
    Clock, ConfigError, ErrorKind, Key, Keys, Rejection, Session, SessionConfig, SessionLayer,
    SubjectSession, Subjects,
    store::{Bytes, MemoryStore, Record, RecordKey, Store},
};

use crate::support::{
    DAY, HOUR, Jar, START, Site, keys, no_cookie,
    schedule::{all, next, now_and_then, rounds},
    store::Remote,
};

/// A site, its sessions seen from outside, and the store that has them or remembers which have
/// ended.
struct World {
    site: Site,
    subjects: Subjects,
    remote: Remote,
    in_cookie: bool,
}

fn world_of(in_cookie: bool, change: impl FnOnce(SessionConfig) -> SessionConfig) -> World {
    let clock = Clock::manual(START);
    let remote = Remote::new(MemoryStore::new().clock(clock.clone()));
    let config = match in_cookie {
        true => SessionConfig::cookie("s", keys()).revocation(remote.clone()),
        false => SessionConfig::new("s", remote.clone(), keys()),
    };
    let config = change(config);
    let subjects = Subjects::new(&config).unwrap().clock(clock.clone());
    let site = Site {
        layer: SessionLayer::new(config).clock(clock.clone()),
        clock,
    };
    World {
        site,
        subjects,
        remote,
        in_cookie,
    }
}

/// One with sessions in a store, one with sessions in a cookie.
fn worlds() -> [World; 2] {
    [false, true].map(|in_cookie| world_of(in_cookie, |config| config))
}

async fn log_in(session: Session, user: &str, device: &str) {
    session.load().await.unwrap();
    session.renew();
    session.insert("user", user).unwrap();
    session.set_subject(user, device).unwrap();
}

async fn look(session: Session) -> Option<String> {
    session.load().await.unwrap();
    session.get("user").unwrap()
}

impl World {
    async fn logged_in(&self, user: &str, device: &str) -> Jar {
        let mut jar = Jar::default();
        let (_, response) = self
            .site
            .visit(&mut jar, |session| log_in(session, user, device))
            .await;
        assert_eq!(response.status(), StatusCode::OK);
        jar
    }

    /// Whether a browser with these cookies is logged in.
    async fn is_alive(&self, jar: &Jar) -> bool {
        self.site.visit(&mut jar.clone(), look).await.0.is_some()
    }

    async fn notes(&self, user: &str) -> Vec<String> {
        notes(&self.subjects.list(user).await.unwrap())
    }
}

fn notes(sessions: &[SubjectSession]) -> Vec<String> {
    sessions
        .iter()
        .map(|session| session.note().to_owned())
        .collect()
}

#[tokio::test]
async fn a_user_sees_where_he_is_logged_in() {
    for world in worlds() {
        let laptop = world.logged_in("ada", "laptop").await;
        world.site.clock.advance(HOUR);
        let _phone = world.logged_in("ada", "phone").await;
        world.logged_in("bob", "desk").await;
        assert_eq!(
            world.notes("ada").await,
            ["phone", "laptop"],
            "the one used last first"
        );

        let list = async |session: Session| {
            session.load().await.unwrap();
            (
                session.subject_sessions().await.unwrap(),
                session.id(),
                session.subject().unwrap(),
            )
        };
        let ((sessions, id, subject), _) = world.site.visit(&mut laptop.clone(), list).await;
        assert_eq!(
            notes(&sessions),
            ["laptop", "phone"],
            "the current one first"
        );
        assert_eq!(subject.as_deref(), Some("ada"));
        assert_eq!(
            sessions
                .iter()
                .map(SubjectSession::is_current)
                .collect::<Vec<_>>(),
            [true, false]
        );
        assert_eq!(Some(sessions[0].id()), id);
        assert_eq!(
            (sessions[0].created(), sessions[1].created()),
            (START, START.saturating_add(HOUR))
        );
        assert_eq!(world.subjects.list("nobody").await.unwrap(), []);
    }
}

#[tokio::test]
async fn others_are_logged_out_and_this_one_is_not() {
    for world in worlds() {
        let (laptop, phone) = (
            world.logged_in("ada", "laptop").await,
            &mut world.logged_in("ada", "phone").await,
        );
        let other = world.logged_in("bob", "desk").await;
        let change_password = async |session: Session| {
            session.load().await.unwrap();
            session.renew();
            session.destroy_others().await.unwrap()
        };
        let (ended, _) = world.site.visit(phone, change_password).await;
        assert_eq!(ended, 1);
        assert!(
            !world.is_alive(&laptop).await,
            "at once, and whoever has a copy of its cookie"
        );
        assert!(world.is_alive(phone).await && world.is_alive(&other).await);
        assert_eq!(world.notes("ada").await, ["phone"]);
    }
}

#[tokio::test]
async fn an_administrator_ends_all_and_the_user_logs_in_again_at_once() {
    for world in worlds() {
        let jars = [
            world.logged_in("ada", "laptop").await,
            world.logged_in("ada", "phone").await,
        ];
        assert_eq!(world.subjects.destroy_all("ada").await.unwrap(), 2);
        for jar in &jars {
            assert!(!world.is_alive(jar).await);
        }
        let again = world.logged_in("ada", "tablet").await;
        assert!(world.is_alive(&again).await, "in the same second");
        assert_eq!(world.notes("ada").await, ["tablet"]);
        assert_eq!(world.subjects.destroy_all("ada").await.unwrap(), 1);
        assert!(!world.is_alive(&again).await);
        assert_eq!(world.subjects.destroy_all("ada").await.unwrap(), 0);
    }
}

#[tokio::test]
async fn one_session_is_ended_and_only_by_whose_it_is() {
    for world in worlds() {
        let (laptop, phone) = (
            world.logged_in("ada", "laptop").await,
            world.logged_in("ada", "phone").await,
        );
        let listed = world.subjects.list("ada").await.unwrap();
        let stolen = listed
            .iter()
            .find(|session| session.note() == "laptop")
            .unwrap()
            .id();
        assert!(!world.subjects.destroy("bob", &stolen).await.unwrap());
        assert!(world.is_alive(&laptop).await);
        assert!(world.subjects.destroy("ada", &stolen).await.unwrap());
        assert!(!world.subjects.destroy("ada", &stolen).await.unwrap());
        assert!(!world.is_alive(&laptop).await && world.is_alive(&phone).await);

        let keep = world.subjects.list("ada").await.unwrap()[0].id();
        world.logged_in("ada", "tablet").await;
        assert_eq!(
            world.subjects.destroy_all_but("ada", &keep).await.unwrap(),
            1
        );
        assert!(world.is_alive(&phone).await);
    }
}

#[tokio::test]
async fn the_list_follows_renewals_logouts_and_changes_of_the_subject() {
    for world in worlds() {
        let jar = &mut world.logged_in("ada", "laptop").await;
        let before = world.subjects.list("ada").await.unwrap();
        world.site.clock.advance(DAY / 2);
        world.site.visit(jar, async |session| session.renew()).await;
        let after = world.subjects.list("ada").await.unwrap();
        assert_eq!(notes(&after), ["laptop"]);
        assert_ne!(before[0].id(), after[0].id());
        assert_eq!(
            (before[0].created(), after[0].last_used()),
            (after[0].created(), START.saturating_add(DAY / 2))
        );

        let become_bob = async |session: Session| {
            session.load().await.unwrap();
            session.set_subject("bob", "borrowed").unwrap();
        };
        world.site.visit(jar, become_bob).await;
        assert_eq!(
            (world.notes("ada").await, world.notes("bob").await),
            (vec![], vec!["borrowed".to_owned()])
        );

        let leave = async |session: Session| {
            session.load().await.unwrap();
            (
                session.remove_subject().unwrap(),
                session.remove_subject().unwrap(),
            )
        };
        assert_eq!(world.site.visit(jar, leave).await.0, (true, false));
        assert_eq!(world.notes("bob").await, [""; 0]);
        assert_eq!(world.subjects.destroy_all("bob").await.unwrap(), 0);
        assert!(world.is_alive(jar).await);

        world
            .site
            .visit(jar, |session| log_in(session, "ada", "back"))
            .await;
        world
            .site
            .visit(jar, async |session| session.destroy().await.unwrap())
            .await;
        assert_eq!(world.notes("ada").await, [""; 0]);
    }
}

#[tokio::test]
async fn logging_in_twice_in_one_request_counts_once() {
    for world in worlds() {
        let jar = &mut world.logged_in("ada", "laptop").await;
        let twice = async |session: Session| {
            session.load().await.unwrap();
            session.set_subject("bob", "no").unwrap();
            session.set_subject("ada", "yes").unwrap();
        };
        world.site.visit(jar, twice).await;
        assert_eq!(
            (world.notes("ada").await, world.notes("bob").await),
            (vec!["yes".to_owned()], vec![])
        );
    }
}

#[tokio::test]
async fn a_subject_that_is_set_while_a_save_is_under_way_is_listed_with_its_note() {
    let world = world_of(false, |config| config);
    let jar = &mut Jar::default();
    let write = async |session: Session| {
        session.load().await.unwrap();
        session.insert("user", "ada").unwrap();
        tokio::join!(async { session.save().await.unwrap() }, async {
            session.set_subject("ada", "laptop").unwrap();
        });
    };
    world.site.visit(jar, write).await;
    assert_eq!(world.notes("ada").await, ["laptop"]);
}

#[tokio::test]
async fn last_use_is_known_to_within_an_hour() {
    for world in worlds() {
        let jar = &mut world.logged_in("ada", "laptop").await;
        let remember = async |session: Session| {
            session.load().await.unwrap();
            session.persist_for(30 * DAY);
        };
        world.site.visit(jar, remember).await;
        let mut writes = 0;
        for minute in 1..=180 {
            world.site.clock.advance(Duration::from_secs(60));
            world.remote.take_log();
            assert!(world.site.visit(jar, look).await.0.is_some());
            writes += usize::from(world.remote.take_log().contains(&"update"));
            let used = world.subjects.list("ada").await.unwrap()[0].last_used();
            assert!(
                used.saturating_add(HOUR) >= world.site.clock.now(),
                "minute {minute}"
            );
        }
        assert_eq!(writes, 3, "once an hour");
    }
}

#[tokio::test]
async fn a_list_has_no_session_that_has_expired() {
    for world in worlds() {
        world.logged_in("ada", "laptop").await;
        world.site.clock.advance(DAY - HOUR);
        let phone = &mut world.logged_in("ada", "phone").await;
        world.site.clock.advance(3 * HOUR);
        assert_eq!(world.notes("ada").await, ["phone"]);
        // Used on and on, a session outlives the entry it began with.
        for _ in 0..40 {
            world.site.clock.advance(8 * HOUR);
            world.site.visit(phone, look).await;
            assert_eq!(world.notes("ada").await, ["phone"]);
        }
        world.site.clock.advance(DAY);
        assert_eq!(world.notes("ada").await, [""; 0]);
    }
}

#[tokio::test]
async fn who_is_over_the_limit_is_logged_out() {
    for in_cookie in [false, true] {
        let world = world_of(in_cookie, |config| config.sessions_per_subject(2));
        let mut jars = Vec::new();
        for device in ["one", "two", "three"] {
            jars.push(world.logged_in("ada", device).await);
            world.site.clock.advance(HOUR);
        }
        assert_eq!(world.notes("ada").await, ["three", "two"]);
        assert!(!world.is_alive(&jars[0]).await && world.is_alive(&jars[1]).await);
        // Renewing is no new session.
        world
            .site
            .visit(&mut jars[1], async |session| session.renew())
            .await;
        assert!(world.is_alive(&jars[1]).await && world.is_alive(&jars[2]).await);
        assert_eq!(world.notes("ada").await.len(), 2);
        // What was renewed or left makes room for the next one.
        world
            .site
            .visit(&mut jars[2], async |session| {
                session.destroy().await.unwrap()
            })
            .await;
        let four = world.logged_in("ada", "four").await;
        assert!(world.is_alive(&jars[1]).await && world.is_alive(&four).await);
    }
}

#[tokio::test]
async fn a_session_is_listed_as_long_as_it_lives() {
    for world in worlds() {
        let jar = &mut world.logged_in("ada", "laptop").await;
        world.site.clock.advance(Duration::from_secs(59 * 60));
        // Saved, and so put off, but too early to be listed again.
        let change = async |session: Session| {
            session.load().await.unwrap();
            session.insert("more", 1).unwrap();
        };
        world.site.visit(jar, change).await;
        world.site.clock.advance(DAY - Duration::from_secs(60));
        assert!(world.is_alive(jar).await);
        assert_eq!(world.notes("ada").await, ["laptop"]);
        assert_eq!(world.subjects.destroy_all("ada").await.unwrap(), 1);
        assert!(!world.is_alive(jar).await);
    }
}

#[tokio::test]
async fn sessions_in_a_cookie_end_even_if_the_list_got_lost() {
    for destroys_others in [false, true] {
        let world = world_of(true, |config| config);
        let mut jars = [
            world.logged_in("ada", "laptop").await,
            world.logged_in("ada", "phone").await,
        ];
        for key in world.remote.keys() {
            world.remote.delete(&key).await.unwrap();
        }
        if destroys_others {
            let others = async |session: Session| {
                session.load().await.unwrap();
                session.destroy_others().await.unwrap()
            };
            world.site.visit(&mut jars[1], others).await;
        } else {
            world.subjects.destroy_all("ada").await.unwrap();
        }
        // For as long as a browser may come back with one of the old cookies.
        for day in 0..13 {
            assert!(!world.is_alive(&jars[0]).await, "day {day}");
            assert_eq!(
                world.site.visit(&mut jars[1], look).await.0.is_some(),
                destroys_others,
                "day {day}"
            );
            world.site.clock.advance(DAY - HOUR);
        }
        assert!(world.is_alive(&world.logged_in("ada", "again").await).await);
    }
}

#[tokio::test]
async fn a_request_under_way_does_not_survive_the_end_of_all() {
    for world in worlds() {
        let jar = world.logged_in("ada", "laptop").await;
        for renews in [false, true] {
            let jar = &mut world.logged_in("ada", "phone").await;
            let (_, response) = world
                .site
                .visit(jar, async |session: Session| {
                    session.load().await.unwrap();
                    session.insert("slow", 1).unwrap();
                    if renews {
                        session.renew();
                    }
                    world.subjects.destroy_all("ada").await.unwrap();
                })
                .await;
            let refused = renews || !world.in_cookie;
            assert_eq!(
                response.status().is_server_error(),
                refused,
                "cookie {}, renews {renews}",
                world.in_cookie
            );
            assert!(
                !world.is_alive(jar).await,
                "cookie {}, renews {renews}",
                world.in_cookie
            );
        }
        assert!(!world.is_alive(&jar).await);
        assert_eq!(world.notes("ada").await, [""; 0]);
    }
}

#[tokio::test]
async fn a_login_under_way_lives_and_is_listed_or_is_refused() {
    for world in worlds() {
        let jar = &mut Jar::default();
        let (_, response) = world
            .site
            .visit(jar, async |session: Session| {
                log_in(session.clone(), "ada", "laptop").await;
                world.subjects.destroy_all("ada").await.unwrap();
            })
            .await;
        assert_eq!(
            response.status(),
            StatusCode::OK,
            "it was not there when all were ended"
        );
        assert!(world.is_alive(jar).await);
        assert_eq!(world.notes("ada").await, ["laptop"]);
    }
}

/// What a browser may do beside others of the same user.
async fn act(world: &World, jar: &mut Jar, action: u8) {
    let (_, response) = world
        .site
        .visit(jar, async |session: Session| {
            session.load().await.unwrap();
            match action % 6 {
                0 | 1 => log_in(session, "ada", "again").await,
                2 => session.renew(),
                3 => drop(session.insert("value", action)),
                4 => drop(session.destroy_others().await),
                _ => drop(session.destroy().await),
            }
        })
        .await;
    if response.status().is_server_error() {
        assert!(no_cookie(&response) || action % 6 == 5);
    }
}

#[tokio::test]
async fn in_no_schedule_a_session_escapes_its_list() {
    for round in rounds(400) {
        let world = world_of(round % 2 == 0, |config| config);
        let mut jars = [
            world.logged_in("ada", "a").await,
            world.logged_in("ada", "b").await,
            Jar::default(),
        ];
        let before = jars.clone();
        let mut seed = round;
        let actions = [next(&mut seed), next(&mut seed), next(&mut seed)];
        let [one, two, three] = &mut jars;
        tokio::join!(
            now_and_then(round + 1_000, act(&world, one, actions[0])),
            now_and_then(round + 2_000, act(&world, two, actions[1])),
            now_and_then(round + 3_000, act(&world, three, actions[2])),
            now_and_then(round + 4_000, async {
                world.subjects.destroy_all("ada").await.unwrap()
            }),
        );
        for jar in &before {
            assert!(
                jar.0.is_empty() || !world.is_alive(jar).await,
                "round {round}: it was there at the call"
            );
        }
        let mut alive = 0;
        for jar in &jars {
            alive += usize::from(world.is_alive(jar).await);
        }
        let listed = world.subjects.list("ada").await.unwrap().len();
        assert!(
            listed >= alive,
            "round {round}, {actions:?}: {alive} alive, {listed} listed"
        );
        world.subjects.destroy_all("ada").await.unwrap();
        for jar in &jars {
            assert!(!world.is_alive(jar).await, "round {round}, {actions:?}");
        }
    }
}

#[tokio::test]
async fn many_logins_at_once_are_all_listed() {
    for world in worlds() {
        let world = &world;
        let logins = (0..32).map(|n| async move { world.logged_in("ada", &format!("{n}")).await });
        all(logins.collect()).await;
        assert_eq!(world.notes("ada").await.len(), 32);
        assert_eq!(world.subjects.destroy_all("ada").await.unwrap(), 32);
    }
}

#[tokio::test]
async fn a_failing_store_is_never_a_silent_success() {
    for world in worlds() {
        let jar = world.logged_in("ada", "laptop").await;
        for operation in ["load", "update", "delete", "create"] {
            world.remote.fail(operation);
            let ended = world.subjects.destroy_all("ada").await;
            let listed = world.subjects.list("ada").await;
            let jar_of_other = &mut Jar::default();
            let login = world.site.visit(jar_of_other, async |session: Session| {
                if session.load().await.is_ok() {
                    session.insert("user", "ada").unwrap();
                    session.set_subject("ada", "phone").unwrap();
                }
            });
            let status = login.await.1.status();
            world.remote.fail("");
            match ended {
                Ok(_) => assert!(!world.is_alive(&jar).await, "{operation}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Store, "{operation}"),
            }
            assert_eq!(listed.is_err(), operation == "load");
            let alone = world.subjects.destroy_all("ada").await.unwrap();
            assert!(
                alone == 0
                    || status == StatusCode::OK
                    || operation == "update"
                    || operation == "load",
                "{operation}"
            );
            assert!(
                !world.is_alive(&jar).await,
                "{operation}: the second time it works"
            );
            assert_eq!(world.notes("ada").await, [""; 0]);
        }
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_told_of_a_session_fails_changes_and_no_reads() {
    for world in worlds() {
        let jar = &mut world.logged_in("ada", "laptop").await;
        world.site.clock.advance(2 * HOUR);
        world.remote.fail("update");
        let (user, response) = world.site.visit(jar, look).await;
        assert_eq!(
            (user.as_deref(), response.status()),
            (Some("ada"), StatusCode::OK)
        );
        assert!(no_cookie(&response));
        let change = async |session: Session| {
            session.load().await.unwrap();
            session.insert("more", 1).unwrap();
        };
        assert_eq!(
            world.site.visit(jar, change).await.1.status(),
            StatusCode::INTERNAL_SERVER_ERROR
        );
        world.remote.fail("");
        assert_eq!(
            world.site.visit(jar, change).await.1.status(),
            StatusCode::OK
        );
        let more = async |session: Session| {
            session.load().await.unwrap();
            session.get::<u8>("more").unwrap()
        };
        assert_eq!(world.site.visit(jar, more).await.0, Some(1));
    }
}

#[tokio::test]
async fn what_a_subject_may_be() {
    for world in worlds() {
        let try_all = async |session: Session| {
            session.load().await.unwrap();
            for bad in ["", &"x".repeat(257)] {
                assert_eq!(
                    session.set_subject(bad, "").unwrap_err().kind(),
                    ErrorKind::Subject
                );
            }
            assert_eq!(session.subject().unwrap(), None);
            session
                .set_subject(&"ä".repeat(128), &"ä".repeat(1_000))
                .unwrap();
        };
        world.site.visit(&mut Jar::default(), try_all).await;
        assert_eq!(
            world.notes(&"ä".repeat(128)).await,
            ["ä".repeat(128)],
            "cut, but not through a letter"
        );
    }
    let bare = Site::cookie();
    let refused = async |session: Session| session.set_subject("ada", "").unwrap_err().kind();
    assert_eq!(
        bare.visit(&mut Jar::default(), refused).await.0,
        ErrorKind::NeedsRevocation
    );
    let error = Subjects::new(&SessionConfig::cookie("s", keys())).unwrap_err();
    assert_eq!(error, ConfigError::NeedsRevocation("s".into()));
    assert!(error.to_string().contains(".revocation("), "{error}");
}

#[tokio::test]
async fn a_list_is_of_one_session_name_and_one_application() {
    let store = MemoryStore::new();
    let configs = [
        SessionConfig::new("a", store.clone(), keys()),
        SessionConfig::new("b", store.clone(), keys()),
        SessionConfig::new("a", store.clone(), keys()).audience("other"),
    ];
    for (at, config) in configs.iter().enumerate() {
        let site = Site {
            layer: SessionLayer::new(config.clone()),
            clock: Clock::system(),
        };
        let note = format!("{at}");
        site.visit(&mut Jar::default(), |session| log_in(session, "ada", &note))
            .await;
    }
    for (at, config) in configs.iter().enumerate() {
        let list = Subjects::new(config).unwrap().list("ada").await.unwrap();
        assert_eq!(notes(&list), [format!("{at}")]);
    }
}

/// The only record that is neither a session of the subject nor the mark of an ended one.
async fn listing_of(world: &World, subject: &str) -> (RecordKey, Record) {
    let sessions: Vec<_> = world
        .subjects
        .list(subject)
        .await
        .unwrap()
        .iter()
        .map(SubjectSession::id)
        .collect();
    let mut found = Vec::new();
    for key in world
        .remote
        .keys()
        .into_iter()
        .filter(|key| !sessions.contains(key))
    {
        found.extend(
            world
                .remote
                .load(&key)
                .await
                .unwrap()
                .map(|record| (key, record)),
        );
    }
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[tokio::test]
async fn who_has_the_store_reads_no_list_and_cannot_swap_two() {
    for in_cookie in [false, true] {
        let (world, other) = (
            world_of(in_cookie, |config| config),
            world_of(in_cookie, |config| config),
        );
        let mut jar = world.logged_in("ada", "a very particular laptop").await;
        other.logged_in("bob", "desk").await;
        let (key, ada) = listing_of(&world, "ada").await;
        let (_, bob) = listing_of(&other, "bob").await;
        assert!(!ada.data().windows(10).any(|part| {
            b"a very particular laptop"
                .windows(10)
                .any(|note| note == part)
        }));
        for forged in [
            bob.into_data(),
            Bytes::new(),
            Bytes::from_static(b"\x01"),
            ada.clone().into_data().slice(1..),
        ] {
            world.site.clock.advance(HOUR);
            let version = world.remote.load(&key).await.unwrap().unwrap().version();
            world
                .remote
                .update(&key, version, forged, ada.expires())
                .await
                .unwrap();
            assert_eq!(
                world.subjects.list("ada").await.unwrap_err().kind(),
                ErrorKind::Store
            );
            // Sessions in a cookie end by their time; of those in a store nobody can tell which
            // they are.
            let ended = world
                .subjects
                .destroy_all("ada")
                .await
                .map_err(|error| error.kind());
            assert_eq!(
                ended,
                if in_cookie {
                    Ok(0)
                } else {
                    Err(ErrorKind::Store)
                }
            );
            assert_eq!(world.is_alive(&jar).await, !in_cookie);
            // And the user is not locked out.
            jar = world.logged_in("ada", "again").await;
            assert_eq!(world.notes("ada").await, ["again"]);
        }
    }
}

#[tokio::test]
async fn lists_survive_the_rotation_and_the_end_of_a_key() {
    for in_cookie in [false, true] {
        let clock = Clock::manual(START);
        let (ring, store) = (
            Keys::generate().unwrap(),
            MemoryStore::new().clock(clock.clone()),
        );
        let config = match in_cookie {
            true => SessionConfig::cookie("s", ring.clone()).revocation(store.clone()),
            false => SessionConfig::new("s", store.clone(), ring.clone()),
        };
        let subjects = Subjects::new(&config).unwrap().clock(clock.clone());
        let site = Site {
            layer: SessionLayer::new(config).clock(clock.clone()),
            clock,
        };
        let (kept, left) = (&mut Jar::default(), &mut Jar::default());
        site.visit(kept, |session| log_in(session, "ada", "kept"))
            .await;
        site.visit(left, |session| log_in(session, "ada", "left"))
            .await;
        let old = ring.list()[0].0;
        ring.rotate(Key::generate().unwrap()).unwrap();
        site.visit(kept, look).await;
        ring.revoke(old).unwrap();
        assert!(site.visit(&mut kept.clone(), look).await.0.is_some());
        assert!(site.visit(&mut left.clone(), look).await.0.is_none());
        assert_eq!(
            subjects.list("ada").await.unwrap().len(),
            2,
            "the other one's record may still be there"
        );
        subjects.destroy_all("ada").await.unwrap();
        assert!(site.visit(&mut kept.clone(), look).await.0.is_none());

        // Nobody came by after the rotation. The list is still read, as long as the key is known to
        // be revoked.
        site.visit(kept, |session| log_in(session, "bob", "desk"))
            .await;
        let old = ring
            .list()
            .iter()
            .find(|(_, state)| *state == silverback::KeyState::Active)
            .unwrap()
            .0;
        let next = Key::generate().unwrap();
        ring.rotate(next.clone()).unwrap();
        ring.revoke(old).unwrap();
        assert!(site.visit(&mut kept.clone(), look).await.0.is_none());
        subjects.list("bob").await.unwrap();
        // When it is not, the list is as good as none: so are the cookies of all who are in it.
        let config = match in_cookie {
            true => SessionConfig::cookie("s", Keys::new(next)).revocation(store.clone()),
            false => SessionConfig::new("s", store.clone(), Keys::new(next)),
        };
        let subjects = Subjects::new(&config).unwrap().clock(site.clock.clone());
        let site = Site {
            layer: SessionLayer::new(config).clock(site.clock.clone()),
            clock: site.clock,
        };
        assert_eq!(subjects.list("bob").await.unwrap(), []);
        site.visit(kept, |session| log_in(session, "bob", "again"))
            .await;
        assert_eq!(notes(&subjects.list("bob").await.unwrap()), ["again"]);
    }
}

#[tokio::test]
async fn a_session_with_a_subject_is_opened_by_one_read_in_a_store_and_two_in_a_cookie() {
    for world in worlds() {
        let jar = &mut world.logged_in("ada", "laptop").await;
        world.remote.take_log();
        world.site.visit(jar, look).await;
        let reads: &[&str] = if world.in_cookie {
            &["load", "load"]
        } else {
            &["load"]
        };
        assert_eq!(world.remote.take_log(), reads);
    }
}

#[tokio::test]
async fn a_session_of_a_subject_only_is_a_session() {
    for world in worlds() {
        let jar = &mut Jar::default();
        let only = async |session: Session| {
            session.load().await.unwrap();
            session.set_subject("ada", "").unwrap();
        };
        world.site.visit(jar, only).await;
        let whose = async |session: Session| {
            session.load().await.unwrap();
            (session.subject().unwrap(), session.is_new().unwrap())
        };
        assert_eq!(
            world.site.visit(jar, whose).await.0,
            (Some("ada".into()), false)
        );
        let ended = world.subjects.destroy_all("ada").await.unwrap();
        assert_eq!(ended, 1);
        let why = async |session: Session| {
            session.load().await.unwrap();
            session.rejection()
        };
        let expected = if world.in_cookie {
            Rejection::Revoked
        } else {
            Rejection::NotFound
        };
        assert_eq!(world.site.visit(jar, why).await.0, Some(expected));
    }
}
