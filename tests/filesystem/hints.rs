//! The hints for sweeps, on systems whose access times can hold them.

use std::{fs, os::unix::fs::FileExt, time::UNIX_EPOCH};

use silverback::{
    Clock, Timestamp,
    store::{Bytes, FilesystemStore, Store, Sweep},
};
use tempfile::TempDir;

use crate::{KEY, until};

/// A damaged file of the right length is detected once its hint has passed. A sweep does not open
/// it before.
#[tokio::test]
async fn a_sweep_goes_by_the_time_of_last_access() {
    let dir = TempDir::new().unwrap();
    // A read does not change an access time in the future.
    let now = Clock::system().now();
    let [soon, later] = [2, 4].map(|hours| now.as_secs() + hours * 3_600);
    let clock = Clock::manual(now);
    let store = FilesystemStore::options()
        .clock(clock.clone())
        .open(dir.path())
        .unwrap();
    let version = store
        .create(&KEY, Bytes::from_static(b"data"), until(soon))
        .await
        .unwrap();
    let path = dir.path().join("ab").join(KEY.to_string());
    let hint = || {
        fs::metadata(&path)
            .unwrap()
            .accessed()
            .unwrap()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    assert_eq!(hint(), soon);
    store
        .update(&KEY, version, Bytes::from_static(b"more"), until(later))
        .await
        .unwrap();
    assert_eq!(hint(), soon, "an update leaves it as it is");
    clock.set(Timestamp::from_secs(soon));
    assert_eq!((store.sweep().await.removed(), hint()), (0, later));
    let accessed = fs::metadata(&path).unwrap().accessed().unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[1; 4_096], 0).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().accessed().unwrap(), accessed);
    assert_eq!(store.sweep().await.failed(), 0);
    clock.set(Timestamp::from_secs(later));
    assert_eq!(store.sweep().await.failed(), 1);
}
