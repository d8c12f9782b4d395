//! The users who may log in. A real site has them in its database.

use std::{collections::HashMap, sync::Arc};

use argon2::{
    Argon2,
    password_hash::{Error, PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::{sync::Semaphore, task::spawn_blocking};

#[derive(Clone, Copy)]
pub(crate) enum Role {
    Admin,
    Member,
}

#[derive(Clone)]
struct User {
    role: Role,
    hash: PasswordHash,
}

#[derive(Clone)]
pub(crate) struct Users {
    users: Arc<HashMap<String, User>>,
    /// Checked for unknown names, so that they take as long as others.
    nobody: PasswordHash,
}

/// Each check takes 19 MiB and a core for about 20 ms. More at a time would only wait for each
/// other.
static CHECKS: Semaphore = Semaphore::const_new(4);

impl Users {
    pub(crate) fn new(users: &[(&str, &str, Role)]) -> Result<Self, Error> {
        let hash = |password: &str| Argon2::default().hash_password(password.as_bytes());
        let users = users.iter().map(|(name, password, role)| {
            let hash = hash(password)?;
            Ok((String::from(*name), User { role: *role, hash }))
        });
        Ok(Self {
            users: Arc::new(users.collect::<Result<_, Error>>()?),
            nobody: hash("")?,
        })
    }

    pub(crate) fn role(&self, name: &str) -> Option<Role> {
        Some(self.users.get(name)?.role)
    }

    /// Returns whether the user has this password. The check runs on its own thread, since it would
    /// block all other requests of this one.
    pub(crate) async fn check(&self, name: &str, password: String) -> bool {
        let known = self.users.get(name);
        let hash = known.map_or(&self.nobody, |user| &user.hash).clone();
        let Ok(_turn) = CHECKS.acquire().await else {
            return false;
        };
        let check = move || {
            Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()
        };
        known.is_some() & spawn_blocking(check).await.unwrap_or(false)
    }
}
