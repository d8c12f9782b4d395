//! One process at a time, and files that are not a store's.

use std::{error::Error as _, fs};

use silverback::store::{Bytes, Limits, Store as _, StoreError};
use silverback_redb::{OpenError, RedbStore};
use tempfile::TempDir;

use crate::{END, data, key, open, path};

const ONE: Bytes = Bytes::from_static(b"\x01one");

#[tokio::test]
async fn a_file_that_is_open_is_in_use_until_it_is_closed() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir).await;
    store.create(&key(1), ONE, END).await.unwrap();
    let second = RedbStore::open(path(&dir)).await.unwrap_err();
    assert!(matches!(second, OpenError::InUse), "{second:?}");
    assert_eq!(
        second.to_string(),
        "another process has the file of sessions open"
    );
    let clone = store.clone();
    store.close().await;
    assert!(matches!(
        clone.create(&key(2), ONE, END).await,
        Err(StoreError::Refused(_))
    ));
    let again = open(&dir).await;
    assert_eq!(data(&again, 1).await, Some(ONE));
}

/// Calls made before the store was closed are completed.
#[tokio::test]
async fn closing_waits_for_the_writes_before_it() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir).await;
    let writes: Vec<_> = (0..100)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.create(&key(number), ONE, END).await })
        })
        .collect();
    tokio::task::yield_now().await;
    store.close().await;
    let again = open(&dir).await;
    for (number, write) in (0..).zip(writes) {
        let is_done = write.await.unwrap().is_ok();
        assert_eq!(data(&again, number).await.is_some(), is_done, "{number}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = TempDir::new().unwrap();
    drop(open(&dir).await);
    let mode = fs::metadata(path(&dir)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_folder_that_is_missing_is_an_error_of_the_system() {
    let missing = RedbStore::open("/there/is/no/such/folder/s.redb").await;
    let error = missing.unwrap_err();
    assert!(matches!(error, OpenError::Io(_)), "{error:?}");
    assert!(error.source().is_some());
    assert!(
        format!("{error:?}").ends_with("make its directory first"),
        "{error:?}"
    );
}

/// A closed store of 200 records.
async fn filled(dir: &TempDir) -> Vec<u8> {
    let store = open(dir).await;
    for number in 0..200 {
        let data = Bytes::from(vec![1; 40 + usize::from(number) * 10]);
        store.create(&key(number), data, END).await.unwrap();
    }
    store.close().await;
    fs::read(path(dir)).unwrap()
}

/// Whatever happened to the file: an error of this type, or a store that answers. Never a record
/// that nobody wrote.
async fn is_got_over(dir: &TempDir, bytes: &[u8]) -> bool {
    fs::write(path(dir), bytes).unwrap();
    let store = match RedbStore::open(path(dir)).await {
        Ok(store) => store,
        Err(OpenError::Damaged(_)) => return false,
        Err(error) => panic!("{error:?}"),
    };
    for number in 0..200 {
        let expected = vec![1; 40 + usize::from(number) * 10];
        if let Some(found) = data(&store, number).await {
            assert_eq!(found, expected);
        }
    }
    store.close().await;
    true
}

#[tokio::test]
async fn a_file_of_another_program_is_damaged() {
    let dir = TempDir::new().unwrap();
    for bytes in [&b"x"[..], b"SQLite format 3\0", &[0xff; 100_000]] {
        assert!(!is_got_over(&dir, bytes).await, "{} bytes", bytes.len());
        assert_eq!(
            fs::read(path(&dir)).unwrap(),
            bytes,
            "it was left as it was"
        );
    }
}

#[tokio::test]
async fn a_file_whose_making_was_cut_off_is_made() {
    let dir = TempDir::new().unwrap();
    // A new file, and one in which redb has freed pages.
    for bytes in [&b""[..], &[0; 1 << 20]] {
        assert!(is_got_over(&dir, bytes).await, "{} bytes", bytes.len());
    }
    let mut other = vec![0; 1 << 20];
    other[5_000] = 1;
    assert!(!is_got_over(&dir, &other).await, "it is another program's");
    assert_eq!(fs::read(path(&dir)).unwrap(), other);
}

#[tokio::test]
async fn a_file_that_was_cut_or_changed_is_damaged_or_whole() {
    let dir = TempDir::new().unwrap();
    let whole = filled(&dir).await;
    let (mut damaged, mut opened) = (0, 0);
    for part in 1..16 {
        let cut = &whole[..whole.len() * part / 16];
        if is_got_over(&dir, cut).await {
            opened += 1
        } else {
            damaged += 1
        }
    }
    for at in (0..whole.len()).step_by(whole.len() / 61) {
        let mut changed = whole.clone();
        changed[at] ^= 0x40;
        if is_got_over(&dir, &changed).await {
            opened += 1
        } else {
            damaged += 1
        }
    }
    println!("{damaged} found damaged, {opened} opened");
    assert!(damaged > 0);
}

#[tokio::test]
async fn a_record_over_the_limit_is_too_large() {
    let dir = TempDir::new().unwrap();
    let options = RedbStore::options().max_record_bytes(100);
    let store = options.open(path(&dir)).await.unwrap();
    let limits = Limits {
        record_bytes: 100,
        ..Limits::default()
    };
    assert_eq!(store.limits(), limits);
    let large = store.create(&key(1), Bytes::from(vec![1; 101]), END).await;
    let expected = matches!(
        large,
        Err(StoreError::TooLarge {
            size: 101,
            limit: 100
        })
    );
    assert!(expected, "{large:?}");
    store
        .create(&key(1), Bytes::from(vec![1; 100]), END)
        .await
        .unwrap();
}
