//! A system in a scenario, and the checks that it works.

use bytes::Bytes;
use kit::{
    browser::Browser,
    endpoint::Endpoint,
    scenario::{ADA, Action, Content, Scenario},
    subject::Subject,
    time::Pair,
};

use crate::systems::{Kind, SYSTEMS, Sessions, System};

/// A system, by its index in [`SYSTEMS`], beside its bare service, which gets the same requests.
pub(crate) struct Turn {
    pub(crate) index: usize,
    pub(crate) pair: Pair,
}

impl Turn {
    /// The turns of all systems that have anything to do in this scenario.
    pub(crate) fn all(scenario: &Scenario) -> Vec<Self> {
        SYSTEMS
            .iter()
            .enumerate()
            .filter_map(|(index, system)| Self::new(index, system, scenario))
            .collect()
    }

    fn new(index: usize, system: &System, scenario: &Scenario) -> Option<Self> {
        let sessions = (system.new)();
        let endpoint = sessions.endpoint(scenario.action)?;
        let cookies = scenario
            .content
            .map(|content| prepare(&*sessions, system, content).field());
        let field = cookies.map(|cookies| scenario.field(&cookies));
        let bare = Subject {
            endpoint: (system.bare)(),
            field: field.clone(),
        };
        Some(Self {
            index,
            pair: Pair {
                bare,
                subject: Subject { endpoint, field },
                calls: None,
            },
        })
    }
}

/// Checks that each of these systems reads, counts and makes sessions, and accepts only the cookies
/// that it has made.
///
/// # Panics
///
/// If a system does not, or keeps the values elsewhere than its kind says.
pub(crate) fn check(systems: &[System]) {
    let length = serde_json::to_vec(&ADA).map(|json| json.len()).ok();
    assert_eq!(
        length,
        Some(119),
        "with the counter it is 120 bytes of JSON"
    );
    for system in systems.iter().filter(|system| system.kind != Kind::Nothing) {
        check_counting(system);
        check_making(system);
    }
}

fn check_counting(system: &System) {
    let name = system.name;
    for content in [
        Content::profiles(1),
        Content::profiles(17),
        Content::of_bytes(600),
    ] {
        let sessions = (system.new)();
        let prepared = prepare(&*sessions, system, content);
        let mut browser = prepared.clone();
        visit(&mut browser, &*sessions, Action::Read);
        for _ in 0..2 {
            let before = browser.clone();
            visit(&mut browser, &*sessions, Action::Count);
            assert!(
                system.kind == Kind::Memory || browser != before,
                "{name} counts, but not in the cookie"
            );
        }
        visit(&mut browser, &*sessions, Action::Expect(content, Some(2)));
        let then = if system.kind == Kind::Memory { 2 } else { 0 };
        let expect = Action::Expect(content, Some(then));
        visit(&mut prepared.clone(), &*sessions, expect);
        visit(&mut prepared.altered(), &*sessions, Action::ExpectEmpty);
        visit(&mut Browser::default(), &*sessions, Action::ExpectEmpty);
    }
}

fn check_making(system: &System) {
    let sessions = (system.new)();
    let mut browsers = [Browser::default(), Browser::default()];
    for browser in &mut browsers {
        visit(browser, &*sessions, Action::Create(1));
        assert!(!browser.is_empty(), "{} sets no cookie", system.name);
        let expect = Action::Expect(Content::profiles(1), None);
        visit(browser, &*sessions, expect);
    }
    let [one, other] = browsers;
    assert!(
        system.kind != Kind::Memory || one != other,
        "two sessions of {} have one ID",
        system.name
    );
}

/// A browser with a session of this content and a counter.
fn prepare(sessions: &dyn Sessions, system: &System, content: Content) -> Browser {
    let mut browser = Browser::default();
    if system.kind == Kind::Nothing {
        // About as long as a session's cookie.
        browser.keep(vec![format!("session={}", "x".repeat(300))]);
        return browser;
    }
    visit(&mut browser, sessions, Action::Prepare(content));
    assert!(!browser.is_empty(), "a session was made");
    browser
}

/// Visits the handler, which panics if the session is not as expected.
fn visit(browser: &mut Browser, sessions: &dyn Sessions, action: Action) {
    let mut endpoint: Box<dyn Endpoint> = sessions
        .endpoint(action)
        .expect("only those that do nothing have no layer");
    let field = (!browser.is_empty()).then(|| Bytes::from(browser.field()));
    browser.keep(endpoint.visit(field.as_ref()));
}
