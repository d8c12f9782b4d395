//! For every call of every operation, the store applies the call and its answer is lost. The
//! outcome is the same as if it had been heard, whether the store's client retries or this crate
//! does.

use http::{Response, StatusCode};
use silverback::Session;

use crate::support::{
    Jar, Kind, World, log_in, one_more,
    scripted::{ANY, Act, After, Cut, Lose, Scripted},
    steps::at_every_step,
};

/// What the observed browser does.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Save,
    SaveAtOnce,
    Touch,
    Empty,
    Renew,
    LogIn,
    /// Logs in as somebody else.
    Switch,
    LogOut,
    EndOthers,
    EndAll,
    EndThis,
    /// Stores more than fits into the cookie, where that has a limit.
    Grow,
}

const DEEDS: [Deed; 12] = [
    Deed::Save,
    Deed::SaveAtOnce,
    Deed::Touch,
    Deed::Empty,
    Deed::Renew,
    Deed::LogIn,
    Deed::Switch,
    Deed::LogOut,
    Deed::EndOthers,
    Deed::EndAll,
    Deed::EndThis,
    Deed::Grow,
];

/// Selects a world's records or its ends.
type StoreOf = fn(&World) -> &Scripted;

/// Whose session it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    New,
    Visitor,
    User,
}

/// What can be observed afterwards.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    status: StatusCode,
    said: Option<usize>,
    n: Option<u32>,
    user: Option<String>,
    is_old_alive: bool,
    are_others_alive: Vec<bool>,
    notes: [Vec<String>; 2],
    records: usize,
}

async fn do_it(world: &World, jar: &mut Jar, deed: Deed) -> (Option<usize>, Response<String>) {
    let key = match deed {
        Deed::EndThis => Some(world.key(jar).await),
        _ => None,
    };
    let handler = async |session: Session| {
        session.load().await.unwrap();
        match deed {
            Deed::Save => drop(session.update("n", one_more).unwrap()),
            Deed::SaveAtOnce => {
                session.update("n", one_more).unwrap();
                session.save().await.unwrap();
                session.update("n", one_more).unwrap();
            }
            Deed::Touch => session.touch().await.unwrap(),
            Deed::Empty => session.clear().unwrap(),
            Deed::Renew => session.renew(),
            Deed::LogIn => log_in(session, "ada", "laptop").await,
            Deed::Switch => log_in(session, "eve", "laptop").await,
            Deed::LogOut => session.destroy().await.unwrap(),
            Deed::EndOthers => return Some(session.destroy_others().await.unwrap()),
            Deed::EndAll => return Some(world.subjects().destroy_all("ada").await.unwrap()),
            Deed::EndThis => {
                let ended = world.subjects().destroy("ada", &key.unwrap()).await;
                return Some(usize::from(ended.unwrap()));
            }
            Deed::Grow => session.insert("large", "x".repeat(600)).unwrap(),
        }
        None
    };
    world.visit(jar, handler).await
}

/// Runs a deed, with `act` at the `n`th call. Returns `None` if there are fewer calls.
async fn run(
    (kind, who, deed): (Kind, Who, Deed),
    fault: Option<(usize, Act, StoreOf)>,
) -> Option<Outcome> {
    let world = kind.world();
    let others = [
        world.logged_in("ada", "phone").await,
        world.logged_in("ada", "tablet").await,
    ];
    let jar = &mut Jar::default();
    if who != Who::New {
        world.put(jar, "n", 1).await;
    }
    if who == Who::User {
        world.log_in(jar, "ada", "laptop").await;
    }
    let old = jar.clone();
    if let Some((n, act, store)) = fault {
        store(&world).take_log();
        store(&world).nth(n, After, ANY, act);
    }
    let (said, response) = do_it(&world, jar, deed).await;
    if let Some((n, _, store)) = fault {
        world.calm();
        if store(&world).take_log().len() < n {
            return None;
        }
    }
    let mut are_others_alive = Vec::new();
    for other in &others {
        are_others_alive.push(world.is_alive(other).await);
    }
    let mut notes = [world.notes("ada").await, world.notes("eve").await];
    notes.iter_mut().for_each(|notes| notes.sort());
    Some(Outcome {
        status: response.status(),
        said,
        n: world.get(jar, "n").await,
        user: world.get(jar, "user").await,
        is_old_alive: world.get::<u32>(&mut old.clone(), "n").await.is_some(),
        are_others_alive,
        notes,
        records: world.records().sessions().await,
    })
}

async fn loses(kind: Kind, act: Act) {
    let stores: [StoreOf; 2] = [|world| world.records(), |world| world.ends()];
    for who in [Who::New, Who::Visitor, Who::User] {
        for deed in DEEDS {
            let is_users = matches!(deed, Deed::EndOthers | Deed::EndThis | Deed::Switch);
            if is_users && who != Who::User {
                continue;
            }
            let expected = run((kind, who, deed), None).await;
            for store in stores {
                at_every_step(0, async |step| {
                    let found = run((kind, who, deed), Some((step + 1, act, store))).await;
                    let is_step = found.is_some();
                    if is_step {
                        assert_eq!(found, expected, "{kind:?}, {who:?}, {deed:?}, call {step}");
                    }
                    is_step
                })
                .await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_session_in_a_store() {
    loses(Kind::Remote, Lose).await;
    loses(Kind::Remote, Cut).await;
}

#[tokio::test(start_paused = true)]
async fn of_a_session_in_a_cookie_with_revocation() {
    loses(Kind::RemoteRevocable, Lose).await;
    loses(Kind::RemoteRevocable, Cut).await;
}

#[tokio::test(start_paused = true)]
async fn of_a_session_that_outgrows_it() {
    loses(Kind::RevocableOverflow, Lose).await;
    loses(Kind::RevocableOverflow, Cut).await;
}
