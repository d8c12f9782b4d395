//! Sessions in Redis and in PostgreSQL, beside tower-sessions with the stores published for it. See
//! README.md.

mod cost;
mod distance;
mod keep;
mod load;
mod servers;
mod silverback;
mod site;
mod tower_sessions;
mod trips;

use std::{error::Error, time::Duration};

use tokio::runtime::Runtime;

use kit::{page::Page, table::markdown};

use self::servers::{Kind, Server};
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
    let servers: Vec<Server> = Kind::ALL.into_iter().filter_map(Server::start).collect();
    // Unlike an application and its clients, the contestants and the tasks that send requests share
    // threads, so neither contestant has more of the machine than the other.
    let runtime = Runtime::new()?;
    let [trips, cost, load, keep] = runtime.block_on(async {
        eprintln!("round trips");
        let trips = trips::table(&servers, effort).await?;
        let cost = cost::table(&servers, effort).await?;
        let load = load::table(&servers, effort).await?;
        eprintln!("what overlapping requests keep");
        let keep = keep::table(&servers, effort).await?;
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
    let versions = servers.iter().filter_map(Server::version);
    put_into(page, "machine-servers", &versions::stores(versions))
}

/// Writes a table. Copies the text of an error, since a page's errors are not `Send`.
fn put_into(page: &Page, name: &str, text: &str) -> Result {
    page.put(name, text)
        .map_err(|error| error.to_string().into())
}
