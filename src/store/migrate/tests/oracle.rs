//! Decides whether answers could have come from one store that executes one operation after
//! another.

use std::collections::HashSet;

/// An operation. A record is identified by the number of the write that made its data, and by its
/// end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Asked {
    Load,
    Create {
        data: u64,
        end: u64,
    },
    Update {
        over: u64,
        data: u64,
        end: u64,
    },
    Touch {
        over: u64,
        end: u64,
    },
    /// Expects the version with this data, or any version.
    Delete {
        over: Option<u64>,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    Done,
    Loaded(State),
    Exists,
    Conflict,
    Gone,
}

pub(super) type State = Option<(u64, u64)>;

#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) asked: Asked,
    pub(super) begun: u64,
    /// The time and content of the answer. A call without an answer may take effect at any time, or
    /// never.
    pub(super) answer: Option<(u64, Answer)>,
}

impl Asked {
    /// The state after the call, if it can take effect.
    fn done(self, state: State) -> Option<State> {
        let is_of = |over: u64| matches!(state, Some((data, _)) if data == over);
        match self {
            Self::Load => None,
            Self::Create { data, end } => state.is_none().then_some(Some((data, end))),
            Self::Update { over, data, end } => is_of(over).then_some(Some((data, end))),
            Self::Touch { over, end } => is_of(over).then_some(Some((over, end))),
            Self::Delete { over: None } => Some(None),
            Self::Delete { over: Some(over) } => (state.is_none() || is_of(over)).then_some(None),
        }
    }

    /// The state after this answer, if it is right. A move changes the version, so any write may be
    /// answered with a conflict while there is a record.
    fn answered(self, answer: Answer, state: State) -> Option<State> {
        let is_right = match answer {
            Answer::Done => return self.done(state),
            Answer::Loaded(loaded) => loaded == state,
            Answer::Exists | Answer::Conflict => state.is_some(),
            Answer::Gone => state.is_none(),
        };
        is_right.then_some(state)
    }
}

/// Returns whether the calls can be ordered so that each answer is right, and no call comes before
/// one that had ended when it began (Wing and Gong, "Testing and verifying concurrent objects",
/// 1993).
pub(super) fn is_linearizable(calls: &[Call]) -> bool {
    assert!(calls.len() <= 64, "calls are bits of a u64");
    let must = calls.iter().enumerate();
    let must = must.filter(|(_, call)| call.answer.is_some());
    let must = must.fold(0, |must, (index, _)| must | 1_u64 << index);
    let mut seen = HashSet::new();
    let mut open = vec![(0_u64, State::None)];
    while let Some((done, state)) = open.pop() {
        if done & must == must {
            return true;
        }
        if !seen.insert((done, state)) {
            continue;
        }
        let left = calls
            .iter()
            .enumerate()
            .filter(|(index, _)| done & 1 << index == 0);
        let ends = left.clone().filter_map(|(_, call)| call.answer);
        let first_end = ends.map(|(end, _)| end).min().unwrap_or(u64::MAX);
        for (index, call) in left.filter(|(_, call)| call.begun < first_end) {
            let next = match call.answer {
                Some((_, answer)) => call.asked.answered(answer, state),
                None => call.asked.done(state),
            };
            open.extend(next.map(|next| (done | 1 << index, next)));
        }
    }
    false
}

#[test]
fn a_stale_read_is_noticed() {
    let call = |asked, begun, end, answer| Call {
        asked,
        begun,
        answer: Some((end, answer)),
    };
    let create = call(Asked::Create { data: 1, end: 9 }, 0, 1, Answer::Done);
    let delete = call(Asked::Delete { over: None }, 2, 5, Answer::Done);
    let load = |begun, end| call(Asked::Load, begun, end, Answer::Loaded(Some((1, 9))));
    assert!(is_linearizable(&[create, delete, load(3, 8)]));
    assert!(!is_linearizable(&[create, delete, load(6, 8)]));
}
