//! The store compared with a map that has no slots, windows or boxes.

use super::*;

/// An operation on one key, with one of a few lengths, ends, versions and times.
#[derive(Clone, Debug)]
struct Step {
    what: u8,
    key: u16,
    len: usize,
    first: u8,
    number: u8,
}

fn steps(keys: u16, count: usize) -> impl Strategy<Value = Vec<Step>> {
    let near = (0..EDGES.len(), 0..3_usize).prop_map(|(at, more)| (EDGES[at] + more).max(1) - 1);
    let len = prop_oneof![3 => near, 1 => 0..600_usize];
    let step = (0..32_u8, 0..keys, len, 0..FIRST.len(), any::<u8>());
    let step = step.prop_map(|(what, key, len, first, number)| Step {
        what,
        key,
        len,
        first: FIRST[first],
        number,
    });
    prop::collection::vec(step, 0..count)
}

#[derive(Clone, Debug)]
struct ModelRecord {
    data: Bytes,
    version: Version,
    expires: Timestamp,
    is_used: bool,
}

impl ModelRecord {
    fn new(data: Bytes, version: Version, expiry: Expiry, is_used: bool) -> Self {
        let expires = expiry.at;
        Self {
            data,
            version,
            expires,
            is_used,
        }
    }

    fn class(&self) -> Class {
        match RecordKind::of(&self.data) {
            Some(RecordKind::Session) if !self.is_used => Class::Unused,
            Some(RecordKind::Session) | None => Class::Session,
            Some(RecordKind::Roster) => Class::Roster,
            Some(RecordKind::End) => Class::End,
            Some(RecordKind::Mark | RecordKind::Moved) => Class::Mark,
        }
    }

    /// When the end or roster was set, if it contains that.
    fn set(&self) -> Option<u64> {
        self.data.get(5).map(|set| u64::from(*set))
    }
}

/// A store and its expected content. An expired record may be in either until an operation reveals
/// it.
struct Pair {
    store: MemoryStore,
    clock: Clock,
    records: BTreeMap<RecordKey, ModelRecord>,
    /// All versions ever seen.
    versions: Vec<(RecordKey, Version)>,
    evicted: [u64; 4],
    forgotten: Option<u64>,
}

impl Pair {
    fn new(max_bytes: usize) -> Self {
        let clock = Clock::manual(START);
        Self {
            store: MemoryStore::new().max_bytes(max_bytes).clock(clock.clone()),
            clock,
            records: BTreeMap::new(),
            versions: Vec::new(),
            evicted: [0; 4],
            forgotten: None,
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn alive(&self, key: &RecordKey) -> Option<&ModelRecord> {
        let now = self.now();
        self.records.get(key).filter(|kept| kept.expires > now)
    }

    /// All listed records, in pages of this size.
    fn listed(&self, limit: usize) -> BTreeMap<RecordKey, Listed> {
        let (mut all, mut from) = (BTreeMap::new(), Some(Cursor::default()));
        while let Some(cursor) = from {
            let page = done(self.store.browse(&cursor, limit)).unwrap();
            assert!(page.entries.len() <= limit.max(1));
            for listed in page.entries {
                assert!(
                    all.insert(listed.key, listed).is_none(),
                    "a record is listed twice"
                );
            }
            from = page.next;
        }
        all
    }

    fn expiry(&self, number: u8) -> Expiry {
        let now = self.now();
        let secs = now.as_secs();
        let ends = [secs - 5, secs, secs + 1, secs + 10, secs + 100, u64::MAX];
        let end = ends[usize::from(number) % ends.len()];
        Expiry::new(Timestamp::from_secs(end), now)
    }

    /// The current version, or one that this key or another once had.
    fn version(&self, key: &RecordKey, number: u8) -> Version {
        let current = self.records.get(key).map(|kept| kept.version);
        let own = || self.versions.iter().filter(|(other, _)| other == key);
        let mut own_and_others = own().chain(&self.versions).cycle();
        let other = || {
            own_and_others
                .nth(number.into())
                .map(|(_, version)| *version)
        };
        let is_current = !number.is_multiple_of(4);
        let version = current.filter(|_| is_current).or_else(other);
        version.unwrap_or(Version::from_u64(1))
    }

    fn put(&mut self, key: RecordKey, kept: ModelRecord) {
        let version = (key, kept.version);
        assert!(!self.versions.contains(&version), "a version was repeated");
        self.versions.push(version);
        self.records.insert(key, kept);
    }

    fn step(&mut self, step: &Step) {
        let (key, number) = (key(step.key), step.number);
        let data = bytes(step.len, step.first, number);
        let (expiry, expected) = (self.expiry(number / 4), self.version(&key, number));
        let before = self.records.clone();
        match step.what {
            0..8 => self.create(key, data, expiry),
            8..18 => self.update(key, expected, data, expiry),
            18..20 => self.touch(key, expected, expiry),
            20..22 => self.delete(key, number.is_multiple_of(2).then_some(expected)),
            22..25 => self.pass(number),
            25 => self.go_back(number),
            26 => self.sweep(),
            27 => drop(done(self.store.sweep_some(number.into()))),
            _ => {}
        }
        self.take_note_of_evicted(&before, &key);
        self.load(&key);
    }

    fn create(&mut self, key: RecordKey, data: Bytes, expiry: Expiry) {
        let created = done(self.store.create(&key, data.clone(), expiry));
        match created {
            Err(StoreError::Exists) => assert!(self.alive(&key).is_some()),
            Err(error) => self.is_full(&key, data.len(), &error),
            Ok(version) => {
                assert!(self.alive(&key).is_none());
                self.put(key, ModelRecord::new(data, version, expiry, false));
            }
        }
    }

    fn update(&mut self, key: RecordKey, expected: Version, data: Bytes, expiry: Expiry) {
        let updated = done(self.store.update(&key, expected, data.clone(), expiry));
        let found = self.alive(&key).map(|kept| kept.version);
        match updated {
            Err(StoreError::Gone) => assert_eq!(found, None),
            Err(StoreError::Conflict) => assert!(found.is_some_and(|found| found != expected)),
            Err(error) => self.is_full(&key, data.len(), &error),
            Ok(version) => {
                assert_eq!(found, Some(expected));
                self.put(key, ModelRecord::new(data, version, expiry, true));
            }
        }
    }

    fn touch(&mut self, key: RecordKey, expected: Version, expiry: Expiry) {
        let touched = done(self.store.touch(&key, expected, expiry));
        let now = self.now();
        let alive = self.records.get_mut(&key).filter(|kept| kept.expires > now);
        match (touched, alive) {
            (Err(StoreError::Gone), found) => assert!(found.is_none()),
            (Err(StoreError::Conflict), Some(found)) => assert_ne!(found.version, expected),
            (Ok(version), Some(found)) => {
                assert_eq!((version, found.version), (expected, expected));
                (found.expires, found.is_used) = (expiry.at, true);
            }
            (touched, found) => panic!("{touched:?} of {found:?}"),
        }
    }

    fn delete(&mut self, key: RecordKey, expected: Option<Version>) {
        let deleted = done(self.store.delete(&key, expected));
        let found = self.alive(&key).map(|kept| kept.version);
        match deleted {
            Err(StoreError::Conflict) => assert!(found.is_some() && found != expected),
            deleted => {
                assert!(deleted.is_ok());
                assert!(found.is_none() || expected.is_none() || found == expected);
                self.records.remove(&key);
            }
        }
    }

    fn pass(&self, number: u8) {
        self.clock
            .advance(Duration::from_secs(u64::from(number % 12)));
    }

    /// Turns the clock back: an expired record that is still there lives again.
    fn go_back(&mut self, number: u8) {
        let (listed, now) = (self.listed(20), self.now());
        self.records
            .retain(|key, kept| kept.expires > now || listed.contains_key(key));
        let back = now.as_secs() - u64::from(number % 12);
        self.clock.set(Timestamp::from_secs(back));
    }

    fn sweep(&mut self) {
        let (listed, now) = (self.listed(7), self.now());
        let over = listed.values().filter(|listed| listed.expires <= now);
        let (over, swept) = (over.count(), done(self.store.sweep()));
        let counts = (swept.examined(), swept.removed(), swept.is_finished());
        assert_eq!(counts, (listed.len() as u64, over as u64, true));
        self.records.retain(|_, kept| kept.expires > now);
        assert!(self.listed(20).keys().eq(self.records.keys()));
    }

    fn load(&mut self, key: &RecordKey) {
        let loaded = done(self.store.load(key, Read::Current)).unwrap();
        let now = self.now();
        let kept = self.records.get_mut(key).filter(|kept| kept.expires > now);
        let found = kept.map(|kept| {
            kept.is_used = true;
            Record::new(kept.data.clone(), kept.version, kept.expires)
        });
        assert_eq!(loaded, found);
    }

    /// Checks that there was no room, and no other record to evict.
    fn is_full(&self, key: &RecordKey, len: usize, error: &StoreError) {
        let limit = self.store.max_bytes / SHARDS;
        if let StoreError::TooLarge { size, limit: most } = error {
            assert_eq!((*size, *most), (len, limit - OVERHEAD));
            assert!(len + OVERHEAD > limit);
            return;
        }
        assert!(matches!(error, StoreError::Refused { .. }), "{error}");
        let listed = self.listed(20);
        let others = || {
            listed
                .values()
                .filter(|other| shard_of(&other.key) == shard_of(key))
        };
        let others = others().filter(|other| other.key != *key);
        let mut bytes = 0;
        for other in others {
            assert!(matches!(other.kind, Some(RecordKind::Mark)), "{other:?}");
            bytes += other.size + OVERHEAD;
        }
        assert!(bytes + len + OVERHEAD > limit);
    }

    /// Checks that each removed record was expired, or was the first to evict.
    fn take_note_of_evicted(
        &mut self,
        before: &BTreeMap<RecordKey, ModelRecord>,
        written: &RecordKey,
    ) {
        let (listed, now) = (self.listed(20), self.now());
        let mut evicted = Vec::new();
        for (key, kept) in before {
            let has_left = self.records.contains_key(key) && !listed.contains_key(key);
            if has_left && kept.expires > now {
                assert_ne!(key, written);
                evicted.push((key, kept));
                self.records.remove(key);
            }
        }
        for (key, kept) in evicted {
            let class = kept.class();
            self.evicted[class as usize] += 1;
            let set = match class {
                Class::End => Some(kept.set().unwrap_or(now.as_secs())),
                Class::Roster => kept.set().filter(|set| *set > 0),
                _ => None,
            };
            self.forgotten = self.forgotten.max(set.map(|set| set.max(1)));
            let beside = self.records.iter();
            let beside =
                beside.filter(|(other, _)| shard_of(other) == shard_of(key) && *other != written);
            for (_, left) in beside.filter(|(_, left)| left.expires > now) {
                let order = |kept: &ModelRecord| match kept.class() {
                    Class::End => (Class::End as usize, kept.set().unwrap_or(u64::MAX)),
                    class => (class as usize, 0),
                };
                assert!(
                    order(left) >= order(kept),
                    "{left:?} stayed instead of {kept:?}"
                );
            }
        }
    }

    fn check(&self, limit: usize) {
        let (listed, now) = (self.listed(limit), self.now());
        let mut living = self.records.iter().filter(|(_, kept)| kept.expires > now);
        assert!(living.all(|(key, _)| listed.contains_key(key)));
        for (key, listed) in &listed {
            let kept = &self.records[key];
            assert_eq!(
                (listed.expires, listed.size),
                (kept.expires, kept.data.len())
            );
            assert_eq!(listed.kind, RecordKind::of(&kept.data));
        }
        let is_counted = |listed: &&Listed| listed.kind != Some(RecordKind::Mark);
        assert_eq!(self.store.len(), listed.values().filter(is_counted).count());
        let sizes = listed.values().map(|listed| listed.size + OVERHEAD);
        let shards = || self.store.shared.shards.iter();
        let counted = shards().map(|shard| shard.lock().bytes());
        assert_eq!(counted.sum::<usize>(), sizes.sum::<usize>());
        for shard in shards() {
            let shard = shard.lock();
            assert!(shard.bytes() <= self.store.max_bytes / SHARDS);
            shard.assert_counted();
        }
        let Evicted {
            unused_sessions,
            sessions,
            rosters,
            ends,
        } = self.store.evicted();
        assert_eq!([unused_sessions, sessions, rosters, ends], self.evicted);
        let forgotten = self.store.limits().forgotten_until;
        assert_eq!(forgotten.map(Timestamp::as_secs), self.forgotten);
    }
}

fn run(max_bytes: usize, steps: &[Step]) {
    let mut pair = Pair::new(max_bytes);
    for step in steps {
        pair.step(step);
        pair.check(20);
    }
    pair.check(3);
    pair.sweep();
    pair.check(1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn it_is_a_map_of_live_records(steps in steps(12, 120)) {
        run(1 << 30, &steps);
    }

    #[test]
    fn a_full_store_is_a_map_of_what_was_not_evicted(steps in steps(60, 120)) {
        run(SHARDS * 1_700, &steps);
    }
}
