//! The status of files and folders.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use tempfile::TempDir;

use super::*;

fn open(path: &Path) -> OwnedFd {
    File::open(path).unwrap().into()
}

/// A directory with a file of three bytes that only its owner can access.
fn with_file() -> (TempDir, Posix) {
    let dir = TempDir::new().unwrap();
    let mut options = File::options();
    options.mode(0o600).write(true).create_new(true);
    options
        .open(dir.path().join("file"))
        .unwrap()
        .set_len(3)
        .unwrap();
    let posix = Posix::new(open(dir.path()));
    (dir, posix)
}

/// Checks that both ways of reading a file's status agree, except for its times.
fn seen(posix: &Posix, path: &Path) -> Stat {
    let file = open(path);
    let stat = Stat {
        modified: 0,
        hint: None,
        ..posix.stat_of(&rustix::fs::fstat(&file).unwrap())
    };
    let without_times = posix.stat_without_times(&file);
    assert_eq!(without_times.unwrap_or(stat), stat, "{}", path.display());
    stat
}

#[test]
fn a_fault_is_found_with_and_without_times() {
    let (dir, mut posix) = with_file();
    let file = dir.path().join("file");
    let sound = seen(&posix, &file);
    assert_eq!((sound.fault, sound.links, sound.len), (None, 1, 3));
    let fault = |posix: &Posix, path: &Path| format!("{:?}", seen(posix, path).fault);
    assert!(fault(&posix, dir.path()).contains("regular"));
    for mode in [0o610, 0o620, 0o640, 0o601, 0o602, 0o604] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        assert!(fault(&posix, &file).contains("0600"), "{mode:o}");
    }
    posix.user = Uid::from_raw(posix.user.as_raw() + 1);
    assert!(fault(&posix, &file).contains("chown"));
    fs::hard_link(&file, dir.path().join("other")).unwrap();
    assert_eq!(seen(&posix, &file).links, 2);
}

#[test]
fn a_directory_is_listed_afresh_each_time() {
    let (dir, posix) = with_file();
    let listed = open(dir.path());
    assert_eq!(posix.list(&listed).unwrap(), ["file"]);
    fs::rename(dir.path().join("file"), dir.path().join("other")).unwrap();
    assert_eq!(posix.list(&listed).unwrap(), ["other"]);
    dir.close().unwrap();
    assert!(posix.list(&listed).unwrap().is_empty());
}
