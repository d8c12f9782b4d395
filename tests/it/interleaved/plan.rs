//! The plan of a world, drawn from a seed and shortened when it rings an alarm.

use super::run::has_subjects;
use crate::support::{Kind, schedule::next};

/// Every kind of session.
const KINDS: [Kind; 8] = [
    Kind::Remote,
    Kind::RemoteRevocable,
    Kind::RevocableOverflow,
    Kind::Memory,
    Kind::Revocable,
    Kind::Overflow,
    Kind::Cookie,
    Kind::Go,
];

/// Sequences that chance alone would seldom produce.
const OFTEN: [&[Act]; 9] = [
    &[Act::LogIn],
    &[Act::Count],
    &[Act::Count, Act::Save, Act::Count],
    &[Act::Count, Act::Save, Act::Save],
    &[Act::Put(0), Act::Save, Act::LogIn],
    &[Act::Wait, Act::Destroy],
    &[Act::Wait, Act::LogIn],
    &[Act::Empty],
    &[Act::Flash, Act::Save, Act::TakeFlashes],
];

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) is_encrypted: bool,
    pub(super) has_max_age: bool,
    /// Its records move to another store.
    pub(super) moves: bool,
    pub(super) events: Vec<Event>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Who {
    /// A tab of the visitor's browser. All tabs share its jar.
    Tab,
    /// Another browser of the same user.
    Device,
    /// Somebody with a cookie that one of the browsers once had.
    Thief(u8),
}

/// What a handler does with its session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Act {
    Put(u8),
    PutLarge(u8),
    Remove(u8),
    /// An update that leaves its mark in a list.
    Count,
    Flash,
    TakeFlashes,
    Empty,
    Renew,
    LogIn,
    /// The session gets the user as its subject, or loses it, under the same ID.
    SetSubject,
    RemoveSubject,
    Save,
    Destroy,
    DestroyOthers,
    /// The handle outlives the request.
    Keep,
    /// The handler is busy with something else for a long time.
    Wait,
}

/// What is done with a handle that was kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Late {
    Load,
    Touch,
    Save,
    Destroy,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Order {
    All,
    AllBut(u8),
    One(u8),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// The store refuses a call.
    Down,
    /// A call is lost on its way.
    Unanswered,
    /// A call is applied, and its answer is lost.
    Unheard,
    /// Like `Unheard`, and the store's client retries.
    Repeated,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Mishap {
    /// The request is dropped after this many polls.
    pub(super) cut: Option<u8>,
    /// The fault, and the poll at which it happens.
    pub(super) fault: Option<(u8, Fault)>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Event {
    Visit {
        who: Who,
        acts: Vec<Act>,
        /// The handler answers 500.
        fails: bool,
        /// Nobody sees the response's body.
        is_head: bool,
        mishap: Mishap,
    },
    Admin(Order, Mishap),
    Late(u8, Vec<Late>, Mishap),
    /// A request under way is polled this many times.
    Poll(u8, u8),
    /// A response arrives at its browser.
    Deliver(u8),
    /// A response never arrives.
    Lose(u8),
    /// Seconds pass. Store calls take a few at most, handlers any number.
    Pass(u16),
    Rotate,
    /// The tab visits a page in Go.
    Go(Act),
    /// A migration is polled or killed.
    Migrate(u8),
    /// The servers restart with the next step of a move.
    Deploy,
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let kind = KINDS[usize::try_from(seed % KINDS.len() as u64).unwrap()];
        let seed = &mut (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d);
        let is_encrypted = next(seed).is_multiple_of(3) && !matches!(kind, Kind::Revocable);
        let has_max_age = next(seed).is_multiple_of(4);
        let len = 30 + usize::from(next(seed)) / 3;
        let mut events = vec![visit(seed)];
        while events.len() < len {
            events.push(event(seed));
        }
        if next(seed).is_multiple_of(2) {
            events.iter_mut().for_each(has_no_mishap);
        }
        // Both blur the tags that tell sessions apart.
        let (hands_over, empties) = (next(seed).is_multiple_of(4), next(seed).is_multiple_of(3));
        let is_anonymous = next(seed).is_multiple_of(2);
        for event in &mut events {
            if let Event::Visit { acts, .. } = event {
                if empties && is_anonymous {
                    acts.iter_mut().for_each(of_nobody);
                }
                acts.retain(|act| match act {
                    Act::SetSubject | Act::RemoveSubject => hands_over && has_subjects(kind),
                    Act::Empty => empties,
                    _ => true,
                });
            }
        }
        if kind.never_waits() {
            events.iter_mut().for_each(loses_no_answer);
        }
        Self {
            kind,
            is_encrypted: is_encrypted
                && kind != Kind::Go
                && kind != Kind::Cookie
                && kind != Kind::RemoteRevocable,
            has_max_age,
            moves: false,
            events,
        }
    }

    /// A plan for sessions in a store whose records move to another one.
    pub(super) fn of_a_move(seed: u64) -> Self {
        let plan = Self::of(seed * KINDS.len() as u64);
        assert_eq!(plan.kind, Kind::Remote);
        let seed = &mut (seed.wrapping_mul(0xd134_2543_de82_ef95) ^ 0x2f);
        let (mut events, stage) = (Vec::new(), plan.events.len() / 5);
        for (at, event) in plan.events.into_iter().enumerate() {
            if (at + 1).is_multiple_of(stage) {
                events.push(Event::Deploy);
            }
            events.push(event);
            let polls = next(seed) % 6;
            events.extend((0..polls).map(|_| Event::Migrate(next(seed))));
        }
        Self {
            moves: true,
            events,
            ..plan
        }
    }

    /// Returns a shorter plan that still rings the same alarm.
    pub(super) async fn shortened(self, rings: impl AsyncFn(&Self) -> bool) -> Self {
        let mut best = self;
        let mut size = best.events.len() / 2;
        while size > 0 {
            let mut at = 0;
            while at < best.events.len() {
                let mut less = best.clone();
                let end = (at + size).min(less.events.len());
                less.events.drain(at..end);
                if rings(&less).await {
                    best = less;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        for at in 0..best.events.len() {
            let mut act = 0;
            while let Some(less) = best.without_act(at, act) {
                if rings(&less).await {
                    best = less;
                } else {
                    act += 1;
                }
            }
        }
        best
    }

    fn without_act(&self, at: usize, act: usize) -> Option<Self> {
        let mut less = self.clone();
        match &mut less.events[at] {
            Event::Visit { acts, .. } if act < acts.len() => drop(acts.remove(act)),
            Event::Visit { mishap, .. } if act == acts_len(&self.events[at]) => {
                if *mishap == Mishap::default() {
                    return None;
                }
                *mishap = Mishap::default();
            }
            _ => return None,
        }
        Some(less)
    }
}

fn acts_len(event: &Event) -> usize {
    match event {
        Event::Visit { acts, .. } => acts.len(),
        _ => 0,
    }
}

fn event(seed: &mut u64) -> Event {
    match next(seed) % 32 {
        0..=5 => visit(seed),
        6 => Event::Admin(order(seed), mishap(seed)),
        7 => {
            let late_acts = (0..1 + next(seed) % 3).map(|_| late(next(seed))).collect();
            Event::Late(next(seed), late_acts, mishap(seed))
        }
        8..=11 => Event::Deliver(next(seed)),
        12 => Event::Lose(next(seed)),
        13 | 14 => Event::Pass(match next(seed) % 8 {
            0 => 3_700,
            1 => 70,
            2 => 20,
            n => u16::from(n) / 2,
        }),
        16 if next(seed).is_multiple_of(2) => Event::Go(go(seed)),
        15 if next(seed).is_multiple_of(4) => Event::Rotate,
        _ => Event::Poll(next(seed), [1, 1, 2, 9][usize::from(next(seed) % 4)]),
    }
}

fn go(seed: &mut u64) -> Act {
    match next(seed) % 8 {
        0..=3 => Act::Count,
        4 => Act::Flash,
        5 => Act::TakeFlashes,
        6 => Act::Destroy,
        _ => Act::Wait,
    }
}

fn visit(seed: &mut u64) -> Event {
    let who = match next(seed) % 8 {
        0 | 1 => Who::Device,
        2 => Who::Thief(next(seed)),
        _ => Who::Tab,
    };
    let acts = match next(seed) % 4 {
        0 => OFTEN[usize::from(next(seed)) % OFTEN.len()].to_vec(),
        _ => (0..next(seed) % 4).map(|_| act(seed)).collect(),
    };
    let mishap = match acts[..] {
        // The answer to a save in mid-request is lost, and more is left to save.
        [Act::Count, Act::Save, ..] if next(seed).is_multiple_of(2) => early(seed, Fault::Unheard),
        // The record of the emptied session cannot be removed.
        [Act::Empty] if next(seed).is_multiple_of(2) => early(seed, Fault::Down),
        _ => mishap(seed),
    };
    Event::Visit {
        who,
        acts,
        fails: next(seed).is_multiple_of(20),
        is_head: next(seed).is_multiple_of(8),
        mishap,
    }
}

/// A fault at one of the first calls.
fn early(seed: &mut u64, fault: Fault) -> Mishap {
    let at = 1 + next(seed) % 4;
    Mishap {
        cut: None,
        fault: Some((at, fault)),
    }
}

fn act(seed: &mut u64) -> Act {
    let key = next(seed) % 2;
    match next(seed) % 26 {
        0..=2 => Act::Put(key),
        3 => Act::PutLarge(key),
        4 => Act::Remove(key),
        5..=7 => Act::Count,
        8 => Act::Flash,
        9 => Act::TakeFlashes,
        10 => Act::Empty,
        11 | 12 => Act::Renew,
        13..=16 => Act::LogIn,
        17 | 18 => Act::Save,
        19 | 20 => Act::Destroy,
        21 => Act::DestroyOthers,
        22 => Act::Keep,
        23 => Act::SetSubject,
        24 => Act::RemoveSubject,
        _ => Act::Wait,
    }
}

fn late(number: u8) -> Late {
    match number % 4 {
        0 => Late::Touch,
        1 => Late::Save,
        2 if number.is_multiple_of(3) => Late::Destroy,
        _ => Late::Load,
    }
}

fn order(seed: &mut u64) -> Order {
    match next(seed) % 3 {
        0 => Order::All,
        1 => Order::AllBut(next(seed)),
        _ => Order::One(next(seed)),
    }
}

fn mishap(seed: &mut u64) -> Mishap {
    let at = next(seed) % 12;
    match next(seed) % 16 {
        4 => Mishap {
            cut: None,
            fault: Some((at, Fault::Unanswered)),
        },
        0 => Mishap {
            cut: Some(at),
            fault: None,
        },
        1 => Mishap {
            cut: None,
            fault: Some((at, Fault::Down)),
        },
        2 => Mishap {
            cut: None,
            fault: Some((at, Fault::Unheard)),
        },
        3 => Mishap {
            cut: None,
            fault: Some((at, Fault::Repeated)),
        },
        _ => Mishap::default(),
    }
}

fn mishap_of(event: &mut Event) -> Option<&mut Mishap> {
    match event {
        Event::Visit { mishap, .. } | Event::Admin(_, mishap) | Event::Late(_, _, mishap) => {
            Some(mishap)
        }
        _ => None,
    }
}

fn has_no_mishap(event: &mut Event) {
    if let Some(mishap) = mishap_of(event) {
        *mishap = Mishap::default();
    }
}

/// Only a session without a subject can be emptied: logins and ends become acts that empty and fill
/// it.
fn of_nobody(act: &mut Act) {
    match act {
        Act::LogIn => *act = Act::Empty,
        Act::Destroy | Act::DestroyOthers => *act = Act::Count,
        _ => {}
    }
}

/// Stores that never wait lose no answers.
fn loses_no_answer(event: &mut Event) {
    if let Some(Mishap {
        fault: Some((_, fault)),
        ..
    }) = mishap_of(event)
    {
        *fault = Fault::Down;
    }
}
