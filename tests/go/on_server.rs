//! Both sites, with sessions that Go keeps on a server.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use silverback::{
    GoRecords, GorillaRecords, Keys, SessionConfig, SessionLayer,
    gorilla::{GoPayload, Gorilla, KeyPair, SecureCookie},
};

use crate::{GoServer, both::Both};

const MONTH: Duration = Duration::from_secs(30 * 86_400);

/// The keys of both sites, in Go's form.
const KEYS: [&str; 2] = [
    "0101010101010101010101010101010101010101010101010101010101010101",
    "02020202020202020202020202020202",
];

fn cookies() -> SecureCookie {
    SecureCookie::new([KeyPair::encrypting([1; 32], [2; 16]).unwrap()]).unwrap()
}

/// Starts both sites. `store` names the store of the Go program, followed by its arguments before
/// the keys. A store without signatures has no keys.
pub(crate) fn start(
    (source, packages): (&str, &[&str]),
    store: &[&str],
    has_keys: bool,
    records: impl GoRecords,
    payload: GoPayload,
) -> Option<Both> {
    let format = Gorilla::new(cookies()).payload(payload);
    let records = GorillaRecords::new(records, "account", format);
    let config = SessionConfig::cookie("account", Keys::generate().unwrap());
    let config = config.write_gorilla(records.session_format());
    let config = config.max_age(MONTH).insecure_local_http();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/go");
    let sources = [sources.join("server.go"), sources.join(source)];
    let sources = sources.each_ref().map(PathBuf::as_path);
    let needed = ["github.com/gorilla/sessions"];
    let packages: Vec<_> = needed.iter().chain(packages).copied().collect();
    let keys: &[_] = if has_keys { &KEYS } else { &[] };
    let arguments: Vec<_> = store.iter().chain(keys).copied().collect();
    let go = GoServer::start(folder, &sources, &packages, &arguments)?;
    Some(Both::of(go, |pages| {
        pages.layer(SessionLayer::new(config)).layer(records)
    }))
}
