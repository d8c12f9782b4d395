//! Subjects of sessions: listing a subject's sessions, and ending them.

use silverback::{
    ConfigError, ErrorKind, MemoryStore, Rejection, Session, SessionConfig, SessionLayer,
    SubjectSession, Subjects,
    store::{Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version},
};

use crate::support::{
    DAY, HOUR, Jar, Kind, START, Site, Stores, World, failure, keys, log_in, notes,
    scripted::{After, Before, Cut, Fail, Load, LoadMany, Update},
    steps::in_between,
    user,
};

async fn set_subject(world: &World, jar: &mut Jar, subject: &str, note: &str) {
    let set = async |session: Session| {
        session.load().await.unwrap();
        session.set_subject(subject, note).unwrap();
    };
    world.visit(jar, set).await;
}

async fn subject(session: Session) -> Option<String> {
    session.load().await.unwrap();
    session.subject().unwrap()
}

#[tokio::test]
async fn users_see_where_they_are_logged_in() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let laptop = &mut world.logged_in("ada", "laptop").await;
        world.clock.advance(HOUR);
        world.logged_in("ada", "phone").await;
        world.logged_in("bob", "desk").await;
        assert_eq!(
            world.notes("ada").await,
            ["phone", "laptop"],
            "the most recently used first"
        );
        assert_eq!(world.notes("nobody").await, [""; 0]);

        let list = async |session: Session| {
            session.load().await.unwrap();
            (
                session.subject_sessions().await.unwrap(),
                session.record_key(),
            )
        };
        let ((sessions, id), _) = world.visit(laptop, list).await;
        assert_eq!(
            notes(&sessions),
            ["laptop", "phone"],
            "the current one first"
        );
        let current: Vec<_> = sessions.iter().map(SubjectSession::is_current).collect();
        assert_eq!(current, [true, false]);
        assert_eq!(Some(sessions[0].record_key()), id);
        let created: Vec<_> = sessions.iter().map(SubjectSession::created_at).collect();
        assert_eq!(created, [START, START.saturating_add(HOUR)]);
        let (subject, _) = world.visit(laptop, subject).await;
        assert_eq!(subject.as_deref(), Some("ada"));
    }
}

/// Anyone who planted or copied the old ID stays outside.
#[tokio::test]
async fn a_login_takes_a_new_id() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut Jar::default();
        let id = async |session: Session| {
            session.load().await.unwrap();
            session.record_key()
        };
        world.put(jar, "cart", 3).await;
        for user in ["ada", "bob"] {
            let before = &mut jar.clone();
            set_subject(&world, jar, user, "laptop").await;
            assert_eq!(world.get(jar, "cart").await, Some(3), "{kind:?}");
            assert_eq!(world.notes(user).await, ["laptop"], "{kind:?}");
            assert_eq!(world.visit(before, subject).await.0, None, "{kind:?}");
            assert!(!world.is_alive(before).await, "{kind:?}");
        }
        assert_eq!(world.notes("ada").await, [""; 0], "{kind:?}");

        let (named, _) = world.visit(jar, id).await;
        set_subject(&world, jar, "bob", "another laptop").await;
        assert_eq!(world.visit(jar, id).await.0, named, "{kind:?}: no login");
        assert_eq!(world.notes("bob").await, ["another laptop"], "{kind:?}");
    }
}

/// It is no login, so it needs no new ID beside other changes.
#[tokio::test]
async fn a_new_note_is_saved_beside_other_changes() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "phone").await;
        let other = &mut jar.clone();
        let note = async |session: Session| {
            session.load().await.unwrap();
            session.set_subject("ada", "laptop").unwrap();
            world.put(other, "n", 1).await;
        };
        let (_, response) = world.visit(jar, note).await;
        assert_eq!(failure(&response), None, "{kind:?}");
        assert_eq!(world.notes("ada").await, ["laptop"], "{kind:?}");
        let n = (!kind.is_cookie()).then_some(1);
        assert_eq!(world.get(jar, "n").await, n, "{kind:?}");
    }
}

#[tokio::test]
async fn a_session_whose_note_could_not_be_saved_stays_listed() {
    for act in [Fail, Cut] {
        let world = Kind::Remote.world();
        let jar = &mut world.logged_in("ada", "phone").await;
        let note = async |session: Session| {
            session.load().await.unwrap();
            session.set_subject("ada", "laptop").unwrap();
            world.records().every(After, Update.of_sessions(), act);
        };
        let (_, response) = world.visit(jar, note).await;
        assert_eq!(failure(&response), Some(ErrorKind::StoreFailed));
        assert_eq!(world.notes("ada").await.len(), 1);
    }
}

/// Only a response can carry the new ID.
#[tokio::test]
async fn nobody_logs_in_after_the_response() {
    for kind in [Kind::Memory, Kind::Remote] {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "cart", 3).await;
        let (late, _) = world.visit(jar, async |session| session).await;
        late.load().await.unwrap();
        let error = late.set_subject("ada", "laptop").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyCommitted, "{kind:?}");
        late.insert("cart", 4).unwrap();
        late.save().await.unwrap();
        assert_eq!(world.get(jar, "cart").await, Some(4), "{kind:?}");
        assert_eq!(world.notes("ada").await, [""; 0], "{kind:?}");
    }
}

/// A login that is ended under way leaves nothing, not even the session from before.
#[tokio::test]
async fn a_login_that_ends_also_ends_the_earlier_cookie() {
    for kind in Kind::REMOTE_SUBJECTS {
        for when in [Before, After] {
            let mut was_in_the_list = 0;
            for n in 1.. {
                let world = kind.world();
                let mut jar = Jar::default();
                world.put(&mut jar, "cart", 3).await;
                let before = jar.clone();
                let hook = (world.rosters(), n, when);
                let login = set_subject(&world, &mut jar, "ada", "laptop");
                let (_, ended) = in_between(hook, login, world.destroy_all("ada")).await;
                let Some(ended) = ended else { break };
                was_in_the_list += ended;
                let is_alive = world.is_alive(&before).await || world.is_alive(&jar).await;
                assert!(ended == 0 || !is_alive, "{kind:?}, {when:?} call {n}");
            }
            assert!(was_in_the_list > 1, "{kind:?}, {when:?}");
        }
    }
}

#[tokio::test]
async fn others_are_logged_out_and_this_is_not() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let laptop = world.logged_in("ada", "laptop").await;
        let phone = &mut world.logged_in("ada", "phone").await;
        let of_bob = world.logged_in("bob", "desk").await;
        let change_password = async |session: Session| {
            session.load().await.unwrap();
            session.renew();
            session.destroy_others().await.unwrap()
        };
        assert_eq!(world.visit(phone, change_password).await.0, 1);
        assert!(
            !world.is_alive(&laptop).await,
            "nor is a copy of its cookie"
        );
        assert!(world.is_alive(phone).await && world.is_alive(&of_bob).await);
        assert_eq!(world.notes("ada").await, ["phone"]);
    }
}

#[tokio::test]
async fn others_are_ended_before_this_one_or_not_at_all() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let laptop = world.logged_in("ada", "laptop").await;
        let phone = &mut world.logged_in("ada", "phone").await;
        let too_late = async |session: Session| {
            session.destroy().await.unwrap();
            session.destroy_others().await.unwrap_err().kind()
        };
        assert_eq!(world.visit(phone, too_late).await.0, ErrorKind::Gone);
        assert!(world.is_alive(&laptop).await, "{kind:?}");
        let phone = &mut world.logged_in("ada", "phone").await;
        let everywhere = async |session: Session| {
            session.load().await.unwrap();
            session.destroy_others().await.unwrap();
            session.destroy().await.unwrap();
        };
        world.visit(phone, everywhere).await;
        assert!(!world.is_alive(&laptop).await && world.notes("ada").await.is_empty());
    }
}

#[tokio::test]
async fn all_are_ended_and_a_new_login_lives() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jars = [
            world.logged_in("ada", "laptop").await,
            world.logged_in("ada", "phone").await,
        ];
        assert_eq!(world.destroy_all("ada").await, 2);
        for jar in &jars {
            assert!(!world.is_alive(jar).await);
        }
        let again = world.logged_in("ada", "tablet").await;
        assert!(world.is_alive(&again).await, "in the same second");
        assert_eq!(world.notes("ada").await, ["tablet"]);
        assert_eq!(world.destroy_all("ada").await, 1);
        assert!(!world.is_alive(&again).await);
        assert_eq!(world.destroy_all("ada").await, 0);
    }
}

#[tokio::test]
async fn one_is_ended_and_only_by_its_subject() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let subjects = world.subjects();
        let laptop = world.logged_in("ada", "laptop").await;
        let stolen = subjects.list("ada").await.unwrap()[0].record_key();
        let phone = world.logged_in("ada", "phone").await;
        assert!(!subjects.destroy("bob", &stolen).await.unwrap());
        assert!(world.is_alive(&laptop).await);
        assert!(subjects.destroy("ada", &stolen).await.unwrap());
        assert!(!subjects.destroy("ada", &stolen).await.unwrap());
        assert!(!world.is_alive(&laptop).await && world.is_alive(&phone).await);

        let keep = subjects.list("ada").await.unwrap()[0].record_key();
        world.logged_in("ada", "tablet").await;
        assert_eq!(subjects.destroy_all_but("ada", &keep).await.unwrap(), 1);
        assert!(world.is_alive(&phone).await);
    }
}

#[tokio::test]
async fn a_list_follows_renewals_and_logouts() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        let before = world.subjects().list("ada").await.unwrap();
        world.clock.advance(DAY / 2);
        world.renew(jar).await;
        let after = world.subjects().list("ada").await.unwrap();
        assert_eq!(notes(&after), ["laptop"]);
        assert_ne!(before[0].record_key(), after[0].record_key());
        assert_eq!(before[0].created_at(), after[0].created_at());
        assert_eq!(after[0].last_used(), START.saturating_add(DAY / 2));

        world.log_in(jar, "ada", "again").await;
        assert_eq!(world.notes("ada").await, ["again"]);
        world.destroy(jar).await;
        assert_eq!(world.notes("ada").await, [""; 0]);
    }
}

#[tokio::test]
async fn a_list_follows_changes_of_the_subject() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        set_subject(&world, jar, "bob", "borrowed").await;
        assert_eq!(world.notes("ada").await, [""; 0]);
        assert_eq!(world.notes("bob").await, ["borrowed"]);

        let leave = async |session: Session| {
            session.load().await.unwrap();
            [(); 2].map(|()| session.remove_subject().unwrap())
        };
        let before = jar.clone();
        assert_eq!(world.visit(jar, leave).await.0, [true, false]);
        assert!(!world.is_alive(&before).await, "its ID is another");
        assert_eq!(world.notes("bob").await, [""; 0]);
        assert_eq!(world.destroy_all("bob").await, 0);
        assert!(world.is_alive(jar).await);
        world.log_in(jar, "ada", "back").await;
        assert_eq!(world.notes("ada").await, ["back"]);
    }
}

#[tokio::test]
async fn the_last_subject_of_a_request_counts() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        let twice = async |session: Session| {
            session.load().await.unwrap();
            session.set_subject("bob", "no").unwrap();
            session.set_subject("ada", "yes").unwrap();
        };
        world.visit(jar, twice).await;
        assert_eq!(world.notes("ada").await, ["yes"]);
        assert_eq!(world.notes("bob").await, [""; 0]);
    }
}

#[tokio::test]
async fn one_that_is_set_during_a_save_is_listed() {
    let world = Kind::Remote.world();
    let write = async |session: Session| {
        session.load().await.unwrap();
        session.insert("user", "ada").unwrap();
        let set = async { session.set_subject("ada", "laptop").unwrap() };
        let (saved, ()) = tokio::join!(session.save(), set);
        saved.unwrap();
    };
    world.visit(&mut Jar::default(), write).await;
    assert_eq!(world.notes("ada").await, ["laptop"]);
}

#[tokio::test]
async fn names_have_limits_and_notes_are_cut() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let try_all = async |session: Session| {
            session.load().await.unwrap();
            for bad in ["", &"x".repeat(257)] {
                let error = session.set_subject(bad, "").unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidSubject);
            }
            assert_eq!(session.subject().unwrap(), None);
            let (subject, note) = ("ä".repeat(128), "ä".repeat(1_000));
            session.set_subject(&subject, &note).unwrap();
        };
        world.visit(&mut Jar::default(), try_all).await;
        assert_eq!(
            world.notes(&"ä".repeat(128)).await,
            ["ä".repeat(128)],
            "not inside a character"
        );
    }
}

#[tokio::test]
async fn a_session_in_a_cookie_needs_revocation() {
    let world = Kind::Cookie.world();
    let refused = async |session: Session| session.set_subject("ada", "").unwrap_err();
    let (error, _) = world.visit(&mut Jar::default(), refused).await;
    assert_eq!(error.kind(), ErrorKind::NeedsRevocation);
    let error = Subjects::new(&SessionConfig::cookie("s", keys())).unwrap_err();
    assert_eq!(error, ConfigError::NeedsRevocation("s".into()));
    assert!(error.to_string().contains(".revocation("), "{error}");
}

#[tokio::test]
async fn ending_others_needs_revocation() {
    for kind in [Kind::Revocable, Kind::RemoteRevocable] {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        // The next deployment.
        let layer = SessionLayer::new(SessionConfig::cookie("s", keys()).cookie_name("s"));
        let site = Site::at(&world.clock, layer);
        let others = async |session: Session| session.destroy_others().await.unwrap_err();
        let (error, _) = site.visit(jar, others).await;
        assert_eq!(error.kind(), ErrorKind::NeedsRevocation);
    }
}

#[tokio::test]
async fn a_session_of_only_a_subject_is_saved() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut Jar::default();
        set_subject(&world, jar, "ada", "").await;
        let look = async |session: Session| (subject(session.clone()).await, session.is_new());
        let ((subject, is_new), _) = world.visit(jar, look).await;
        assert_eq!((subject.as_deref(), is_new.unwrap()), (Some("ada"), false));
        assert_eq!(world.destroy_all("ada").await, 1);
        let expected = if kind.is_cookie() {
            Rejection::Revoked
        } else {
            Rejection::NotFound
        };
        assert_eq!(world.rejection(jar).await, Some(expected));
    }
}

#[tokio::test]
async fn a_list_belongs_to_one_name_and_application() {
    let stores = Stores::new();
    let config = |name: &str| Kind::Memory.config(&stores, keys()).named(name);
    let configs = [config("a"), config("b"), config("a").audience("other")];
    for (at, config) in configs.iter().enumerate() {
        let site = Site::at(&stores.clock, SessionLayer::new(config.clone()));
        let note = format!("{at}");
        site.visit(&mut Jar::default(), |session| log_in(session, "ada", &note))
            .await;
    }
    for (at, config) in configs.iter().enumerate() {
        let subjects = Subjects::new(config).unwrap().clock(stores.clock.clone());
        let list = subjects.list("ada").await.unwrap();
        assert_eq!(notes(&list), [format!("{at}")]);
    }
}

#[tokio::test]
async fn opening_is_one_call() {
    for kind in Kind::REMOTE_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        world.rosters().take_log();
        world.visit(jar, user).await;
        let call = if kind.is_cookie() { LoadMany } else { Load };
        assert_eq!(world.rosters().take_log(), [call], "{kind:?}");
    }
}

/// It had no subject when it got this one, so anyone who planted its ID must stay outside.
#[tokio::test]
async fn one_without_a_subject_meanwhile_gets_a_new_id() {
    for world in [Kind::Memory, Kind::Remote].map(Kind::world) {
        let jar = &mut world.logged_in("ada", "laptop").await;
        let before = jar.clone();
        let again = async |session: Session| {
            session.load().await.unwrap();
            let remove = async |session: Session| {
                session.load().await.unwrap();
                assert!(session.remove_subject().unwrap());
            };
            world.visit(&mut before.clone(), remove).await;
            session.set_subject("ada", "again").unwrap();
        };
        world.visit(jar, again).await;
        let old = world.visit(&mut before.clone(), subject).await.0;
        assert_eq!(old, None, "{:?}", world.kind);
    }
}

/// A store that breaks its contract: it leaves the last of many answers out.
struct Terse(MemoryStore);

impl Store for Terse {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        self.0.load(key, read).await
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let mut answers = self.0.load_many(keys, read).await;
        answers.pop();
        answers
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.0.create(key, data, expiry).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.0.update(key, expected, data, expiry).await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.0.touch(key, expected, expiry).await
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        self.0.delete(key, expected).await
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        self.0.delete_many(records).await
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }
}

#[tokio::test]
async fn an_answer_that_is_left_out_hides_no_session() {
    let config = SessionConfig::new("s", Terse(MemoryStore::new()), keys());
    let subjects = Subjects::new(&config).unwrap();
    for (note, expected) in [("laptop", Ok(1)), ("phone", Err(ErrorKind::StoreFailed))] {
        let session = Session::detached(&config).unwrap();
        session.set_subject("ada", note).unwrap();
        session.save().await.unwrap();
        let listed = subjects.list("ada").await;
        let count = listed.map(|listed| listed.len());
        assert_eq!(count.map_err(|error| error.kind()), expected);
    }
}
