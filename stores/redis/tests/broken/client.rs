//! A store on Redis in a few scripts, correct except for one fault.

use std::{collections::HashMap, pin::pin, sync::Mutex, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError,
    aio::MultiplexedConnection,
};
use silverback::{
    Clock, Timestamp,
    store::{Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version},
};
use tokio::time::timeout;

/// Twelve ways in which network stores have been seen to break the contract.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Fault {
    None,
    TouchLeavesTheTtl,
    UpdateLeavesTheTtl,
    LivesAMinute,
    LivesForEver,
    ErrorIsNoRecord,
    GarbageIsNoRecord,
    ShortIsNotStored,
    ComparesThenSets,
    LooksThenSets,
    EndIsOfTheTtl,
    CutsAtAMebibyte,
    CachesInProcess,
}

pub(crate) const DEADLINE: Duration = Duration::from_secs(2);
pub(crate) const PREFIX: &str = "broken:";

pub(crate) struct Broken {
    fault: Fault,
    client: Client,
    connection: tokio::sync::Mutex<Option<MultiplexedConnection>>,
    cache: Mutex<HashMap<RecordKey, Record>>,
}

// ARGV: milliseconds, record.
const CREATE: &str = "if redis.call('EXISTS', KEYS[1]) == 1 then return -3 end
if ARGV[1] == '0' then return 1 end
if ARGV[1] == 'ever' then redis.call('SET', KEYS[1], ARGV[2])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[1]) end
return 1";
// ARGV: expected version, milliseconds, record.
const UPDATE: &str = "local version = redis.call('GETRANGE', KEYS[1], 0, 15)
if version == '' then return -1 end
if version ~= ARGV[1] then return -2 end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1])
elseif ARGV[2] == 'ever' then redis.call('SET', KEYS[1], ARGV[3])
elseif ARGV[2] == 'kept' then redis.call('SET', KEYS[1], ARGV[3], 'KEEPTTL')
else redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2]) end
return 1";
// ARGV: expected version, milliseconds, end.
const TOUCH: &str = "local version = redis.call('GETRANGE', KEYS[1], 0, 15)
if version == '' then return -1 end
if version ~= ARGV[1] then return -2 end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) return 1 end
redis.call('SETRANGE', KEYS[1], 16, ARGV[3])
if ARGV[2] == 'ever' then redis.call('PERSIST', KEYS[1])
elseif ARGV[2] ~= 'kept' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1";
// ARGV: expected version, or nothing.
const DELETE: &str = "local version = redis.call('GETRANGE', KEYS[1], 0, 15)
if ARGV[1] ~= '' and version ~= '' and version ~= ARGV[1] then return -2 end
redis.call('DEL', KEYS[1])
return 1";

fn script(text: &str, key: &RecordKey) -> Cmd {
    let mut script = redis::cmd("EVAL");
    script.arg(text).arg(1).arg(name(key));
    script
}

pub(crate) fn name(key: &RecordKey) -> String {
    format!("{PREFIX}{key}")
}

fn outcome(answer: i64) -> Result<(), StoreError> {
    match answer {
        1 => Ok(()),
        -1 => Err(StoreError::Gone),
        -2 => Err(StoreError::Conflict),
        _ => Err(StoreError::Exists),
    }
}

fn error(error: RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::UnexpectedReturnType | ErrorKind::Parse => StoreError::Corrupt(error.into()),
        _ => StoreError::unavailable(error),
    }
}

/// Waits for the deadline in slices, so that a pause of the whole machine costs only one of them.
async fn in_time<T>(answer: impl Future<Output = Result<T, RedisError>>) -> Result<T, StoreError> {
    let mut answer = pin!(answer);
    for _ in 0..SLICES {
        if let Ok(answer) = timeout(DEADLINE / SLICES, &mut answer).await {
            return answer.map_err(error);
        }
    }
    Err(StoreError::unavailable("the server does not answer"))
}

const SLICES: u32 = 20;

impl Broken {
    pub(crate) fn new(fault: Fault, url: &str) -> Self {
        Self {
            fault,
            client: Client::open(url).unwrap(),
            connection: tokio::sync::Mutex::default(),
            cache: Mutex::default(),
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    async fn connection(&self) -> Result<MultiplexedConnection, StoreError> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = &*kept {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let connecting = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        let connection = in_time(connecting).await?;
        Ok(kept.insert(connection).clone())
    }

    async fn ask<T: FromRedisValue>(&self, question: impl Into<Question>) -> Result<T, StoreError> {
        let mut connection = self.connection().await?;
        let answer = match question.into() {
            Question::One(command) => in_time(command.query_async(&mut connection)).await,
            Question::Many(commands) => in_time(commands.query_async(&mut connection)).await,
        };
        if matches!(answer, Err(StoreError::Unavailable(_))) {
            *self.connection.lock().await = None;
        }
        answer
    }

    fn bytes(&self, version: Version, data: &Bytes, end: Timestamp) -> Vec<u8> {
        let most = if self.has(Fault::CutsAtAMebibyte) {
            1 << 20
        } else {
            usize::MAX
        };
        let data = data.get(..data.len().min(most)).unwrap_or_default();
        [
            version.as_bytes().as_slice(),
            &end.as_secs().to_be_bytes(),
            data,
        ]
        .concat()
    }

    /// How the server learns of an end.
    fn ttl(&self, expiry: Expiry) -> String {
        let is_short = expiry.after < Duration::from_secs(2);
        match self.fault {
            _ if expiry.after.is_zero() => "0".to_owned(),
            Fault::ShortIsNotStored if is_short => "0".to_owned(),
            Fault::LivesAMinute => "60000".to_owned(),
            Fault::LivesForEver => "ever".to_owned(),
            _ => expiry.after.as_millis().to_string(),
        }
    }

    fn read(&self, bytes: Option<Vec<u8>>) -> Result<Option<Record>, StoreError> {
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        let read = || {
            let (version, rest) = bytes.split_first_chunk()?;
            let (end, data) = rest.split_first_chunk()?;
            let end = Timestamp::from_secs(u64::from_be_bytes(*end));
            Some(Record::new(
                data.to_vec(),
                Version::from_bytes(*version),
                end,
            ))
        };
        match read() {
            None if self.has(Fault::GarbageIsNoRecord) => Ok(None),
            None => Err(StoreError::Corrupt("no record".into())),
            some => Ok(some),
        }
    }

    fn cached(&self, key: &RecordKey) -> Option<Record> {
        let cache = self.cache.lock().unwrap();
        cache
            .get(key)
            .filter(|_| self.has(Fault::CachesInProcess))
            .cloned()
    }

    fn remember(&self, key: &RecordKey, record: Option<&Record>) {
        let mut cache = self.cache.lock().unwrap();
        cache.remove(key);
        cache.extend(record.map(|record| (*key, record.clone())));
    }
}

enum Question {
    One(Cmd),
    Many(Pipeline),
}

impl From<Cmd> for Question {
    fn from(command: Cmd) -> Self {
        Self::One(command)
    }
}

impl From<Pipeline> for Question {
    fn from(commands: Pipeline) -> Self {
        Self::Many(commands)
    }
}

fn get(key: &RecordKey) -> Cmd {
    let mut get = redis::cmd("GET");
    get.arg(name(key));
    get
}

/// Writes without regard to the present value.
fn set(key: &RecordKey, ttl: &str, bytes: Vec<u8>) -> Cmd {
    let mut set = redis::cmd(if ttl == "0" { "DEL" } else { "SET" });
    set.arg(name(key));
    if ttl != "0" {
        set.arg(bytes).arg("PX").arg(ttl);
    }
    set
}

impl Store for Broken {
    async fn load(&self, key: &RecordKey, _: Read) -> Result<Option<Record>, StoreError> {
        if let Some(cached) = self.cached(key) {
            return Ok(Some(cached));
        }
        let found = match self.ask(get(key)).await {
            Err(StoreError::Unavailable(_)) if self.has(Fault::ErrorIsNoRecord) => return Ok(None),
            Err(StoreError::Corrupt(_)) if self.has(Fault::GarbageIsNoRecord) => return Ok(None),
            answer => self.read(answer?)?,
        };
        self.remember(key, found.as_ref());
        let Some(found) = found else {
            return Ok(None);
        };
        if !self.has(Fault::EndIsOfTheTtl) {
            return Ok(Some(found));
        }
        let mut ask = redis::cmd("PTTL");
        let left: i64 = self.ask(ask.arg(name(key)).to_owned()).await?;
        let left = Duration::from_millis(left.try_into().unwrap_or(0));
        let (version, end) = (found.version(), Clock::system().now().saturating_add(left));
        Ok(Some(Record::new(found.into_data(), version, end)))
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        if keys.is_empty() {
            return Vec::new();
        }
        if self.has(Fault::EndIsOfTheTtl) {
            let mut loaded = Vec::new();
            for key in keys {
                loaded.push(self.load(key, read).await);
            }
            return loaded;
        }
        let mut all = redis::cmd("MGET");
        for key in keys {
            all.arg(name(key));
        }
        let found: Result<Vec<Option<Vec<u8>>>, _> = self.ask(all).await;
        match found {
            Ok(found) => {
                let newer = |(key, bytes)| match self.cached(key) {
                    Some(cached) => Ok(Some(cached)),
                    None => self.read(bytes),
                };
                keys.iter().zip(found).map(newer).collect()
            }
            Err(_) if self.has(Fault::ErrorIsNoRecord) => keys.iter().map(|_| Ok(None)).collect(),
            Err(error) => {
                let failed = |_| Err(StoreError::unavailable(error.to_string()));
                keys.iter().map(failed).collect()
            }
        }
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let version = Version::random()?;
        let (ttl, bytes) = (self.ttl(expiry), self.bytes(version, &data, expiry.at));
        if self.has(Fault::LooksThenSets) {
            let mut look = redis::cmd("EXISTS");
            if self.ask::<bool>(look.arg(name(key)).to_owned()).await? {
                return Err(StoreError::Exists);
            }
            self.ask::<()>(set(key, &ttl, bytes)).await?;
            return Ok(version);
        }
        let mut create = script(CREATE, key);
        outcome(self.ask(create.arg(ttl).arg(bytes).to_owned()).await?)?;
        Ok(version)
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let version = Version::random()?;
        let bytes = self.bytes(version, &data, expiry.at);
        let ttl = match self.ttl(expiry) {
            ttl if ttl != "0" && self.has(Fault::UpdateLeavesTheTtl) => "kept".to_owned(),
            ttl => ttl,
        };
        if self.has(Fault::ComparesThenSets) {
            let found = self.read(self.ask(get(key)).await?)?;
            if found.ok_or(StoreError::Gone)?.version() != expected {
                return Err(StoreError::Conflict);
            }
            self.ask::<()>(set(key, &ttl, bytes)).await?;
            return Ok(version);
        }
        let mut update = script(UPDATE, key);
        update.arg(expected.as_bytes()).arg(ttl).arg(bytes);
        outcome(self.ask(update).await?)?;
        self.remember(key, None);
        Ok(version)
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let ttl = match self.ttl(expiry) {
            ttl if ttl != "0" && self.has(Fault::TouchLeavesTheTtl) => "kept".to_owned(),
            ttl => ttl,
        };
        let mut touch = script(TOUCH, key);
        touch
            .arg(expected.as_bytes())
            .arg(ttl)
            .arg(&expiry.at.as_secs().to_be_bytes());
        outcome(self.ask(touch).await?)?;
        self.remember(key, None);
        Ok(expected)
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        let [deleted] = <[_; 1]>::try_from(self.delete_many(&[(*key, expected)]).await)
            .map_err(|_| StoreError::refused("one delete has one answer"))?;
        deleted
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        if records.is_empty() {
            return Vec::new();
        }
        let mut all = redis::pipe();
        for (key, expected) in records {
            let expected = expected.map_or(Vec::new(), |version| version.as_bytes().to_vec());
            all.add_command(script(DELETE, key).arg(expected).to_owned());
            self.remember(key, None);
        }
        let deleted: Result<Vec<i64>, _> = self.ask(all).await;
        match deleted {
            Ok(answers) => answers.into_iter().map(outcome).collect(),
            Err(error) => {
                let failed = |_| Err(StoreError::unavailable(error.to_string()));
                records.iter().map(failed).collect()
            }
        }
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }
}
