//! The number of requests that one thread answers, and that two threads answer. They share a layer
//! and its store, and each has its own sessions.

use std::{
    error::Error,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use kit::time::fast;
use silverback::KeyError;

use crate::{
    effort::Effort,
    figure::{Axis, Figure, Line, Scale, Unit},
    requests::USUAL,
    service::{Action, Call, Count, Handler, Kind, Stores},
    subject::with_sessions,
};

const SESSIONS: usize = 64;

pub(crate) fn figure(stores: &Stores, effort: Effort) -> Result<Figure, Box<dyn Error>> {
    let mut teams = vec![Team::new(stores, None)?];
    for kind in [Kind::Memory, Kind::Encrypted, Kind::Signed, Kind::Files] {
        teams.push(Team::new(stores, Some(kind))?);
    }
    for _ in 0..effort.sprints {
        for team in &mut teams {
            team.sprint(effort.sprint);
        }
    }
    Ok(Figure {
        name: "threads",
        title: "Threads that share a layer and its store",
        x: Axis {
            title: "threads",
            scale: Scale::Linear,
            unit: Unit::Count,
        },
        y: Axis {
            title: "requests per second",
            scale: Scale::Logarithmic,
            unit: Unit::Measure,
        },
        lines: teams.into_iter().map(Team::line).collect(),
    })
}

/// Two threads, and the rates of one alone and of both together.
struct Team {
    name: &'static str,
    members: Vec<Member>,
    alone: Vec<f64>,
    together: Vec<f64>,
}

/// A thread's clone of the service, and the cookies of its sessions.
struct Member {
    call: Call,
    fields: Vec<Bytes>,
}

impl Team {
    /// Without a kind it is the bare service, which shows how much the machine gives two threads.
    fn new(stores: &Stores, kind: Option<Kind>) -> Result<Self, KeyError> {
        let content = Handler {
            kind: Kind::Memory,
            count: Count::One,
            content: USUAL,
            action: Action::Nothing,
        };
        let handler = kind.map_or(content, |kind| Handler {
            kind,
            action: Action::Update,
            ..content
        });
        let layer = stores.layer(handler.kind, handler.count)?;
        let fields = || {
            (0..SESSIONS)
                .map(|_| with_sessions(&layer, handler).field().into())
                .collect()
        };
        let calls = handler.calls(kind.is_some().then_some(&layer), 2);
        let members = calls
            .into_iter()
            .map(|call| Member {
                call,
                fields: fields(),
            })
            .collect();
        let name = kind.map_or("bare service", Kind::title);
        Ok(Self {
            name,
            members,
            alone: Vec::new(),
            together: Vec::new(),
        })
    }

    fn sprint(&mut self, length: Duration) {
        let [one, ..] = &mut *self.members else {
            return;
        };
        self.alone.push(-rate(std::slice::from_mut(one), length));
        self.together.push(-rate(&mut self.members, length));
    }

    fn line(self) -> Line {
        let (alone, together) = (-fast(self.alone), -fast(self.together));
        Line {
            name: format!("{} ({:.2}x)", self.name, together / alone),
            points: vec![(1.0, alone), (2.0, together)],
        }
    }
}

/// Requests per second of all members together.
fn rate(members: &mut [Member], length: Duration) -> f64 {
    let start = Barrier::new(members.len());
    thread::scope(|scope| {
        let run = |member| scope.spawn(|| Member::run(member, &start, length));
        let threads: Vec<_> = members.iter_mut().map(run).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("requests do not fail"))
            .sum()
    })
}

impl Member {
    fn run(&mut self, start: &Barrier, length: Duration) -> f64 {
        start.wait();
        let (begin, mut requests) = (Instant::now(), 0);
        while begin.elapsed() < length {
            for field in &self.fields {
                self.call.warm_up(Some(field), 1);
            }
            requests += self.fields.len();
        }
        requests as f64 / begin.elapsed().as_secs_f64()
    }
}
