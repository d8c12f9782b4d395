//! What a server keeps for a store of gorilla's.

use std::time::Duration;

use crate::{gorilla::GoLayout, store::StoreError};

/// The sessions of one of gorilla's stores on a server, for
/// [`GorillaRecords`](crate::GorillaRecords).
///
/// silverback's stores have these for the stores of Go's that the guide
/// [Moving from gorilla/sessions](crate::guide::gorilla) names. With one of your own, you reach any
/// other that keeps a gob, JSON or a text of gorilla/securecookie under an ID: answer as its
/// methods say, by the keys, columns and times to live that the Go program has.
///
/// No method may make a record anew that is gone: that is how a logout wins against a slow request.
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
///     async fn remove(&self, id: &str) -> Result<bool, StoreError> {
///         Ok(self.0.lock().unwrap().remove(id).is_some())
///     }
/// }
/// ```
pub trait GoRecords: Clone + Send + Sync + 'static {
    /// Returns how the sessions are laid out.
    fn layout(&self) -> GoLayout;

    /// Returns what is under an ID and is not over.
    fn load(&self, id: &str) -> impl Future<Output = Result<Option<GoRecord>, StoreError>> + Send;

    /// Puts a record under an ID that is new. It is over after this time.
    fn create(
        &self,
        id: &str,
        data: &[u8],
        lasts: Duration,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Puts `new` in the place of `old`, in one step, and starts its time anew. Returns `false`, and
    /// changes nothing, if anything else is there, or nothing.
    fn replace(
        &self,
        id: &str,
        old: &[u8],
        new: &[u8],
        lasts: Duration,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Removes what is under an ID. Returns whether there was something.
    fn remove(&self, id: &str) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// What a server has of a session of Go's.
#[derive(Clone, Eq, PartialEq)]
pub struct GoRecord {
    pub(super) data: Vec<u8>,
    pub(super) remains: Option<Duration>,
}

impl GoRecord {
    /// Takes the bytes as they are.
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

    /// Says how long the record still lasts, if nothing in it says so: a
    /// [payload](crate::gorilla::GoData::Payload) has no time.
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

/// Shows no value of the session.
impl std::fmt::Debug for GoRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GoRecord")
            .field("bytes", &self.data.len())
            .field("remains", &self.remains)
            .finish()
    }
}
