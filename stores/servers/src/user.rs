//! The user for servers that refuse to run as root.

use std::{fs, io, os::unix::fs::chown, path::Path};

/// A user of this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl User {
    /// Returns the user of this name, or `nobody`, if this process runs as root. Otherwise returns
    /// `None`: the server runs as the same user as the test.
    pub(crate) fn instead_of_root(name: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        of_name(&users, name).or_else(|| of_name(&users, "nobody"))
    }

    /// Gives the user a folder or a file.
    pub(crate) fn give(self, path: &Path) -> io::Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
    }
}

fn of_name(users: &str, name: &str) -> Option<User> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (found, _password) = (fields.next()?, fields.next()?);
        let uid = fields.next()?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (found == name).then_some(User { uid, gid })
    })
}
