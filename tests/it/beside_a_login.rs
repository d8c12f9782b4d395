//! A request that outgrows its cookie beside a renewal, at each call of either.

use http::StatusCode;
use silverback::{
    Session, SessionConfig,
    store::{CookieStore, DynStore, RecordKey},
};

use crate::support::{
    Jar, Kind, Stores, World, keys,
    scripted::{After, Before, When},
    steps::in_between,
};

/// How the session outgrows its cookie.
#[derive(Clone, Copy, Debug)]
enum Growth {
    InResponse,
    InMidRequest,
    Twice,
}

/// How the session gets its new ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renewal {
    Plain,
    LogIn,
    Leave,
    Large,
    LargeInMidRequest,
    LargeLogInInMidRequest,
}

use Renewal::*;

const RENEWALS: [Renewal; 6] = [
    Plain,
    LogIn,
    Leave,
    Large,
    LargeInMidRequest,
    LargeLogInInMidRequest,
];

impl Growth {
    async fn happen(self, world: &World, jar: &mut Jar) -> StatusCode {
        let act = async |session: Session| {
            session.load().await.unwrap();
            let grow = |len| session.insert("large", "x".repeat(len)).unwrap();
            match self {
                Self::InResponse => grow(700),
                Self::InMidRequest => {
                    grow(700);
                    // The response tells.
                    let _ = session.save().await;
                }
                Self::Twice => {
                    grow(600);
                    let _ = session.save().await;
                    grow(700);
                }
            }
        };
        world.visit(jar, act).await.1.status()
    }
}

impl Renewal {
    fn has_subjects(self) -> bool {
        matches!(self, LogIn | Leave | LargeLogInInMidRequest)
    }

    fn is_large(self) -> bool {
        matches!(self, Large | LargeInMidRequest | LargeLogInInMidRequest)
    }

    async fn happen(self, world: &World, jar: &mut Jar) -> StatusCode {
        let act = async |session: Session| {
            session.load().await.unwrap();
            if self.is_large() {
                session.insert("other", "x".repeat(700)).unwrap();
            }
            match self {
                LogIn | LargeLogInInMidRequest => session.set_subject("bob", "phone").unwrap(),
                Leave => drop(session.remove_subject().unwrap()),
                _ => session.renew(),
            }
            if matches!(self, LargeInMidRequest | LargeLogInInMidRequest) {
                session.save().await.unwrap();
            }
        };
        world.visit(jar, act).await.1.status()
    }
}

/// Without revocation, with it, with encrypted records, and with one store for both.
const WORLDS: [fn() -> World; 4] = [
    || Kind::Overflow.world(),
    || Kind::RevocableOverflow.world(),
    || Kind::RevocableOverflow.with(SessionConfig::encrypt_records),
    one_store,
];

fn one_store() -> World {
    let stores = Stores::new();
    let store = DynStore::new(stores.records.clone());
    let cookies = CookieStore::new().overflow(store.clone());
    let cookies = cookies.revocation(store).up_to(500);
    let config = SessionConfig::new("s", cookies, keys()).cookie_name("s");
    World::new(Kind::RevocableOverflow, stores, config)
}

/// The living session of these cookies, and the lengths of its values.
async fn seen(world: &World, jar: &Jar) -> (Option<RecordKey>, [Option<usize>; 3]) {
    let id = async |session: Session| {
        session.load().await.unwrap();
        let is_new = session.is_new().unwrap();
        session.record_key().filter(|_| !is_new)
    };
    let (id, _) = world.visit(&mut jar.clone(), id).await;
    let keys = ["small", "large", "other"];
    (id, world.lens(&mut jar.clone(), keys).await)
}

/// Returns whether there is such a call.
async fn beside(
    world: &World,
    (growth, renewal): (Growth, Renewal),
    (of_ends, n, when): (bool, usize, When),
    grows_first: bool,
) -> bool {
    let mut old = match renewal {
        Leave => world.logged_in("ada", "laptop").await,
        _ => Jar::default(),
    };
    world.set(&mut old, "small", 10).await;
    let (mut large, mut renewed) = (old.clone(), old.clone());
    let store = match of_ends {
        true => world.ends(),
        false => world.records(),
    };
    let at = (store, n, when);
    let grow = growth.happen(world, &mut large);
    let renew = renewal.happen(world, &mut renewed);
    let (told, done) = match grows_first {
        true => {
            let (told, done) = in_between(at, grow, renew).await;
            (Some(told), done)
        }
        false => {
            let (done, told) = in_between(at, renew, grow).await;
            (told, Some(done))
        }
    };
    let Some((told, done)) = told.zip(done) else {
        return false;
    };
    let what = format!(
        "{:?}, {growth:?} beside {renewal:?}, {when:?} call {n}, ends: {of_ends}, {grows_first}",
        world.kind
    );
    assert_eq!(done, StatusCode::OK, "{what}");
    let taken = match told {
        StatusCode::OK => Some(700),
        StatusCode::CONFLICT => None,
        other => panic!("{what}: {other}"),
    };
    let (id, lens) = seen(world, &renewed).await;
    let other = renewal.is_large().then_some(700);
    assert_eq!([lens[0], lens[2]], [Some(10), other], "{what}");
    // A request that is refused with its response may have been taken along in mid-request.
    if taken.is_some() || matches!(growth, Growth::InResponse) {
        assert_eq!(lens[1], taken, "{what}");
    }
    if world.kind == Kind::RevocableOverflow {
        for jar in [&old, &large] {
            let (found, _) = seen(world, jar).await;
            assert!(found.is_none_or(|found| Some(found) == id), "{what}");
        }
        let listed = world.notes("ada").await.len() + world.notes("bob").await.len();
        let is_listed = matches!(renewal, LogIn | LargeLogInInMidRequest);
        assert_eq!(listed, usize::from(is_listed), "{what}");
    }
    let is_record = lens.iter().flatten().sum::<usize>() > 500;
    let records = world.records().sessions().await;
    assert_eq!(records, usize::from(is_record), "{what}");
    true
}

#[tokio::test]
async fn a_change_is_taken_along_or_refused() {
    let positions = [false, true]
        .into_iter()
        .flat_map(|of_ends| [(of_ends, Before), (of_ends, After)])
        .flat_map(|(of_ends, when)| [(of_ends, when, false), (of_ends, when, true)]);
    let growths = [Growth::InResponse, Growth::InMidRequest, Growth::Twice];
    let deeds = growths
        .into_iter()
        .flat_map(|growth| RENEWALS.map(|renewal| (growth, renewal)));
    for (deeds, (of_ends, when, grows_first)) in
        deeds.flat_map(|deeds| positions.clone().map(move |position| (deeds, position)))
    {
        let is_possible = |world: &World| match world.kind {
            Kind::Overflow => !deeds.1.has_subjects(),
            _ => true,
        };
        for world in WORLDS.into_iter().filter(|world| is_possible(&world())) {
            let mut n = 1;
            while beside(&world(), deeds, (of_ends, n, when), grows_first).await {
                n += 1;
            }
        }
    }
}
