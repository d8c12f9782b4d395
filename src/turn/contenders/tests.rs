//! Which of several sessions counts, as tables.

use super::*;
use crate::{
    content::{Browser, Content, Writes},
    state::Place,
    store::Version,
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn id(number: u8) -> SessionId {
    SessionId::of_token(&[number; 16])
}

/// A session in a cookie with this revision, second of issue and value.
fn cookie(revision: u32, issued: u64, value: &str) -> View {
    let mut content = Content::new(NOW);
    content.frames.insert("k", value.as_bytes());
    content.revision = revision;
    let home = Home::Cookie {
        id: id(1),
        issued: Timestamp::from_secs(issued),
        expires: NOW,
    };
    View {
        home,
        content,
        rejection: None,
    }
}

fn record(number: u8) -> View {
    let home = Home::Record(Place {
        id: id(number),
        version: Version::from_u64(7),
        expires: NOW,
        browser: Browser::Knows,
        writes: Writes::default(),
    });
    View {
        home,
        ..View::new(NOW, None)
    }
}

fn marked(reason: Rejection) -> View {
    View::marked(id(2), reason, NOW)
}

fn dead(reason: Rejection) -> View {
    View::new(NOW, Some(reason))
}

fn provenance(number: u8) -> Provenance {
    Provenance {
        tag: Some([number; 2]),
        ..Provenance::default()
    }
}

fn value(view: &View) -> &str {
    std::str::from_utf8(view.content.frames.get("k").unwrap()).unwrap()
}

/// The higher revision counts, then the later issue. If both are equal and the values differ,
/// neither does.
#[test]
#[rustfmt::skip]
fn of_two_cookies_of_one_session_the_later_counts() {
    //   revision, issued, value   of the other      which counts
    let rows = [
        ((1, 50, "a"),             (2, 40, "b"),     Some("b")),
        ((2, 40, "a"),             (1, 50, "b"),     Some("a")),
        ((2, 40, "a"),             (2, 50, "b"),     Some("b")),
        ((2, 50, "a"),             (2, 40, "b"),     Some("a")),
        ((2, 50, "a"),             (2, 50, "a"),     Some("a")),
        ((2, 50, "a"),             (2, 50, "b"),     None),
    ];
    for (own, other, expected) in rows {
        let row = format!("{own:?} {other:?}");
        let mut contender = Contender {
            id: id(1),
            token: Some(cookie(own.0, own.1, own.2)),
            is_reference: false,
            provenance: provenance(1),
        };
        let can_be_told = contender.unite(Some(cookie(other.0, other.1, other.2)), provenance(2));
        assert_eq!(can_be_told, expected.is_some(), "{row}");
        let Some(expected) = expected else { continue };
        assert_eq!(value(contender.token.as_ref().unwrap()), expected, "{row}");
        // What the cookie that counts tells.
        let number = if expected == own.2 { 1 } else { 2 };
        assert_eq!(contender.provenance.tag, Some([number; 2]), "{row}");
    }
}

#[test]
fn a_session_may_come_in_a_cookie_and_by_reference() {
    for is_token_first in [true, false] {
        let token = || Some(cookie(1, 50, "a"));
        let mut contender = Contender {
            id: id(1),
            token: token().filter(|_| is_token_first),
            is_reference: !is_token_first,
            provenance: Provenance::default(),
        };
        let second = token().filter(|_| !is_token_first);
        assert!(contender.unite(second, Provenance::default()));
        assert!(contender.is_reference && contender.token.is_some());
    }
}

/// Two live sessions count as none. Dead ones do not lock out a live one.
#[test]
#[rustfmt::skip]
fn the_one_that_lives_counts() {
    use Rejection::*;
    type Found = fn() -> Vec<View>;
    let gone: Found = || vec![dead(NotFound)];
    let expired: Found = || vec![dead(Expired)];
    let renewed: Found = || vec![marked(Renewed)];
    let ended: Found = || vec![marked(Ended)];
    let in_record: Found = || vec![record(2)];
    let in_cookie: Found = || vec![cookie(1, 50, "a")];
    // One session, by reference and in a cookie.
    let both: Found = || vec![record(3), cookie(1, 50, "a")];
    let record_is_gone: Found = || vec![dead(NotFound), cookie(1, 50, "a")];
    let both_are_gone: Found = || vec![dead(NotFound), marked(Ended)];
    let rows: [(Vec<Found>, _); 15] = [
        (vec![],                               "NotFound"),
        (vec![gone],                           "NotFound"),
        (vec![expired, gone],                  "Expired"),
        (vec![gone, renewed],                  "Renewed, marked"),
        (vec![ended, expired, renewed],        "Ended, marked"),
        (vec![both_are_gone],                  "Ended, marked"),
        (vec![in_record],                      "record 1"),
        (vec![gone, renewed, in_record],       "record 3"),
        (vec![in_cookie, expired],             "cookie 1"),
        (vec![both],                           "record 1"),
        (vec![gone, record_is_gone],           "cookie 2"),
        (vec![in_record, in_record],           "Ambiguous"),
        (vec![in_cookie, in_record],           "Ambiguous"),
        (vec![gone, both, in_cookie, renewed], "Ambiguous"),
        (vec![in_cookie, in_cookie, in_record], "Ambiguous"),
    ];
    for (found, expected) in rows {
        let mut tally = Tally::default();
        for (number, views) in (1..).zip(&found) {
            tally.count(views(), provenance(number));
        }
        let Opened { view, provenance } = tally.outcome(NOW);
        let number = provenance.tag.map_or(0, |[number, _]| number);
        let text = match (&view.home, view.rejection) {
            (Home::Record(_), None) => format!("record {number}"),
            (Home::Cookie { .. }, None) => format!("cookie {number}"),
            (Home::Marked(_), Some(reason)) => format!("{reason:?}, marked"),
            (Home::Nowhere, Some(reason)) => format!("{reason:?}"),
            other => panic!("{other:?}"),
        };
        assert_eq!(text, expected, "{}", found.len());
        // Nothing is known of the cookie of a session that is not there.
        assert_eq!(number == 0, view.home.is_nowhere());
    }
}
