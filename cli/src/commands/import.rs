//! Moving the sessions in a Go program's files into the store.

use std::path::Path;

use serde::Serialize;
use silverback::{
    GorillaFiles, GorillaImported, GorillaRecords,
    gorilla::{Gorilla, KeyPair, SecureCookie},
};
use zeroize::Zeroizing;

use super::batches::{self, Ended};
use crate::{
    args::{Common, Import, Sure},
    ask,
    failure::{Failure, chain},
    keyring,
    out::{self, Out},
    site::{self, Site},
};

#[derive(Serialize)]
struct Report {
    moved: u64,
    over: u64,
    refused: u64,
    failed: u64,
    is_complete: bool,
}

pub(crate) async fn import(common: &Common, import: &Import, out: &mut Out) -> Result<(), Failure> {
    let mut cookies = SecureCookie::new(pairs(&import.go_key_file)?)
        .map_err(|error| refused(&import.go_key_file, &error))?
        .max_length(None);
    if let Some(age) = import.go_max_age {
        cookies = cookies.max_age(age);
    }
    let store = site::store(common).await?;
    let site = Site::with_keys(common, Some(&store))?;
    let config = site.config.cookie_name(site.name.as_str());
    let queues = import.go_flash_queue.iter();
    let gorilla = queues.fold(Gorilla::new(cookies), |gorilla, queue| {
        gorilla.flash_queue(queue)
    });
    let files = GorillaFiles::new(&import.folder);
    let records = GorillaRecords::new(files, &site.name, gorilla);
    let files = records.import(&config.read_gorilla(records.session_format()))?;
    let (folder, shown) = (import.folder.display(), &store.dsn.shown);
    let left = if import.remove { "remove" } else { "leave" };
    let question = format!("Move the sessions of {folder} to {shown}, and {left} the files?");
    let yes = import.yes;
    ask::whether(
        &question,
        Sure {
            yes,
            dry_run: false,
        },
    )?;
    let mut files = match import.remove {
        true => files.remove_files(),
        false => files,
    };
    let imported = batches::run(import.pause, async || {
        match files.step(import.batch).await {
            Ok(step) => Ok(Some(step)),
            Err(error) => Err(Failure::failed("the folder cannot be read", &error)),
        }
    });
    end(imported.await?, out)
}

/// The keys of the Go program.
fn pairs(path: &Path) -> Result<Vec<KeyPair>, Failure> {
    let text = keyring::text_of(path)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let pair = |line: &str| {
        let mut words = line.split_whitespace().map(|word| bytes(path, word));
        let hash_key = words.next().transpose()?.unwrap_or_default();
        let pair = match words.next().transpose()? {
            Some(block_key) => KeyPair::encrypting(hash_key, block_key),
            None => KeyPair::signing(hash_key),
        };
        pair.map_err(|error| refused(path, &error))
    };
    lines.map(pair).collect()
}

fn bytes(path: &Path, hex: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    // `from_str_radix` alone would take a sign for a digit.
    let byte = |pair: &[u8]| {
        let is_hex = pair.len() == 2 && pair.iter().all(u8::is_ascii_hexdigit);
        let pair = std::str::from_utf8(pair).ok().filter(|_| is_hex)?;
        u8::from_str_radix(pair, 16).ok()
    };
    let bytes: Option<Vec<_>> = hex.as_bytes().chunks(2).map(byte).collect();
    let shown = path.display();
    let bad = || Failure::Refused(format!("{shown}: a key consists of hexadecimal digits"));
    bytes.map(Zeroizing::new).ok_or_else(bad)
}

fn refused(path: &Path, error: &dyn std::error::Error) -> Failure {
    Failure::Refused(format!("{}: {error}", path.display()))
}

fn end(imported: Option<Ended<GorillaImported>>, out: &mut Out) -> Result<(), Failure> {
    let all = match imported {
        None => return Ok(()),
        Some(Ended::Done(all)) => all,
        Some(Ended::Interrupted(all)) => {
            report(&all, out)?;
            let far = out::counted(all.moved(), "session");
            return Err(Failure::Interrupted(format!(
                "interrupted after {far} had been imported; the next import skips them"
            )));
        }
    };
    report(&all, out)?;
    match all.error() {
        Some(error) => Err(Failure::Failed(format!(
            "not every file could be imported; the first error: {}",
            chain(error)
        ))),
        None => Ok(()),
    }
}

fn report(all: &GorillaImported, out: &mut Out) -> Result<(), Failure> {
    let report = Report {
        moved: all.moved(),
        over: all.over(),
        refused: all.refused(),
        failed: all.failed(),
        is_complete: all.is_finished() && all.failed() == 0,
    };
    if out.is_json {
        return out.json(&report);
    }
    let moved = out::counted(report.moved, "session");
    let (over, refused, failed) = (report.over, report.refused, report.failed);
    out.line(format!(
        "{moved} in the store, {over} over, {refused} refused by Go too, {failed} failed"
    ))
}
