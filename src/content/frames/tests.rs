use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn sample() -> Frames {
    let mut frames = Frames::default();
    frames.insert("user", b"7");
    frames.push_flash("", *b"12345678", b"\"hi\"");
    frames.insert("cart", b"[1,2]");
    frames
}

#[test]
fn values_and_flashes_are_separate() {
    let mut frames = sample();
    frames.insert("", b"a long value");
    assert_eq!(frames.keys().collect::<Vec<_>>(), ["user", "cart", ""]);
    assert_eq!(
        frames.flashes("").collect::<Vec<_>>(),
        [(*b"12345678", b"\"hi\"" as &[u8])]
    );
    assert!(frames.remove_flash(*b"12345678") && !frames.remove_flash(*b"12345678"));
    assert_eq!(frames.get(""), Some(b"a long value" as &[u8]));
}

#[test]
fn a_value_that_begins_with_a_messages_id_stays() {
    let ids: Vec<FlashId> = (0..=FEW).map(|n| [u8::try_from(n).unwrap(); 8]).collect();
    for few in [&ids[..1], &ids] {
        let mut frames = Frames::default();
        for id in few {
            frames.insert(&format!("{id:?}"), id);
            frames.push_flash("", *id, b"1");
        }
        frames.remove_flashes(&mut few.to_vec());
        assert_eq!(frames.keys().count(), few.len());
        assert_eq!(frames.count(), few.len());
    }
}

/// Where a frame was found before, there may be a part of another one now.
#[test]
fn a_part_of_a_value_is_no_frame() {
    let mut image = Frames::default();
    image.insert("x", b"1");
    let images = image.as_bytes().repeat(50);
    let id = |n: usize| [u8::try_from(n).unwrap(); 8];
    for (many, before) in [(1, 0), (1, 1), (FEW + 1, 0), (FEW + 1, 1), (0, 0)]
        .into_iter()
        .flat_map(|(many, is_longer)| (0..4).map(move |len| (many, 40 * is_longer + len)))
    {
        let mut frames = Frames::default();
        for n in 0..many {
            frames.push_flash("", id(n), &vec![0; before]);
        }
        frames.insert("last", &images);
        match many {
            0 => {
                frames.insert("longer", &vec![0; 60 + before]);
                frames.insert("end", b"1");
                frames.clear();
                frames.push_flash("", id(0), &[&*images, &images].concat());
            }
            _ => frames.remove_flashes(&mut (0..many).map(id).collect()),
        }
        assert_eq!(frames.get("x"), None, "{many} messages, {before} bytes");
    }
}

#[test]
fn a_key_that_is_not_text_is_refused() {
    for (key, is_text) in [("é".as_bytes(), true), (b"\xff", false)] {
        let mut frames = vec![u8::try_from(key.len() << 1).unwrap()];
        frames.extend_from_slice(key);
        frames.extend_from_slice(b"\x011");
        assert_eq!(Frames::parse(frames.into()).is_some(), is_text, "{key:?}");
    }
}

#[test]
fn a_part_of_a_frame_is_refused() {
    let whole = sample();
    let ends: Vec<usize> = whole.iter().map(|frame| frame.range.end).collect();
    for end in 1..=whole.as_bytes().len() {
        let parsed = Frames::parse(whole.as_bytes()[..end].to_vec().into());
        assert_eq!(parsed.is_some(), ends.contains(&end), "first {end} bytes");
    }
}

#[test]
fn the_value_at_the_end_is_looked_at_first() {
    let parsed = Frames::parse(sample().as_bytes().to_vec().into()).expect("own bytes");
    let last = parsed.iter().last().map(|frame| frame.range.start);
    assert_eq!(parsed.last.get(), last);
    assert_eq!(parsed.get("cart"), Some(b"[1,2]" as &[u8]));
    assert_eq!(parsed.get("user"), Some(b"7" as &[u8]));
    assert_ne!(parsed.last.get(), last);
}

#[test]
fn only_many_keys_are_indexed() {
    let mut frames = Frames::default();
    frames.insert("first", &[b'1'; FAR]);
    frames.insert("last", b"1");
    let is_indexed = |frames: &Frames| {
        let far = frames.far.get();
        far.is_some_and(|far| far.index.get().is_some())
    };
    // The insertion was the first long search.
    for _ in 0..SEARCHES {
        assert!(frames.get("none").is_none() && !is_indexed(&frames));
    }
    assert!(frames.get("none").is_none() && is_indexed(&frames));
    assert!(frames.get("first").is_some() && frames.get("none").is_none());
    assert!(!is_indexed(&frames.clone()));
    frames.clear();
    assert!(frames.get("first").is_none() && !is_indexed(&frames));
}

proptest! {
    #[test]
    fn messages_are_removed_at_once_as_one_by_one(
        present: Vec<(bool, u8)>,
        ids in prop::collection::btree_set(0..32_u8, 0..20),
        is_indexed: bool,
    ) {
        let id = |number: u8| [number; 8];
        let mut frames = Frames::default();
        if is_indexed {
            frames.insert("first", &[b'1'; FAR]);
        }
        let mut seen = std::collections::BTreeSet::new();
        for (number, (is_flash, key)) in (0..).zip(&present) {
            match is_flash {
                true if seen.insert(key % 32) => {
                    frames.push_flash("q", id(key % 32), b"1");
                }
                _ => frames.insert(&format!("key {key}"), format!("{number}").as_bytes()),
            }
        }
        prop_assert!((0..20).all(|_| frames.get("none").is_none()));
        let mut other = frames.clone();
        let mut one_by_one: Vec<_> = ids.iter().copied().map(id).collect();
        let mut at_once = one_by_one.clone();
        one_by_one.retain(|id| other.remove_flash(*id));
        frames.remove_flashes(&mut at_once);
        prop_assert_eq!(at_once, one_by_one);
        prop_assert_eq!(frames.as_bytes(), other.as_bytes());
        let keys: Vec<_> = other.keys().map(str::to_owned).collect();
        prop_assert!(keys.iter().all(|key| frames.get(key) == other.get(key)));
    }
}

/// Exercises every way to change the frames that an index must keep up with.
#[test]
fn many_keys_behave_like_a_map() {
    let (mut frames, mut map) = (Frames::default(), BTreeMap::new());
    let mut seed = 7_u64;
    let mut next = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    for step in 0..4_000_u32 {
        let key = format!("key {}", next(500));
        match next(8) {
            0 => assert_eq!(frames.remove(&key), map.remove(&key).is_some()),
            1 => frames.push_flash(&key, u64::from(step).to_be_bytes(), b"1"),
            2 => {
                let id = u64::from(step).saturating_sub(next(20)).to_be_bytes();
                frames.remove_flash(id);
            }
            _ => {
                let value = vec![b'1'; 10 + next(3) as usize];
                frames.insert(&key, &value);
                map.insert(key, value);
            }
        }
        let key = format!("key {}", next(500));
        assert_eq!(frames.get(&key), map.get(&key).map(Vec::as_slice), "{step}");
    }
    assert!(map.len() > 300 && frames.far.get().is_some());
    assert_eq!(frames.keys().count(), map.len());
    let parsed = Frames::parse(frames.as_bytes().to_vec().into()).expect("own bytes");
    let same = |(key, value): (&String, &Vec<u8>)| parsed.get(key) == Some(value);
    assert!(map.iter().all(same));
}

proptest! {
    #[test]
    fn arbitrary_bytes_parse_without_panic_and_unchanged(bytes: Vec<u8>) {
        if let Some(frames) = Frames::parse(bytes.clone().into()) {
            prop_assert_eq!(frames.as_bytes(), bytes);
        }
    }

    #[test]
    fn frames_behave_like_a_map(steps: Vec<(bool, u8, Vec<u8>)>) {
        let (mut frames, mut map) = (Frames::default(), BTreeMap::new());
        for (insert, key, value) in steps {
            let key = "k".repeat(usize::from(key % 4) * 50);
            if insert {
                let grown = frames.as_bytes().len() + frames.place(&key).growth(value.len());
                frames.insert(&key, &value);
                prop_assert!(frames.as_bytes().len() <= grown);
                map.insert(key, value);
            } else {
                prop_assert_eq!(frames.remove(&key), map.remove(&key).is_some());
            }
            // Behind others, as in a token.
            let mut bytes = Tail::from([b"head", frames.as_bytes()].concat());
            bytes.advance(4);
            frames = Frames::parse(bytes).expect("own bytes");
        }
        prop_assert_eq!(frames.keys().count(), map.len());
        prop_assert!(map.iter().all(|(key, value)| frames.get(key) == Some(value)));
    }
}
