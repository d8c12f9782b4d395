//! Sessions in Redis and in PostgreSQL, beside tower-sessions with the stores that are published
//! for it. See README.md.

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

use self::place::{Kind, Place};
use crate::{table::print_aligned, versions};

pub(crate) type Failure = Box<dyn Error + Send + Sync>;
pub(crate) type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Turns that each contestant has under each load.
    turns: usize,
    turn: Duration,
    /// Requests of a kind whose round trips are counted.
    counted: usize,
    /// Sessions that get several requests at once.
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

/// Prints the tables of those servers that are installed.
pub(crate) fn print(effort: Effort) -> Result {
    site::check();
    let places: Vec<Place> = Kind::ALL.into_iter().filter_map(Place::start).collect();
    // Contestants and what asks them share the threads, as an application and its clients would not;
    // so neither has more of the machine than the other.
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        eprintln!("round trips");
        print_aligned(&trips::table(&places, effort).await?);
        println!();
        print_aligned(&load::table(&places, effort).await?);
        println!();
        eprintln!("what overlapping requests keep");
        print_aligned(&keep::table(&places, effort).await?);
        println!();
        Ok::<_, Failure>(())
    })?;
    versions::print_stores(places.iter().filter_map(Place::version));
    Ok(())
}
