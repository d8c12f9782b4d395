//! The floors of ARCHITECTURE.md: imports go down only.

use std::{collections::BTreeSet, fs, path::Path};

/// From the ground up; what a folder holds is on the floor of its name.
const FLOORS: &[&[&str]] = &[
    &["error", "binary", "clock", "crypto", "id", "lock", "trace"],
    &["key", "cookie", "codec"],
    &["store"],
    &["content", "roster"],
    &["config"],
    &["state"],
    &["vault"],
    &["turn"],
    &["request"],
    &["subjects", "session"],
    &["sessions"],
    &["responder", "future", "service", "layer", "axum"],
];

/// Neighbours that must not know each other although the floors alone would allow it.
const FORBIDDEN: &[(&str, &str)] = &[
    ("store", "codec"),
    ("store", "key"),
    ("store", "cookie"),
    ("codec", "store"),
];

fn floor(module: &str) -> usize {
    let found = FLOORS.iter().position(|floor| floor.contains(&module));
    found.unwrap_or_else(|| panic!("`{module}` is on no floor: add it to ARCHITECTURE.md and here"))
}

fn sources(folder: &Path, into: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path
            .file_name()
            .is_none_or(|name| name != "lib.rs" && name != "tests.rs")
            && !path.components().any(|part| part.as_os_str() == "tests")
        {
            let below = path
                .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
                .unwrap();
            let module = below
                .iter()
                .next()
                .unwrap()
                .to_str()
                .unwrap()
                .trim_end_matches(".rs")
                .to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let code = text
                .split("\n#[cfg(test)]\nmod tests")
                .next()
                .unwrap()
                .to_owned();
            into.push((module, code));
        }
    }
}

/// The top-level modules that code refers to as `crate::module`, one by one or in a
/// `use crate::{...}`.
fn imports(code: &str) -> BTreeSet<String> {
    let code: String = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = BTreeSet::new();
    let word = |text: &str| {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    for (at, prefix) in code.match_indices("crate::") {
        let rest = &code[at + prefix.len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut start = true;
            for (index, c) in list.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if start && c.is_alphabetic() => {
                        found.insert(word(&list[index..]));
                        start = false;
                    }
                    _ => {}
                }
            }
        } else {
            found.insert(word(rest));
        }
    }
    found
}

fn all() -> Vec<(String, String)> {
    let mut all = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    assert!(all.len() > 20);
    all
}

#[test]
fn imports_go_down_only() {
    for (module, code) in all() {
        for import in imports(&code) {
            if import == module || FLOORS.iter().all(|floor| !floor.contains(&&*import)) {
                continue;
            }
            let forbidden = FORBIDDEN.contains(&(&*module, &*import));
            let up = floor(&import) > floor(&module);
            assert!(!(up || forbidden), "`{module}` must not know `{import}`");
        }
    }
}

#[test]
fn only_crypto_knows_ring() {
    for (module, code) in all() {
        let refers = code
            .match_indices("ring::")
            .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric()));
        assert_eq!(
            refers,
            module == "crypto",
            "`{module}` must go through `crypto`"
        );
    }
}

#[test]
fn a_reader_of_imports_reads_them_all() {
    let code = "use crate::{\n    a::{b, c},\n    d,\n};\nuse crate::e::f; // crate::g\nlet x = crate::h::i();";
    assert_eq!(
        imports(code).into_iter().collect::<Vec<_>>(),
        ["a", "d", "e", "g", "h"]
    );
}
