//! The records of one of Go's stores, and Go as their other user.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

use silverback::{
    Clock, GoRecord, GoRecords, GorillaRecords, Timestamp,
    gorilla::{
        GoData, GoLayout, Gorilla, KeyPair, SecureCookie,
        gob::{Gob, TypeId, Types, Value},
    },
    store::StoreError,
};
use tokio::task::yield_now;

use super::{
    plan::{Act, Fault},
    script::{COUNTED, Tag},
};

type Row = (Vec<u8>, Timestamp);

/// A server that waits and may fail, or one for the watcher, which does neither.
#[derive(Clone)]
pub(super) struct Table {
    rows: Arc<Mutex<BTreeMap<String, Row>>>,
    fault: Arc<Mutex<Option<Fault>>>,
    clock: Clock,
    waits: bool,
}

fn cookies() -> SecureCookie {
    SecureCookie::new([KeyPair::signing([1; 32]).unwrap()]).unwrap()
}

impl Table {
    pub(super) fn new(clock: &Clock) -> Self {
        Self {
            rows: Arc::default(),
            fault: Arc::default(),
            clock: clock.clone(),
            waits: true,
        }
    }

    pub(super) fn at_once(&self) -> Self {
        let waits = false;
        Self {
            waits,
            ..self.clone()
        }
    }

    pub(super) fn records(&self) -> GorillaRecords<Self> {
        let records = GorillaRecords::new(self.clone(), "s", Gorilla::new(cookies()));
        records.clock(self.clock.clone())
    }

    /// Has the next call fail, until it is told otherwise.
    pub(super) fn fails(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap() = fault;
    }

    /// The number of sessions that have not expired.
    pub(super) fn len(&self) -> usize {
        let (rows, now) = (self.rows.lock().unwrap(), self.clock.now());
        rows.values().filter(|(_, end)| *end > now).count()
    }

    async fn call<T>(
        &self,
        apply: impl Fn(&mut BTreeMap<String, Row>) -> T + Send,
    ) -> Result<T, StoreError>
    where
        T: Send,
    {
        if self.waits {
            yield_now().await;
            self.fault_of(&[Fault::Down, Fault::Unanswered])?;
        }
        let answer = apply(&mut self.rows.lock().unwrap());
        if self.waits {
            yield_now().await;
            self.fault_of(&[Fault::Unheard, Fault::Repeated])?;
        }
        Ok(answer)
    }

    fn fault_of(&self, faults: &[Fault]) -> Result<(), StoreError> {
        let mut fault = self.fault.lock().unwrap();
        match fault.take_if(|fault| faults.contains(fault)) {
            Some(_) => Err(StoreError::unavailable("the server is down")),
            None => Ok(()),
        }
    }

    fn end(&self, lasts: Duration) -> Timestamp {
        self.clock.now().saturating_add(lasts)
    }

    /// A request to Go: loads the session, does one thing, and saves it. Returns the cookie that
    /// the response sets, or `None` if Go finds no such session.
    pub(super) fn go(
        &self,
        cookie: &str,
        act: Act,
        tag: Tag,
        took: &mut Vec<Tag>,
    ) -> Option<Option<String>> {
        let now = self.clock.now();
        let id = cookies().decode("s", cookie.as_bytes(), now).ok()?;
        let id = Gob::decode(&id.payload).ok()?.value.as_str()?.to_owned();
        let mut rows = self.rows.lock().unwrap();
        let (data, end) = rows.get_mut(&id).filter(|(_, end)| *end > now)?;
        let mut gob = Gob::decode(data).unwrap();
        let number = || Value::Int(tag.into()).named("int");
        match act {
            Act::Count => gob.insert(&format!("{COUNTED}{tag}"), number()),
            Act::Flash => push(&mut gob, "_flash", number()),
            Act::TakeFlashes => {
                let found = gob.get("_flash").map(numbers).unwrap_or_default();
                took.extend(found);
                gob.remove("_flash");
            }
            Act::Destroy => {
                rows.remove(&id);
                return Some(None);
            }
            _ => {}
        }
        *data = gob.encode().unwrap();
        *end = now.saturating_add(Duration::from_secs(30 * 86_400));
        let payload = Gob::new(Types::new(), Value::string(&*id))
            .encode()
            .unwrap();
        Some(Some(cookies().encode("s", &payload, now).unwrap()))
    }
}

fn numbers(list: &Value) -> Vec<Tag> {
    let Value::List { items, .. } = list.concrete() else {
        return Vec::new();
    };
    let number = |item: &Value| match item.concrete() {
        Value::Int(number) => Tag::try_from(*number).unwrap(),
        other => panic!("{other:?}"),
    };
    items.iter().map(number).collect()
}

fn push(gob: &mut Gob, key: &str, value: Value) {
    let mut list = match gob.get(key).map(Value::concrete) {
        Some(Value::List { items, .. }) => items.clone(),
        _ => Vec::new(),
    };
    list.push(value);
    let ty = gob.types.slice_of(TypeId::INTERFACE);
    let items = mem::take(&mut list);
    gob.insert(key, Value::List { ty, items }.named("[]interface {}"));
}

impl GoRecords for Table {
    fn layout(&self) -> GoLayout {
        GoLayout::signed_ids(GoData::Payload)
    }

    async fn load(&self, id: &str) -> Result<Option<GoRecord>, StoreError> {
        let now = self.clock.now();
        let load = |rows: &mut BTreeMap<String, Row>| rows.get(id).cloned();
        let row = self.call(load).await?.filter(|(_, end)| *end > now);
        Ok(row.map(|(data, end)| {
            let left = end.as_secs() - now.as_secs();
            GoRecord::new(data).remains(Duration::from_secs(left))
        }))
    }

    async fn create(&self, id: &str, data: &[u8], lasts: Duration) -> Result<(), StoreError> {
        let end = self.end(lasts);
        self.call(|rows| assert!(rows.insert(id.to_owned(), (data.to_vec(), end)).is_none()))
            .await
    }

    async fn replace(
        &self,
        id: &str,
        old: &[u8],
        new: &[u8],
        lasts: Duration,
    ) -> Result<bool, StoreError> {
        let end = self.end(lasts);
        self.call(|rows| match rows.get_mut(id) {
            Some(row) if row.0 == old => {
                *row = (new.to_vec(), end);
                true
            }
            _ => false,
        })
        .await
    }

    async fn remove(&self, id: &str, expected: Option<&[u8]>) -> Result<bool, StoreError> {
        self.call(|rows| {
            let is_it = |row: &Row| expected.is_none_or(|expected| row.0 == expected);
            rows.get(id).is_some_and(is_it) && rows.remove(id).is_some()
        })
        .await
    }
}
