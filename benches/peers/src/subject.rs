//! A system in a scenario, and whether it does what it shall.

use bytes::Bytes;

use crate::{
    endpoint::Endpoint,
    scenarios::{ADA, Action, Scenario},
    systems::{Kind, SYSTEMS, Sessions, System},
};

/// A service, and the cookies of the requests that it gets.
pub(crate) struct Subject {
    pub(crate) endpoint: Box<dyn Endpoint>,
    pub(crate) field: Option<Bytes>,
}

/// One of [`SYSTEMS`] beside its bare service, which gets the same requests.
pub(crate) struct Pair {
    /// In [`SYSTEMS`].
    pub(crate) index: usize,
    pub(crate) bare: Subject,
    pub(crate) subject: Subject,
}

impl Pair {
    /// Of those systems that have anything to do in this scenario.
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
            .profiles()
            .map(|profiles| prepare(&*sessions, profiles).field());
        let field = cookies.map(|cookies| scenario.field(&cookies));
        let bare = Subject {
            endpoint: (system.bare)(),
            field: field.clone(),
        };
        Some(Self {
            index,
            bare,
            subject: Subject { endpoint, field },
        })
    }
}

/// Sees to it that every system reads, counts and makes sessions, and takes only the cookies that
/// it has made.
///
/// # Panics
///
/// If one does not, or keeps the values elsewhere than its kind says.
pub(crate) fn check() {
    let length = serde_json::to_vec(&ADA).map(|json| json.len()).ok();
    assert_eq!(
        length,
        Some(119),
        "with the counter it is 120 bytes of JSON"
    );
    for system in SYSTEMS {
        check_counting(system);
        check_making(system);
    }
}

fn check_counting(system: &System) {
    let name = system.name;
    for profiles in [1, 17] {
        let sessions = (system.new)();
        let prepared = prepare(&*sessions, profiles);
        let mut browser = prepared.clone();
        browser.visit(&*sessions, Action::Read);
        for _ in 0..2 {
            let before = browser.clone();
            browser.visit(&*sessions, Action::Count);
            assert!(
                system.kind == Kind::Memory || browser != before,
                "{name} counts, but not in the cookie"
            );
        }
        browser.visit(&*sessions, Action::Expect(profiles, Some(2)));
        let then = if system.kind == Kind::Memory { 2 } else { 0 };
        prepared
            .clone()
            .visit(&*sessions, Action::Expect(profiles, Some(then)));
        prepared.altered().visit(&*sessions, Action::ExpectEmpty);
        Browser::default().visit(&*sessions, Action::ExpectEmpty);
    }
}

fn check_making(system: &System) {
    let sessions = (system.new)();
    let mut browsers = [Browser::default(), Browser::default()];
    for browser in &mut browsers {
        browser.visit(&*sessions, Action::Create);
        assert!(!browser.0.is_empty(), "{} sets no cookie", system.name);
        browser.visit(&*sessions, Action::Expect(1, None));
    }
    let [one, other] = browsers;
    assert!(
        system.kind != Kind::Memory || one != other,
        "two sessions of {} have one ID",
        system.name
    );
}

/// A browser with a session of so many profiles, and the counter.
fn prepare(sessions: &dyn Sessions, profiles: usize) -> Browser {
    let mut browser = Browser::default();
    browser.visit(sessions, Action::Prepare(profiles));
    assert!(!browser.0.is_empty(), "a session was made");
    browser
}

/// Cookies by name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Browser(Vec<(String, String)>);

impl Browser {
    fn visit(&mut self, sessions: &dyn Sessions, action: Action) {
        let mut endpoint = sessions
            .endpoint(action)
            .expect("only those that do nothing have no layer");
        let field = (!self.0.is_empty()).then(|| Bytes::from(self.field()));
        self.keep(endpoint.visit(field.as_ref()));
    }

    /// Takes what a response sets.
    pub(crate) fn keep(&mut self, cookies: Vec<String>) {
        for cookie in cookies {
            let pair = cookie
                .split(';')
                .next()
                .and_then(|pair| pair.split_once('='));
            let (name, value) = pair.expect("a cookie has a name and a value");
            self.0.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// The `Cookie` field of a request.
    pub(crate) fn field(&self) -> String {
        self.0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// With another character in the middle of each value.
    fn altered(mut self) -> Self {
        for (_, value) in &mut self.0 {
            let middle = value.len() / 2;
            let other = if value.get(middle..=middle) == Some("A") {
                "B"
            } else {
                "A"
            };
            value.replace_range(middle..=middle, other);
        }
        self
    }
}
