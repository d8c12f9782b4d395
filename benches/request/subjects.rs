//! The subjects: the bare service, the floor, and silverback around the same service.

use std::{io, sync::Arc};

use kit::{
    floor::Floor,
    scenario::{EXTRACTED, LARGE, MORE, SEVEN, Scenario, Way},
    sessions::{self, Kind},
    subject::Subject,
};

use crate::floor;

/// The subjects of a scenario, measured in this order. The floor exists only for one session in the
/// extensions.
pub(crate) struct Subjects {
    pub(crate) bare: Subject,
    pub(crate) floor: Option<Subject>,
    pub(crate) silverback: Subject,
}

impl Subjects {
    pub(crate) fn new(scenario: &Scenario, kind: Kind) -> Self {
        let silverback = Subject::silverback(scenario, kind);
        Self {
            bare: Subject::bare(scenario, silverback.field.clone()),
            floor: has_floor(scenario).then(|| {
                let floor = Arc::new(Floor::new(kind));
                Subject::new(scenario, |action| floor::endpoint(&floor, action))
            }),
            silverback,
        }
    }

    /// The bare service, the floor, the floor with silverback's header fields, and silverback.
    pub(crate) fn profiled(scenario: &Scenario, kind: Kind) -> [Subject; 4] {
        let floor = |floor: Floor| {
            let floor = Arc::new(floor);
            Subject::new(scenario, |action| floor::endpoint(&floor, action))
        };
        let silverback = Subject::silverback(scenario, kind);
        [
            Subject::bare(scenario, silverback.field.clone()),
            floor(Floor::new(kind)),
            floor(Floor::with_cache_headers(kind)),
            silverback,
        ]
    }

    pub(crate) fn into_all(self) -> impl Iterator<Item = Subject> {
        [Some(self.bare), self.floor, Some(self.silverback)]
            .into_iter()
            .flatten()
    }
}

pub(crate) fn has_floor(scenario: &Scenario) -> bool {
    scenario.way == Way::Extensions
}

/// The scenario with this name, from any of the tables.
pub(crate) fn find(name: &str) -> io::Result<Scenario> {
    let mut all = SEVEN
        .into_iter()
        .chain(EXTRACTED)
        .chain(MORE)
        .chain([LARGE]);
    let found = all.find(|scenario| scenario.name == name);
    found.ok_or_else(|| io::Error::other(format!("no scenario {name}")))
}

/// Checks that the floor does the same job.
pub(crate) fn check() {
    for kind in Kind::ALL {
        let scenario = &SEVEN[0];
        let layer = sessions::layer(kind.backend(), 1);
        let floor = Arc::new(Floor::new(kind));
        let ours = |action| sessions::endpoint(&layer, scenario.way, scenario.used, action);
        kit::floor::check(kind, &ours, &|action| floor::endpoint(&floor, action));
    }
}
