//! Counts how many saves a second a file takes, each on the disk before it is answered:
//!
//! ```sh
//! cargo run --release -p silverback-redb --example rate -- DIRECTORY
//! ```

use std::{
    env,
    error::Error,
    path::PathBuf,
    time::{Duration, Instant},
};

use silverback::{
    Clock,
    store::{Bytes, Expiry, Read, RecordKey, Store as _},
};
use silverback_redb::{Durability, RedbStore};

/// As long as each line takes.
const LENGTH: Duration = Duration::from_secs(3);

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let folder = env::args_os().nth(1).ok_or("name a directory")?;
    println!("durability, who write at once, saves a second, loads a second of one");
    for durability in [Durability::Full, Durability::None] {
        for writers in [1, 8, 64, 512] {
            let path = PathBuf::from(&folder).join("rate.redb");
            let options = RedbStore::options().durability(durability);
            let store = options.open(&path).await?;
            let saves = saves(&store, writers).await?;
            let loads = loads(&store).await?;
            println!("{durability:?}, {writers}, {saves:.0}, {loads:.0}");
            store.close().await;
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn key(writer: u16) -> RecordKey {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&writer.wrapping_mul(40_503).to_be_bytes());
    RecordKey::from_bytes(bytes)
}

fn day() -> Expiry {
    let now = Clock::system().now();
    Expiry::new(now.saturating_add(Duration::from_secs(86_400)), now)
}

/// A session of a usual size.
fn data() -> Bytes {
    Bytes::from(vec![1; 300])
}

async fn saves(store: &RedbStore, writers: u16) -> Result<f64, Failure> {
    let begin = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut version = store.create(&key(writer), data(), day()).await?;
                let mut saves = 1_u32;
                while begin.elapsed() < LENGTH {
                    version = store.update(&key(writer), version, data(), day()).await?;
                    saves += 1;
                }
                Ok::<_, Failure>(saves)
            })
        })
        .collect();
    let mut saves = 0;
    for task in tasks {
        saves += task.await??;
    }
    Ok(f64::from(saves) / begin.elapsed().as_secs_f64())
}

async fn loads(store: &RedbStore) -> Result<f64, Failure> {
    let (begin, mut loads) = (Instant::now(), 0_u32);
    while begin.elapsed() < LENGTH / 3 {
        store.load(&key(0), Read::Current).await?;
        loads += 1;
    }
    Ok(f64::from(loads) / begin.elapsed().as_secs_f64())
}
