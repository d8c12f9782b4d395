//! The structure of the source: which file may use which, and how long a file may be.
//!
//! A file uses another if it names an item that is defined there, or calls a method that is. The
//! source is read with `syn`, without a compiler:
//!
//! | Module | Finds |
//! |---|---|
//! | `reader` | the files, without their tests |
//! | `items`, `names` | the definitions, and the item that a path leads to |
//! | `types`, `locals` | the types of expressions, and so the method that a call means |
//! | `macros` | the code between the brackets of a macro |
//! | `walk`, `edges` | the files that each file uses |
//! | `graph`, `rules` | the faults in that |
//! | `examples` | the public functions with an example |
//!
//! To see the graph:
//!
//! ```sh
//! SILVERBACK_TIDY=print cargo test --test tidy -- --nocapture
//! ```
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

mod edges;
mod examples;
mod graph;
mod items;
mod locals;
mod macros;
mod names;
mod reader;
mod rules;
mod tests;
mod types;
mod walk;

use std::{env, fs, path::Path, sync::LazyLock};

use self::{edges::Crate, reader::Source};

/// The modules of ARCHITECTURE.md, from the ground up. All files of a folder are on its floor.
const FLOORS: &[&[&str]] = &[
    &[
        "error",
        "binary",
        "clock",
        "crypto",
        "id",
        "join",
        "lock",
        "name",
        "small_vec",
        "sync",
        "text",
        "report",
        "trace",
    ],
    &["key", "cookie", "codec", "gorilla"],
    &["store"],
    &["content", "roster"],
    &["config"],
    &["state"],
    &["vault"],
    &["turn"],
    &["request"],
    &["subjects", "session", "records", "explain"],
    &["sessions"],
    &[
        "answer",
        "body",
        "caching",
        "head",
        "responder",
        "future",
        "service",
        "layer",
        "axum",
        "go_cookies",
        "go_records",
        "testing",
        "guide",
    ],
];

/// Modules that must not use each other, although the floors alone would allow it.
const FORBIDDEN: &[(&str, &str)] = &[
    ("store", "codec"),
    ("store", "key"),
    ("store", "cookie"),
    ("codec", "store"),
];

/// The order within folders, lowest first: a file uses only files before it. A folder inside counts
/// as one file.
const FOLDERS: &[(&str, &[&str])] = &[
    ("codec", &["token", "keys", "mod", "head"]),
    (
        "config",
        &[
            "timeouts", "duration", "value", "file", "format", "go", "settings", "mod", "cookie",
            "lifetime", "store", "gorilla", "build", "apply",
        ],
    ),
    (
        "content",
        &[
            "index", "frames", "writes", "mark", "moved", "mod", "go", "wire",
        ],
    ),
    (
        "gorilla",
        &[
            "base64", "error", "pair", "envelope", "gob", "id", "convert", "layout", "settings",
            "carried", "mod",
        ],
    ),
    (
        "gorilla/gob",
        &[
            "types",
            "limits",
            "error",
            "input",
            "output",
            "definition",
            "value",
            "time",
            "reader",
            "writer",
            "mod",
        ],
    ),
    (
        "go_records",
        &[
            "records", "files", "kept", "save", "exchange", "service", "import", "mod",
        ],
    ),
    ("request", &["registry", "fetch", "commit", "mod"]),
    ("error", &["config", "rejection", "mod"]),
    ("key", &["id", "error", "secret", "text", "ring", "mod"]),
    ("roster", &["mod", "wire", "store"]),
    (
        "session",
        &[
            "buffer",
            "json",
            "former",
            "mod",
            "named",
            "values",
            "update",
            "lifecycle",
            "take",
            "subject",
            "times",
            "flash",
            "message",
            "flashes",
            "typed",
            "detached",
        ],
    ),
    (
        "state",
        &[
            "home",
            "view",
            "cut_off",
            "lifetime",
            "value_key",
            "change",
            "enrolment",
            "unfinished",
            "log",
            "provenance",
            "request",
            "reopen",
            "plan",
            "direct",
            "life",
            "job",
            "mod",
        ],
    ),
    (
        "store/filesystem",
        &[
            "fs", "settings", "slot", "posix", "kept", "brake", "root", "files", "lock", "disk",
            "cached", "open", "sweep", "browse", "store", "options", "mod",
        ],
    ),
    (
        "store/memory",
        &[
            "data", "table", "census", "shard", "shards", "sweep", "browse", "eviction", "mod",
        ],
    ),
    (
        "store/migrate",
        &[
            "wire", "pair", "create", "delete", "many", "save", "seen", "upkeep", "migrated",
            "pass", "mod",
        ],
    ),
    (
        "testing",
        &["body", "jar", "page", "flaky", "mod", "browser", "seed"],
    ),
    (
        "turn",
        &[
            "flights",
            "exchange",
            "cell",
            "rebase",
            "presented",
            "contenders",
            "look",
            "reply",
            "direct",
            "open",
            "save",
            "destroy",
            "others",
            "commit",
            "mod",
        ],
    ),
    (
        "vault",
        &[
            "retry", "records", "own", "ends", "open", "rosters", "enrol", "subjects", "crowd",
            "write", "foreign", "marking", "renew", "overflow", "destroy", "save", "mod",
        ],
    ),
];

/// Circles of files that still exist. A file that has left its circle must leave the list.
const KNOWN: &[&[&str]] = &[];

const FILE_LINES: usize = 450;
const LONG_FILES: &[&str] = &[];

const FUNCTION_LINES: usize = 60;
const LONG_FUNCTIONS: &[&str] = &[];

/// The least percentage of the public functions of a crate that have an example.
const EXAMPLES: usize = 85;

/// The folder of each crate that users depend on. The published package contains only `src`.
const CRATES: &[&str] = &[
    "src",
    "stores/cached/src",
    "stores/dynamodb/src",
    "stores/firestore/src",
    "stores/memcached/src",
    "stores/mongodb/src",
    "stores/redb/src",
    "stores/redis/src",
    "stores/sqlx/src",
    "stores/tower-sessions/src",
];

static CRATE: LazyLock<Crate> = LazyLock::new(|| {
    let krate = edges::analyse(&sources("src"));
    if env::var_os("SILVERBACK_TIDY").is_some() {
        println!("{}", graph::print(&krate));
    }
    krate
});

fn sources(folder: &str) -> Vec<Source> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    reader::read(&|path| fs::read_to_string(folder.join(path)).ok())
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n\n{}\n", faults.join("\n\n"));
}

#[test]
fn no_files_use_each_other() {
    assert_none(&rules::circles(&CRATE, KNOWN));
}

#[test]
fn modules_use_their_floor_and_lower_ones() {
    assert_none(&rules::floors(&CRATE, FLOORS, FORBIDDEN));
}

#[test]
fn files_keep_the_order_of_their_folder() {
    assert_none(&rules::folders(&CRATE, FOLDERS));
}

#[test]
fn only_crypto_uses_ring() {
    assert_none(&rules::alone(&CRATE, "crypto", "ring"));
}

#[test]
fn files_are_short() {
    assert_none(&rules::long_files(&CRATE, FILE_LINES, LONG_FILES));
}

#[test]
fn functions_are_short() {
    assert_none(&rules::long_functions(
        &CRATE,
        FUNCTION_LINES,
        LONG_FUNCTIONS,
    ));
}

#[test]
fn public_functions_have_examples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = CRATES.iter().filter(|folder| root.join(folder).is_dir());
    let counted = folders.map(|folder| (*folder, examples::public(&sources(folder))));
    assert_none(&rules::few_examples(&counted.collect::<Vec<_>>(), EXAMPLES));
}
