//! A crowd, from the login to the last response.

use std::{pin::Pin, sync::Mutex};

use http::{Method, Response, StatusCode};
use silverback::{
    ErrorKind, Session,
    store::{MigratingStore, RecordKey},
};

use super::{
    deeds::{Deed, Done, PRIZE},
    outside::Outside,
    plan::{Plan, Reply},
};
use crate::support::{
    HOUR, Jar, Stores, World,
    schedule::{all, cut_off, now_and_then},
};

/// What one request did and got.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) at: usize,
    /// It found the session.
    pub(super) has_loaded: bool,
    pub(super) done: Vec<(Deed, Done)>,
    /// `None` if it was cut off.
    pub(super) status: Option<StatusCode>,
    /// The cookies after its response.
    pub(super) jar: Jar,
    /// Its handle found the session after the response.
    pub(super) has_loaded_late: bool,
    pub(super) late: Vec<(Deed, Done)>,
}

impl Outcome {
    /// What it did before the response and after it.
    pub(super) fn all_done(&self) -> impl Iterator<Item = &(Deed, Done)> {
        self.done.iter().chain(&self.late)
    }

    /// Returns whether everything succeeded, and the response says so.
    pub(super) fn is_done(&self) -> bool {
        let is_answered = self.status == Some(StatusCode::OK);
        is_answered && self.done.iter().all(|(_, done)| done.is_ok())
    }

    /// Returns whether everything after the response succeeded.
    pub(super) fn is_late_done(&self) -> bool {
        self.late.iter().all(|(_, done)| done.is_ok())
    }
}

/// The cookies before the crowd comes.
pub(super) struct Before {
    /// The first, from before the session outgrew its cookie.
    small: Jar,
    pub(super) jar: Jar,
    /// Those of the same user's other browser.
    pub(super) other: Jar,
    pub(super) key: RecordKey,
}

pub(super) struct End {
    pub(super) world: World,
    pub(super) before: Before,
    pub(super) outcomes: Vec<Outcome>,
    /// What was done without a request, and how many sessions it found.
    pub(super) outside: Vec<(Outside, Result<usize, ErrorKind>)>,
}

/// The message that waits for the crowd.
pub(super) const MESSAGE: &str = "put before";

/// The tag of what a request's deed puts into the session. Late deeds have the highest numbers.
pub(super) fn tag(at: usize, deed: usize) -> String {
    format!("put {at} {deed}")
}

async fn visit(world: &World, jar: &Jar, plan: &Plan, at: usize) -> Outcome {
    let visit = &plan.visits[at];
    let outcome = Mutex::new(Outcome {
        at,
        jar: jar.clone(),
        ..Outcome::default()
    });
    let kept = Mutex::new(None);
    let act = async |session: Session| {
        *kept.lock().unwrap() = Some(session.clone());
        if session.load().await.is_err() {
            return;
        }
        outcome.lock().unwrap().has_loaded = has_birth(&session);
        for (number, deed) in visit.deeds.iter().enumerate() {
            let done = deed.run(&session, &tag(at, number)).await;
            outcome.lock().unwrap().done.push((*deed, done));
        }
    };
    let mut used = jar.clone();
    let (mut request, mut response) = (used.request(), Response::new(String::new()));
    match visit.reply {
        Reply::Page => {}
        Reply::Head => *request.method_mut() = Method::HEAD,
        Reply::Failure => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    let answered = world.serve(&mut used, request, act, response);
    let answered = match visit.cut {
        Some(polls) => cut_off(polls, answered).await,
        None => Some(answered.await),
    };
    let mut outcome = outcome.into_inner().unwrap();
    if let Some((_, response)) = answered {
        outcome.status = Some(response.status());
        outcome.jar = used;
    }
    let kept = kept.into_inner().unwrap();
    if let Some(session) = kept.filter(|_| !visit.late.is_empty())
        && session.load().await.is_ok()
    {
        outcome.has_loaded_late = has_birth(&session);
        for (number, deed) in (visit.deeds.len()..).zip(&visit.late) {
            let done = deed.run(&session, &tag(at, number)).await;
            outcome.late.push((*deed, done));
        }
    }
    outcome
}

fn has_birth(session: &Session) -> bool {
    let birth = session.get::<u8>("birth");
    birth.is_ok_and(|birth| birth.is_some())
}

/// A login whose session has a value that no other session has, and one in another browser.
async fn log_in(world: &World, plan: &Plan) -> Before {
    let other = world.logged_in("ada", "phone").await;
    let mut jar = Jar::default();
    let log_in = async |session: Session| {
        session.load().await.unwrap();
        session.insert("birth", 1).unwrap();
        session.insert(PRIZE, 1).unwrap();
        session.flash(MESSAGE).unwrap();
        session.set_subject("ada", "laptop").unwrap();
    };
    world.visit(&mut jar, log_in).await;
    let small = jar.clone();
    if plan.is_grown {
        world.set(&mut jar, "large", 600).await;
    }
    let key = world.key(&jar).await;
    if plan.is_late {
        world.clock.advance(2 * HOUR);
    }
    Before {
        small,
        jar,
        other,
        key,
    }
}

async fn move_records(stores: &Stores) {
    let store = MigratingStore::new(stores.records.clone(), stores.ends.clone());
    let store = store.clock(stores.clock.clone());
    let mut migration = store.migration();
    while !migration.step(2).await.is_finished() {}
}

type Running<'a> = Pin<Box<dyn Future<Output = Option<Outcome>> + 'a>>;

pub(super) async fn play(plan: &Plan) -> End {
    let stores = Stores::new();
    let [world, second] = [true, false].map(|is_first| plan.server(&stores, is_first));
    let before = log_in(&plan.old_server(&stores), plan).await;
    let outside = Mutex::new(Vec::new());
    let mut running: Vec<Running<'_>> = Vec::new();
    for (at, number) in (0..plan.visits.len()).zip(0..) {
        let seed = plan.seed.wrapping_add(number);
        // Some come with the cookie from before.
        let jar = match seed.is_multiple_of(5) {
            true => &before.small,
            false => &before.jar,
        };
        let server = match plan.is_spread && seed.is_multiple_of(2) {
            true => &second,
            false => &world,
        };
        let visit = visit(server, jar, plan, at);
        let visit = now_and_then(plan.seed.wrapping_add(number * 1_000_003), visit);
        running.push(Box::pin(async { Some(visit.await) }));
    }
    for (what, number) in plan.outside.iter().zip(1..) {
        let happens = what.happens(&world, &before.key);
        let happens = now_and_then(plan.seed ^ (0xabcd_ef01 * number), happens);
        let outside = &outside;
        running.push(Box::pin(async move {
            let found = happens.await.map_err(|error| error.kind());
            outside.lock().unwrap().push((*what, found));
            None
        }));
    }
    if plan.moves {
        let moves = now_and_then(plan.seed ^ 0x1357, move_records(&stores));
        running.push(Box::pin(async {
            moves.await;
            None
        }));
    }
    plan.mishaps
        .iter()
        .for_each(|mishap| mishap.happens(&world));
    let outcomes = all(running).await.into_iter().flatten().collect();
    world.records().calm();
    world.ends().calm();
    End {
        world,
        before,
        outcomes,
        outside: outside.into_inner().unwrap(),
    }
}
