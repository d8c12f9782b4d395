//! Several handles of one backend, used in turn.

use std::sync::atomic::{AtomicUsize, Ordering};

use silverback::store::{
    Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Sweep, Swept, Version,
};

/// Sends each call to the next node, as a load balancer does with requests. What one node answered
/// has to hold on the next.
pub(crate) struct Nodes<S> {
    nodes: Vec<S>,
    calls: AtomicUsize,
}

impl<S> Nodes<S> {
    pub(crate) fn new(nodes: Vec<S>) -> Self {
        Self {
            nodes,
            calls: AtomicUsize::new(0),
        }
    }

    pub(crate) fn next(&self) -> &S {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        &self.nodes[call % self.nodes.len()]
    }
}

impl<S: Store> Store for Nodes<S> {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        self.next().load(key, read).await
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        self.next().load_many(keys, read).await
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.next().create(key, data, expiry).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.next().update(key, expected, data, expiry).await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.next().touch(key, expected, expiry).await
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        self.next().delete(key, expected).await
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        self.next().delete_many(records).await
    }

    fn limits(&self) -> Limits {
        self.next().limits()
    }
}

impl<S: Sweep> Sweep for Nodes<S> {
    async fn sweep_some(&self, limit: usize) -> Swept {
        self.next().sweep_some(limit).await
    }

    async fn sweep(&self) -> Swept {
        self.next().sweep().await
    }
}
