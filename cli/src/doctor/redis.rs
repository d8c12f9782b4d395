//! Redis: what it forgets, what it keeps, and its clock.

use std::collections::HashMap;

use redis::{Client, RedisError, aio::MultiplexedConnection};

use super::{Report, timing};
use crate::{
    dsn::{Dsn, Place},
    failure::chain,
    out,
};

pub(super) async fn examine(dsn: &Dsn, report: &mut Report) {
    let urls = match &dsn.place {
        Place::Redis(url) => std::slice::from_ref(url),
        Place::RedisCluster(urls) => urls.as_slice(),
        _ => {
            report.skipped("redis", "name the master itself to look at its settings");
            return;
        }
    };
    for url in urls {
        if let Err(error) = server(url, report).await {
            let found = dsn.hide(&chain(&error));
            report.skipped("redis", format!("the server does not say: {found}"));
        }
    }
}

async fn server(url: &str, report: &mut Report) -> Result<(), RedisError> {
    let client = Client::open(url)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    clock(&mut connection, report).await?;
    let info: String = redis::cmd("INFO").query_async(&mut connection).await?;
    let lines = info.lines().filter_map(|line| line.split_once(':'));
    judge(&lines.collect(), report);
    Ok(())
}

async fn clock(
    connection: &mut MultiplexedConnection,
    report: &mut Report,
) -> Result<(), RedisError> {
    let before = out::now();
    let (seconds, micros): (f64, f64) = redis::cmd("TIME").query_async(connection).await?;
    timing::skew(seconds + micros / 1e6, before, out::now(), report);
    Ok(())
}

/// Judges the answer to `INFO`.
fn judge(info: &HashMap<&str, &str>, report: &mut Report) {
    let says = |name: &str| info.get(name).copied().unwrap_or("unknown");
    let number = |name: &str| says(name).parse::<f64>().unwrap_or_default();
    if says("role") == "slave" {
        let change = "name the master: a replica lacks the latest writes";
        report.broken("redis", "the server is a replica", change);
    }
    let policy = says("maxmemory_policy");
    report.either(
        policy == "noeviction",
        "eviction",
        format!("maxmemory-policy is {policy}"),
        "CONFIG SET maxmemory-policy noeviction: a full server would forget sessions and logouts",
    );
    let (used, most) = (number("used_memory"), number("maxmemory"));
    if most > 0.0 {
        report.either(
            used < 0.9 * most,
            "memory",
            format!("{:.0} % of maxmemory are used", 100.0 * used / most),
            "raise maxmemory: a full server fails saves, or forgets sessions",
        );
    }
    report.either(
        says("aof_enabled") == "1",
        "persistence",
        format!("aof_enabled is {}", says("aof_enabled")),
        "CONFIG SET appendonly yes: otherwise a restart loses sessions and brings ended ones back",
    );
    for name in ["rdb_last_bgsave_status", "aof_last_write_status"] {
        if !matches!(says(name), "ok" | "unknown") {
            let found = format!("{name} is {}", says(name));
            report.broken(
                "persistence",
                found,
                "see the server's log: the disk may be full",
            );
        }
    }
    if number("connected_slaves") > 0.0 && info.contains_key("min_slaves_good_slaves") {
        report.good(
            "replicas",
            format!("{} good ones", says("min_slaves_good_slaves")),
        );
    } else if number("connected_slaves") > 0.0 {
        report.change(
            "replicas",
            "a master that is cut off keeps accepting writes, which are lost",
            "CONFIG SET min-replicas-to-write 1, and RedisStore::wait_replicas for ends",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_a_server_is_judged() {
        let good = [
            ("role", "master"),
            ("maxmemory_policy", "noeviction"),
            ("aof_enabled", "1"),
            ("rdb_last_bgsave_status", "ok"),
            ("used_memory", "10"),
            ("maxmemory", "100"),
        ];
        let told = |name: &str, value: &str| {
            let mut report = Report::default();
            let info = good.iter().copied().chain([(name, value)]).collect();
            judge(&info, &mut report);
            report
        };
        assert!(!told("maxmemory", "0").has_findings());
        for (name, value, says) in [
            ("role", "slave", "replica"),
            ("maxmemory_policy", "allkeys-lru", "noeviction"),
            ("aof_enabled", "0", "appendonly yes"),
            ("rdb_last_bgsave_status", "err", "disk"),
            ("used_memory", "95", "maxmemory"),
            ("connected_slaves", "1", "min-replicas-to-write"),
        ] {
            let report = told(name, value);
            assert!(report.has_findings(), "{name}");
            assert!(format!("{report:?}").contains(says), "{name}: {report:?}");
        }
    }
}
