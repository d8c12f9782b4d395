//! A crowd, from the login to the last response.

use std::{pin::Pin, sync::Mutex};

use http::StatusCode;
use silverback::{ErrorKind, Session};

use super::plan::{Deed, Plan};
use crate::support::{
    HOUR, Jar, World,
    schedule::{all, cut_off, now_and_then},
};

/// What one request did and got.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) at: usize,
    /// It found the session.
    pub(super) has_loaded: bool,
    pub(super) done: Vec<(Deed, Result<(), ErrorKind>)>,
    /// `None` if it was cut off.
    pub(super) status: Option<StatusCode>,
    /// The cookies after its response.
    pub(super) jar: Jar,
}

pub(super) struct End {
    pub(super) world: World,
    /// The cookies before the crowd came.
    pub(super) before: Jar,
    pub(super) outcomes: Vec<Outcome>,
    /// How many sessions the end of all has ended.
    pub(super) ended: Option<Result<usize, ErrorKind>>,
}

/// The key of what a request's deed puts into the session.
pub(super) fn key(at: usize, deed: usize) -> String {
    format!("put {at} {deed}")
}

async fn visit(world: &World, jar: &Jar, plan: &Plan, at: usize) -> Outcome {
    let (deeds, cut) = &plan.visits[at];
    let outcome = Mutex::new(Outcome {
        at,
        jar: jar.clone(),
        ..Outcome::default()
    });
    let act = async |session: Session| {
        if session.load().await.is_err() {
            return;
        }
        let birth = session.get::<u8>("birth");
        outcome.lock().unwrap().has_loaded = birth.is_ok_and(|birth| birth.is_some());
        for (number, deed) in deeds.iter().enumerate() {
            let done = deed.run(&session, &key(at, number)).await;
            outcome.lock().unwrap().done.push((*deed, done));
        }
    };
    let mut used = jar.clone();
    let answered = world.visit(&mut used, act);
    let answered = match cut {
        Some(polls) => cut_off(*polls, answered).await,
        None => Some(answered.await),
    };
    let mut outcome = outcome.into_inner().unwrap();
    if let Some((_, response)) = answered {
        outcome.status = Some(response.status());
        outcome.jar = used;
    }
    outcome
}

/// A login whose session has a value that no other session has, and its cookies: those of before it
/// has outgrown its cookie, and the present ones.
async fn log_in(world: &World, plan: &Plan) -> [Jar; 2] {
    let mut jar = Jar::default();
    let log_in = async |session: Session| {
        session.load().await.unwrap();
        session.insert("birth", 1).unwrap();
        session.set_subject("ada", "laptop").unwrap();
    };
    world.visit(&mut jar, log_in).await;
    let small = jar.clone();
    if plan.is_grown {
        world.set(&mut jar, "large", 600).await;
    }
    if plan.is_late {
        world.clock.advance(2 * HOUR);
    }
    [small, jar]
}

type Running<'a> = Pin<Box<dyn Future<Output = Option<Outcome>> + 'a>>;

pub(super) async fn play(plan: &Plan) -> End {
    let world = plan.kind.world();
    let jars = log_in(&world, plan).await;
    let ended = Mutex::new(None);
    let mut running: Vec<Running<'_>> = Vec::new();
    for (at, number) in (0..plan.visits.len()).zip(0..) {
        // Some come with the cookie from before.
        let is_recent = !plan.seed.wrapping_add(number).is_multiple_of(5);
        let visit = visit(&world, &jars[usize::from(is_recent)], plan, at);
        let visit = now_and_then(plan.seed.wrapping_add(number * 1_000_003), visit);
        running.push(Box::pin(async { Some(visit.await) }));
    }
    if let Some(user) = plan.ends_all {
        let (subjects, ended) = (world.subjects(), &ended);
        running.push(Box::pin(async move {
            let end = now_and_then(plan.seed ^ 0xabcd_ef01, subjects.destroy_all(user));
            *ended.lock().unwrap() = Some(end.await.map_err(|error| error.kind()));
            None
        }));
    }
    plan.mishaps
        .iter()
        .for_each(|mishap| mishap.happens(&world));
    let outcomes = all(running).await.into_iter().flatten().collect();
    world.records().calm();
    world.ends().calm();
    let [_, before] = jars;
    End {
        world,
        before,
        outcomes,
        ended: ended.into_inner().unwrap(),
    }
}
