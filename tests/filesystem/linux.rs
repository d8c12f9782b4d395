//! Open files as only Linux shows them, and changes on the calling thread.

use std::{
    fs,
    task::{Context, Poll, Waker},
};

use silverback::store::{Bytes, Read, RecordKey, Store};
use tempfile::TempDir;

use crate::{END, KEY, SMALL, load, make, options};

/// The number of this process's open files in the directory.
fn open_files(dir: &TempDir) -> usize {
    let files = fs::read_dir("/proc/self/fd").unwrap();
    let files = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    files
        .filter(|file| file.starts_with(dir.path()) && file != dir.path())
        .count()
}

#[tokio::test]
async fn files_stay_open_up_to_a_limit() {
    for limit in [0, 10, 60, usize::MAX] {
        let dir = TempDir::new().unwrap();
        let store = options().kept_files(limit).open(dir.path()).unwrap();
        for number in 0..120 {
            let key = RecordKey::from_bytes([number; 32]);
            let data = Bytes::from_static(b"data");
            let version = store.create(&key, data.clone(), END).await.unwrap();
            store.load(&key, Read::Current).await.unwrap().unwrap();
            store.update(&key, version, data, END).await.unwrap();
        }
        let open = open_files(&dir);
        let most = limit.min(120);
        assert!(open <= limit && open * 2 >= most, "{open} of {limit}");
        store.delete(&KEY, None).await.unwrap();
        assert!(load(&store).await.is_none());
        drop(store);
        assert_eq!(open_files(&dir), 0);
    }
}

#[tokio::test]
async fn a_change_that_fits_is_made_when_it_is_asked_for() {
    let dir = TempDir::new().unwrap();
    let (store, mut version) = make(options(), &dir).await;
    // After a slow change, further ones run on another thread for a while.
    for _ in 0..1_000_000 {
        let mut update = Box::pin(store.update(&KEY, version, SMALL, END));
        let mut context = Context::from_waker(Waker::noop());
        version = match update.as_mut().poll(&mut context) {
            Poll::Ready(updated) => return assert!(updated.is_ok()),
            Poll::Pending => update.await.unwrap(),
        };
    }
    panic!("no change was made when it was asked for");
}
