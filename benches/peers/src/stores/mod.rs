//! Sessions in Redis and in PostgreSQL, beside tower-sessions with the stores published for it. See
//! README.md.

mod cost;
mod distance;
mod keep;
mod load;
mod place;
mod silverback;
mod site;
mod tower_sessions;
mod trips;

use std::{error::Error, time::Duration};

use tokio::runtime::Runtime;

use kit::{page::Page, table::markdown};

use self::place::{Kind, Place};
use crate::versions;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;
pub(crate) type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// The sizes of the measurements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// The number of turns of each contestant under each load.
    turns: usize,
    turn: Duration,
    /// The number of requests of each kind whose round trips are counted.
    counted: usize,
    /// The number of sessions that get several requests at once.
    crowds: usize,
}

impl Effort {
    pub(crate) const FULL: Self = Self {
        turns: 9,
        turn: Duration::from_secs(1),
        counted: 5,
        crowds: 50,
    };
    pub(crate) const QUICK: Self = Self {
        turns: 3,
        turn: Duration::from_millis(200),
        counted: 3,
        crowds: 10,
    };
}

/// Writes the tables of all servers that are installed.
pub(crate) fn put(effort: Effort, page: &Page) -> Result {
    site::check();
    let places: Vec<Place> = Kind::ALL.into_iter().filter_map(Place::start).collect();
    // Unlike an application and its clients, the contestants and the tasks that send requests share
    // threads, so neither contestant has more of the machine than the other.
    let runtime = Runtime::new()?;
    let [trips, cost, load, keep] = runtime.block_on(async {
        eprintln!("round trips");
        let trips = trips::table(&places, effort).await?;
        let cost = cost::table(&places, effort).await?;
        let load = load::table(&places, effort).await?;
        eprintln!("what overlapping requests keep");
        let keep = keep::table(&places, effort).await?;
        Ok::<_, Failure>([trips, cost, load, keep])
    })?;
    for (name, table) in [
        ("trips", trips),
        ("cost-on-servers", cost),
        ("load", load),
        ("keep", keep),
    ] {
        put_into(page, name, &markdown(&table))?;
    }
    let servers = places.iter().filter_map(Place::version);
    put_into(page, "machine-servers", &versions::stores(servers))
}

/// Writes a table. Copies the text of an error, since a page's errors are not `Send`.
fn put_into(page: &Page, name: &str, text: &str) -> Result {
    page.put(name, text)
        .map_err(|error| error.to_string().into())
}
