//! Requests that read and write, as many as are answered in a given time.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use kit::{table::number, time::median};
use tokio::task::JoinSet;

use super::{
    Effort, Result,
    servers::{Library, PoolSettings, Server},
    site::{Site, path},
};

/// Simultaneous requests.
#[derive(Clone, Copy, Debug)]
struct Load {
    name: &'static str,
    sessions: usize,
    /// The number of tasks for each session. A task sends one request after the other.
    tasks: usize,
    path: &'static str,
}

const LOADS: [Load; 5] = [
    load("1 session", 1, 1, path::COUNT),
    load("16 sessions", 16, 1, path::COUNT),
    load("64 sessions", 64, 1, path::COUNT),
    load("16 requests of 1 session", 1, 16, path::COUNT),
    load(
        "the same by `get` and `insert` in both",
        1,
        16,
        path::INSERT,
    ),
];

const fn load(name: &'static str, sessions: usize, tasks: usize, path: &'static str) -> Load {
    Load {
        name,
        sessions,
        tasks,
        path,
    }
}

/// The distances of the server.
const DISTANCES: [(&str, Duration); 2] = [
    ("on the loopback", Duration::ZERO),
    ("1 ms away", Duration::from_millis(1)),
];

/// The results of a contestant's turns.
#[derive(Debug, Default)]
struct Score {
    rates: Vec<f64>,
    /// Milliseconds of each request.
    times: Vec<f64>,
    answered: u64,
    refused: u64,
    lost: u64,
}

struct Contestant {
    site: Site,
    cookies: Vec<String>,
}

pub(super) async fn table(servers: &[Server], effort: Effort) -> Result<Vec<Vec<String>>> {
    let head = [
        "reads and writes",
        "silverback: requests per second",
        "tower-sessions",
        "ratio",
        "silverback: median / 99 %, ms",
        "tower-sessions",
        "silverback: lost increments",
        "tower-sessions",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for server in servers {
        for (distance, delay) in DISTANCES {
            rows.push(vec![format!("**{}, {distance}**", server.kind().name())]);
            let port = server.delayed_port(delay)?;
            let mut contestants = Vec::new();
            for library in Library::ALL {
                contestants.push(Contestant::enter(server, library, port).await?);
            }
            for load in LOADS {
                eprintln!("{}, {distance}: {}", server.kind().name(), load.name);
                rows.push(row(&load, &contestants, effort).await?);
            }
        }
    }
    Ok(rows)
}

/// Measures in turns, so that a machine that is busy for a while slows both down. Neither is always
/// first.
async fn row(load: &Load, contestants: &[Contestant], effort: Effort) -> Result<Vec<String>> {
    let mut scores: Vec<Score> = contestants.iter().map(|_| Score::default()).collect();
    for contestant in contestants {
        let warm_up = contestant.turn(load, effort.turn / 4);
        warm_up.await?;
    }
    for turn in 0..effort.turns {
        let mut pairs: Vec<_> = contestants.iter().zip(&mut scores).collect();
        if turn % 2 == 1 {
            pairs.reverse();
        }
        for (contestant, score) in pairs {
            score.add(contestant.turn(load, effort.turn).await?);
        }
    }
    let [ours, theirs] = scores.as_mut_slice() else {
        return Err("two are compared".into());
    };
    let ratios = ours.rates.iter().zip(&theirs.rates);
    let ratio = median(ratios.map(|(ours, theirs)| ours / theirs).collect());
    Ok(vec![
        load.name.to_owned(),
        number(median(ours.rates.clone())),
        number(median(theirs.rates.clone())),
        format!("{ratio:.2}x"),
        ours.latency(),
        theirs.latency(),
        ours.lost(),
        theirs.lost(),
    ])
}

impl Contestant {
    async fn enter(server: &Server, library: Library, port: u16) -> Result<Self> {
        let site = server.open(library, port, PoolSettings::USUAL).await?;
        let sessions = LOADS.iter().map(|load| load.sessions).max();
        let mut cookies = Vec::new();
        for _ in 0..sessions.unwrap_or_default() {
            cookies.push(site.start().await?);
        }
        Ok(Self { site, cookies })
    }

    /// The sum of the sessions' counters.
    async fn counted(&self, cookies: &[String]) -> Result<u64> {
        let mut sum = 0;
        for cookie in cookies {
            sum += self.site.number(path::READ, cookie).await?;
        }
        Ok(sum)
    }

    async fn turn(&self, load: &Load, time: Duration) -> Result<Score> {
        let cookies = self.cookies.get(..load.sessions).unwrap_or_default();
        let before = self.counted(cookies).await?;
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for cookie in cookies {
            for _ in 0..load.tasks {
                let asking = ask(self.site.clone(), load.path, cookie.clone(), start + time);
                tasks.spawn(asking);
            }
        }
        let mut score = Score::default();
        while let Some(asked) = tasks.join_next().await {
            score.add(asked?);
        }
        score.rates = vec![score.answered as f64 / start.elapsed().as_secs_f64()];
        let counted = self.counted(cookies).await? - before;
        score.lost = score.answered.saturating_sub(counted);
        if load.tasks == 1 && (score.lost > 0 || score.refused > 0) {
            return Err(format!("one request after the other: {score:?}").into());
        }
        Ok(score)
    }
}

/// Sends one request after the other until `end`.
async fn ask(site: Site, path: &'static str, cookie: String, end: Instant) -> Score {
    let mut score = Score::default();
    loop {
        let start = Instant::now();
        if start >= end {
            return score;
        }
        match site.ask(path, &cookie).await.status {
            StatusCode::OK => score.answered += 1,
            _ => score.refused += 1,
        }
        score.times.push(start.elapsed().as_secs_f64() * 1e3);
    }
}

impl Score {
    fn add(&mut self, other: Self) {
        self.rates.extend(other.rates);
        self.times.extend(other.times);
        self.answered += other.answered;
        self.refused += other.refused;
        self.lost += other.lost;
    }

    fn latency(&mut self) -> String {
        self.times.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let index = (self.times.len() as f64 * share) as usize;
            let index = index.min(self.times.len().saturating_sub(1));
            self.times.get(index).copied().unwrap_or(f64::NAN)
        };
        format!("{:.2} / {:.2}", at(0.5), at(0.99))
    }

    /// The lost increments, of all requests that were answered with success.
    fn lost(&self) -> String {
        let refused = match self.refused {
            0 => String::new(),
            refused => format!(", {} refused", number(refused as f64)),
        };
        let (lost, answered) = (number(self.lost as f64), number(self.answered as f64));
        format!("{lost} of {answered}{refused}")
    }
}
