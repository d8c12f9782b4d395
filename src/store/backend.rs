//! One type for every place that keeps sessions, so that a session has no type parameter.

use std::fmt;

use super::{CookieStore, DynStore, Store};

/// What keeps a session: its cookie, or any [`Store`]. [`IntoBackend`] makes a backend of either.
#[derive(Clone)]
pub struct Backend(Kind);

#[derive(Clone)]
enum Kind {
    Cookie(CookieStore),
    Server(DynStore),
}

impl Backend {
    /// The store on the server. `None` if the session is, or can be, in its cookie.
    pub(crate) fn server(&self) -> Option<&DynStore> {
        match &self.0 {
            Kind::Cookie(_) => None,
            Kind::Server(store) => Some(store),
        }
    }

    /// The cookie's store. `None` if the session is always on the server.
    pub(crate) fn cookies(&self) -> Option<&CookieStore> {
        match &self.0 {
            Kind::Cookie(store) => Some(store),
            Kind::Server(_) => None,
        }
    }

    /// As [`cookies`](Self::cookies), for changing it.
    pub(crate) fn cookies_mut(&mut self) -> Option<&mut CookieStore> {
        match &mut self.0 {
            Kind::Cookie(store) => Some(store),
            Kind::Server(_) => None,
        }
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Cookie(one), Kind::Cookie(other)) => one.is_same(other),
            (Kind::Server(one), Kind::Server(other)) => one == other,
            _ => false,
        }
    }
}

/// What [`SessionConfig::new`](crate::SessionConfig::new) takes: a [`CookieStore`], any [`Store`],
/// or a [`Backend`].
///
/// A type that implements [`Store`] has it already.
#[diagnostic::on_unimplemented(
    message = "a session cannot be kept in `{Self}`",
    label = "is no store",
    note = "give a `CookieStore`, `MemoryStore` or `FilesystemStore`, or implement `silverback::store::Store` for `{Self}`"
)]
pub trait IntoBackend {
    /// Makes it the backend of a session.
    ///
    /// ```
    /// use silverback::store::{Backend, CookieStore, IntoBackend, MemoryStore};
    ///
    /// /// Where sessions are kept is decided at run time.
    /// fn backend(in_memory: bool) -> Backend {
    ///     if in_memory {
    ///         MemoryStore::new().into_backend()
    ///     } else {
    ///         CookieStore::new().into_backend()
    ///     }
    /// }
    /// ```
    fn into_backend(self) -> Backend;
}

impl IntoBackend for Backend {
    fn into_backend(self) -> Backend {
        self
    }
}

impl IntoBackend for CookieStore {
    fn into_backend(self) -> Backend {
        Backend(Kind::Cookie(self))
    }
}

impl<S: Store> IntoBackend for S {
    fn into_backend(self) -> Backend {
        Backend(Kind::Server(DynStore::new(self)))
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Cookie(_) => "Backend(cookie)",
            Kind::Server(_) => "Backend(server)",
        })
    }
}
