//! How the session's store is used.

use std::time::Duration;

use super::SessionConfig;
#[cfg(doc)]
use crate::CookieStore;

impl SessionConfig {
    /// Limits how long a request waits for stores. The default is 5 seconds and the minimum one.
    /// The limit covers all calls for the request's sessions together, with the queues and pauses
    /// between them, but not the handler's own time. A handle that outlives its request,
    /// [`Subjects`](crate::Subjects) and [`SessionRecords`](crate::SessionRecords) may wait this
    /// long for each operation.
    ///
    /// After that the operation fails with
    /// [`ErrorKind::StoreFailed`](crate::ErrorKind::StoreFailed), whose [answer](crate::Answer) is
    /// 503. The store may or may not have done what it was asked.
    ///
    /// A store reports [`Unavailable`](crate::store::StoreError::Unavailable) after a failed
    /// connection or a lost answer. It is then asked once more if half of this time is left. Keep
    /// the timeouts of the store's client below that half and its own retries off, or let the store
    /// [say](crate::store::Limits::may_repeat) that it has them. A record carries the ids of its
    /// last eight writes, 13 bytes each, so that a save whose answer was lost is recognised. It
    /// does so for this time and two seconds, and for at least seven. A session that [never
    /// waits](crate::store::Limits::never_waits) for its store has no timeout.
    ///
    /// The time is counted once for all sessions of a request, and each session compares it with
    /// its own limit. A session in its cookie alone waits for no store; this setting is an error
    /// there.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// let account = SessionConfig::new("account", MemoryStore::new(), Keys::generate()?)
    ///     .store_timeout(Duration::from_secs(2));
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = Some(timeout);
        self
    }

    /// Limits the bytes of a session in a store, or of one that can
    /// [`overflow`](CookieStore::overflow) into a store. The default is 1 MiB and the maximum 128
    /// MiB.
    ///
    /// The store has its own limit: its [`record_bytes`](crate::store::Limits::record_bytes) must
    /// hold the session, another 115 bytes, and 41 more for the seal of
    /// [`encrypt_records`](Self::encrypt_records). A change beyond the limit fails with
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge). Any other session in a cookie has the
    /// cookie's limit; this setting is an error there.
    ///
    /// ```
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// # let keys = Keys::generate()?;
    /// let cart = SessionConfig::new("cart", MemoryStore::new(), keys).max_bytes(16 << 10); // 16 KiB
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = Some(max_bytes);
        self
    }

    /// Encrypts what goes into the store, under a key derived from the session's ID. Only the
    /// cookie has that. A stolen store reveals neither IDs nor values, and nobody can change a
    /// record in it unnoticed.
    ///
    /// Anyone who can write to the store can still replace a record by an older one of the same
    /// session: only a counter outside the store could detect it. Keep values that must not revert,
    /// such as a balance, elsewhere.
    ///
    /// Unencrypted records from before are refused. Sessions in a cookie are encrypted by their
    /// token; this setting is an error if they never get a record.
    ///
    /// ```
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// # let keys = Keys::generate()?;
    /// let account = SessionConfig::new("account", MemoryStore::new(), keys).encrypt_records();
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn encrypt_records(mut self) -> Self {
        self.encrypts_records = true;
        self
    }

    /// Lets GET and HEAD requests open a session as a cache or a replica of the store has it:
    /// [`Read::Recent`](crate::store::Read::Recent) instead of `Current`.
    ///
    /// Such a request may see a session as it was before it was changed or ended, for as long as
    /// the store lags. The store's docs say how long. The page can miss a write, show a flash
    /// again, or show itself to somebody who has just logged out. What such a request writes is
    /// checked against the present. Only a current read decides that there is no session. Other
    /// methods, ends, lists of subjects and sessions that are loaded after the response always read
    /// what is current.
    ///
    /// A session whose `CookieStore` has
    /// [`revocation`](crate::store::CookieStore::revocation) is looked up with each request as it
    /// is. This setting is an error there, and for sessions that never get a record.
    ///
    /// ```
    /// # use silverback::{Keys, MemoryStore, SessionConfig};
    /// let cart = SessionConfig::new("cart", MemoryStore::new(), Keys::generate()?).recent_reads();
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn recent_reads(mut self) -> Self {
        self.reads_recent = true;
        self
    }

    /// Allows a store that [may forget](crate::store::Limits::may_forget), such as memcached or
    /// Redis with an evicting policy, for [`revocation`](CookieStore::revocation) and for the lists
    /// of [subjects](crate::Session::set_subject).
    ///
    /// Without this, the layer refuses such a store for `revocation`, and `set_subject` is an error
    /// if the sessions are in such a store. With it, a session that has ended comes back when the
    /// store forgets its end, and `destroy_all` misses sessions whose list is gone. Unlike other
    /// settings, this is no error where it does nothing.
    ///
    /// ```
    /// # use silverback::{CookieStore, Keys, SessionConfig, store::Store};
    /// # fn f(memcached: impl Store, keys: Keys) {
    /// let account = SessionConfig::new("account", CookieStore::new().revocation(memcached), keys)
    ///     .allow_forgetful_stores();
    /// # }
    /// ```
    #[must_use]
    pub fn allow_forgetful_stores(mut self) -> Self {
        self.allows_forgetting = true;
        self
    }
}
