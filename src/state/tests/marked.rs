//! A request with the ID of a session that was renewed or destroyed a moment ago, and one that has
//! lost a renewal to another.

use super::*;
use crate::{
    Error, ErrorKind,
    content::{Persistence, WriteId, Writes},
    cookie::CookieAttributes,
    error::Rejection,
    state::{Job, When, cut_off::CutOff},
};

const WRITE: WriteId = *b"a write.";

fn marked() -> State {
    let view = View::marked(id(), Rejection::Renewed, NOW);
    State {
        view: Some(view),
        ..State::default()
    }
}

/// Changes the session as a handler does.
fn with(mut state: State, mut change: Change) -> State {
    let content = &mut state.view.as_mut().unwrap().content;
    change.apply(content).unwrap();
    state.log.push(change);
    state
}

fn lasting() -> Change {
    Change::Persist(Persistence::For {
        since: NOW,
        length: secs(9),
    })
}

fn of_subject() -> Change {
    let (name, note) = ("ada".into(), "".into());
    Change::SetSubject { name, note }
}

fn remove() -> Change {
    Change::Remove { key: "k".into() }
}

#[test]
fn a_marked_session_is_empty_and_says_why() {
    for reason in [Rejection::Renewed, Rejection::Ended] {
        let view = View::marked(id(), reason, NOW);
        assert!(view.content.is_empty() && view.content.created == NOW);
        assert_eq!(view.rejection, Some(reason));
        assert!(matches!(view.home, Home::Marked(of) if of == id()));
    }
}

/// Only a request that renews gets a session, and only of values that it has stored itself.
#[test]
#[rustfmt::skip]
fn a_request_with_a_marked_name_saves_nothing_but_a_login() {
    //   it puts in                      renews  it gets
    let rows = [
        (None,                            false,  "nothing"),
        (None,                            true,   "Gone"),
        (Some(insert("k", "1")),          false,  "Gone"),
        (Some(insert("k", "1")),          true,   "a new session"),
        (Some(of_subject()),              false,  "Gone"),
        (Some(of_subject()),              true,   "a new session"),
        (Some(lasting()),                 true,   "Gone"),
        (Some(Change::Attributes(CookieAttributes::default().into())), true, "Gone"),
        (Some(remove()),                  true,   "Gone"),
        (Some(Change::Clear),             false,  "Gone"),
    ];
    for (change, renews, expected) in rows {
        let row = format!("{change:?} {renews}");
        let mut state = change.into_iter().fold(marked(), with);
        state.renews = renews;
        for kept in Kept::ALL {
            let plan = state.plan(&kept.settings(), NOW, When::Response);
            let found = match &plan {
                Ok(None) => "nothing",
                Ok(Some(plan)) if plan.write.names() => "a new session",
                Ok(Some(_)) => "something",
                Err(error) if error.kind() == ErrorKind::Gone => "Gone",
                Err(_) => "another error",
            };
            assert_eq!(found, expected, "{kept:?} {row}");
        }
    }
}

/// Neither the ID of the session behind the mark nor that of the mark.
#[test]
fn a_login_with_a_marked_name_replaces_nobody() {
    for kept in [Kept::InCookies, Kept::InRecords] {
        let mut state = with(marked(), insert("k", "1"));
        state.renews = true;
        let job = taken(&mut state, kept);
        assert!(job.id == other_id() && job.before.is_none(), "{kept:?}");
    }
}

fn taken(state: &mut State, kept: Kept) -> Job {
    let settings = kept.settings();
    let plan = state.plan(&settings, NOW, When::Response);
    let plan = plan.unwrap().unwrap();
    let new = plan.write.names().then(other_id);
    let job = state.take(plan, new, Some(WRITE), &settings, NOW);
    job.unwrap()
}

/// A session with a value, a subject, a persistence and a history.
fn renewal(log: impl IntoIterator<Item = Change>) -> Job {
    let mut content = content(10);
    content.created = before(500);
    content.revision = 3;
    content.subject = subject("bob", NOW);
    content.attributes = Some(Box::default());
    let mut state = opened(record(), content);
    state.renews = true;
    let mut state = log.into_iter().fold(state, with);
    taken(&mut state, Kept::InRecords)
}

/// Only the winner's ID carries on what the old record held.
#[test]
#[rustfmt::skip]
fn the_loser_of_a_renewal_has_what_it_put_in_itself() {
    let count = || Change::Update {
        key: "n".into(),
        update: Box::new(|old| Ok(Some([old.unwrap_or_default(), b"1"].concat()))),
    };
    let own = |key: &str| insert(key, "2");
    let rows = [
        (vec![],                       None),
        (vec![remove()],               None),
        (vec![Change::Clear],          None),
        (vec![lasting()],              None),
        (vec![Change::Listed(NOW)],    None),
        (vec![own("a"), Change::Clear], None),
        (vec![own("a")],               Some("a=2")),
        (vec![own("a"), own("k")],     Some("a=2 k=2")),
        (vec![count()],                Some("n=1")),
        (vec![of_subject()],           Some("@ada")),
        (vec![own("a"), of_subject()], Some("a=2 @ada")),
    ];
    for (log, expected) in rows {
        let row = format!("{log:?}");
        let mut job = renewal(log);
        let alone = job.alone(Writes::none(), after(5));
        let Some(expected) = expected else {
            assert_eq!(alone.unwrap_err().kind(), ErrorKind::Gone, "{row}");
            continue;
        };
        let alone = alone.unwrap();
        assert_eq!(text(&alone), expected, "{row}");
        assert_eq!((alone.created, alone.revision), (after(5), 0), "{row}");
        let rest = (&alone.former, &alone.attributes, alone.persistence);
        assert_eq!(rest, (&None, &None, Persistence::Configured), "{row}");
    }
}

/// The values, and the subject after `@`.
fn text(content: &Content) -> String {
    let value = |key| std::str::from_utf8(content.frames.get(key).unwrap()).unwrap();
    let values = content.frames.keys();
    let values = values.map(|key| format!("{key}={}", value(key)));
    let subject = content.subject.iter();
    let subject = subject.map(|subject| format!("@{}", subject.name));
    values.chain(subject).collect::<Vec<_>>().join(" ")
}

/// The winner's session has these changes, so a second session must not have them too.
#[test]
fn the_loser_of_a_renewal_has_nothing_that_was_carried_along() {
    let rows = [
        (0, true, Ok("a=2 k=2")),
        (1, true, Ok("k=2")),
        (2, true, Err(ErrorKind::Gone)),
        (2, false, Ok("a=2 k=2")),
    ];
    for (changes, is_carried, expected) in rows {
        let mut job = renewal([insert("a", "2"), insert("k", "2")]);
        let write = *b"unheard.";
        job.cut_off.push(CutOff {
            write,
            base: None,
            is_done: false,
            changes,
            at: NOW,
        });
        let carried = is_carried.then_some(write);
        let carried = Writes::none().with(carried, NOW, secs(5));
        let alone = job.alone(&carried, NOW);
        let alone = alone.map(|content| text(&content));
        let alone = alone.as_deref().map_err(Error::kind);
        assert_eq!(alone, expected, "{changes} {is_carried}");
    }
}

#[test]
fn the_loser_of_a_renewal_hears_of_an_update_that_fails() {
    let mut job = renewal([insert("a", "2")]);
    job.log.push(Change::Update {
        key: "n".into(),
        update: Box::new(|_| Err(Error::new(ErrorKind::DeserializeFailed))),
    });
    let error = job.alone(Writes::none(), NOW).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeserializeFailed);
}
