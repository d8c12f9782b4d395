//! Oracle's MySQL.

use std::{ops::Deref, path::PathBuf, process::Command};

use crate::{
    mariadb::{arguments, greets, write_first},
    process::Program,
    program,
    server::{Launch, Server},
    user::User,
};

/// A MySQL with a database `silverback` and a user `root`, who needs no password. It has the
/// methods of [`Server`] too.
#[derive(Debug)]
pub struct MySql(Server);

impl MySql {
    /// Starts a MySQL that survives [`kill`](Server::kill), but not the end of the machine: it does
    /// not wait for the disk.
    ///
    /// Few distributions have MySQL beside MariaDB. So this returns `None` if it is not installed,
    /// even if `CI` is set.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let Some(program) = find() else {
            eprintln!("skipped: Oracle's mysqld is not installed");
            return None;
        };
        let user = User::instead_of_root("mysql");
        let server = Server::start("mysql", 1, user, |place| {
            let data = format!("--datadir={}/data", place.folder.display());
            Program::new(&program, ["--no-defaults", "--initialize-insecure", &data])
                .user(user)
                .run_to_end(place.folder)?;
            write_first(place.folder)?;
            let (port, mut arguments) = (place.port(), arguments(place));
            // Without a second protocol, which has a port of its own, and without a folder for
            // files, which only a package makes.
            let more = ["--mysqlx=OFF", "--secure-file-priv=NULL"];
            arguments.extend(more.map(str::to_owned));
            Ok(Launch {
                program: Program::new(&program, arguments).user(user),
                ready: Box::new(move || greets(port)),
            })
        });
        Some(Self(server))
    }

    /// Returns `mysql://root@127.0.0.1:PORT/silverback`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mysql://root@127.0.0.1:{}/silverback", self.port())
    }
}

impl Deref for MySql {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

/// Finds a `mysqld` that is not MariaDB under its former name.
fn find() -> Option<PathBuf> {
    let program = program::look_for("mysqld")?;
    let output = Command::new(&program).arg("--version").output().ok()?;
    let version = program::printed(&output).ok()?;
    (!version.contains("MariaDB")).then_some(program)
}
