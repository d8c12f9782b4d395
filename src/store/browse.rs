//! Looking through a store, for operators.

use std::{future::Future, sync::Arc};

use super::{Bytes, RecordKey, RecordKind, Store, StoreError};
use crate::clock::Timestamp;

/// A store whose records can be listed, page by page: for an operator who wants to know what takes
/// the room, or a job that copies a store.
///
/// A record that is there all the while is on at least one of the pages. One that is made, changed
/// or removed meanwhile may be on one, on two or on none. Expired records are listed as long as they
/// are there. A listing tells no value of a session.
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
    /// Lists so many records at most, from the cursor on. A limit of 0 is one of 1. A page may have
    /// fewer, or none, and still not be the last: that one has no [`next`](Page::next).
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if the cursor is none of this store; any other if the store cannot
    /// look.
    fn browse(
        &self,
        from: &Cursor,
        limit: usize,
    ) -> impl Future<Output = Result<Page, StoreError>> + Send;
}

/// A shared store is browsed as the store is.
impl<S: Browse> Browse for Arc<S> {
    fn browse(
        &self,
        from: &Cursor,
        limit: usize,
    ) -> impl Future<Output = Result<Page, StoreError>> + Send {
        S::browse(self, from, limit)
    }
}

/// Where a page begins: at the first record, or where the page before it ended. Its bytes mean
/// something to the store alone.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Cursor(Bytes);

impl Cursor {
    /// Makes a cursor of what the store has to know, or of what [`as_bytes`](Self::as_bytes) returned.
    /// Without bytes it is at the first record.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// Returns the bytes, for the address of the next page say.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Some of a store's records.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Page {
    /// The records.
    pub entries: Vec<Listed>,
    /// Where the next page begins; `None` if this one is the last.
    pub next: Option<Cursor>,
}

impl Page {
    /// Makes a page.
    #[must_use]
    pub const fn new(entries: Vec<Listed>, next: Option<Cursor>) -> Self {
        Self { entries, next }
    }
}

/// What a page says of a record.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Listed {
    /// The record's key.
    pub key: RecordKey,
    /// What it is for, by [`RecordKind::of`].
    pub kind: Option<RecordKind>,
    /// When it is over.
    pub expires: Timestamp,
    /// The bytes of its data.
    pub size: usize,
}

impl Listed {
    /// Makes what a page says of a record of so many bytes; `head` has the first of them, if there
    /// is one.
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
    StoreError::refused("the cursor is none of this store")
}
