//! The number of store calls, apart from opening the session.

use silverback::{CookieStore, Session, SessionConfig, SessionLayer, store::DynStore};

use crate::support::{
    Jar, Kind, Site, Stores, World, keys, log_in,
    schedule::until_it_hangs,
    scripted::{Before, Create, DeleteMany, Load, LoadMany, Op, Touch, Update, Wait},
    sessions,
};

/// What a request does, once the session is loaded.
#[derive(Clone, Copy, Debug)]
enum Act {
    Nothing,
    Save,
    Touch,
    Renew,
    LogIn,
    LogInAsAnother,
    Leave,
    LogOut,
    List,
    EndOthers,
}

/// Who makes the request.
#[derive(Clone, Copy, Debug)]
enum Who {
    /// A browser on its first visit.
    New,
    /// A browser whose session has no subject.
    Visitor,
    /// One of three browsers of the same logged-in user.
    User,
}

impl Act {
    async fn run(self, session: Session) {
        match self {
            Self::Nothing => {}
            Self::Save => session.insert("n", 2).unwrap(),
            Self::Touch => session.touch().await.unwrap(),
            Self::Renew => session.renew(),
            Self::LogIn => log_in(session, "ada", "laptop").await,
            Self::LogInAsAnother => log_in(session, "bob", "laptop").await,
            Self::Leave => assert!(session.remove_subject().unwrap()),
            Self::LogOut => session.destroy().await.unwrap(),
            Self::List => assert_eq!(session.subject_sessions().await.unwrap().len(), 3),
            Self::EndOthers => assert_eq!(session.destroy_others().await.unwrap(), 2),
        }
    }
}

impl Who {
    async fn come(self, world: &World) -> Jar {
        let mut jar = Jar::default();
        match self {
            Self::New => {}
            Self::Visitor => drop(world.put(&mut jar, "n", 1).await),
            Self::User => {
                for device in ["phone", "tablet"] {
                    world.logged_in("ada", device).await;
                }
                jar = world.logged_in("ada", "laptop").await;
            }
        }
        jar
    }
}

fn calls(world: &World) -> Vec<Op> {
    [world.records().take_log(), world.ends().take_log()].concat()
}

async fn expect(kind: Kind, rows: &[(Who, Act, &[Op])]) {
    for &(who, act, expected) in rows {
        let world = kind.world();
        let mut jar = who.come(&world).await;
        let request = async |session: Session| {
            session.load().await.unwrap();
            calls(&world);
            act.run(session).await;
        };
        world.visit(&mut jar, request).await;
        assert_eq!(calls(&world), expected, "{kind:?}, {who:?}, {act:?}");
    }
}

#[tokio::test]
async fn of_a_session_in_a_store() {
    let rows: [(Who, Act, &[Op]); 14] = [
        (Who::Visitor, Act::Nothing, &[]),
        (Who::Visitor, Act::Save, &[Update]),
        (Who::Visitor, Act::Touch, &[Touch]),
        (Who::Visitor, Act::Renew, &[Create, Update]),
        (Who::Visitor, Act::LogOut, &[Update]),
        // The roster, the session, and a second load, as the session may have ended meanwhile.
        (Who::New, Act::LogIn, &[Load, Create, Create, Load]),
        (
            Who::Visitor,
            Act::LogIn,
            &[Load, Create, Create, Load, Update],
        ),
        (Who::User, Act::Save, &[Update]),
        (Who::User, Act::Renew, &[Load, Update, Create, Load, Update]),
        (
            Who::User,
            Act::LogInAsAnother,
            &[Load, Create, Create, Load, Update, Load, Update],
        ),
        (Who::User, Act::Leave, &[Create, Update, Load, Update]),
        (Who::User, Act::LogOut, &[Update]),
        (Who::User, Act::List, &[Load, LoadMany]),
        (Who::User, Act::EndOthers, &[Load, Update, DeleteMany]),
    ];
    expect(Kind::Remote, &rows).await;
}

#[tokio::test]
async fn of_a_session_in_a_cookie_with_revocation() {
    let rows: [(Who, Act, &[Op]); 13] = [
        (Who::Visitor, Act::Nothing, &[]),
        // Checks whether it has ended meanwhile.
        (Who::Visitor, Act::Save, &[Load]),
        (Who::Visitor, Act::Renew, &[Create]),
        (Who::Visitor, Act::LogOut, &[Create]),
        // The roster, the end of the old ID, and a second load as above.
        (Who::New, Act::LogIn, &[Load, Create, Load]),
        (Who::Visitor, Act::LogIn, &[Load, Create, Create, Load]),
        (Who::User, Act::Save, &[LoadMany]),
        (Who::User, Act::Renew, &[Load, Update, Create, Load]),
        (
            Who::User,
            Act::LogInAsAnother,
            &[Load, Create, Create, Load, Update, Load],
        ),
        (Who::User, Act::Leave, &[Create, Load, Update]),
        (Who::User, Act::LogOut, &[Create]),
        (Who::User, Act::List, &[Load, LoadMany]),
        // Their `not_before` ends them.
        (Who::User, Act::EndOthers, &[Load, Update]),
    ];
    expect(Kind::RemoteRevocable, &rows).await;
}

#[tokio::test]
async fn of_opening() {
    let cases: [(Kind, Who, &[Op]); 5] = [
        (Kind::Remote, Who::New, &[]),
        (Kind::Remote, Who::Visitor, &[Load]),
        (Kind::Remote, Who::User, &[Load]),
        (Kind::RemoteRevocable, Who::Visitor, &[Load]),
        (Kind::RemoteRevocable, Who::User, &[LoadMany]),
    ];
    for (kind, who, expected) in cases {
        let world = kind.world();
        let mut jar = who.come(&world).await;
        calls(&world);
        world.visit(&mut jar, async |_| ()).await;
        assert_eq!(calls(&world), [], "{kind:?}, {who:?}: untouched");
        let load = async |session: Session| session.load().await.unwrap();
        world.visit(&mut jar, load).await;
        assert_eq!(calls(&world), expected, "{kind:?}, {who:?}");
    }
}

/// One call if both have the same store. Otherwise neither waits for the other.
#[tokio::test]
async fn of_opening_a_record_whose_end_would_be_remembered() {
    let stores = Stores::new();
    let store = DynStore::new(stores.records.clone());
    let cookies = CookieStore::new().overflow(store.clone()).revocation(store);
    let config = SessionConfig::new("s", cookies.up_to(500), keys()).cookie_name("s");
    let world = World::new(Kind::RevocableOverflow, stores, config);
    let jar = &mut world.grown().await;
    calls(&world);
    let load = async |session: Session| session.load().await.unwrap();
    world.visit(jar, load).await;
    assert_eq!(calls(&world), [LoadMany]);

    let world = Kind::RevocableOverflow.world();
    let jar = &mut world.grown().await;
    calls(&world);
    let both = [world.records(), world.ends()];
    both.iter().for_each(|store| store.at(Before, Load, Wait));
    let answer = async {
        for store in both {
            store.reached().await;
        }
        both.iter().for_each(|store| store.go());
    };
    let visit = world.visit(jar, load);
    let done = until_it_hangs(async { tokio::join!(visit, answer) }).await;
    done.expect("neither store waits for the other's answer");
    assert_eq!(calls(&world), [Load, Load]);
}

#[tokio::test]
async fn of_ending_all_from_outside() {
    for kind in Kind::REMOTE_SUBJECTS {
        let world = kind.world();
        Who::User.come(&world).await;
        calls(&world);
        assert_eq!(world.destroy_all("ada").await, 3);
        let expected: &[Op] = if kind.is_cookie() {
            // Their `not_before` ends them.
            &[Load, Update]
        } else {
            &[Load, Update, DeleteMany]
        };
        assert_eq!(calls(&world), expected, "{kind:?}");
    }
}

/// `many_sessions` shows that the calls run concurrently.
#[tokio::test]
async fn of_three_sessions_of_a_request_in_one_store() {
    let Stores { clock, records, .. } = Stores::new();
    let store = DynStore::new(records.clone());
    let config = |name| SessionConfig::new(name, store.clone(), keys());
    let layer = SessionLayer::new(config("a"))
        .with(config("b"))
        .with(config("c"));
    let (site, jar) = (Site::at(&clock, layer), &mut Jar::default());
    for (n, expected) in [
        (1, [Create, Create, Create].as_slice()),
        (2, &[LoadMany, Update, Update, Update]),
    ] {
        let put = async |session: Session| {
            let all = sessions(&session);
            all.load_all().await.unwrap();
            all.iter().for_each(|one| one.insert("n", n).unwrap());
        };
        site.visit(jar, put).await;
        assert_eq!(records.take_log(), expected);
    }
}
