//! The records that a server keeps for one of gorilla's stores.

use std::time::Duration;

use crate::{gorilla::GoLayout, store::StoreError};

/// The records of one of gorilla's server-side stores, for
/// [`GorillaRecords`](crate::GorillaRecords).
///
/// The crates of silverback's stores implement this trait for the Go stores that the guide [Moving
/// from gorilla/sessions](crate::guide::gorilla) lists. With your own implementation you can use
/// any other store that keeps a gob, JSON or securecookie text under an ID. Use the same keys,
/// columns and times to live as the Go program.
///
/// No method may bring back a record that is gone. This is how a logout wins against a slow
/// request.
///
/// ```
/// use std::{
///     collections::HashMap,
///     sync::{Arc, Mutex},
///     time::Duration,
/// };
/// use silverback::{
///     GoRecord, GoRecords,
///     gorilla::{GoData, GoLayout},
///     store::StoreError,
/// };
///
/// #[derive(Clone, Default)]
/// struct Table(Arc<Mutex<HashMap<String, Vec<u8>>>>);
///
/// impl GoRecords for Table {
///     fn layout(&self) -> GoLayout {
///         GoLayout::signed_ids(GoData::Text)
///     }
///
///     async fn load(&self, id: &str) -> Result<Option<GoRecord>, StoreError> {
///         Ok(self.0.lock().unwrap().get(id).cloned().map(GoRecord::new))
///     }
///
///     async fn create(&self, id: &str, data: &[u8], _: Duration) -> Result<(), StoreError> {
///         self.0.lock().unwrap().insert(id.to_owned(), data.to_vec());
///         Ok(())
///     }
///
///     async fn replace(
///         &self,
///         id: &str,
///         old: &[u8],
///         new: &[u8],
///         _: Duration,
///     ) -> Result<bool, StoreError> {
///         match self.0.lock().unwrap().get_mut(id) {
///             Some(data) if data == old => *data = new.to_vec(),
///             _ => return Ok(false),
///         }
///         Ok(true)
///     }
///
///     async fn remove(&self, id: &str, expected: Option<&[u8]>) -> Result<bool, StoreError> {
///         let mut all = self.0.lock().unwrap();
///         let is_it = |data: &Vec<u8>| expected.is_none_or(|expected| data == expected);
///         Ok(all.get(id).is_some_and(is_it) && all.remove(id).is_some())
///     }
/// }
/// ```
pub trait GoRecords: Clone + Send + Sync + 'static {
    /// Returns the layout of the sessions.
    fn layout(&self) -> GoLayout;

    /// Returns the record under an ID, unless it has expired.
    fn load(&self, id: &str) -> impl Future<Output = Result<Option<GoRecord>, StoreError>> + Send;

    /// Puts a record under a new ID. It expires after `lasts`.
    fn create(
        &self,
        id: &str,
        data: &[u8],
        lasts: Duration,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Replaces `old` by `new` in one step, to expire after `lasts`. If the record is missing or is
    /// not `old`, changes nothing and returns `false`.
    fn replace(
        &self,
        id: &str,
        old: &[u8],
        new: &[u8],
        lasts: Duration,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Removes the record under an ID or, if `expected` is given, only a record that is equal to it.
    /// Comparing and removing is one step. Returns whether a record was removed.
    fn remove(
        &self,
        id: &str,
        expected: Option<&[u8]>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// A server's record of a Go session.
#[derive(Clone, Eq, PartialEq)]
pub struct GoRecord {
    pub(super) data: Vec<u8>,
    pub(super) remains: Option<Duration>,
}

impl GoRecord {
    /// Makes a record of the bytes as they are on the server.
    ///
    /// ```
    /// use silverback::GoRecord;
    ///
    /// let record = GoRecord::new(*b"MTgwMDAwMDAwMHxaR0Z5YXc9PX");
    /// ```
    #[must_use]
    pub fn new(data: impl Into<Vec<u8>>) -> Self {
        Self {
            data: data.into(),
            remains: None,
        }
    }

    /// Sets how long the record still lasts. A [payload](crate::gorilla::GoData::Payload) needs
    /// this, since it holds no time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use silverback::GoRecord;
    ///
    /// let record = GoRecord::new(*b"{}\n").remains(Duration::from_secs(600));
    /// ```
    #[must_use]
    pub const fn remains(mut self, time: Duration) -> Self {
        self.remains = Some(time);
        self
    }
}

/// Shows none of the session's values.
impl std::fmt::Debug for GoRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GoRecord")
            .field("bytes", &self.data.len())
            .field("remains", &self.remains)
            .finish()
    }
}
