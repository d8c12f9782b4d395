//! Bad hours of real servers, seen through the session layer on two nodes.

mod cuts;
mod damage;
mod increments;
mod kills;
mod silence;

/// Whether the long form runs.
fn is_long() -> bool {
    std::env::var_os("SILVERBACK_SOAK").is_some()
}

/// So many, in the long form or in the short one.
fn of(long: u64, short: u64) -> u64 {
    if is_long() { long } else { short }
}
