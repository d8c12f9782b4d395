//! Sessions in files: permissions, and room on the disk.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::Report;
use crate::out;

/// Less free space than this is soon used up.
const LEAST: u64 = 256 << 20;

pub(super) fn directory(path: &Path, report: &mut Report) {
    permissions(path, "700", report);
    room(path, report);
}

/// Checks a single file with all sessions.
pub(super) fn file(path: &Path, report: &mut Report) {
    permissions(path, "600", report);
    room(path, report);
}

fn permissions(path: &Path, least: &str, report: &mut Report) {
    let shown = path.display();
    if let Ok(found) = fs::metadata(path) {
        let mode = found.permissions().mode();
        report.either(
            mode & 0o077 == 0,
            "permissions",
            format!("{shown} has the mode {:03o}", mode & 0o777),
            format!("chmod {least} {shown}"),
        );
    }
}

/// Checks the free space on the file system.
pub(super) fn room(path: &Path, report: &mut Report) {
    let Ok(found) = rustix::fs::statvfs(path) else {
        report.skipped("disk", "the file system does not report its free space");
        return;
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    report.either(
        free >= LEAST,
        "disk",
        format!("{} are free", out::bytes(free)),
        "make room: a full disk fails saves, and visitors get errors",
    );
    // Some file systems have no limit, and report 0.
    if found.f_files > 0 {
        report.either(
            found.f_favail >= found.f_files / 20,
            "disk",
            format!("{} of {} inodes are free", found.f_favail, found.f_files),
            "each session is a file: use a file system with more inodes, or sweep more often",
        );
    }
}
