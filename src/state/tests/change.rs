//! Each change, applied once, again, and to content that others have changed meanwhile.

use std::sync::Arc;

use super::*;
use crate::{
    ErrorKind,
    content::{FlashId, Persistence},
    cookie::CookieAttributes,
    state::{Source, Taken, TakenFlashes, change::TakenValue, cut_off::CutOff},
};

const ONE: FlashId = *b"flash  1";
const TWO: FlashId = *b"flash  2";
const THREE: FlashId = *b"flash  3";

/// Values, messages (`!`), the subject (`@`, and `+` until its roster has it), and the former
/// subject (`-`).
fn text(content: &Content) -> String {
    let frames = &content.frames;
    let values = frames
        .keys()
        .map(|key| format!("{key}={}", utf8(frames.get(key).unwrap())));
    let flashes = frames
        .flashes("q")
        .map(|(_, value)| format!("!{}", utf8(value)));
    let subject = content.subject.iter().map(|subject| match subject.note {
        Some(_) => format!("+{}", subject.name),
        None => format!("@{}", subject.name),
    });
    let former = content.former.iter();
    let former = former.map(|subject| format!("-{}", subject.name));
    let all: Vec<_> = values.chain(flashes).chain(subject).chain(former).collect();
    all.join(" ")
}

fn utf8(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn apply(changes: &mut [Change], mut content: Content) -> Content {
    for change in changes {
        change.apply(&mut content).unwrap();
    }
    content
}

fn push(id: FlashId, text: &str) -> Change {
    let (queue, value) = ("q".into(), text.into());
    Change::PushFlash { queue, id, value }
}

fn taken(ids: &[FlashId]) -> Taken {
    let messages = ids.iter().map(|id| (*id, b"hi".to_vec())).collect();
    Arc::new(TakenFlashes::new("q", messages))
}

fn take(ids: &[FlashId]) -> Change {
    Change::TakeFlashes(taken(ids))
}

fn remove(key: &str) -> Change {
    Change::Remove { key: key.into() }
}

fn set(name: &str) -> Change {
    let (name, note) = (name.into(), "note".into());
    Change::SetSubject { name, note }
}

/// Adds one to the value.
fn count() -> Change {
    Change::Update {
        key: "n".into(),
        update: Box::new(|old| {
            let old = old.map_or(0, |old| utf8(old).parse().unwrap());
            Ok(Some(format!("{}", old + 1).into()))
        }),
    }
}

/// Ada's session, with one value and one message.
fn start() -> Content {
    let mut content = Content::new(NOW);
    content.frames.insert("a", b"1");
    content.subject = subject("al", NOW);
    apply(&mut [push(ONE, "hi")], content)
}

/// The same session after other requests.
fn meanwhile() -> Content {
    let mut content = start();
    content.subject = subject("bo", NOW);
    apply(
        &mut [
            insert("a", "7"),
            insert("n", "4"),
            take(&[ONE]),
            push(TWO, "ho"),
        ],
        content,
    )
}

#[test]
#[rustfmt::skip]
fn each_change_on_old_and_new_content() {
    assert_eq!(text(&start()), "a=1 !hi @al");
    assert_eq!(text(&meanwhile()), "a=7 n=4 !ho @bo");
    //  made by                   once                 again                on theirs
    let rows: [(fn() -> Change, _, _, _); 10] = [
        (|| insert("a", "2"),      "a=2 !hi @al",       "a=2 !hi @al",       "a=2 n=4 !ho @bo"),
        (|| insert("b", "2"),      "a=1 b=2 !hi @al",   "a=1 b=2 !hi @al",   "a=7 n=4 b=2 !ho @bo"),
        (|| remove("a"),           "!hi @al",           "!hi @al",           "n=4 !ho @bo"),
        (|| remove("z"),           "a=1 !hi @al",       "a=1 !hi @al",       "a=7 n=4 !ho @bo"),
        (|| Change::Clear,         "@al",               "@al",               "@bo"),
        (count,                    "a=1 n=1 !hi @al",   "a=1 n=2 !hi @al",   "a=7 n=5 !ho @bo"),
        (|| push(THREE, "x"),      "a=1 !hi !x @al",    "a=1 !hi !x !x @al", "a=7 n=4 !ho !x @bo"),
        (|| set("al"),             "a=1 !hi +al -al", "a=1 !hi +al -al", "a=7 n=4 !ho +al -bo"),
        (|| set("ev"),             "a=1 !hi +ev -al", "a=1 !hi +ev -al", "a=7 n=4 !ho +ev -bo"),
        (|| Change::RemoveSubject, "a=1 !hi -al",      "a=1 !hi -al",      "a=7 n=4 !ho -bo"),
    ];
    for (make, once, again, on_theirs) in rows {
        let mut change = [make()];
        let row = format!("{:?}", change[0]);
        let content = apply(&mut change, start());
        assert_eq!(text(&content), once, "{row}");
        assert_eq!(text(&apply(&mut change, content)), again, "{row}, again");
        assert_eq!(text(&apply(&mut change, meanwhile())), on_theirs, "{row}, merged");
    }
}

/// A message that another request has taken does not belong to this one.
#[test]
fn messages_are_taken_once() {
    let Change::TakeFlashes(taken) = take(&[ONE, TWO]) else {
        panic!()
    };
    let mut change = [Change::TakeFlashes(Arc::clone(&taken))];
    let content = apply(&mut [push(TWO, "ho")], start());
    let content = apply(&mut change, content);
    assert_eq!(text(&content), "a=1 @al");
    assert_eq!(*taken.ids(), [ONE, TWO]);

    let content = apply(&mut change, meanwhile());
    assert_eq!(text(&content), "a=7 n=4 @bo");
    assert_eq!(*taken.ids(), [TWO], "the first is theirs");

    apply(&mut change, content);
    assert!(taken.ids().is_empty());
}

#[test]
fn lifetime_and_attributes_are_the_last_ones() {
    let (since, length) = (NOW, secs(9));
    let persistence = Persistence::For { since, length };
    let attributes = CookieAttributes::default().path("/shop");
    let changes = &mut [
        Change::Persist(persistence),
        Change::Attributes(attributes.clone().into()),
    ];
    let mut theirs = meanwhile();
    theirs.persistence = Persistence::UntilBrowserCloses;
    theirs.attributes = Some(Box::default());
    for content in [start(), theirs] {
        let content = apply(changes, content);
        assert_eq!(content.persistence, persistence);
        assert_eq!(content.attributes.as_deref(), Some(&attributes));
    }
}

#[test]
fn a_listing_is_noted_where_there_is_a_subject() {
    let content = apply(&mut [Change::Listed(after(9))], start());
    assert_eq!(content.subject.as_ref().unwrap().listed, after(9));
    let content = apply(
        &mut [Change::RemoveSubject, Change::Listed(after(9))],
        start(),
    );
    assert!(content.subject.is_none());
}

/// Only a subject that a roster may have must be withdrawn from it.
#[test]
fn a_subject_that_was_never_listed_leaves_no_roster() {
    let content = apply(&mut [set("ev"), set("mal")], Content::new(NOW));
    assert_eq!(text(&content), "+mal");
    let content = apply(&mut [set("ev"), set("mal"), Change::RemoveSubject], start());
    assert_eq!(text(&content), "a=1 !hi -al");
    let mut content = apply(&mut [set("ev")], Content::new(NOW));
    let subject = content.subject.take().unwrap();
    assert_eq!(subject.note.as_deref(), Some("note"));
    assert_eq!((subject.since, subject.listed), Default::default());
}

#[test]
fn an_update_that_fails_changes_nothing() {
    let mut change = Change::Update {
        key: "a".into(),
        update: Box::new(|_| Err(crate::Error::new(ErrorKind::DeserializeFailed))),
    };
    let mut content = start();
    let error = change.apply(&mut content).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeserializeFailed);
    assert_eq!(text(&content), text(&start()));
}

#[test]
fn an_update_that_was_refused_is_left_out() {
    for (kind, is_left_out) in [
        (ErrorKind::UpdateRefused, true),
        (ErrorKind::DeserializeFailed, false),
    ] {
        let key = "none".into();
        let update = Box::new(move |_: Option<&[u8]>| Err(crate::Error::new(kind)));
        let mut change = Change::Update { key, update };
        let error = change.apply(&mut start()).unwrap_err();
        assert_eq!(error.kind(), kind);
        let mut content = start();
        assert_eq!(change.apply(&mut content).is_ok(), is_left_out);
        assert_eq!(text(&content), text(&start()));
    }
}

fn taken_value(key: &str) -> Arc<TakenValue> {
    let fits = |value: &[u8]| value != b"other";
    Arc::new(TakenValue::new(key, b"seen".to_vec(), fits))
}

fn take_value(key: &str) -> Change {
    Change::Take(taken_value(key))
}

/// Applied again, it takes what is there by then, which may be nothing.
#[test]
fn a_value_is_taken_as_it_is_found() {
    let value = |change: &Change| match change {
        Change::Take(taken) => taken.value().map(|value| utf8(&value).to_owned()),
        _ => None,
    };
    let mut take = [take_value("k")];
    assert_eq!(value(&take[0]).as_deref(), Some("seen"));
    let newer = apply(&mut [insert("k", "newer")], start());
    assert_eq!(text(&apply(&mut take, newer)), text(&start()));
    assert_eq!(value(&take[0]).as_deref(), Some("newer"));
    let other = || apply(&mut [insert("k", "other")], start());
    assert_eq!(text(&apply(&mut take, other())), text(&other()));
    assert_eq!(value(&take[0]).as_deref(), Some("other"));
    apply(&mut take, start());
    assert_eq!(value(&take[0]), None);
}

#[test]
fn a_value_that_is_given_up_stays() {
    let newer = || apply(&mut [insert("k", "newer")], start());
    for gives_up in [false, true] {
        let taken = taken_value("k");
        let mut take = [Change::Take(Arc::clone(&taken))];
        let mut content = start();
        if gives_up {
            take[0].give_up();
        } else {
            taken.return_to(&mut content.frames);
            assert_eq!(utf8(content.frames.get("k").unwrap()), "seen");
            let mut with_another = newer();
            taken.return_to(&mut with_another.frames);
            assert_eq!(text(&with_another), text(&newer()));
        }
        assert_eq!(taken.value(), None);
        assert_eq!(text(&apply(&mut take, newer())), text(&newer()));
    }
}

/// A caller that waits for the save learns that it gets nothing.
#[test]
fn what_is_dropped_takes_nothing() {
    for reopens in [false, true] {
        let mut state = State {
            view: Some(View::new(NOW, None)),
            ..State::default()
        };
        let (taken, messages) = (taken_value("k"), taken(&[ONE]));
        state.note(Some(Change::Take(Arc::clone(&taken))));
        state.note(Some(Change::TakeFlashes(Arc::clone(&messages))));
        let dropped = match reopens {
            true => state.reopen(Source::Cookie),
            false => state.discard_changes(),
        };
        assert_eq!(dropped.len(), 2);
        assert!(taken.value().is_none() && messages.ids().is_empty());
    }
}

#[test]
fn a_change_says_what_it_is() {
    //   change                            code   subject cookie  debug
    #[rustfmt::skip]
    let rows = [
        (insert("a", "secret"),            false, false,  false, "Insert"),
        (remove("a"),                      false, false,  false, "Remove"),
        (Change::Clear,                    false, false,  false, "Clear"),
        (count(),                          true,  false,  false, "Update"),
        (take_value("a"),                  true,  false,  false, "Take"),
        (push(ONE, "secret"),              false, false,  false, "PushFlash"),
        (take(&[ONE]),                     false, false,  false, "TakeFlashes"),
        (Change::PutBackFlashes(taken(&[ONE])), false, false, false, "PutBackFlashes"),
        (Change::Persist(Persistence::Configured), false, false, true, "Persist"),
        (Change::Attributes(CookieAttributes::default().into()), false, false, true, "Attributes"),
        (set("secret"),                    false, true,   false, "SetSubject"),
        (Change::RemoveSubject,            false, true,   false, "RemoveSubject"),
        (Change::Listed(NOW),              false, false,  false, "Listed"),
    ];
    for (change, runs_code, is_of_subject, shows_in_cookie, debug) in rows {
        let kinds = change.kinds();
        let found = (kinds.runs_code, kinds.is_of_subject, kinds.shows_in_cookie);
        assert_eq!(
            found,
            (runs_code, is_of_subject, shows_in_cookie),
            "{debug}"
        );
        assert_eq!(format!("{change:?}"), debug);
        let same = change.same().kinds();
        assert_eq!(same.runs_code, runs_code, "{debug}");
        assert!(!same.is_due && !same.is_of_subject && !same.shows_in_cookie);
    }
}

/// Messages go back in front of newer ones, once, and without those that others have taken.
#[test]
fn messages_are_put_back_in_their_place() {
    let taken = taken(&[ONE, TWO]);
    taken.ids().retain(|id| *id == TWO);
    let mut put_back = [Change::PutBackFlashes(taken)];
    let content = apply(&mut [Change::Clear, push([0; 8], "new")], start());
    let content = apply(&mut put_back, content);
    assert_eq!(text(&content), "!hi !new @al");
    assert_eq!(text(&apply(&mut put_back, content)), "!hi !new @al");
}

/// A cut-off save counts the changes before it, so their number must not change.
#[test]
fn what_may_be_saved_as_taken_is_put_back_by_another_change() {
    for cut_off in [false, true] {
        let mut state = State {
            view: Some(View::new(NOW, None)),
            ..State::default()
        };
        state.note(Some(Change::TakeFlashes(taken(&[ONE]))));
        state.note(Some(insert("k", "1")));
        if cut_off {
            let write = [1; 8];
            state.cut_off.push(CutOff {
                write,
                base: None,
                is_done: false,
                changes: 1,
                at: NOW,
            });
        }
        state.put_back_flashes(|_| true, |_, _| true);
        let log: Vec<_> = state
            .log
            .changes()
            .map(|change| format!("{change:?}"))
            .collect();
        let expected: &[_] = match cut_off {
            false => &["Insert"],
            true => &["TakeFlashes", "Insert", "PutBackFlashes"],
        };
        assert_eq!(log, expected);
        let view = state.view.unwrap();
        assert_eq!(view.content.frames.flashes("q").count(), 1);
    }
}

#[test]
fn what_was_taken_first_is_put_back_first() {
    for is_saved in [false, true] {
        let mut state = State {
            view: Some(View::new(NOW, None)),
            ..State::default()
        };
        for (id, message) in [(ONE, "one"), (TWO, "two"), (THREE, "three")] {
            let messages = vec![(id, message.into())];
            let taken = Arc::new(TakenFlashes::new("q", messages));
            state.note(Some(Change::TakeFlashes(taken)));
        }
        if is_saved {
            drop(state.log.take_first(3));
        }
        state.put_back_flashes(|_| true, |_, _| true);
        let mut all = vec![text(&state.view.unwrap().content)];
        if is_saved {
            let mut again: Vec<_> = state.log.into_iter().collect();
            all.push(text(&apply(&mut again, Content::new(NOW))));
        }
        assert!(all.iter().all(|all| all == "!one !two !three"), "{all:?}");
    }
}
