//! Sessions of gorilla's stores on servers, shared or taken over. Other tests run each store beside
//! Go itself.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Method, Request, Response, header};
use silverback::{
    Clock, ErrorKind, GoRecord, GoRecords, GorillaRecords, Keys, MemoryStore, Rejection, Session,
    SessionConfig, SessionLayer, Sessions,
    gorilla::{
        GoData, GoLayout, GoPayload, Gorilla, KeyPair, SecureCookie,
        gob::{Gob, Types, Value},
    },
    store::StoreError,
};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    DAY, Jar, MINUTE, START, keys,
    log::recorded,
    no_cookie,
    scripted::{Before, Create, Fail, Scripted},
    set_cookie,
};

/// The data that Go would find under each ID, and how long it lasts.
type Rows = BTreeMap<String, (Vec<u8>, Duration)>;

/// The records of a server.
#[derive(Clone)]
struct Table {
    layout: GoLayout,
    rows: Arc<Mutex<Rows>>,
    fails: Arc<AtomicBool>,
}

impl Table {
    fn of(layout: GoLayout) -> Self {
        Self {
            layout,
            rows: Arc::default(),
            fails: Arc::default(),
        }
    }

    fn ids(&self) -> Vec<String> {
        self.rows.lock().unwrap().keys().cloned().collect()
    }

    fn only(&self) -> (String, Vec<u8>, Duration) {
        let rows = self.rows.lock().unwrap();
        assert_eq!(rows.len(), 1);
        let (id, (data, lasts)) = rows.first_key_value().unwrap();
        (id.clone(), data.clone(), *lasts)
    }

    fn put(&self, id: &str, data: Vec<u8>) {
        let mut rows = self.rows.lock().unwrap();
        rows.insert(id.to_owned(), (data, DAY));
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.fails.load(Ordering::SeqCst) {
            true => Err(StoreError::unavailable("the server is down")),
            false => Ok(()),
        }
    }
}

impl GoRecords for Table {
    fn layout(&self) -> GoLayout {
        self.layout
    }

    async fn load(&self, id: &str) -> Result<Option<GoRecord>, StoreError> {
        self.check()?;
        let row = self.rows.lock().unwrap().get(id).cloned();
        Ok(row.map(|(data, lasts)| GoRecord::new(data).remains(lasts)))
    }

    async fn create(&self, id: &str, data: &[u8], lasts: Duration) -> Result<(), StoreError> {
        self.check()?;
        let mut rows = self.rows.lock().unwrap();
        assert!(rows.insert(id.to_owned(), (data.to_vec(), lasts)).is_none());
        Ok(())
    }

    async fn replace(
        &self,
        id: &str,
        old: &[u8],
        new: &[u8],
        lasts: Duration,
    ) -> Result<bool, StoreError> {
        self.check()?;
        match self.rows.lock().unwrap().get_mut(id) {
            Some(row) if row.0 == old => *row = (new.to_vec(), lasts),
            _ => return Ok(false),
        }
        Ok(true)
    }

    async fn remove(&self, id: &str, expected: Option<&[u8]>) -> Result<bool, StoreError> {
        self.check()?;
        let mut rows = self.rows.lock().unwrap();
        let is_it = |row: &(Vec<u8>, Duration)| expected.is_none_or(|expected| row.0 == expected);
        Ok(rows.get(id).is_some_and(is_it) && rows.remove(id).is_some())
    }
}

fn cookies() -> SecureCookie {
    SecureCookie::new([KeyPair::encrypting([1; 32], [1; 16]).unwrap()]).unwrap()
}

/// The layouts of redistore, redisstore and pgstore, and one with JSON.
fn sites() -> [Site; 4] {
    let payload = GoData::Payload;
    let redistore = GoLayout::signed_ids(payload).default_max_age(20 * MINUTE);
    let json = Gorilla::new(cookies()).payload(GoPayload::Json);
    [
        Site::of(redistore.max_bytes(4_096)),
        Site::of(GoLayout::bare_ids(payload)),
        Site {
            is_text: true,
            ..Site::of(GoLayout::signed_ids(GoData::Text))
        },
        Site::with(redistore, json, SessionConfig::write_gorilla),
    ]
}

struct Site {
    table: Table,
    clock: Clock,
    sessions: SessionLayer,
    records: GorillaRecords<Table>,
    /// Whether records are texts of gorilla/securecookie.
    is_text: bool,
}

impl Site {
    fn of(layout: GoLayout) -> Self {
        let format = Gorilla::new(cookies());
        Self::with(layout, format, SessionConfig::write_gorilla)
    }

    fn with(
        layout: GoLayout,
        format: Gorilla,
        shares: impl Fn(SessionConfig, Gorilla) -> SessionConfig,
    ) -> Self {
        Self::configured(layout, format, |config, format| {
            shares(config.max_age(DAY), format)
        })
    }

    fn configured(
        layout: GoLayout,
        format: Gorilla,
        configure: impl Fn(SessionConfig, Gorilla) -> SessionConfig,
    ) -> Self {
        let (table, clock) = (Table::of(layout), Clock::manual(START));
        let records = GorillaRecords::new(table.clone(), "sid", format).clock(clock.clone());
        let config = SessionConfig::cookie("sid", Keys::generate().unwrap());
        let config = configure(config, records.session_format());
        Self {
            table,
            sessions: SessionLayer::new(config).clock(clock.clone()),
            clock,
            records,
            is_text: false,
        }
    }

    async fn serve<T: Send + 'static, F: Future<Output = T> + Send>(
        &self,
        jar: &mut Jar,
        method: Method,
        handler: impl FnOnce(Session) -> F + Send + 'static,
    ) -> (Option<T>, Response<String>) {
        let (output, handler) = (Arc::new(Mutex::new(None)), Mutex::new(Some(handler)));
        let (handler, sink) = (Arc::new(handler), output.clone());
        let service = service_fn(move |request: Request<()>| {
            let session = request.extensions().get::<Session>().cloned().unwrap();
            let handler = handler.lock().unwrap().take().unwrap();
            let sink = sink.clone();
            async move {
                let output = handler(session).await;
                *sink.lock().unwrap() = Some(output);
                Ok::<_, Infallible>(Response::new("ok".to_owned()))
            }
        });
        let mut request = jar.request();
        *request.method_mut() = method;
        let service = self.records.layer(self.sessions.layer(service));
        let response = service.oneshot(request).await.unwrap();
        jar.keep(response.headers());
        let output = output.lock().unwrap().take();
        (output, response)
    }

    async fn visit<T: Send + 'static, F: Future<Output = T> + Send>(
        &self,
        jar: &mut Jar,
        handler: impl FnOnce(Session) -> F + Send + 'static,
    ) -> (T, Response<String>) {
        let (output, response) = self.serve(jar, Method::GET, handler).await;
        (output.expect("the handler ran"), response)
    }

    async fn put(&self, jar: &mut Jar, key: &'static str, value: i64) -> Response<String> {
        let put = async move |session: Session| session.insert(key, value).unwrap();
        self.visit(jar, put).await.1
    }

    async fn get(&self, jar: &mut Jar, key: &'static str) -> Option<i64> {
        let get = async move |session: Session| session.get(key).unwrap();
        self.visit(jar, get).await.0
    }

    /// The payload that Go reads from a record.
    fn payload(&self, data: &[u8]) -> Vec<u8> {
        match cookies().decode("sid", data, self.clock.now()) {
            Ok(opened) => opened.payload,
            Err(_) => data.to_vec(),
        }
    }

    /// Go saves a session without a look at the present record.
    fn go_saves(&self, id: &str, values: &[(&str, i64)]) {
        let payload = gob(values);
        let text = cookies().encode("sid", &payload, self.clock.now());
        let data = match self.is_text {
            true => text.unwrap().into_bytes(),
            false => payload,
        };
        self.table.put(id, data);
    }
}

fn gob(values: &[(&str, i64)]) -> Vec<u8> {
    let mut gob = Gob::session();
    for (key, value) in values {
        gob.insert(key, Value::Int(*value).named("int64"));
    }
    gob.encode().unwrap()
}

/// The cookie of an ID that the server never had.
fn stranger(id: &str) -> Jar {
    match id.len() {
        52 => signed(id),
        _ => Jar::with("sid", id),
    }
}

/// The cookie that Go makes for an ID.
fn signed(id: &str) -> Jar {
    let payload = Gob::new(Types::new(), Value::string(id)).encode().unwrap();
    Jar::with("sid", &cookies().encode("sid", &payload, START).unwrap())
}

fn status(response: &Response<String>) -> u16 {
    response.status().as_u16()
}

#[tokio::test]
async fn the_browser_has_the_id_and_the_server_the_session() {
    for site in sites() {
        let jar = &mut Jar::default();
        let header = set_cookie(&site.put(jar, "n", 1).await);
        assert!(header.contains("; Max-Age=86400;"), "{header}");
        let (id, data, lasts) = site.table.only();
        assert_eq!((lasts, id.len() == 52 || id.len() == 103), (DAY, true));
        let payload = site.payload(&data);
        match Gob::decode(&payload) {
            Ok(gob) => assert_eq!(gob.get("n"), Some(&Value::Int(1).named("int"))),
            Err(_) => assert_eq!(payload, b"{\"n\":1}\n"),
        }
        assert_eq!(site.get(jar, "n").await, Some(1));
        site.put(jar, "n", 2).await;
        assert_eq!(site.get(jar, "n").await, Some(2));
        assert_eq!(site.table.ids(), std::slice::from_ref(&id));
        let cookie = jar.value("sid");
        let is_id = cookie == id || cookies().decode("sid", cookie.as_bytes(), START).is_ok();
        assert!(is_id, "{cookie}");
        // A visit without a change.
        assert!(no_cookie(&site.visit(jar, async |_| ()).await.1));
        let loaded = site.records.load(jar.value("sid")).await.unwrap();
        assert_eq!(loaded, Some(site.payload(&site.table.only().1)));
    }
}

#[tokio::test]
async fn a_session_may_be_larger_than_a_cookie() {
    let [redistore, redisstore, pgstore, _] = sites();
    for (site, len, fits) in [
        (&redistore, 3_900, true),
        (&redistore, 4_200, false),
        (&redisstore, 100_000, true),
        // The text has 4,096 characters, as in Go.
        (&pgstore, 2_000, true),
        (&pgstore, 2_400, false),
    ] {
        let jar = &mut Jar::default();
        let text = "x".repeat(len);
        let insert = async move |session: Session| session.insert("text", text);
        let (inserted, _) = site.visit(jar, insert).await;
        assert_eq!(inserted.is_ok(), fits, "{len}");
        if let Err(error) = inserted {
            assert!(matches!(error.kind(), ErrorKind::TooLarge { .. }));
            continue;
        }
        let read = async |session: Session| session.get::<String>("text").unwrap();
        let (text, _) = site.visit(jar, read).await;
        assert_eq!(text.map(|text| text.len()), Some(len));
    }
}

#[tokio::test]
async fn a_session_that_just_fits_is_saved() {
    let [redistore, ..] = sites();
    let insert = async |session: Session| {
        let mut lens = (3_900..4_200).rev();
        lens.find(|len| session.insert("text", "x".repeat(*len)).is_ok())
    };
    let (_, response) = redistore.visit(&mut Jar::default(), insert).await;
    let record = redistore.table.only().1;
    assert_eq!((status(&response), record.len()), (200, 4_096));
}

/// Proxies see the ID alone.
#[tokio::test]
async fn a_large_session_is_not_a_large_cookie() {
    let site = Site::of(GoLayout::bare_ids(GoData::Payload));
    let jar = &mut Jar::default();
    let log = recorded(async || {
        let insert = async |session: Session| session.insert("text", "x".repeat(9_000)).unwrap();
        site.visit(jar, insert).await;
        site.get(jar, "n").await;
    });
    let log = log.await;
    assert!(!log.contains("limit of proxies"), "{log}");
}

#[tokio::test]
async fn a_browser_session_lasts_on_the_server_as_long_as_the_layout_says() {
    let layout = GoLayout::signed_ids(GoData::Payload);
    for (layout, lasts) in [
        (layout.default_max_age(20 * MINUTE), 20 * MINUTE),
        (layout, 30 * DAY),
    ] {
        let format = Gorilla::new(cookies());
        let site = Site::configured(layout, format, SessionConfig::write_gorilla);
        let header = set_cookie(&site.put(&mut Jar::default(), "n", 1).await);
        assert!(!header.contains("Max-Age"), "{header}");
        assert_eq!(site.table.only().2, lasts);
    }
}

#[tokio::test]
async fn changes_of_two_requests_are_both_kept() {
    for site in sites() {
        let jar = &mut Jar::default();
        site.put(jar, "n", 1).await;
        site.put(jar, "m", 1).await;
        let (table, id) = (site.table.clone(), site.table.only().0);
        // Another request's save while this one runs.
        let before = site.table.only().1;
        let theirs = &mut jar.clone();
        site.put(theirs, "n", 7).await;
        site.put(theirs, "new", 9).await;
        let after = site.table.only().1;
        table.put(&id, before);
        let (table, at) = (table.clone(), id.clone());
        let late = async move |session: Session| {
            session.insert("m", 2).unwrap();
            table.put(&at, after);
        };
        let (_, response) = site.visit(jar, late).await;
        assert_eq!(status(&response), 200);
        assert_eq!(site.table.ids(), [id]);
        for (key, value) in [("n", 7), ("m", 2), ("new", 9)] {
            assert_eq!(site.get(jar, key).await, Some(value), "{key}");
        }
    }
}

#[tokio::test]
async fn a_request_that_always_loses_gets_a_conflict() {
    #[derive(Clone)]
    struct Busy(Table);

    impl GoRecords for Busy {
        fn layout(&self) -> GoLayout {
            self.0.layout
        }

        async fn load(&self, id: &str) -> Result<Option<GoRecord>, StoreError> {
            self.0.load(id).await
        }

        async fn create(&self, id: &str, data: &[u8], lasts: Duration) -> Result<(), StoreError> {
            self.0.create(id, data, lasts).await
        }

        async fn replace(
            &self,
            _: &str,
            _: &[u8],
            _: &[u8],
            _: Duration,
        ) -> Result<bool, StoreError> {
            Ok(false)
        }

        async fn remove(&self, id: &str, expected: Option<&[u8]>) -> Result<bool, StoreError> {
            self.0.remove(id, expected).await
        }
    }

    let [site, ..] = sites();
    let jar = &mut Jar::default();
    site.put(jar, "n", 1).await;
    let before = site.table.only();
    let busy = Busy(site.table.clone());
    let busy = GorillaRecords::new(busy, "sid", Gorilla::new(cookies())).clock(site.clock.clone());
    let insert = service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap();
        session.insert("n", 2).unwrap();
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let service = busy.layer(site.sessions.layer(insert));
    let response = service.oneshot(jar.request()).await.unwrap();
    assert_eq!(status(&response), 409);
    assert!(no_cookie(&response));
    assert_eq!(site.table.only(), before);
}

#[tokio::test]
async fn a_logout_wins_against_a_slow_request() {
    for site in sites() {
        let jar = &mut Jar::default();
        site.put(jar, "n", 1).await;
        let (table, id) = (site.table.clone(), site.table.only().0);
        let slow = async move |session: Session| {
            session.insert("n", 2).unwrap();
            table.remove(&id, None).await.unwrap();
        };
        let (_, response) = site.visit(jar, slow).await;
        assert_eq!(status(&response), 409);
        assert!(no_cookie(&response));
        assert!(site.table.ids().is_empty());
    }
}

#[tokio::test]
async fn a_logout_removes_the_record() {
    for site in sites() {
        let jar = &mut Jar::default();
        site.put(jar, "n", 1).await;
        let old = jar.clone();
        let destroy = async |session: Session| session.destroy().await.unwrap();
        let header = set_cookie(&site.visit(jar, destroy).await.1);
        assert!(header.starts_with("sid=; Max-Age=0;"), "{header}");
        assert!(site.table.ids().is_empty());
        assert_eq!(site.get(&mut old.clone(), "n").await, None);
        // The session that the same request begins afterwards has no values of the old one.
        site.put(jar, "n", 1).await;
        let before = site.table.ids();
        let anew = async |session: Session| {
            session.destroy().await.unwrap();
            session.insert("m", 1).unwrap();
        };
        site.visit(jar, anew).await;
        assert!(site.table.ids() != before && site.table.ids().len() == 1);
        assert_eq!(site.get(jar, "n").await, None);
        assert_eq!(site.get(jar, "m").await, Some(1));
    }
}

#[tokio::test]
async fn a_renewal_changes_the_id() {
    for site in sites() {
        let jar = &mut Jar::default();
        site.put(jar, "n", 1).await;
        let (old, planted) = (site.table.ids(), jar.clone());
        let renew = async |session: Session| session.renew();
        let (_, response) = site.visit(jar, renew).await;
        assert_eq!(status(&response), 200);
        assert!(site.table.ids() != old && site.table.ids().len() == 1);
        assert_eq!(site.get(jar, "n").await, Some(1));
        assert_eq!(site.get(&mut planted.clone(), "n").await, None);
        // One of two renewals is a conflict.
        let (table, id) = (site.table.clone(), site.table.only().0);
        let late = async move |session: Session| {
            session.renew();
            session.insert("user", 7).unwrap();
            table.remove(&id, None).await.unwrap();
            table.put("winner", Vec::new());
        };
        let (_, response) = site.visit(jar, late).await;
        assert_eq!((status(&response), no_cookie(&response)), (409, true));
        assert_eq!(site.table.ids(), ["winner"]);
    }
}

/// What another request makes of a session's record, without leaving it there.
async fn change(site: &Site, jar: &Jar, changes: &[(&'static str, i64)]) -> Vec<u8> {
    let (id, before, _) = site.table.only();
    for (key, value) in changes {
        site.put(&mut jar.clone(), key, *value).await;
    }
    let after = site.table.only().1;
    site.table.put(&id, before);
    after
}

#[tokio::test]
async fn a_renewal_brings_along_what_others_change_meanwhile() {
    for site in sites() {
        let jar = &mut Jar::default();
        site.put(jar, "n", 1).await;
        site.put(jar, "cart", 1).await;
        let (old, table, id) = (jar.clone(), site.table.clone(), site.table.only().0);
        let after = change(&site, jar, &[("n", 3), ("cart", 4), ("m", 5)]).await;
        let log_in = async move |session: Session| {
            session.renew();
            session.insert("user", 7).unwrap();
            session.insert("n", 2).unwrap();
            table.put(&id, after);
        };
        let (_, response) = site.visit(jar, log_in).await;
        assert_eq!(status(&response), 200);
        assert_eq!(site.table.ids().len(), 1);
        for (key, value) in [("user", 7), ("n", 2), ("cart", 4), ("m", 5)] {
            assert_eq!(site.get(jar, key).await, Some(value), "{key}");
        }
        assert_eq!(site.get(&mut old.clone(), "n").await, None);
    }
}

#[tokio::test]
async fn one_that_begins_after_a_logout_has_nothing_of_the_old_one() {
    for site in sites() {
        let jar = &mut Jar::default();
        site.put(jar, "n", 1).await;
        let (table, id) = (site.table.clone(), site.table.only().0);
        let after = change(&site, jar, &[("m", 5)]).await;
        let anew = async move |session: Session| {
            session.destroy().await.unwrap();
            session.insert("other", 2).unwrap();
            session.renew();
            table.put(&id, after);
        };
        let (_, response) = site.visit(jar, anew).await;
        assert_eq!(status(&response), 200);
        assert_eq!(site.table.ids().len(), 1);
        for (key, value) in [("n", None), ("m", None), ("other", Some(2))] {
            assert_eq!(site.get(jar, key).await, value, "{key}");
        }
    }
}

/// The session stays as it was, under its old ID alone.
#[tokio::test]
async fn a_renewal_that_does_not_fit_leaves_nothing() {
    let [site, ..] = sites();
    let jar = &mut Jar::default();
    site.put(jar, "n", 1).await;
    let (table, id) = (site.table.clone(), site.table.only().0);
    let fill = async |session: Session| session.insert("theirs", "x".repeat(2_500)).unwrap();
    site.visit(&mut jar.clone(), fill).await;
    let after = site.table.only().1;
    site.go_saves(&id, &[("n", 1)]);
    let (at, full) = (id.clone(), after.clone());
    let log_in = async move |session: Session| {
        session.renew();
        session.insert("mine", "x".repeat(2_500)).unwrap();
        table.put(&at, full);
    };
    let (_, response) = site.visit(jar, log_in).await;
    assert_eq!((status(&response), no_cookie(&response)), (500, true));
    assert_eq!(site.table.ids(), [id]);
    assert_eq!(site.table.only().1, after);
}

/// The ID has ended, or somebody has made it up, as is possible without a signature.
#[tokio::test]
async fn an_id_that_the_server_does_not_have_is_not_a_session() {
    let [redistore, redisstore, pgstore, json] = sites();
    let bare = "A".repeat(103);
    let id = "A".repeat(52);
    for (site, jar) in [
        (redistore, signed(&id)),
        (redisstore, Jar::with("sid", &bare)),
        (pgstore, signed(&id)),
        (json, signed(&id)),
    ] {
        let jar = &mut jar.clone();
        assert_eq!(site.get(jar, "n").await, None);
        let header = set_cookie(&site.put(jar, "n", 1).await);
        assert!(!header.contains(&bare), "{header}");
        assert!(!site.table.ids().contains(&bare) && !site.table.ids().contains(&id));
        assert_eq!(site.get(jar, "n").await, Some(1));
    }
}

#[tokio::test]
async fn nothing_else_opens_a_session() {
    for site in sites() {
        let jar = &mut Jar::default();
        site.put(jar, "n", 1).await;
        let (id, data, _) = site.table.only();
        let text = String::from_utf8_lossy(&data).into_owned();
        let other_name = Gob::new(Types::new(), Value::string(&*id))
            .encode()
            .unwrap();
        let other_name = cookies().encode("other", &other_name, START).unwrap();
        for value in [
            "",
            "x",
            &text,
            &other_name,
            &id.to_lowercase(),
            &format!("{id}="),
            signed(&format!("../{id}")).value("sid"),
        ] {
            let value: String = value.chars().filter(|one| one.is_ascii_graphic()).collect();
            let planted = &mut Jar::with("sid", &value);
            assert_eq!(site.get(planted, "n").await, None, "{value}");
        }
        assert_eq!(site.get(jar, "n").await, Some(1));
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_a_new_session_and_stays() {
    for site in sites() {
        let jar = &mut Jar::default();
        site.put(jar, "n", 1).await;
        let (id, ..) = site.table.only();
        site.table.put(&id, b"\xffdamaged".to_vec());
        assert_eq!(site.get(jar, "n").await, None);
        site.put(jar, "n", 2).await;
        assert_eq!(site.table.ids().len(), 2);
        assert_eq!(site.get(jar, "n").await, Some(2));
    }
}

/// Go may be writing it, so it has to be loaded again after a pause.
#[test]
fn a_record_that_cannot_be_read_needs_a_timer() {
    let site = Site::of(GoLayout::signed_ids(GoData::Text).written_in_place());
    let id = "A".repeat(52);
    site.table.put(&id, Vec::new());
    let payload = Gob::new(Types::new(), Value::string(&id)).encode().unwrap();
    let cookie = cookies().encode("sid", &payload, START).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let error = runtime.block_on(site.records.load(&cookie)).unwrap_err();
    assert!(format!("{error:?}").contains("enable_time"), "{error:?}");
}

#[tokio::test]
async fn a_server_that_fails_is_no_empty_session() {
    for site in sites() {
        let jar = &mut Jar::default();
        site.put(jar, "n", 1).await;
        let before = site.table.only();
        let fails = site.table.fails.clone();
        for (method, is_asked_again) in [(Method::GET, true), (Method::POST, false)] {
            // The handler does not run.
            fails.store(true, Ordering::SeqCst);
            let (ran, response) = site.serve(jar, method.clone(), async |_| ()).await;
            assert_eq!((ran, status(&response)), (None, 503));
            assert_eq!(response.headers()[header::RETRY_AFTER], "1");
            fails.store(false, Ordering::SeqCst);
            let now = fails.clone();
            let write = async move |session: Session| {
                session.insert("n", 2).unwrap();
                now.store(true, Ordering::SeqCst);
            };
            let (_, response) = site.serve(jar, method, write).await;
            assert_eq!((status(&response), no_cookie(&response)), (503, true));
            let asks = response.headers().contains_key(header::RETRY_AFTER);
            assert_eq!(asks, is_asked_again);
            assert_eq!(site.table.only(), before);
        }
        // A visitor without a cookie does not wait.
        let (ran, response) = site
            .serve(&mut Jar::default(), Method::GET, async |_| ())
            .await;
        assert_eq!((ran, status(&response)), (Some(()), 200));
    }
}

#[tokio::test]
async fn a_save_that_fails_is_logged() {
    let [site, ..] = sites();
    let log = recorded(async || {
        let fails = site.table.fails.clone();
        let write = async move |session: Session| {
            session.insert("n", 1).unwrap();
            fails.store(true, Ordering::SeqCst);
        };
        site.visit(&mut Jar::default(), write).await;
    });
    let log = log.await;
    assert!(log.contains("session not saved"), "{log}");
}

#[tokio::test]
async fn the_living_one_of_two_cookies_counts() {
    for site in sites() {
        let (one, other) = (&mut Jar::default(), &mut Jar::default());
        site.put(one, "n", 1).await;
        site.put(other, "n", 2).await;
        let both = format!("{}; sid={}", one.value("sid"), other.value("sid"));
        assert_eq!(site.get(&mut Jar::with("sid", &both), "n").await, None);
        assert_eq!(site.table.ids().len(), 2);
        let destroy = async |session: Session| session.destroy().await.unwrap();
        site.visit(one, destroy).await;
        assert_eq!(site.get(&mut Jar::with("sid", &both), "n").await, Some(2));
        let twice = format!("{0}; sid={0}", other.value("sid"));
        assert_eq!(site.get(&mut Jar::with("sid", &twice), "n").await, Some(2));
    }
}

#[tokio::test]
async fn a_server_is_not_asked_for_many_cookies() {
    for site in sites() {
        let jar = &mut Jar::default();
        site.put(jar, "n", 1).await;
        let id = site.table.only().0;
        let others = ["A", "B", "C", "D"].map(|digit| stranger(&digit.repeat(id.len())));
        let mut cookies = jar.value("sid").to_owned();
        for (at, other) in others.iter().enumerate() {
            let found = site.get(&mut Jar::with("sid", &cookies), "n").await;
            assert_eq!(found, Some(1), "{at} others");
            cookies = format!("{cookies}; sid={}", other.value("sid"));
        }
        let found = site.get(&mut Jar::with("sid", &cookies), "n").await;
        assert_eq!(found, None);
    }
}

/// The ID's cookie was reissued, and the browser has both.
#[tokio::test]
async fn the_younger_of_two_cookies_of_one_id_dates_the_session() {
    let site = Site::of(GoLayout::signed_ids(GoData::Payload));
    let jar = &mut Jar::default();
    site.put(jar, "n", 1).await;
    let old = jar.value("sid").to_owned();
    site.clock.advance(DAY / 2);
    site.put(jar, "n", 2).await;
    site.clock.advance(MINUTE);
    let read = async |session: Session| session.get::<i64>("n").unwrap();
    for both in [
        format!("{old}; sid={}", jar.value("sid")),
        format!("{}; sid={old}", jar.value("sid")),
    ] {
        let (found, response) = site.visit(&mut Jar::with("sid", &both), read).await;
        assert_eq!(found, Some(2));
        assert!(no_cookie(&response), "it is new enough");
    }
}

/// Without the outer layer, the browser got the cookie meant for that layer.
#[tokio::test]
async fn a_cookie_for_an_outer_layer_is_not_a_session() {
    for site in sites() {
        let service = service_fn(async |request: Request<()>| {
            let session = request.extensions().get::<Session>().unwrap();
            session.insert("n", 1).unwrap();
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let layer = &site.sessions;
        let response = layer.layer(service).oneshot(Request::new(())).await;
        let cookie = set_cookie(&response.unwrap()).to_owned();
        let value = cookie.split(';').next().unwrap();
        let value = value.strip_prefix("sid=").unwrap();
        let jar = &mut Jar::with("sid", value);
        assert_eq!(site.get(jar, "n").await, None);
        assert_eq!(site.table.ids().len(), 0);
    }
}

#[tokio::test]
async fn two_changes_that_fit_alone_may_be_too_large_together() {
    let layout = GoLayout::signed_ids(GoData::Payload).max_bytes(4_096);
    let site = Site::of(layout);
    let jar = &mut Jar::default();
    site.put(jar, "n", 1).await;
    let text = || "x".repeat(2_500);
    let (id, before, _) = site.table.only();
    let theirs = async move |session: Session| session.insert("theirs", text()).unwrap();
    site.visit(jar, theirs).await;
    let after = site.table.only().1;
    site.table.put(&id, before);
    let (table, at, theirs) = (site.table.clone(), id.clone(), after.clone());
    let late = async move |session: Session| {
        session.insert("mine", text()).unwrap();
        table.put(&at, theirs);
    };
    let (_, response) = site.visit(jar, late).await;
    assert_eq!(status(&response), 500);
    assert_eq!(site.table.only().1, after);
}

#[tokio::test]
async fn reading_saves_a_session_again_in_the_second_half_of_its_time() {
    let hours = |n: u64| Duration::from_secs(n * 3_600);
    for site in sites() {
        let jar = &mut Jar::default();
        site.put(jar, "n", 1).await;
        let read = async |session: Session| session.get::<i64>("n").unwrap();
        let pass = |by: Duration| {
            site.clock.advance(by);
            let mut rows = site.table.rows.lock().unwrap();
            rows.first_entry().unwrap().get_mut().1 -= by;
        };
        pass(hours(11));
        assert!(no_cookie(&site.visit(jar, read).await.1));
        assert_eq!(site.table.only().2, hours(13));
        pass(hours(2));
        set_cookie(&site.visit(jar, read).await.1);
        assert_eq!(site.table.only().2, DAY);
    }
}

/// Go keeps a session without values.
#[tokio::test]
async fn reading_keeps_a_session_without_values() {
    let [redistore, redisstore, pgstore, _] = sites();
    for site in [redistore, redisstore, pgstore] {
        let jar = &mut Jar::default();
        site.put(jar, "n", 1).await;
        let (id, ..) = site.table.only();
        site.go_saves(&id, &[]);
        site.clock.advance(DAY * 2 / 3);
        assert_eq!(site.get(jar, "n").await, None);
        assert_eq!(site.table.ids(), [id]);
    }
}

/// The last message is taken while another request puts a value in.
#[tokio::test]
async fn an_emptied_session_that_was_filled_again_stays() {
    for site in sites() {
        let jar = &mut Jar::default();
        let flash = async |session: Session| session.flash("hello").unwrap();
        site.visit(jar, flash).await;
        let before = site.table.only();
        let theirs = &mut jar.clone();
        site.put(theirs, "cart", 7).await;
        let (id, after, _) = site.table.only();
        site.table.put(&id, before.1);
        let (table, at) = (site.table.clone(), id.clone());
        let take = async move |session: Session| {
            table.put(&at, after);
            session.flashes::<String>().unwrap()
        };
        let (shown, response) = site.visit(jar, take).await;
        assert_eq!((shown, status(&response)), (vec!["hello".to_owned()], 200));
        assert_eq!(site.table.ids(), [id]);
        assert_eq!(site.get(jar, "cart").await, Some(7));
        let show = async |session: Session| session.flashes::<String>().unwrap();
        assert!(site.visit(jar, show).await.0.is_empty());
    }
}

/// The same, and the request that takes the message renews the session.
#[tokio::test]
async fn a_renewal_of_an_emptied_session_brings_along_what_others_put_in() {
    for site in sites() {
        for is_filled in [true, false] {
            let jar = &mut Jar::default();
            let flash = async |session: Session| session.flash("hello").unwrap();
            site.visit(jar, flash).await;
            let (old, table, id) = (jar.clone(), site.table.clone(), site.table.only().0);
            let after = change(&site, jar, &[("cart", 7)]).await;
            let take = async move |session: Session| {
                if is_filled {
                    table.put(&id, after);
                }
                session.renew();
                session.flashes::<String>().unwrap()
            };
            let (shown, response) = site.visit(jar, take).await;
            assert_eq!((shown, status(&response)), (vec!["hello".to_owned()], 200));
            assert_eq!(site.table.ids().len(), usize::from(is_filled));
            assert_eq!(site.get(jar, "cart").await, is_filled.then_some(7));
            assert_eq!(site.get(&mut old.clone(), "cart").await, None);
            assert_eq!(set_cookie(&response).contains("Max-Age=0"), !is_filled);
            for id in site.table.ids() {
                site.table.remove(&id, None).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn an_emptied_session_goes() {
    for site in sites() {
        for is_over in [false, true] {
            let jar = &mut Jar::default();
            site.put(jar, "n", 1).await;
            let (table, id) = (site.table.clone(), site.table.only().0);
            let remove = async move |session: Session| {
                session.remove("n").unwrap();
                if is_over {
                    table.remove(&id, None).await.unwrap();
                }
            };
            let (_, response) = site.visit(jar, remove).await;
            assert_eq!(status(&response), 200);
            // Who ended it has removed the cookie, and may have another one by now.
            assert_eq!(no_cookie(&response), is_over);
            if !is_over {
                let header = set_cookie(&response);
                assert!(header.starts_with("sid=; Max-Age=0; Expires=Thu, 01 Jan 1970"));
                assert!(header.ends_with("; Path=/") && header.matches("Max-Age").count() == 1);
            }
            assert!(site.table.ids().is_empty());
        }
    }
}

/// The session is due to be saved again, and ends while a request reads it.
#[tokio::test]
async fn a_request_that_only_reads_is_not_in_conflict() {
    for site in sites() {
        let jar = &mut Jar::default();
        site.put(jar, "n", 1).await;
        site.clock.advance(DAY * 2 / 3);
        let pass = |rows: &mut Rows| rows.first_entry().unwrap().get_mut().1 = DAY / 3;
        pass(&mut site.table.rows.lock().unwrap());
        let (table, id) = (site.table.clone(), site.table.only().0);
        let read = async move |session: Session| {
            let found = session.get::<i64>("n").unwrap();
            table.remove(&id, None).await.unwrap();
            found
        };
        let (found, response) = site.visit(jar, read).await;
        assert_eq!((found, status(&response)), (Some(1), 200));
        assert!(no_cookie(&response) && site.table.ids().is_empty());
    }
}

/// A cart is renewed in a request whose other session has ended.
#[tokio::test]
async fn cookies_of_other_sessions_survive_a_failure() {
    let site = Site::of(GoLayout::signed_ids(GoData::Payload));
    let cart = SessionConfig::new("cart", MemoryStore::new(), keys());
    let sessions = site.sessions.clone().with(cart.cookie_name("cart"));
    let site = Site { sessions, ..site };
    let both = async |session: &Session| {
        let sessions = Sessions::from(session.clone());
        let cart = sessions.get("cart").await.unwrap();
        (sessions.get("sid").await.unwrap(), cart)
    };
    let jar = &mut Jar::default();
    let begin = async move |session: Session| {
        let (account, cart) = both(&session).await;
        account.insert("n", 1).unwrap();
        cart.insert("m", 1).unwrap();
    };
    site.visit(jar, begin).await;
    let (table, id, before) = (site.table.clone(), site.table.only().0, jar.0.clone());
    let renew = async move |session: Session| {
        let (account, cart) = both(&session).await;
        account.insert("n", 2).unwrap();
        cart.renew();
        table.remove(&id, None).await.unwrap();
    };
    let (_, response) = site.visit(jar, renew).await;
    assert_eq!(status(&response), 409);
    assert!(set_cookie(&response).starts_with("cart="));
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    assert_ne!(jar.0, before);
    let read = async move |session: Session| both(&session).await.1.get::<i64>("m").unwrap();
    assert_eq!(site.visit(jar, read).await.0, Some(1));
}

/// A layer around both fails, and passes on what the browser would have got.
#[tokio::test]
async fn an_outer_failure_leaves_the_browser_the_id() {
    for site in sites() {
        let outer = Scripted::default();
        outer.at(Before, Create, Fail);
        let config = SessionConfig::new("outer", outer, keys());
        let outer_layer = SessionLayer::new(config).clock(site.clock.clone());
        let service = service_fn(async |request: Request<()>| {
            let session = request.extensions().get::<Session>().unwrap();
            session.insert("n", 1).unwrap();
            let sessions = Sessions::from(session.clone());
            let other = sessions.get("outer").await.unwrap();
            other.insert("m", 1).unwrap();
            Ok::<_, Infallible>(Response::new("ok".to_owned()))
        });
        let service = outer_layer.layer(site.records.layer(site.sessions.layer(service)));
        let response = service.oneshot(Request::new(())).await.unwrap();
        assert_eq!(status(&response), 503);
        let jar = &mut Jar::default();
        jar.keep(response.headers());
        assert_eq!(site.get(jar, "n").await, Some(1));
    }
}

#[tokio::test]
async fn a_former_cookie_goes_and_the_session_stays() {
    let layout = GoLayout::signed_ids(GoData::Payload);
    let site = Site::configured(layout, Gorilla::new(cookies()), |config, format| {
        let old = silverback::CookieAttributes::default().path("/old");
        let config = config.former_attributes(old);
        config.write_gorilla(format)
    });
    let jar = &mut Jar::default();
    site.put(jar, "n", 1).await;
    let id = site.table.ids();
    let (_, response) = site
        .visit(jar, async |session| session.insert("n", 2).unwrap())
        .await;
    assert_eq!(
        response
            .headers()
            .get_all(header::SET_COOKIE)
            .iter()
            .count(),
        2
    );
    assert_eq!(site.table.ids(), id);
}

#[tokio::test]
async fn go_changes_what_is_shared() {
    for site in sites().into_iter().take(3) {
        let jar = &mut Jar::default();
        site.put(jar, "n", 1).await;
        let (id, ..) = site.table.only();
        site.go_saves(&id, &[("n", 5), ("go", 1)]);
        assert_eq!(site.get(jar, "go").await, Some(1));
        site.put(jar, "n", 6).await;
        let gob = Gob::decode(&site.payload(&site.table.only().1)).unwrap();
        assert_eq!(gob.get("n"), Some(&Value::Int(6).named("int64")));
    }
}

#[tokio::test]
async fn sessions_are_taken_over() {
    for layout in [
        GoLayout::signed_ids(GoData::Payload),
        GoLayout::bare_ids(GoData::Payload),
        GoLayout::signed_ids(GoData::Text),
    ] {
        let shared = Site::of(layout);
        let jar = &mut Jar::default();
        shared.put(jar, "n", 1).await;
        let mut heir = Site::with(layout, Gorilla::new(cookies()), SessionConfig::read_gorilla);
        heir.records = shared.records.clone();
        heir.table = shared.table.clone();
        let (id, go) = (shared.table.ids(), jar.value("sid").to_owned());
        assert_eq!(heir.get(jar, "n").await, Some(1));
        assert_ne!(jar.value("sid"), go);
        heir.put(jar, "n", 2).await;
        assert_eq!(heir.get(jar, "n").await, Some(2));
        // The record stays for requests that are under way.
        assert_eq!(shared.table.ids(), id);
        assert_eq!(shared.get(&mut Jar::with("sid", &go), "n").await, Some(1));
    }
}

#[tokio::test]
async fn a_session_that_moved_into_a_store_needs_no_record_and_ends_once() {
    let layouts = sites().map(|site| (site.table.layout, site.is_text));
    for (layout, is_text) in layouts.into_iter().take(3) {
        let store = Scripted::default();
        let take = |_, format| {
            let config = SessionConfig::new("sid", store.clone(), keys());
            config.store_timeout(DAY).read_gorilla(format)
        };
        let mut site = Site::configured(layout, Gorilla::new(cookies()), take);
        site.is_text = is_text;
        let go = Site::of(layout);
        let of_go = &mut Jar::default();
        go.put(of_go, "n", 1).await;
        let (id, data, _) = go.table.only();
        site.table.put(&id, data.clone());
        let ours = &mut of_go.clone();
        let change = async |session: Session| {
            session.load().await.unwrap();
            session.insert("n", 2).unwrap();
        };
        site.visit(ours, change).await;
        assert_ne!(ours.0, of_go.0);
        assert_eq!(store.sessions().await, 1);
        // Another tab has Go's cookie, and the record is over.
        site.table.remove(&id, None).await.unwrap();
        let look = async |session: Session| {
            session.load().await.unwrap();
            (session.get::<i64>("n").unwrap(), session.rejection())
        };
        let (found, _) = site.visit(&mut of_go.clone(), look).await;
        assert_eq!(found, (Some(2), None));
        let stranger = &mut stranger(&"A".repeat(id.len()));
        let (found, _) = site.visit(stranger, look).await;
        assert_eq!(found, (None, Some(Rejection::NotFound)));
        let destroy = async |session: Session| session.destroy().await.unwrap();
        site.visit(ours, destroy).await;
        for record in [None, Some(data)] {
            if let Some(data) = record {
                site.table.put(&id, data);
            }
            let (found, _) = site.visit(&mut of_go.clone(), look).await;
            assert_eq!(found, (None, Some(Rejection::Ended)));
        }
        assert_eq!(store.sessions().await, 0);
    }
}

#[tokio::test]
async fn a_cookie_that_go_would_refuse_is_refused() {
    let layout = GoLayout::signed_ids(GoData::Payload);
    let site = Site::with(
        layout,
        Gorilla::new(cookies().max_age(DAY)),
        SessionConfig::write_gorilla,
    );
    let id = "A".repeat(52);
    site.go_saves(&id, &[("n", 1)]);
    let jar = signed(&id);
    let second = Duration::from_secs(1);
    site.clock.advance(DAY - second);
    assert_eq!(site.get(&mut jar.clone(), "n").await, Some(1));
    site.clock.advance(second);
    assert_eq!(site.get(&mut jar.clone(), "n").await, None);
}

#[tokio::test]
async fn a_logout_ends_both_of_two_sessions() {
    for site in sites() {
        let (one, other) = (&mut Jar::default(), &mut Jar::default());
        site.put(one, "n", 1).await;
        site.put(other, "n", 2).await;
        let both = format!("{}; sid={}", one.value("sid"), other.value("sid"));
        let jar = &mut Jar::with("sid", &both);
        let look = async |session: Session| {
            session.load().await.unwrap();
            session.rejection()
        };
        let (found, response) = site.visit(jar, look).await;
        assert_eq!(found, Some(Rejection::Ambiguous));
        assert!(no_cookie(&response) && site.table.ids().len() == 2);
        let destroy = async |session: Session| session.destroy().await.unwrap();
        let jar = &mut Jar::with("sid", &both);
        let header = set_cookie(&site.visit(jar, destroy).await.1);
        assert!(header.starts_with("sid=; Max-Age=0;"), "{header}");
        assert!(site.table.ids().is_empty());
    }
}

/// A renewal has moved the session to another ID, so it may live on.
#[tokio::test]
async fn a_logout_that_finds_no_record_is_an_error() {
    for site in sites() {
        let jar = &mut Jar::default();
        site.put(jar, "n", 1).await;
        let (table, id) = (site.table.clone(), site.table.only().0);
        let late = async move |session: Session| {
            session.destroy().await.unwrap();
            let mut rows = table.rows.lock().unwrap();
            let row = rows.remove(&id).unwrap();
            rows.insert("renewed".to_owned(), row);
        };
        let (_, response) = site.visit(jar, late).await;
        assert_eq!((status(&response), no_cookie(&response)), (409, true));
        assert_eq!(site.table.ids(), ["renewed"]);
    }
}
