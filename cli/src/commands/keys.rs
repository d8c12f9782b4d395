//! New keys, and key files.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

use serde::Serialize;
use silverback::{KeyId, KeyState, Keys};
use zeroize::Zeroizing;

use crate::{
    args::{Common, Keygen, Revoke, Rotate, Sure},
    ask,
    failure::Failure,
    keyring::{self, KeyFile, word_of},
    out::{self, Out, Table},
};

#[derive(Serialize)]
struct NewKey<'a> {
    id: KeyId,
    /// Left out if the key is in a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

#[derive(Serialize)]
struct Rotated {
    keys: Vec<KeyLine>,
    dropped: Vec<KeyId>,
    is_dry_run: bool,
}

#[derive(Serialize)]
struct KeyLine {
    id: KeyId,
    state: &'static str,
}

pub(crate) fn keygen(keygen: &Keygen, out: &mut Out) -> Result<(), Failure> {
    let (key, id) = keyring::generate(keygen.hex)?;
    if let Some(path) = &keygen.out {
        let shown = path.display();
        let failed = |error: &io::Error| {
            let doing = format!("{shown} cannot be made");
            if error.kind() == io::ErrorKind::AlreadyExists {
                Failure::refused(doing, error)
            } else {
                Failure::failed(doing, error)
            }
        };
        let text = Zeroizing::new(format!("{}\n", *key));
        write_new(path, &text, |_| Ok(())).map_err(|error| failed(&error))?;
    }
    let shown = keygen.out.is_none().then_some(key.as_str());
    if keygen.json {
        return out.json(&NewKey { id, key: shown });
    }
    match shown {
        Some(key) => out.line(key),
        None => out.line(format!("key {id}")),
    }
}

pub(crate) fn rotate(common: &Common, rotate: &Rotate, out: &mut Out) -> Result<(), Failure> {
    edit(common, rotate.file.as_ref(), rotate.sure, out, |keys| {
        let dropped = change(keys, rotate)?;
        let question = question(&dropped, rotate);
        Ok(Edit { dropped, question })
    })
}

pub(crate) fn revoke(common: &Common, revoke: &Revoke, out: &mut Out) -> Result<(), Failure> {
    edit(common, revoke.file.as_ref(), revoke.sure, out, |keys| {
        let id = keys.revoke(&revoke.key)?;
        Ok(Edit {
            dropped: Vec::new(),
            question: Some(format!(
                "Revoke {id}? Its cookies are refused from then on."
            )),
        })
    })
}

/// The planned change of a key file.
struct Edit {
    dropped: Vec<KeyId>,
    /// Asked before anything is destroyed.
    question: Option<String>,
}

fn edit(
    common: &Common,
    file: Option<&PathBuf>,
    sure: Sure,
    out: &mut Out,
    change: impl FnOnce(&mut KeyFile) -> Result<Edit, Failure>,
) -> Result<(), Failure> {
    let path = file.or(common.key_file.as_ref()).ok_or_else(|| {
        Failure::Refused("name the key file, or give it by --key-file".to_owned())
    })?;
    // Resolves links, since a link would be replaced by a file.
    let path = fs::canonicalize(path)
        .map_err(|error| Failure::failed(format!("{} cannot be read", path.display()), &error))?;
    let failed = |error: &io::Error| Failure::failed(path.display().to_string(), error);
    let (file, text) = read_locked(&path).map_err(|error| failed(&error))?;
    let mut keys = KeyFile::parse(&text)?;
    let Edit { dropped, question } = change(&mut keys)?;
    let text = keys.write();
    // A file that cannot be read back would keep the application from starting.
    Keys::parse(&text)?;
    if !sure.dry_run {
        if let Some(question) = question {
            ask::whether(&question, sure)?;
        }
        let was = file.metadata().map_err(|error| failed(&error))?;
        replace(&path, &text, &was).map_err(|error| failed(&error))?;
        if was.mode() & 0o077 != 0 {
            out::say("others could read the file: now its owner alone can");
        }
    }
    print(keys, dropped, sure.dry_run, out)
}

/// Changes the keys as asked, and returns those that were dropped.
fn change(keys: &mut KeyFile, rotate: &Rotate) -> Result<Vec<KeyId>, Failure> {
    let former = if rotate.revoke {
        KeyState::Revoked
    } else {
        KeyState::Retired
    };
    if rotate.activate {
        let missing = "there is no pending key: add one by --stage";
        keys.activate(former)
            .ok_or_else(|| Failure::NotFound(missing.to_owned()))?;
    } else if rotate.stage {
        keys.stage(keyring::generate(false)?);
    } else {
        keys.rotate(keyring::generate(false)?, former);
    }
    Ok(rotate
        .keep
        .map_or_else(Vec::new, |keep| keys.drop_retired(keep)))
}

/// The question to ask before something is destroyed.
fn question(dropped: &[KeyId], rotate: &Rotate) -> Option<String> {
    let shown: Vec<_> = dropped.iter().map(ToString::to_string).collect();
    let shown = shown.join(", ");
    match (rotate.revoke, dropped.is_empty()) {
        (true, _) => {
            Some("Revoke the active key? Its cookies are refused from then on.".to_owned())
        }
        (false, false) => Some(format!(
            "Drop {shown}? Their cookies are refused from then on."
        )),
        (false, true) => None,
    }
}

/// Reads a file, and keeps others from rotating it meanwhile.
fn read_locked(path: &Path) -> io::Result<(File, Zeroizing<String>)> {
    loop {
        let mut file = File::open(path)?;
        file.lock()?;
        // The previous holder of the lock may have replaced the file.
        if file.metadata()?.ino() != fs::metadata(path)?.ino() {
            continue;
        }
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text)?;
        return Ok((file, text));
    }
}

/// Replaces the file atomically: an application that reads it gets the old keys or the new ones.
fn replace(path: &Path, text: &str, was: &fs::Metadata) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = folder.join(format!(".{name}.{}.new", std::process::id()));
    write_new(&new, text, |file| {
        let made = file.metadata()?;
        if (was.uid(), was.gid()) != (made.uid(), made.gid()) {
            // The application may run as another user than this tool.
            fchown(file, Some(was.uid()), Some(was.gid()))?;
        }
        Ok(())
    })?;
    fs::rename(&new, path).inspect_err(|_| remove(&new))?;
    File::open(folder)?.sync_all()
}

/// Writes a new file that only its owner can read, whatever the umask. If that fails, as on a full
/// disk, no part of it stays.
fn write_new(
    path: &Path,
    text: &str,
    prepare: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let write = || {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        prepare(&file)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().inspect_err(|_| remove(path))
}

fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

fn print(
    keys: KeyFile,
    dropped: Vec<KeyId>,
    is_dry_run: bool,
    out: &mut Out,
) -> Result<(), Failure> {
    if out.is_json {
        let line = |entry: keyring::Entry| KeyLine {
            id: entry.id,
            state: word_of(entry.state),
        };
        return out.json(&Rotated {
            keys: keys.0.into_iter().map(line).collect(),
            dropped,
            is_dry_run,
        });
    }
    let mut table = Table::with_head(&["KEY", "STATE"], &[]);
    for entry in &keys.0 {
        table.row([&*entry.id.to_string(), word_of(entry.state)]);
    }
    for id in &dropped {
        table.row([&*id.to_string(), "dropped"]);
    }
    out.table(&table)?;
    out::say(if is_dry_run {
        "nothing was written"
    } else {
        "have the application read the file again: Keys::replace, or a restart"
    });
    Ok(())
}
