//! What a request can tell about a session's times.

use super::*;
use crate::content::Persistence;

/// Created 500 seconds ago and used 300 seconds ago.
fn used(home: Home) -> State {
    let mut content = content(10);
    content.created = before(500);
    opened(home, content)
}

fn record_used() -> Home {
    let mut home = record();
    if let Home::Record(place) = &mut home {
        place.expires = after(IDLE - 300);
    }
    home
}

fn last_used(state: &State) -> Option<Timestamp> {
    let settings = Kept::InRecords.settings();
    state.life(&settings, NOW, false).unwrap().last_used
}

#[test]
fn whatever_tells_of_use_counts() {
    let lasting = Persistence::For {
        since: before(200),
        length: secs(7_000),
    };
    type Change = fn(&mut Content);
    let plain: Change = |_| {};
    let renewed: Change = |content| content.authenticated = Some(before(100).into());
    let listed: Change = |content| content.subject = subject("ada", before(50));
    //   home                        content          used
    #[rustfmt::skip]
    let rows = [
        (record_used(),              plain,           Some(before(300))),
        (record_used(),              renewed,         Some(before(100))),
        (record_used(),              listed,          Some(before(50))),
        (cookie_of(id(), before(7)), plain,           Some(before(7))),
        (cookie_of(id(), before(7)), renewed,         Some(before(7))),
        (Home::Nowhere,              plain,           None),
        (Home::Nowhere,              renewed,         None),
    ];
    for (home, change, expected) in rows {
        let row = format!("{home:?}");
        let mut state = used(home);
        change(&mut state.view.as_mut().unwrap().content);
        assert_eq!(last_used(&state), expected, "{row}");
    }
    let mut state = used(record_until(after(6_800)));
    state.view.as_mut().unwrap().content.persistence = lasting;
    assert_eq!(last_used(&state), Some(before(200)));
}

fn record_until(end: Timestamp) -> Home {
    let mut home = record();
    if let Home::Record(place) = &mut home {
        place.expires = end;
    }
    home
}

/// A store that waits notes the time of each write.
#[test]
fn a_record_tells_when_it_was_written() {
    let mut home = record_used();
    if let Home::Record(place) = &mut home {
        place.writes = Writes::default().with(Some([1; 8]), before(20), Duration::ZERO);
    }
    assert_eq!(last_used(&used(home)), Some(before(20)));
}

/// The last use is never before the session was created nor after now, whatever the settings.
#[test]
fn odd_times_are_bounded() {
    let early = used(record_until(after(1)));
    assert_eq!(last_used(&early), Some(before(500)));
    let late = used(record_until(after(9 * IDLE)));
    assert_eq!(last_used(&late), Some(NOW));
}

/// A change in this request reveals nothing about earlier use.
#[test]
fn a_wish_is_no_earlier_use() {
    let mut state = used(record_used());
    state.renew(NOW);
    let told = last_used(&state).unwrap();
    assert!(told < before(299), "{told:?}");
}

#[test]
fn a_cookie_that_has_run_out_is_no_session() {
    let state = used(cookie_of(id(), before(IDLE)));
    let settings = Kept::InCookies.settings();
    assert_eq!(state.life(&settings, NOW, false), None);
    let state = used(cookie_of(id(), before(IDLE - 1)));
    let life = state.life(&settings, NOW, false).unwrap();
    assert_eq!(life.expires, after(IDLE), "it is time for another one");
    let closed = state.life(&settings, NOW, true).unwrap();
    assert_eq!(closed.expires, after(1), "which comes no more");
}
