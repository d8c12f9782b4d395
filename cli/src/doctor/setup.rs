//! Settings and keys.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use silverback::{KeyState, SessionLayer, store::Store as _};

use super::Report;
use crate::{
    args::Common,
    failure::Failure,
    keyring::{self, word_of},
    site::{self, Site},
    stores::Opened,
};

/// Beyond this number, retired keys are from rotations whose cookies have long expired.
const RETIRED: usize = 5;

pub(super) fn settings(common: &Common, report: &mut Report) {
    let topic = "settings";
    let Some(path) = &common.settings else {
        report.skipped(topic, "name the file by --settings");
        return;
    };
    match site::read_settings(common) {
        Err(failure) => report.broken(topic, said(&failure), "correct the file or --section"),
        Ok(settings) => {
            report.good(topic, format!("{} is read", path.display()));
            if settings.secure == Some(false) {
                let change = "leave `secure` out where the site has HTTPS";
                report.change(topic, "cookies are sent over plain HTTP too", change);
            }
        }
    }
}

/// Checks that a layer can be built from everything, unless a part is known to be broken.
pub(super) fn session(common: &Common, store: &Opened, report: &mut Report) {
    let topic = "session";
    if report.is_broken() {
        report.skipped(topic, "correct the settings and the keys first");
    } else {
        let built = Site::new(common, Some(store))
            .and_then(|site| Ok((SessionLayer::try_new(site.config)?, site.name)));
        match built {
            Ok((_, name)) => report.good(topic, format!("a layer is built for {name:?}")),
            Err(failure) => report.broken(topic, said(&failure), "correct the setting it names"),
        }
    }
    if store.shared().limits().may_forget {
        report.change(
            topic,
            "the store may forget: set_subject and revocation are refused",
            "see the line about the store, or call allow_forgetful_stores",
        );
    }
}

pub(super) fn keys(common: &Common, report: &mut Report) {
    let topic = "keys";
    match keyring::read(common) {
        Ok(None) => report.skipped(topic, "name the file by --key-file, or set SESSION_KEY"),
        Err(failure) => {
            let change = "correct the keys: `silverback keygen` makes one";
            report.broken(topic, said(&failure), change);
        }
        Ok(Some(keys)) => {
            let list = keys.list();
            let count = |wanted| list.iter().filter(|(_, state)| *state == wanted).count();
            let states = [
                KeyState::Active,
                KeyState::Pending,
                KeyState::Retired,
                KeyState::Revoked,
            ];
            let counts = states.map(|state| format!("{} {}", count(state), word_of(state)));
            report.either(
                count(KeyState::Retired) <= RETIRED,
                topic,
                counts.join(", "),
                "drop those whose cookies have expired: `silverback rotate --keep 2`",
            );
            if let Ok(Some(subject_key)) = site::subject_key(common)
                && list.iter().any(|(id, _)| *id == subject_key.id())
            {
                let change = "use a separate key: the subject key is never rotated";
                report.change(topic, "the subject key is one of the keys", change);
            }
        }
    }
    for path in [&common.key_file, &common.subject_key_file]
        .into_iter()
        .flatten()
    {
        permissions(path, report);
    }
}

/// Checks who can read or replace a secret file.
pub(super) fn permissions(path: &Path, report: &mut Report) {
    let (topic, shown) = ("permissions", path.display());
    let mode = |path: &Path| fs::metadata(path).map(|found| found.permissions().mode());
    let Ok(own) = mode(path) else { return };
    report.either(
        own & 0o077 == 0,
        topic,
        format!("{shown} has the mode {:03o}", own & 0o777),
        format!("chmod 600 {shown}"),
    );
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let Some(folder) = folder.or(Some(Path::new("."))) else {
        return;
    };
    // In a folder with the sticky bit, only the owner of a file can replace it.
    if mode(folder).is_ok_and(|mode| mode & 0o022 != 0 && mode & 0o1000 == 0) {
        let folder = folder.display();
        let found = format!("others can put another file in the place of {shown}");
        report.change(topic, found, format!("chmod go-w {folder}"));
    }
}

fn said(failure: &Failure) -> String {
    failure.message().unwrap_or_default()
}
