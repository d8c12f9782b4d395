//! The services that are measured.

use bytes::Bytes;
use silverback::SessionLayer;

use crate::{
    browser::Browser,
    endpoint::Endpoint,
    scenario::{Action, Scenario, Used},
    sessions::{self, Kind},
};

/// The heap is stable after this many requests.
const WARM_UP: u32 = 20;
/// A memory store that gets a session with each request is stable after this many: each of its 64
/// tables then has 168 records, and they grow at 112 and 224.
const WARM_UP_STORE: u32 = 64 * 168;

/// A service, and the `Cookie` field of its requests.
pub struct Subject {
    pub endpoint: Box<dyn Endpoint>,
    pub field: Option<Bytes>,
}

impl Subject {
    /// silverback in a scenario.
    pub fn silverback(scenario: &Scenario, kind: Kind) -> Self {
        let layer = sessions::layer(kind.backend(), scenario.configured);
        Self::of_layer(scenario, &layer)
    }

    /// The same with this layer, which has as many sessions as the scenario says.
    pub fn of_layer(scenario: &Scenario, layer: &SessionLayer) -> Self {
        let Scenario { way, used, .. } = *scenario;
        Self::new(scenario, |action| {
            let used = match (used, action) {
                (Used::None, Action::Prepare(_)) => Used::First,
                _ => used,
            };
            sessions::endpoint(layer, way, used, action)
        })
    }

    /// A subject of an implementation. `make` also makes the endpoint that prepares its session and
    /// sets its cookies.
    pub fn new(scenario: &Scenario, make: impl Fn(Action) -> Box<dyn Endpoint>) -> Self {
        let cookies = scenario.preparation().map(|action| {
            let mut browser = Browser::default();
            browser.visit(&mut *make(action));
            assert!(!browser.is_empty(), "a session was made");
            browser.field()
        });
        Self {
            endpoint: make(scenario.action),
            field: cookies.map(|cookies| scenario.field(&cookies)),
        }
    }

    /// The bare service, whose cost is subtracted, with the same requests.
    pub fn bare(scenario: &Scenario, field: Option<Bytes>) -> Self {
        Self {
            endpoint: sessions::bare(scenario.way),
            field,
        }
    }

    /// Warms up, then answers `calls` requests with a mark before and after each.
    pub fn answer(&mut self, scenario: &Scenario, calls: u32, mark: &dyn Fn()) {
        let grows = matches!(scenario.action, Action::Create(_));
        let warm_up = if grows { WARM_UP_STORE } else { WARM_UP };
        let field = self.field.as_ref();
        self.endpoint.warm_up(field, warm_up);
        self.endpoint.answer(field, calls, mark);
    }

    /// Nanoseconds of CPU time for each of `calls` requests.
    pub fn time(&mut self, calls: u32) -> f64 {
        self.endpoint.time(self.field.as_ref(), calls)
    }
}
