//! What a save changes in rosters.

use super::*;
use crate::{
    content::Persistence,
    state::{Enrolment, Lifetime, enrolment::is_due},
};

fn with_subjects(own: Option<&str>, former: Option<&str>) -> Content {
    let mut content = content(10);
    content.subject = own.and_then(|name| subject(name, NOW));
    content.former = former.and_then(|name| subject(name, NOW));
    content
}

#[test]
fn who_has_or_had_a_subject_is_enrolled() {
    let unlisted = || {
        let key = Key::from_bytes(b"a key of thirty-two bytes or so.").unwrap();
        SessionConfig::cookie("sid", key).build().unwrap()
    };
    let listed = || Kept::InRecords.settings();
    #[rustfmt::skip]
    let rows = [
        (listed(),   None,        None,        false),
        (listed(),   Some("ada"), None,        true),
        (listed(),   None,        Some("bob"), true),
        (listed(),   Some("ada"), Some("bob"), true),
        // Nothing remembers there which sessions have ended.
        (unlisted(), Some("ada"), Some("bob"), false),
    ];
    for (settings, own, former, is_some) in rows {
        let enrolment = Enrolment::of(&with_subjects(own, former), &settings, NOW);
        assert_eq!(enrolment.is_some(), is_some, "{own:?} {former:?}");
        let Some(enrolment) = enrolment else { continue };
        let name = enrolment.subject.as_ref().map(|subject| &*subject.name);
        let left = enrolment.former.as_ref().map(|subject| &*subject.name);
        assert_eq!((name, left), (own, former));
        assert_eq!((enrolment.created, enrolment.reseals), (NOW, false));
    }
}

#[test]
fn a_session_leaves_the_roster_of_another_subject() {
    #[rustfmt::skip]
    let rows = [
        (Some("ada"), None,        None),
        (Some("ada"), Some("bob"), Some("bob")),
        (Some("ada"), Some("ada"), None),
        (None,        Some("bob"), Some("bob")),
    ];
    for (own, former, left) in rows {
        let content = with_subjects(own, former);
        let enrolment = Enrolment::of(&content, &Kept::InRecords.settings(), NOW).unwrap();
        let leaves = enrolment.left().map(|subject| &*subject.name);
        assert_eq!(leaves, left, "{own:?} {former:?}");
    }
}

#[test]
fn a_subject_with_a_note_is_new() {
    for (note, is_new) in [(None, false), (Some(""), true)] {
        let mut content = with_subjects(Some("ada"), None);
        content.subject.as_mut().unwrap().note = note.map(Into::into);
        let enrolment = Enrolment::of(&content, &Kept::InRecords.settings(), NOW).unwrap();
        assert_eq!(enrolment.is_new(), is_new);
    }
    let content = with_subjects(None, Some("bob"));
    let enrolment = Enrolment::of(&content, &Kept::InRecords.settings(), NOW).unwrap();
    assert!(!enrolment.is_new());
}

/// The roster learns of use once per interval, so an entry must last longer by one interval.
#[test]
fn an_interval_is_a_tenth_and_at_most_an_hour() {
    const HOUR: u64 = 3_600;
    //   idle           absolute     interval  the entry expires after
    #[rustfmt::skip]
    let rows = [
        (IDLE,          ABSOLUTE,    IDLE / 10, IDLE + IDLE / 10),
        (10 * HOUR - 9, 99 * HOUR,   HOUR - 1,  11 * HOUR - 10),
        (10 * HOUR,     99 * HOUR,   HOUR,      11 * HOUR),
        (20 * HOUR,     99 * HOUR,   HOUR,      21 * HOUR),
        (IDLE,          IDLE + 50,   IDLE / 10, IDLE + 50),
        (IDLE,          IDLE,        IDLE / 10, IDLE),
    ];
    for (idle, absolute, interval, expires) in rows {
        let config = Kept::InRecords.config().idle_timeout(secs(idle));
        let settings = config.absolute_timeout(secs(absolute)).build().unwrap();
        let content = with_subjects(Some("ada"), None);
        let enrolment = Enrolment::of(&content, &settings, NOW).unwrap();
        let row = format!("{idle} {absolute}");
        // Idle timeouts that are not a multiple of ten seconds have intervals with a fraction.
        assert_eq!(enrolment.interval.as_secs(), interval, "{row}");
        assert_eq!(enrolment.expires, after(expires), "{row}");
        let lifetime = Lifetime::of(&content, &settings);
        for (listed, due) in [(interval + 1, true), (interval - 1, false), (0, false)] {
            let subject = subject("ada", before(listed)).unwrap();
            assert_eq!(is_due(&subject, lifetime, NOW), due, "{row} {listed}");
        }
        let subject = subject("ada", before(interval)).unwrap();
        let is_whole = idle % 10 == 0;
        assert_eq!(is_due(&subject, lifetime, NOW), is_whole, "{row}");
    }
}

#[test]
fn a_session_of_its_own_length_is_told_by_that() {
    let mut content = with_subjects(Some("ada"), None);
    let (since, length) = (NOW, secs(50));
    content.persistence = Persistence::For { since, length };
    let enrolment = Enrolment::of(&content, &Kept::InRecords.settings(), NOW).unwrap();
    assert_eq!(
        (enrolment.interval, enrolment.expires),
        (secs(5), after(50))
    );
}
