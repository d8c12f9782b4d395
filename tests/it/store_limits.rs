//! Stores with stale reads, and stores that may forget.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use http::{Method, Request, Response};
use silverback::{
    ConfigError, ErrorKind, Rejection, Session, SessionConfig, SessionLayer, Subjects,
    gorilla::{Gorilla, KeyPair, SecureCookie},
    store::{
        Bytes, CookieStore, DynStore, Expiry, Limits, MemoryStore, Read, Record, RecordKey, Store,
        StoreError, Version,
    },
};

use crate::support::{Jar, Site, keys};

/// A store that answers recent reads with an old state while it lags.
#[derive(Clone, Default)]
struct Lagging {
    memory: MemoryStore,
    past: Arc<Mutex<Option<Option<Record>>>>,
    reads: Arc<Mutex<Vec<Read>>>,
    may_forget: bool,
    never_waits: Arc<AtomicBool>,
}

impl Lagging {
    /// From now on, recent reads return this.
    fn lag(&self, record: Option<Record>) {
        *self.past.lock().unwrap() = Some(record);
    }

    fn take_reads(&self) -> Vec<Read> {
        std::mem::take(&mut self.reads.lock().unwrap())
    }
}

impl Store for Lagging {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        self.reads.lock().unwrap().push(read);
        let past = self.past.lock().unwrap().clone();
        if let (Read::Recent, Some(past)) = (read, past) {
            return Ok(past);
        }
        self.memory.load(key, read).await
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let mut all = Vec::new();
        for key in keys {
            all.push(self.load(key, read).await);
        }
        all
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.memory.create(key, data, expiry).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.memory.update(key, expected, data, expiry).await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.memory.touch(key, expected, expiry).await
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        self.memory.delete(key, expected).await
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        self.memory.delete_many(records).await
    }

    fn limits(&self) -> Limits {
        Limits {
            may_forget: self.may_forget,
            never_waits: self.never_waits.load(Ordering::SeqCst),
            ..Limits::default()
        }
    }
}

/// A site that may allow stale reads, its store, a browser with a session, and the session's key.
async fn site(allows: bool) -> (Site, Lagging, Jar, RecordKey) {
    site_of(Lagging::default(), allows).await
}

async fn site_of(store: Lagging, allows: bool) -> (Site, Lagging, Jar, RecordKey) {
    let config = SessionConfig::new("s", store.clone(), keys());
    let config = if allows {
        config.recent_reads()
    } else {
        config
    };
    let site = Site::of(SessionLayer::new(config));
    let store = Lagging {
        memory: store.memory.clone().clock(site.clock.clone()),
        ..store
    };
    let mut jar = Jar::default();
    site.put(&mut jar, "n", 1).await;
    let id = async |session: Session| {
        session.load().await.unwrap();
        session.record_key().unwrap()
    };
    let (key, _) = site.visit(&mut jar, id).await;
    store.take_reads();
    (site, store, jar, key)
}

async fn read(site: &Site, jar: &Jar, method: Method) -> (Option<u8>, Option<Rejection>) {
    let mut request: Request<()> = jar.request();
    *request.method_mut() = method;
    let response = Response::new(String::new());
    let read = async |session: Session| {
        session.load().await.unwrap();
        (session.get("n").unwrap(), session.rejection())
    };
    let mut jar = jar.clone();
    site.serve(&mut jar, request, read, response).await.0
}

#[tokio::test]
async fn only_safe_requests_get_stale_reads_where_allowed() {
    for (allows, method, expected) in [
        (true, Method::GET, Read::Recent),
        (true, Method::HEAD, Read::Recent),
        (true, Method::POST, Read::Current),
        (true, Method::DELETE, Read::Current),
        (false, Method::GET, Read::Current),
    ] {
        for never_waits in [false, true] {
            let store = Lagging::default();
            store.never_waits.store(never_waits, Ordering::SeqCst);
            let (site, store, jar, _) = site_of(store, allows).await;
            let found = read(&site, &jar, method.clone()).await;
            assert_eq!(found, (Some(1), None), "{method}");
            assert_eq!(store.take_reads(), [expected], "{allows} {method}");
        }
    }
}

#[tokio::test]
async fn a_kept_handle_gets_current_reads() {
    let (site, store, mut jar, _) = site(true).await;
    let load = async |session: Session| {
        session.load().await.unwrap();
        session
    };
    let (kept, _) = site.visit(&mut jar, load).await;
    let (unopened, _) = site.visit(&mut jar, async |session| session).await;
    assert_eq!(store.take_reads(), [Read::Recent]);
    for session in [kept, unopened] {
        session.load().await.unwrap();
        assert_eq!(store.take_reads(), [Read::Current]);
    }
}

/// A recent read that finds nothing is repeated as a current one.
#[tokio::test]
async fn only_a_current_read_can_find_nothing() {
    let (site, store, jar, key) = site(true).await;
    let garbage = Record::new(
        vec![200],
        Version::from_u64(1),
        silverback::Timestamp::from_secs(1 << 40),
    );
    for past in [None, Some(garbage)] {
        store.lag(past);
        assert_eq!(read(&site, &jar, Method::GET).await, (Some(1), None));
        assert_eq!(store.take_reads(), [Read::Recent, Read::Current]);
    }
    // A page may show an ended session as long as the store lags.
    let old = store.memory.load(&key, Read::Current).await.unwrap();
    site.visit(&mut jar.clone(), async |session| {
        session.destroy().await.unwrap()
    })
    .await;
    store.lag(old);
    assert_eq!(read(&site, &jar, Method::GET).await, (Some(1), None));
    let ended = (None, Some(Rejection::Ended));
    assert_eq!(read(&site, &jar, Method::POST).await, ended);
}

#[tokio::test]
async fn a_write_based_on_a_stale_read_is_merged_or_gone() {
    let (site, store, mut jar, key) = site(true).await;
    let old = store.memory.load(&key, Read::Current).await.unwrap();
    site.put(&mut jar, "other", 1).await;
    store.lag(old.clone());
    let count = async |session: Session| {
        session.load().await.unwrap();
        session.update("n", |n: &mut u8| *n += 1).unwrap();
    };
    let (_, response) = site.visit(&mut jar, count).await;
    assert_eq!(response.status(), 200);
    *store.past.lock().unwrap() = None;
    assert_eq!(site.get(&mut jar, "other").await, Some(1));
    assert_eq!(site.get(&mut jar, "n").await, Some(2));
    site.visit(&mut jar.clone(), async |session| {
        session.destroy().await.unwrap()
    })
    .await;
    store.lag(old);
    let (_, response) = site.visit(&mut jar, count).await;
    assert_eq!(response.status(), 409);
}

#[tokio::test]
async fn a_store_that_may_forget_ends_needs_permission() {
    let forgetful = || Lagging {
        may_forget: true,
        ..Lagging::default()
    };
    let error = ConfigError::ForgetfulStore("s".into());
    let in_cookie = SessionConfig::new("s", CookieStore::new().revocation(forgetful()), keys());
    let layer = SessionLayer::try_new(in_cookie.clone());
    assert_eq!(layer.unwrap_err(), error);
    assert!(SessionLayer::try_new(in_cookie.allow_forgetful_stores()).is_ok());

    let pair = KeyPair::signing([1; 32]).unwrap();
    let gorilla = Gorilla::new(SecureCookie::new([pair]).unwrap());
    let of_go = SessionConfig::new("s", forgetful(), keys()).read_gorilla(gorilla);
    let layer = SessionLayer::try_new(of_go.clone());
    assert_eq!(layer.unwrap_err(), error);
    assert!(SessionLayer::try_new(of_go.allow_forgetful_stores()).is_ok());

    let in_store = SessionConfig::new("s", forgetful(), keys());
    assert_eq!(Subjects::new(&in_store).unwrap_err(), error);
    for allows in [false, true] {
        let config = in_store.clone();
        let config = if allows {
            config.allow_forgetful_stores()
        } else {
            config
        };
        let site = Site::of(SessionLayer::new(config));
        let set = async |session: Session| {
            session.load().await.unwrap();
            let set = session.set_subject("ada", "laptop");
            set.map_err(|error| error.kind())
        };
        let (set, _) = site.visit(&mut Jar::default(), set).await;
        let expected = match allows {
            true => Ok(()),
            false => Err(ErrorKind::ForgetfulStore),
        };
        assert_eq!(set, expected);
    }
}

/// Later calls rely on its first answer.
#[test]
fn a_store_declares_once_whether_it_waits() {
    for first in [false, true] {
        let store = Lagging::default();
        store.never_waits.store(first, Ordering::SeqCst);
        let erased = DynStore::new(store.clone());
        store.never_waits.store(!first, Ordering::SeqCst);
        assert_eq!(erased.limits().never_waits, first);
    }
}
