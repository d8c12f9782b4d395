//! Damage, foreign files and later formats.

use super::{
    super::{
        Durability,
        files::path_of,
        slot::{HEADER, Half, MAGIC_LEN, View, encode, file_of, size_for},
    },
    *,
};
use crate::store::Bytes;

fn view(file: &[u8]) -> View {
    let file = Bytes::copy_from_slice(file);
    View::of(&KEY, &file, None).map(|place| file.slice(place))
}

fn slot(sequence: u64, data: &[u8]) -> Vec<u8> {
    encode(&KEY, sequence, Version::from_u64(sequence), END, data)
}

fn sequence<D>(view: &View<D>) -> Option<u64> {
    match view {
        View::Whole(slot) | View::Doubtful(slot) => Some(slot.sequence),
        View::Damaged | View::Newer => None,
    }
}

#[test]
fn the_format_stays_as_it_is() {
    let bytes = encode(
        &KEY,
        1,
        Version::from_u64(2),
        Timestamp::from_secs(3),
        b"data",
    );
    assert_eq!(&bytes[..8], b"slvrbk\x02\xfd");
    assert_eq!(
        bytes[8..24],
        [
            106, 202, 200, 188, 77, 74, 90, 6, 35, 48, 239, 39, 86, 184, 217, 71
        ]
    );
    assert_eq!(&bytes[24..56], KEY.as_bytes());
    assert_eq!(bytes[56..64], 1_u64.to_le_bytes());
    assert_eq!(bytes[64..80], 2_u128.to_be_bytes());
    assert_eq!(bytes[80..96], [3_u64, 4].map(u64::to_le_bytes).concat());
    assert_eq!(&bytes[96..], b"data");
}

#[test]
fn a_file_is_named_as_its_key_is_printed() {
    let key = RecordKey::from_bytes(std::array::from_fn(|at| (at * 9) as u8));
    assert_eq!(path_of(&key), format!("{}/{key}", &key.to_string()[..2]));
}

/// A state that was seen whole before is not hashed again.
#[test]
fn a_version_that_was_seen_is_trusted() {
    let mut file = file_of(2_048, &slot(4, b"old"), &slot(5, b"new"));
    file[2_048 + HEADER] ^= 1;
    let seen = |version| sequence(&View::of(&KEY, &file, Some(Version::from_u64(version))));
    assert_eq!([5, 4, 6].map(seen), [Some(5), Some(4), Some(4)]);
}

/// A touch keeps the version. If it was cut off, its torn slot must not be taken for the whole
/// state, over which the next change would then be written.
#[test]
fn of_two_slots_of_one_version_neither_is_trusted() {
    let version = Version::from_u64(7);
    let touched = |sequence| encode(&KEY, sequence, version, END, b"data");
    for halves in [[4, 5], [5, 4]] {
        let mut file = file_of(2_048, &touched(halves[0]), &touched(halves[1]));
        let torn = if halves[0] == 5 { 0 } else { 2_048 };
        assert_eq!(sequence(&View::of(&KEY, &file, Some(version))), Some(5));
        file[torn + HEADER] ^= 1;
        assert_eq!(sequence(&View::of(&KEY, &file, Some(version))), Some(4));
    }
}

#[test]
fn the_newer_slot_counts() {
    let file = file_of(2_048, &slot(4, b"old"), &slot(5, b"new"));
    let View::Whole(found) = view(&file) else {
        panic!("{:?}", view(&file))
    };
    assert_eq!(
        (found.half, found.sequence, &found.data[..]),
        (Half::Second, 5, &b"new"[..])
    );
    assert_eq!(
        sequence(&view(&file_of(2_048, &slot(5, b"new"), &slot(4, b"old")))),
        Some(5)
    );
    assert_eq!(
        sequence(&view(&file_of(2_048, &slot(1, b"only"), &[]))),
        Some(1)
    );
}

#[test]
fn no_flipped_bit_is_accepted() {
    let (old, new) = (slot(4, b"old data"), slot(5, b"new data"));
    for bit in 0..new.len() * 8 {
        let mut bent = new.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        let found = view(&file_of(2_048, &old, &bent));
        assert_eq!(sequence(&found), Some(4), "bit {bit}: {found:?}");
        assert_eq!(
            view(&file_of(2_048, &bent, &bent)),
            View::Damaged,
            "bit {bit}"
        );
    }
}

#[test]
fn a_slot_torn_at_any_byte_is_rejected() {
    let (old, new) = (slot(3, b"the data before"), slot(5, b"data"));
    for cut in 0..new.len() {
        let mut torn = old.clone();
        torn[..cut].copy_from_slice(&new[..cut]);
        assert_eq!(
            sequence(&view(&file_of(2_048, &slot(4, b"current"), &torn))),
            Some(4),
            "cut at {cut}"
        );
    }
}

#[test]
fn cut_and_empty_files_are_damaged() {
    let file = file_of(2_048, &slot(1, &data(1, 900)), &[]);
    for len in [0, 1, 7, 8, 88, 96, 2_047, 4_095] {
        assert!(!matches!(view(&file[..len]), View::Newer), "{len}");
    }
    assert_eq!(view(&[]), View::Damaged);
    assert_eq!(view(&file[..800]), View::Damaged);
    assert_eq!(view(&[0; 4_096]), View::Damaged);
    assert_eq!(view(&[0xff; 4_096]), View::Damaged);
}

#[test]
fn lengths_beyond_the_slot_are_damage() {
    for length in [4_000, u64::from(u32::MAX), u64::MAX] {
        let mut bytes = slot(1, b"data");
        bytes[88..96].copy_from_slice(&length.to_le_bytes());
        assert_eq!(view(&file_of(2_048, &bytes, &[])), View::Damaged);
    }
}

#[test]
fn slots_are_whole_sectors_with_room_to_spare() {
    for encoded in [HEADER, 2_047, 2_048, 2_049, 100_000] {
        let size = size_for(encoded);
        assert!(
            size >= encoded && size.is_multiple_of(512) && size <= encoded * 5 / 4 + 2_048,
            "{encoded}: {size}"
        );
    }
}

#[test]
fn a_damaged_record_is_an_error_once() {
    let fake = Fake::new();
    let disk = disk(&fake, Durability::None);
    disk.make(&KEY, b"data", END).unwrap();
    fake.set_content(SHARD, &name(), vec![1; 4_096]);
    let error = format!("{:?}", disk.load(&KEY).unwrap_err());
    assert!(error.contains("it was put in quarantine"), "{error}");
    assert_eq!(fake.content("quarantine", &name()), vec![1; 4_096]);
    assert_eq!(disk.load(&KEY).unwrap(), None);
    assert!(matches!(
        disk.advance(&KEY, FIRST, b"", END),
        Err(StoreError::Gone)
    ));
    disk.make(&KEY, b"data", END).unwrap();
}

#[test]
fn a_damaged_record_is_not_updated_touched_or_swept_away() {
    let acts: [Act; 4] = [
        |disk| disk.advance(&KEY, FIRST, b"", END).map(drop),
        |disk| disk.touch(&KEY, FIRST, END).map(drop),
        |disk| disk.make(&KEY, b"", END).map(drop),
        |disk| {
            let swept = disk.sweep();
            assert_eq!((swept.removed(), swept.failed()), (0, 1));
            Err(StoreError::Corrupt("as it should".into()))
        },
    ];
    for act in acts {
        let fake = Fake::new();
        let disk = disk(&fake, Durability::None);
        disk.make(&KEY, b"data", END).unwrap();
        fake.set_content(SHARD, &name(), vec![1; 4_096]);
        assert!(matches!(act(&disk), Err(StoreError::Corrupt(_))));
        assert_eq!(fake.names("quarantine"), [name()]);
    }
}

#[test]
fn swapped_records_are_both_refused() {
    let other = RecordKey::from_bytes([0xcd; 32]);
    let fake = Fake::new();
    let disk = disk(&fake, Durability::None);
    disk.make(&KEY, b"mine", END).unwrap();
    disk.make(&other, b"yours", END).unwrap();
    let (mine, yours) = (
        fake.content(SHARD, &name()),
        fake.content("cd", &other.to_string()),
    );
    fake.set_content(SHARD, &name(), yours);
    fake.set_content("cd", &other.to_string(), mine);
    assert!(matches!(disk.load(&KEY), Err(StoreError::Corrupt(_))));
    assert!(matches!(disk.load(&other), Err(StoreError::Corrupt(_))));
}

/// Even if a later version has written only one slot.
#[test]
fn a_record_of_a_newer_format_is_refused_and_stays() {
    for half in [0, 2_048] {
        let fake = Fake::new();
        let disk = disk_at(&fake, Durability::None, 5_000);
        disk.make(&KEY, b"data", END).unwrap();
        let mut file = fake.content(SHARD, &name());
        file[half..half + MAGIC_LEN].copy_from_slice(b"slvrbk\x03\xfc");
        fake.set_content(SHARD, &name(), file.clone());
        assert!(matches!(disk.load(&KEY), Err(StoreError::Refused(_))));
        assert!(matches!(
            disk.advance(&KEY, FIRST, b"", LATER),
            Err(StoreError::Refused(_))
        ));
        assert!(matches!(
            disk.touch(&KEY, FIRST, LATER),
            Err(StoreError::Refused(_))
        ));
        assert!(matches!(
            disk.make(&KEY, b"", LATER),
            Err(StoreError::Refused(_))
        ));
        let swept = disk.sweep();
        assert_eq!((swept.removed(), swept.failed()), (0, 1));
        assert_eq!(fake.content(SHARD, &name()), file);
        disk.delete(&KEY, None).unwrap();
        assert!(fake.names(SHARD).is_empty());
    }
}

#[test]
fn a_record_beyond_the_limit_is_refused() {
    let fake = Fake::new();
    let disk = disk(&fake, Durability::None);
    let large = vec![0; (1 << 20) + 1];
    let is_refused = |result| {
        matches!(
            result,
            Err(StoreError::TooLarge {
                size: 1_048_577,
                limit: 1_048_576
            })
        )
    };
    assert!(is_refused(disk.make(&KEY, &large, END)));
    let version = disk.make(&KEY, &large[1..], END).unwrap();
    assert!(is_refused(disk.advance(&KEY, version, &large, END)));
    assert_eq!(disk.load(&KEY).unwrap().unwrap().data().len(), 1 << 20);
}
