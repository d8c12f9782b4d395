//! Requests in random order, with late responses and failing stores. `SILVERBACK_SOAK` multiplies
//! their number by thirty.

use std::{array, fmt::Write};

use http::Response;
use silverback::{Session, store::CookieStore};

use crate::support::{
    HOUR, Jar, Kind, SECOND, Site, World, log_in, no_cookie,
    schedule::{next, now_and_then, rounds},
    scripted::{ANY, Before, Fail, Load},
};

/// What a browser may do concurrently with others of the same user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    LogIn,
    Renew,
    Write(u8),
    Grow,
    GrowAndRenew,
    Shrink,
    DestroyOthers,
    Destroy,
    Read,
}

impl Action {
    fn of_small(number: u8) -> Self {
        match number % 6 {
            0 | 1 => Self::LogIn,
            2 => Self::Renew,
            3 => Self::Write(number),
            4 => Self::DestroyOthers,
            _ => Self::Destroy,
        }
    }

    fn of_outgrowing(number: u8) -> Self {
        match number % 9 {
            0 => Self::LogIn,
            1 => Self::Renew,
            2 => Self::Grow,
            3 => Self::Shrink,
            4 => Self::Write(number % 9),
            5 => Self::DestroyOthers,
            6 => Self::Destroy,
            7 => Self::GrowAndRenew,
            _ => Self::Read,
        }
    }

    async fn run(self, site: &Site, jar: &mut Jar) -> Response<String> {
        let act = async |session: Session| {
            if session.load().await.is_err() {
                return;
            }
            if matches!(self, Self::Grow | Self::GrowAndRenew) {
                drop(session.insert("large", "x".repeat(1_000)));
            }
            match self {
                Self::LogIn => log_in(session, "ada", "again").await,
                Self::Renew | Self::GrowAndRenew => session.renew(),
                Self::Write(number) => drop(session.insert("value", number)),
                Self::Shrink => drop(session.remove("large")),
                Self::DestroyOthers => drop(session.destroy_others().await),
                Self::Destroy => drop(session.destroy().await),
                Self::Grow | Self::Read => {}
            }
        };
        site.visit(jar, act).await.1
    }
}

/// Three browsers act while all sessions of their user are ended.
async fn act_and_end_all(world: &World, jars: &mut [Jar; 3], actions: [Action; 3], round: u64) {
    let act = async |jar, action: Action| {
        let response = action.run(world, jar).await;
        if response.status().is_server_error() && action != Action::Destroy {
            assert!(no_cookie(&response), "round {round}, {action:?}");
        }
    };
    let [one, two, three] = jars;
    tokio::join!(
        now_and_then(round + 1_000, act(one, actions[0])),
        now_and_then(round + 2_000, act(two, actions[1])),
        now_and_then(round + 3_000, act(three, actions[2])),
        now_and_then(round + 4_000, world.destroy_all("ada")),
    );
}

/// Checks that sessions from before the call are dead, and that living ones are listed and end at
/// the next call.
async fn assert_none_escaped(world: &World, before: &[Jar; 3], after: &[Jar; 3], round: &str) {
    for jar in before {
        let is_over = jar.0.is_empty() || !world.is_alive(jar).await;
        assert!(is_over, "{round}: it was there at the call");
    }
    let mut living = 0;
    for jar in after {
        living += usize::from(world.is_alive(jar).await);
    }
    let listed = world.notes("ada").await.len();
    assert!(listed >= living, "{round}: {living} alive, {listed} listed");
    world.destroy_all("ada").await;
    for jar in after {
        assert!(!world.is_alive(jar).await, "{round}: survives the next end");
    }
}

#[tokio::test]
async fn none_escapes_its_roster() {
    for round in rounds(400) {
        let kind = if round % 2 == 0 {
            Kind::RemoteRevocable
        } else {
            Kind::Remote
        };
        let world = kind.world();
        let mut jars = [
            world.logged_in("ada", "a").await,
            world.logged_in("ada", "b").await,
            Jar::default(),
        ];
        let before = jars.clone();
        let mut seed = round;
        let actions = array::from_fn(|_| Action::of_small(next(&mut seed)));
        act_and_end_all(&world, &mut jars, actions, round).await;
        let round = format!("round {round}, {actions:?}");
        assert_none_escaped(&world, &before, &jars, &round).await;
    }
}

/// A session that has grown, shrunk, and moved back into its cookie by a renewal, up to the given
/// phase.
async fn on_the_way(world: &World, phase: u8) -> Jar {
    let mut jar = world.logged_in("ada", "laptop").await;
    if phase > 0 {
        world.put(&mut jar, "large", "x".repeat(1_000)).await;
    }
    if phase > 1 {
        world.remove(&mut jar, "large").await;
    }
    if phase > 2 {
        world.renew(&mut jar).await;
    }
    jar
}

#[tokio::test]
async fn none_escapes_its_roster_by_growing() {
    for round in rounds(400) {
        let world = Kind::RevocableOverflow.with_cookies(|cookies| cookies.up_to(400));
        let mut seed = round;
        let mut jars = [Jar::default(), Jar::default(), Jar::default()];
        for jar in &mut jars {
            *jar = on_the_way(&world, next(&mut seed) % 4).await;
        }
        let before = jars.clone();
        let actions = array::from_fn(|_| Action::of_outgrowing(next(&mut seed)));
        if next(&mut seed).is_multiple_of(2) {
            world.clock.advance(2 * HOUR); // it is time to list them again
        }
        act_and_end_all(&world, &mut jars, actions, round).await;
        let round = format!("round {round}, {actions:?}");
        assert_none_escaped(&world, &before, &jars, &round).await;
    }
}

#[tokio::test]
async fn none_escapes_by_leaving_its_subject() {
    let kinds = [Kind::RemoteRevocable, Kind::RevocableOverflow, Kind::Remote];
    for round in rounds(900) {
        let kind = kinds[usize::try_from(round % 3).unwrap()];
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        let leave = async |session: Session| {
            session.load().await.unwrap();
            // A session of the second kind outgrows its cookie.
            session.insert("cart", "x".repeat(600)).unwrap();
            session.remove_subject().unwrap();
        };
        let (_, ended) = tokio::join!(
            now_and_then(round, world.visit(jar, leave)),
            now_and_then(round + 9_000, world.destroy_all("ada")),
        );
        let lives = world.is_alive(jar).await;
        assert!(ended == 0 || !lives, "{kind:?}, round {round}");
    }
}

const KEYS: [&str; 2] = ["value", "large"];

/// The lengths of the values under `KEYS`.
type Lengths = [Option<usize>; 2];

/// One request: a value is set to a length, or removed.
#[derive(Debug)]
struct Step {
    at: usize,
    wish: Option<usize>,
    /// The session also gets a new ID.
    renews: bool,
    /// The browser never gets the response.
    is_lost: bool,
}

impl Step {
    fn next(seed: &mut u64) -> Self {
        let at = usize::from(next(seed) % 2);
        let number = next(seed);
        let renews = next(seed).is_multiple_of(8);
        // Losing the response of a renewal would lose the session.
        let is_lost = next(seed).is_multiple_of(3) && !renews;
        let wish = match (at, number % 4) {
            (1, 0 | 1) => None,
            (1, _) => Some(1_000 + usize::from(number)),
            (_, _) => Some(usize::from(number % 40)),
        };
        Self {
            at,
            wish,
            renews,
            is_lost,
        }
    }

    /// What the request saw, if the session could be loaded, and the response.
    async fn run(&self, site: &Site, jar: &mut Jar) -> (Option<Lengths>, Response<String>) {
        let change = async |session: Session| {
            session.load().await.ok()?;
            assert!(session.contains_key("user").unwrap());
            let len = |key| Some(session.get::<String>(key).unwrap()?.len());
            let seen = KEYS.map(len);
            match self.wish {
                Some(len) => session.insert(KEYS[self.at], "x".repeat(len)).unwrap(),
                None => drop(session.remove(KEYS[self.at]).unwrap()),
            }
            if self.renews {
                session.renew();
            }
            Some(seen)
        };
        site.visit(jar, change).await
    }
}

#[derive(Debug)]
struct Model {
    /// The possible lengths of each value: the last acknowledged one, and those requested since.
    may: [Vec<Option<usize>>; 2],
    /// The browser's cookie refers to a record. Only a renewal changes that. `None` after a renewal
    /// that may have taken along what a lost response had saved.
    is_record: Option<bool>,
}

impl Model {
    fn allows(&self, seen: Lengths) -> bool {
        self.may[0].contains(&seen[0]) && self.may[1].contains(&seen[1])
    }

    fn after(&mut self, step: &Step, seen: Lengths, is_acknowledged: bool) {
        if !is_acknowledged {
            self.may[step.at].push(step.wish);
            return;
        }
        let mut len = seen;
        len[step.at] = step.wish;
        let was_record = self.is_record == Some(true);
        self.is_record = Some(was_record && !step.renews || len[1].is_some());
        // A new cookie takes the place of what a lost response has saved, and a renewal takes that
        // along. A request that removes nothing does neither.
        let changes = seen[step.at].is_some() || step.wish.is_some();
        let mut known = [was_record || changes && !step.renews; 2];
        known[step.at] |= changes;
        if step.renews && !known[1] {
            self.is_record = self.is_record.filter(|is_record| *is_record);
        }
        for at in 0..2 {
            if known[at] {
                self.may[at].clear();
            }
            self.may[at].push(len[at]);
        }
    }
}

async fn one_after_the_other(world: &World, jar: &mut Jar, seed: &mut u64, fails: bool) {
    let mut model = Model {
        may: [vec![None], vec![None]],
        is_record: Some(false),
    };
    let mut history = String::new();
    for _ in 0..14 {
        let is_long = next(seed).is_multiple_of(8);
        world
            .clock
            .advance(if is_long { 2 * HOUR } else { 2 * SECOND });
        let step = Step::next(seed);
        if fails {
            match next(seed) % 12 {
                0 => {}
                n => world.records().nth(n.into(), Before, ANY, Fail),
            }
        }
        let mut used = jar.clone();
        world.records().take_log();
        let (seen, response) = step.run(world, &mut used).await;
        world.records().calm();
        let is_record = world.records().take_log().first() == Some(&Load);
        let status = response.status();
        writeln!(history, "{step:?}, saw {seen:?}, {status}").unwrap();
        let known = *model.is_record.get_or_insert(is_record);
        assert_eq!(is_record, known, "{model:?}:\n{history}");
        if let Some(seen) = seen {
            assert!(model.allows(seen), "{model:?}:\n{history}");
            model.after(&step, seen, status.is_success() && !step.is_lost);
        }
        if !step.is_lost {
            *jar = used;
        }
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_on_the_way() {
    let small = |cookies: CookieStore| cookies.up_to(400);
    for round in rounds(1_500) {
        let jar = &mut Jar::default();
        let world = if round % 2 == 0 {
            let world = Kind::RevocableOverflow.with_cookies(small);
            world.log_in(jar, "ada", "laptop").await;
            world
        } else {
            let world = Kind::Overflow.with_cookies(small);
            world.put(jar, "user", "ada").await;
            world
        };
        one_after_the_other(&world, jar, &mut { round }, round % 4 < 2).await;
    }
}
