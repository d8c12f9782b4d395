//! The filesystem store beside a floor: the same system calls by hand, on other files.

use std::{
    error::Error, ffi::OsStr, fs::File, hint::black_box, io, os::unix::ffi::OsStrExt, path::Path,
};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir};
use silverback::{
    Clock, Timestamp,
    store::{Bytes, Durability, FilesystemStore, Read, Store, Sweep},
};

use kit::{
    calls::{Calls, path_of},
    page::Page,
    time::{cpu_of, cpu_per_call, micros, percentile, wall_of, wall_of_calls},
};

use crate::{
    NEVER, Scale, cycle,
    goals::{GOAL, goal, put},
    key_of, now, until,
};

pub(crate) const LEN: usize = 300;
/// Bytes that the store writes for such a record, with the header.
const SLOT: usize = LEN + 96;
const START: Timestamp = Timestamp::from_secs(1_000_000_000);
const STEP: usize = 1_000;
/// Bytes of the buffer for a directory's names.
const NAMES: usize = 32 << 10;

pub(crate) fn run(scale: &Scale, parent: &Path, page: &Page) -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    let few = few(scale, parent, &mut rows)?;
    rows.push(cycle::row(scale, parent)?);
    synced(scale, parent, &mut rows)?;
    many(scale, parent, few, &mut rows)?;
    put(page, "files", GOAL, &rows)
}

fn data() -> Bytes {
    Bytes::from(vec![7; LEN])
}

/// One record in the page cache. The floor has another.
fn few(
    scale: &Scale,
    parent: &Path,
    rows: &mut Vec<[String; 5]>,
) -> Result<[[f64; 2]; 2], Box<dyn Error>> {
    let dir = tempfile::tempdir_in(parent)?;
    let store = FilesystemStore::open(dir.path())?;
    let key = key_of(1);
    let mut version = now(store.create(&key, data(), NEVER));
    let other = key_of(2);
    now(store.create(&other, data(), NEVER));
    let [mut reader, mut writer] = floors(dir.path())?;
    let data = data();
    let [load, load_floor, update, update_floor] = cpu_per_call(
        scale.rounds,
        scale.calls,
        [
            &mut || {
                assert_eq!(
                    now(store.load(&key, Read::Current)).map(|record| record.data().len()),
                    Some(LEN)
                )
            },
            &mut || reader.load(&other).expect("the file is there"),
            &mut || version = now(store.update(&key, version, data.clone(), NEVER)),
            &mut || writer.update(&other).expect("the file is there"),
        ],
    );
    assert_eq!(
        now(store.load(&key, Read::Current)).map(|record| record.version()),
        Some(version)
    );
    let micros = |time: f64| format!("{time:.2} µs");
    rows.push(goal(
        "load, processor time",
        "≤ 2.3 µs",
        micros(load),
        micros(load_floor),
        load <= 2.3,
    ));
    rows.push(goal(
        "update, processor time",
        "≤ 5.7 µs",
        micros(update),
        micros(update_floor),
        update <= 5.7,
    ));
    Ok([[load, load_floor], [update, update_floor]])
}

/// One floor that loads and one that updates.
fn floors(path: &Path) -> io::Result<[Calls; 2]> {
    Ok([Calls::open(path, LEN)?, Calls::open(path, LEN)?])
}

fn synced(scale: &Scale, parent: &Path, rows: &mut Vec<[String; 5]>) -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir_in(parent)?;
    let store = FilesystemStore::options()
        .durability(Durability::Data)
        .open(dir.path())?;
    let (key, other) = (key_of(1), key_of(2));
    let mut version = now(store.create(&key, data(), NEVER));
    now(store.create(&other, data(), NEVER));
    let path = dir.path().join(OsStr::from_bytes(&path_of(&other)));
    let file = File::options().read(true).write(true).open(path)?;
    let data = data();
    let mut turn = 0;
    let [update, sync] = wall_of_calls(
        scale.syncs * 4,
        [
            &mut || version = now(store.update(&key, version, data.clone(), NEVER)),
            &mut || {
                turn = 1 - turn;
                rustix::io::pwrite(&file, &[7; SLOT], turn * 2_048).expect("the file is there");
                rustix::fs::fdatasync(&file).expect("the file is there");
            },
        ],
    )
    .map(|times| percentile(times, 50));
    let ratio = update / sync;
    let measured = format!("{ratio:.2} times: {update:.0} µs");
    rows.push(goal(
        "update with sync, beside pwrite and fdatasync, median",
        "≤ 1.15 times",
        measured,
        format!("{sync:.0} µs"),
        ratio <= 1.15,
    ));
    Ok(())
}

/// As many records as the goals name.
fn many(
    scale: &Scale,
    parent: &Path,
    few: [[f64; 2]; 2],
    rows: &mut Vec<[String; 5]>,
) -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir_in(parent)?;
    let clock = Clock::manual(START);
    let store = FilesystemStore::options()
        .clock(clock.clone())
        .open(dir.path())?;
    let end = until(Timestamp::from_secs(START.as_secs() + 3_600));
    let count = scale.sessions;
    eprintln!("making {count} files");
    let create = |number| now(store.create(&key_of(number), data(), end));
    let versions: Vec<_> = (0..count).map(create).collect();
    let [mut reader, mut writer] = floors(dir.path())?;
    sweeps(&store, dir.path(), count, rows)?;
    // Each key comes once, so that its version is known.
    let mut next = 0;
    let mut number = move || {
        next = (next + 7_919) % count;
        next
    };
    let data = data();
    let [mut a, mut b, mut c] = [number; 3];
    let rounds = usize::try_from(count / 4 / u64::from(scale.calls))?.clamp(1, scale.rounds);
    // Each of the four starts elsewhere, so that it uses records that none has used lately.
    (0..count / 4).for_each(|_| _ = a());
    (0..count / 2).for_each(|_| _ = b());
    (0..count / 4 * 3).for_each(|_| _ = c());
    let [load, load_floor, update, update_floor] = cpu_per_call(
        rounds,
        scale.calls,
        [
            &mut || {
                assert_eq!(
                    now(store.load(&key_of(number()), Read::Current))
                        .map(|record| record.data().len()),
                    Some(LEN)
                )
            },
            &mut || reader.load(&key_of(a())).expect("the file is there"),
            &mut || {
                let number = b();
                let version = versions
                    .get(usize::try_from(number).unwrap_or(usize::MAX))
                    .expect("it was made");
                let key = key_of(number);
                let _ = black_box(now(store.update(&key, *version, data.clone(), end)));
            },
            &mut || writer.update(&key_of(c())).expect("the file is there"),
        ],
    );
    for (name, [time, floor], [few, few_floor]) in [
        ("load", [load, load_floor], few[0]),
        ("update", [update, update_floor], few[1]),
    ] {
        let times = |time: f64, few: f64| format!("{:.1} times: {time:.2} µs", time / few);
        let name = format!("{name} at {count} sessions, processor time");
        rows.push(goal(
            &name,
            "≤ 2 times that of one",
            times(time, few),
            times(floor, few_floor),
            time <= 2.0 * few,
        ));
    }
    clock.set(Timestamp::from_secs(end.at.as_secs() + 1));
    let (time, swept) = wall_of(|| now(async { Ok::<_, io::Error>(store.sweep().await) }));
    assert_eq!(swept.removed(), count);
    eprintln!(
        "a sweep that removed all of {count} took {:.1} s",
        time.as_secs_f64()
    );
    Ok(())
}

/// A sweep in steps that removes nothing, beside a stat of each file by hand.
fn sweeps(
    store: &FilesystemStore,
    path: &Path,
    count: u64,
    rows: &mut Vec<[String; 5]>,
) -> Result<(), Box<dyn Error>> {
    let (floor_time, found) = wall_of(|| stat_all(path));
    assert_eq!(found?, count);
    let (mut steps, mut examined, mut cpu) = (Vec::new(), 0, 0.0);
    loop {
        let (processor, (time, swept)) =
            cpu_of(|| wall_of(|| now(async { Ok::<_, io::Error>(store.sweep_some(STEP).await) })));
        steps.push(micros(time));
        cpu += processor.as_secs_f64();
        examined += swept.examined();
        assert_eq!((swept.removed(), swept.failed()), (0, 0));
        if swept.is_finished() {
            break;
        }
    }
    assert!(examined >= count);
    let total = steps.iter().sum::<f64>() / 1e6;
    let longest = percentile(steps.clone(), 100 - 1);
    rows.push(goal(
        &format!("sweep of {count}, in steps of {STEP}"),
        "≤ 2.5 s",
        format!("{total:.2} s ({cpu:.2} s processor); {longest:.0} µs a step, 99 %"),
        format!("{:.2} s: list and stat", floor_time.as_secs_f64()),
        total <= 2.5,
    ));
    Ok(())
}

/// Lists the store's folders and stats all files.
fn stat_all(path: &Path) -> io::Result<u64> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    let mut count = 0;
    for shard in std::fs::read_dir(path)? {
        let shard = rustix::fs::openat(&root, shard?.file_name(), flags, Mode::empty())?;
        let mut buffer = Vec::with_capacity(NAMES);
        let mut entries = RawDir::new(&shard, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            if !entry.file_name().to_bytes().starts_with(b".") {
                black_box(rustix::fs::statat(
                    &shard,
                    entry.file_name(),
                    AtFlags::SYMLINK_NOFOLLOW,
                )?);
                count += 1;
            }
        }
    }
    Ok(count)
}
