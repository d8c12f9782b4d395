//! Values of a given length, and sessions that outgrow their cookie with them.

use http::{Response, StatusCode};
use silverback::{Session, store::CookieStore};

use super::{Jar, Kind, World, scripted::Load};

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Nowhere,
    Cookie,
    Record,
}

impl Kind {
    /// In a cookie up to 500 bytes, above that in a store.
    pub(crate) const OVERFLOWING: [Self; 2] = [Self::Overflow, Self::RevocableOverflow];

    /// Like [`config`](Self::config), with a signed cookie.
    pub(crate) fn signed(self) -> World {
        self.with_cookies(CookieStore::signed)
    }
}

impl World {
    /// Inserts a value of this length.
    pub(crate) async fn set(&self, jar: &mut Jar, key: &str, len: usize) -> Response<String> {
        self.put(jar, key, "x".repeat(len)).await
    }

    /// Like [`set`](Self::set), with a response that never arrives.
    pub(crate) async fn set_lost(&self, jar: &Jar, key: &str, len: usize) {
        let response = self.set(&mut jar.clone(), key, len).await;
        assert_eq!(response.status(), StatusCode::OK);
    }

    /// The lengths of the values under these keys.
    pub(crate) async fn lens<const N: usize>(
        &self,
        jar: &mut Jar,
        keys: [&str; N],
    ) -> [Option<usize>; N] {
        let read = async |session: Session| {
            session.load().await.unwrap();
            keys.map(|key| Some(session.get::<String>(key).unwrap()?.len()))
        };
        self.visit(jar, read).await.0
    }

    /// Where the session of these cookies is. The browser ignores any cookie it gets.
    pub(crate) async fn place(&self, jar: &Jar) -> Place {
        self.records().take_log();
        let is_new = async |session: Session| {
            session.load().await.unwrap();
            session.is_new().unwrap()
        };
        let (is_new, _) = self.visit(&mut jar.clone(), is_new).await;
        match self.records().take_log().first() {
            _ if is_new => Place::Nowhere,
            None => Place::Cookie,
            Some(Load) => Place::Record,
            Some(other) => panic!("a read begins with {other:?}"),
        }
    }
}
