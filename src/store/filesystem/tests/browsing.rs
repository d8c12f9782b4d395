//! What a listing reads, and what it leaves out.

use super::{
    super::Durability,
    fake::{EIO, Fault},
    *,
};
use crate::store::{Cursor, Listed};

fn key(number: u8) -> RecordKey {
    let mut bytes = [number; 32];
    bytes[0] = number % 4;
    RecordKey::from_bytes(bytes)
}

/// All records, in pages of this size.
fn all(disk: &Disk<Fake>, limit: usize) -> Vec<Vec<Listed>> {
    let (mut pages, mut from) = (Vec::new(), Some(Cursor::default()));
    while let Some(cursor) = from {
        let page = disk.browse(&cursor, limit).unwrap();
        pages.push(page.entries);
        assert!(pages.len() <= 1_000, "the listing does not end");
        from = page.next;
    }
    pages
}

#[test]
fn each_record_is_on_one_page() {
    let fake = Fake::new();
    let disk = disk(&fake, Durability::None);
    let mut expected = Vec::new();
    for number in 0..100 {
        let (data, end) = (
            data(1, 10 + usize::from(number)),
            if number < 50 { END } else { LATER },
        );
        disk.make(&key(number), &data, end).unwrap();
        expected.push(Listed::new(key(number), &data, end, data.len()));
    }
    expected.sort_unstable_by_key(|listed| listed.key);
    for (limit, pages) in [
        (0, 100),
        (1, 100),
        (7, 15),
        (50, 2),
        (100, 1),
        (usize::MAX, 1),
    ] {
        let listed = all(&disk, limit);
        assert!(listed.iter().all(|page| page.len() <= limit.max(1)));
        assert_eq!(
            (listed.len(), listed.concat()),
            (pages, expected.clone()),
            "{limit}"
        );
    }
    // An expired record is listed until it is swept.
    assert_eq!(
        all(&disk_at(&fake, Durability::None, 2_500), 200).concat(),
        expected
    );
}

#[test]
fn the_current_state_is_listed() {
    let fake = Fake::new();
    let disk = disk(&fake, Durability::None);
    let mut version = disk.make(&KEY, b"", END).unwrap();
    assert_eq!(all(&disk, 9), [[Listed::new(KEY, b"", END, 0)]]);
    for (data, end) in [(&[1; 3][..], LATER), (&[16; 4], END), (&[24; 9_000], LATER)] {
        version = disk.advance(&KEY, version, data, end).unwrap();
        assert_eq!(all(&disk, 9), [[Listed::new(KEY, data, end, data.len())]]);
    }
}

#[test]
fn a_listing_reads_only_heads() {
    let fake = Fake::new();
    let disk = disk(&fake, Durability::None);
    disk.make(&KEY, &data(1, 900_000), END).unwrap();
    fake.plan(usize::MAX, Fault::Error(EIO));
    assert_eq!(all(&disk, 9).concat().len(), 1);
    let log = fake.log();
    let count = |name: &str| log.iter().filter(|operation| **operation == name).count();
    assert_eq!(
        (count("read"), count("lock"), count("write")),
        (2, 0, 0),
        "{log:?}"
    );
    assert!(fake.most_read() <= 97, "{}", fake.most_read());
}

/// A move of all records must find it, and fail.
#[test]
fn a_record_of_a_newer_format_is_listed() {
    for slot in [0, 2_048] {
        let fake = Fake::new();
        let disk = disk(&fake, Durability::None);
        disk.make(&KEY, b"data", END).unwrap();
        let (shard, name) = (KEY.to_string()[..2].to_owned(), KEY.to_string());
        let mut newer = fake.content(&shard, &name);
        newer[slot..slot + 8].copy_from_slice(b"slvrbk\x03\xfc");
        fake.set_content(&shard, &name, newer);
        let end = Timestamp::from_secs(u64::MAX);
        assert_eq!(all(&disk, 2).concat(), [Listed::new(KEY, b"", end, 4_096)]);
    }
}

#[test]
fn damaged_and_foreign_files_are_left_out_and_stay() {
    let fake = Fake::new();
    let disk = disk(&fake, Durability::None);
    for number in [0, 1, 2, 3] {
        disk.make(&key(number), b"data", END).unwrap();
    }
    let names = [0, 1, 2].map(|number| key(number).to_string());
    fake.set_content("00", &names[0], vec![1; 4_096]);
    fake.set_content("01", &names[1], Vec::new());
    let mut cut = fake.content("02", &names[2]);
    cut.truncate(80);
    fake.set_content("02", &names[2], cut);
    assert_eq!(
        all(&disk, 2).concat(),
        [Listed::new(key(3), b"data", END, 4)]
    );
    assert_eq!(fake.names("quarantine"), [""; 0]);
}

#[test]
fn a_cursor_of_another_store_is_refused() {
    let fake = Fake::new();
    let page = disk(&fake, Durability::None).browse(&Cursor::new(&b"three"[..]), 9);
    assert!(matches!(page, Err(StoreError::Refused(_))), "{page:?}");
}

/// A failed look is never the end of the list.
#[test]
fn an_error_is_no_last_page() {
    let before = Fake::new();
    disk(&before, Durability::None)
        .make(&KEY, b"data", END)
        .unwrap();
    for operation in 1.. {
        let fake = before.fork();
        fake.plan(operation, Fault::Error(EIO));
        let page = disk(&fake, Durability::None).browse(&Cursor::default(), 9);
        if fake.struck().is_none() {
            return assert!(operation > 4);
        }
        assert!(
            matches!(page, Err(StoreError::Unavailable(_))),
            "{operation}: {page:?}"
        );
    }
}
