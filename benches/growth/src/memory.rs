//! The memory of an idle session. Each number of sessions is measured in a separate process, so
//! that none reuses memory that another has freed.

use std::{env, error::Error, fs, process::Command};

use silverback::{Keys, SessionConfig, SessionLayer, store::MemoryStore};

use crate::{
    effort::Effort,
    figure::{Axis, Figure, Line, Scale, Unit},
    requests::USUAL,
    service::{Action, Count, Handler, Kind},
};

/// The first argument of such a process, before the number of sessions.
pub(crate) const CHILD: &str = "--memory-of";

const COUNTS: [usize; 7] = [1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000];

pub(crate) fn figure(effort: Effort) -> Result<Figure, Box<dyn Error>> {
    let counts = COUNTS.into_iter().filter(|count| *count <= effort.sessions);
    let point = |count: usize| Ok((count as f64, bytes_of_one(count)?));
    let points = counts.map(point).collect::<Result<_, Box<dyn Error>>>()?;
    Ok(Figure {
        name: "memory",
        title: "Memory of idle sessions of 120 bytes",
        x: Axis {
            title: "sessions in the store",
            scale: Scale::Logarithmic,
            unit: Unit::Count,
        },
        y: Axis {
            title: "bytes of resident memory per session",
            scale: Scale::Linear,
            unit: Unit::Count,
        },
        lines: vec![Line {
            name: "memory store".to_owned(),
            points,
        }],
    })
}

fn bytes_of_one(count: usize) -> Result<f64, Box<dyn Error>> {
    let output = Command::new(env::current_exe()?)
        .args([CHILD, &count.to_string()])
        .output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Makes this many sessions by requests and prints the bytes that one takes.
pub(crate) fn print(count: usize) -> Result<(), Box<dyn Error>> {
    let store = MemoryStore::new().max_bytes(4 << 30);
    let layer = SessionLayer::new(SessionConfig::new(
        "session",
        store.clone(),
        Keys::generate()?,
    ));
    let handler = Handler {
        kind: Kind::Memory,
        count: Count::One,
        content: USUAL,
        action: Action::Prepare,
    };
    let mut call = handler.call(Some(&layer));
    let mut make = || assert!(!call.visit(None).is_empty(), "a session was made");
    make();
    let before = resident()?;
    (0..count).for_each(|_| make());
    let grown = resident()? - before;
    assert_eq!(store.len(), count + 1, "no session was evicted");
    println!("{}", grown / count as f64);
    Ok(())
}

/// Bytes of resident memory of this process. The counts in other files of /proc lag behind.
fn resident() -> Result<f64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/self/smaps_rollup")?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("Rss:")?.trim().strip_suffix("kB"));
    Ok(kib
        .ok_or("the kernel does not count resident memory")?
        .trim()
        .parse::<f64>()?
        * 1_024.0)
}
