//! Looking through a store, for operators.

use std::{future::Future, sync::Arc};

use super::{Bytes, RecordKey, RecordKind, Store, StoreError};
use crate::{clock::Timestamp, report::metrics};

/// A store whose records can be listed page by page: for an operator who wants to know what fills
/// the store, or for a job that copies it.
///
/// A record that exists the whole time is on at least one page. A record that is created, changed
/// or removed meanwhile may be on one page, on two, or on none. Expired records are listed until
/// they are removed. A listing reveals no value of a session.
///
/// ```
/// use silverback::{MemoryStore, store::{Browse, Cursor, RecordKind}};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), silverback::store::StoreError> {
/// let store = MemoryStore::new();
/// let (mut cursor, mut bytes) = (Some(Cursor::default()), 0);
/// while let Some(from) = cursor {
///     let page = store.browse(&from, 1_000).await?;
///     let sessions = page.entries.iter().filter(|entry| entry.kind == Some(RecordKind::Session));
///     bytes += sessions.map(|entry| entry.size).sum::<usize>();
///     cursor = page.next;
/// }
/// println!("{bytes} bytes of sessions");
/// # Ok(())
/// # }
/// ```
pub trait Browse: Store {
    /// Lists at most `limit` records, beginning at the cursor. A limit of 0 counts as 1. A page may
    /// have fewer records, or none, without being the last: the last one has no
    /// [`next`](Page::next).
    ///
    /// ```
    /// use silverback::{MemoryStore, store::{Browse, Cursor}};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), silverback::store::StoreError> {
    /// let page = MemoryStore::new().browse(&Cursor::default(), 100).await?;
    /// assert!(page.entries.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if the cursor comes from another store. Any other if the store
    /// fails.
    fn browse(
        &self,
        from: &Cursor,
        limit: usize,
    ) -> impl Future<Output = Result<Page, StoreError>> + Send;
}

/// A shared store is browsed like the store itself.
impl<S: Browse> Browse for Arc<S> {
    fn browse(
        &self,
        from: &Cursor,
        limit: usize,
    ) -> impl Future<Output = Result<Page, StoreError>> + Send {
        S::browse(self, from, limit)
    }
}

/// The page of a count: a few milliseconds' work.
const PAGE: usize = 1_000;

/// Counts the sessions in a store that have not expired at `now`, by looking at every record. With
/// the feature `metrics` it also sets the gauge `silverback.store.sessions`, whose label `store` is
/// the name that you give.
///
/// It makes one call per 1,000 records, so count every few minutes, and in only one of the
/// processes that share a store. Sessions in a cookie are not counted. Sessions that begin or end
/// meanwhile may be counted or not.
///
/// ```
/// use silverback::{Clock, MemoryStore, store};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), silverback::store::StoreError> {
/// let carts = MemoryStore::new();
/// let now = Clock::system().now();
/// assert_eq!(store::count_sessions(&carts, "carts", now).await?, 0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Those of [`Browse::browse`]. The gauge stays as it was.
pub async fn count_sessions(
    store: &impl Browse,
    name: &str,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let (mut cursor, mut count) = (Some(Cursor::default()), 0);
    while let Some(from) = cursor {
        let page = store.browse(&from, PAGE).await?;
        let is_alive = |entry: &&Listed| entry.expires > now;
        let sessions = page.entries.iter().filter(is_alive);
        count += sessions
            .filter(|entry| entry.kind == Some(RecordKind::Session))
            .count() as u64;
        cursor = page.next;
    }
    metrics::sessions(name, count);
    Ok(count)
}

/// Where a page begins: at the first record, or where the page before it ended. Only the store can
/// tell what its bytes mean.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Cursor(Bytes);

impl Cursor {
    /// Makes a cursor from what the store needs to know, or from what [`as_bytes`](Self::as_bytes)
    /// returned. An empty cursor is at the first record.
    ///
    /// ```
    /// use silverback::store::Cursor;
    ///
    /// assert_eq!(Cursor::new(Vec::new()), Cursor::default());
    /// ```
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// Returns the bytes, for example for the URL of the next page.
    ///
    /// ```
    /// use silverback::store::Cursor;
    ///
    /// let next = Cursor::new(&b"17"[..]);
    /// assert_eq!(Cursor::new(next.as_bytes().to_vec()), next);
    /// ```
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A page of a store's records.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Page {
    /// The records.
    pub entries: Vec<Listed>,
    /// Where the next page begins; `None` if this one is the last.
    pub next: Option<Cursor>,
}

impl Page {
    /// Makes a page, for stores of your own.
    ///
    /// ```
    /// use silverback::store::Page;
    ///
    /// let last = Page::new(Vec::new(), None);
    /// ```
    #[must_use]
    pub const fn new(entries: Vec<Listed>, next: Option<Cursor>) -> Self {
        Self { entries, next }
    }
}

/// A record on a page.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Listed {
    /// The record's key.
    pub key: RecordKey,
    /// The record's purpose, by [`RecordKind::of`].
    pub kind: Option<RecordKind>,
    /// When the record expires.
    pub expires: Timestamp,
    /// The size of its data, in bytes.
    pub size: usize,
}

impl Listed {
    /// Makes the entry of a record of `size` bytes, for stores of your own. `head` has the first
    /// byte, if there is one.
    ///
    /// ```
    /// use silverback::{Timestamp, store::{Listed, RecordKey}};
    ///
    /// let (key, end) = (RecordKey::from_bytes([7; 32]), Timestamp::from_secs(1_800_000_000));
    /// let entry = Listed::new(key, b"", end, 0);
    /// assert_eq!(entry.kind, None); // not a record of this crate
    /// ```
    #[must_use]
    pub const fn new(key: RecordKey, head: &[u8], expires: Timestamp, size: usize) -> Self {
        Self {
            key,
            kind: RecordKind::of(head),
            expires,
            size,
        }
    }
}

/// What a store says to a cursor of another one.
pub(crate) fn foreign_cursor() -> StoreError {
    StoreError::refused("the cursor does not belong to this store")
}
