//! The cost of a request by the size of a value and the number of keys, of sessions, and of foreign
//! cookies.

use std::error::Error;

use kit::time::above_bare;

use crate::{
    effort::Effort,
    figure::{Axis, COST, Figure, Line, Scale, Unit},
    service::{Action, Content, Count, Handler, Kind, Stores},
    subject::pair,
};

type Measure = fn(&Stores, Effort) -> Result<Figure, Box<dyn Error>>;

pub(crate) const FIGURES: [Measure; 5] =
    [cookie_values, store_values, keys, sessions, foreign_cookies];

/// One value of 119 bytes and a counter, as in docs/performance.md.
pub(crate) const USUAL: Content = Content {
    values: 1,
    bytes: 119,
};

/// Maps an x coordinate to the sessions of a request, their content and the number of foreign
/// cookies.
type At = fn(usize) -> (Count, Content, usize);

/// A line of a figure.
struct Plan {
    name: String,
    at: At,
    kind: Kind,
    action: Action,
}

fn plan(kind: Kind, verb: &str, action: Action, at: At) -> Plan {
    Plan {
        name: format!("{}: {verb}", kind.title()),
        at,
        kind,
        action,
    }
}

/// Plans for a read and an update of each kind.
fn both(kinds: [Kind; 2], at: At) -> Vec<Plan> {
    let of_kind = |kind| {
        [
            plan(kind, "read", Action::Read, at),
            plan(kind, "update", Action::Update, at),
        ]
    };
    kinds.into_iter().flat_map(of_kind).collect()
}

/// Measures all lines at all places. They take turns.
fn lines(
    stores: &Stores,
    effort: Effort,
    plans: Vec<Plan>,
    places: &[usize],
) -> Result<Vec<Line>, Box<dyn Error>> {
    let mut pairs = Vec::new();
    for plan in &plans {
        for place in places {
            let (count, content, foreign_cookies) = (plan.at)(*place);
            let handler = Handler {
                kind: plan.kind,
                count,
                content,
                action: plan.action,
            };
            pairs.push(pair(stores, handler, foreign_cookies, effort)?);
        }
    }
    let times = above_bare(&mut pairs, effort.rounds, 0);
    let line = |(plan, times): (Plan, &[f64])| {
        let points = places
            .iter()
            .zip(times)
            .map(|(place, time)| (*place as f64, time / 1_000.0));
        Line {
            name: plan.name,
            points: points.collect(),
        }
    };
    Ok(plans
        .into_iter()
        .zip(times.chunks(places.len()))
        .map(line)
        .collect())
}

fn cookie_values(stores: &Stores, effort: Effort) -> Result<Figure, Box<dyn Error>> {
    let plans = both([Kind::Encrypted, Kind::Signed], |bytes| {
        (Count::One, Content { values: 1, bytes }, 0)
    });
    Ok(Figure {
        name: "cookie-values",
        title: "A counter beside one value, in a cookie",
        x: Axis {
            title: "size of the value",
            scale: Scale::Logarithmic,
            unit: Unit::Bytes,
        },
        y: COST,
        // Base64 and the attributes included, a little more would exceed a cookie's 4,096 bytes.
        lines: lines(stores, effort, plans, &[64, 256, 1_024, 2_048, 2_816])?,
    })
}

fn store_values(stores: &Stores, effort: Effort) -> Result<Figure, Box<dyn Error>> {
    let plans = both([Kind::Memory, Kind::Files], |bytes| {
        (Count::One, Content { values: 1, bytes }, 0)
    });
    let places = [64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576];
    Ok(Figure {
        name: "store-values",
        title: "A counter beside one value, in a store",
        x: Axis {
            title: "size of the value",
            scale: Scale::Logarithmic,
            unit: Unit::Bytes,
        },
        y: COST,
        lines: lines(stores, effort, plans, &places)?,
    })
}

fn keys(stores: &Stores, effort: Effort) -> Result<Figure, Box<dyn Error>> {
    let plans = both([Kind::Encrypted, Kind::Memory], |keys| {
        (
            Count::One,
            Content {
                values: keys - 1,
                bytes: 10,
            },
            0,
        )
    });
    Ok(Figure {
        name: "keys",
        title: "The last of several keys with values of 10 bytes",
        x: Axis {
            title: "keys in the session",
            scale: Scale::Logarithmic,
            unit: Unit::Count,
        },
        y: COST,
        lines: lines(stores, effort, plans, &[1, 3, 10, 30, 100])?,
    })
}

fn sessions(stores: &Stores, effort: Effort) -> Result<Figure, Box<dyn Error>> {
    let at: At = |sessions| (Count::Named(sessions), USUAL, 0);
    let plans = vec![
        plan(Kind::Encrypted, "update each", Action::Update, at),
        plan(Kind::Memory, "update each", Action::Update, at),
        plan(Kind::Encrypted, "not used", Action::Nothing, at),
    ];
    Ok(Figure {
        name: "sessions",
        title: "Several sessions in one request",
        x: Axis {
            title: "sessions of the layer",
            scale: Scale::Logarithmic,
            unit: Unit::Count,
        },
        y: COST,
        lines: lines(stores, effort, plans, &[1, 2, 4, 8])?,
    })
}

fn foreign_cookies(stores: &Stores, effort: Effort) -> Result<Figure, Box<dyn Error>> {
    let at: At = |foreign_cookies| (Count::One, USUAL, foreign_cookies);
    let plans = vec![
        plan(Kind::Encrypted, "read", Action::Read, at),
        plan(Kind::Memory, "read", Action::Read, at),
        plan(Kind::Encrypted, "not used", Action::Nothing, at),
    ];
    Ok(Figure {
        name: "foreign-cookies",
        title: "The session's cookie amid others",
        x: Axis {
            title: "foreign cookies in the request",
            scale: Scale::Linear,
            unit: Unit::Count,
        },
        y: Axis {
            scale: Scale::Linear,
            ..COST
        },
        lines: lines(stores, effort, plans, &[0, 5, 10, 20, 50])?,
    })
}
