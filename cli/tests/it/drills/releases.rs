//! Two releases of the application run side by side.

use std::time::Duration;

use base64_simd::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use silverback::{
    Clock, CookieStore, SessionConfig,
    store::{Bytes, DynStore, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version},
    testing::Body,
};

use super::{
    Faults, Node, Site, Traffic, operator, played,
    site::{FOLDER, log_in, look, patient},
};
use crate::support::{At, World};

/// The two versions of tokens.
const THIS: u8 = 1;
const LATER: u8 = 2;

const COOKIE: &str = "__Host-account=";

/// The first byte of a session's record, now and in a future format.
const RECORD: u8 = 1;
const LATER_RECORD: u8 = 5;

/// The store as a later release uses it. Its records have a later format, and it also reads the
/// present one.
struct LaterRecords(DynStore);

impl LaterRecords {
    fn turn(data: Bytes) -> Bytes {
        match data.split_first() {
            Some((&RECORD, rest)) => [&[LATER_RECORD], rest].concat().into(),
            _ => data,
        }
    }

    fn turn_back(record: Record) -> Record {
        let (version, expires) = (record.version(), record.expires());
        match record.data().split_first() {
            Some((&LATER_RECORD, rest)) => {
                Record::new([&[RECORD], rest].concat(), version, expires)
            }
            _ => record,
        }
    }
}

impl Store for LaterRecords {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        let loaded = self.0.load(key, read).await?;
        Ok(loaded.map(Self::turn_back))
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let loaded = self.0.load_many(keys, read).await.into_iter();
        let turned = loaded.map(|record| Ok(record?.map(Self::turn_back)));
        turned.collect()
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.0.create(key, Self::turn(data), expiry).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.0.update(key, expected, Self::turn(data), expiry).await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.0.touch(key, expected, expiry).await
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        self.0.delete(key, expected).await
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        self.0.delete_many(records).await
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }
}

/// A server of a later release. Its cookies have a later version, and it also reads the present
/// one.
fn later(node: Node) -> Node {
    node.behind(
        |request: &mut Request<Body>| turn(request.headers_mut(), &header::COOKIE, LATER, THIS),
        |response: &mut Response<String>| {
            turn(response.headers_mut(), &header::SET_COOKIE, THIS, LATER)
        },
    )
}

fn turn(headers: &mut HeaderMap, name: &HeaderName, from: u8, to: u8) {
    for value in headers
        .iter_mut()
        .filter(|(is, _)| *is == name)
        .map(|(_, value)| value)
    {
        let text = value.to_str().unwrap();
        let Some((before, rest)) = text.split_once(COOKIE) else {
            continue;
        };
        let len = rest.find(';').unwrap_or(rest.len());
        let Ok(mut token) = URL_SAFE_NO_PAD.decode_to_vec(&rest[..len]) else {
            continue;
        };
        // The other half of the byte is the kind of seal.
        if token.first().is_some_and(|first| first & 0xf == from) {
            token[0] = (token[0] & 0xf0) | to;
            let token = URL_SAFE_NO_PAD.encode_to_string(&token);
            let turned = format!("{before}{COOKIE}{token}{}", &rest[len..]);
            *value = HeaderValue::try_from(turned).unwrap();
        }
    }
}

#[test]
fn a_cookie_of_the_later_one_is_an_error_on_the_other_and_stays() {
    played(async |_| {
        for in_cookies in [false, true] {
            formats(in_cookies).await;
        }
    });
}

async fn formats(in_cookies: bool) {
    let mut world = World::new(At::Files).await.unwrap();
    if in_cookies {
        world.tool.env("SILVERBACK_KEPT_IN", "cookie");
        world.tool.env("SILVERBACK_REVOCATION", "true");
    }
    let node = || {
        if in_cookies {
            let cookies = CookieStore::new().revocation(world.store.clone());
            return Node::with(&world, cookies, &Clock::system(), patient);
        }
        Node::start(&world)
    };
    let site = Site::new([node(), node()]);
    let traffic = Traffic::start(&site, 10);
    traffic.goes_on(24).await;
    site.deploy(1, later(node()));
    let (there, back) = (site.visitor_of(1), site.visitor_of(0));
    log_in(&there, "ada", "laptop").await;
    traffic.goes_on(48).await;

    // The old release recognises that there is a session, and does not change it.
    back.jar(|jar| *jar = there.jar(|jar| jar.clone()));
    let page = back.get(&format!("{FOLDER}/")).await;
    assert_eq!(page.status(), 503);
    let cookie = there.jar(|jar| jar.get("__Host-account").unwrap().to_owned());
    let told = operator(&world.tool, &["explain", &cookie, "--json"])
        .await
        .json(4);
    assert_eq!(
        (&told["status"], &told["rejection"]),
        (&503.into(), &().into())
    );
    assert_eq!(look(&there).await.user, "ada");

    site.deploy(0, later(node()));
    traffic.goes_on(32).await;
    // Going back does not work: all visitors get an error, and keep their sessions.
    for which in [0, 1] {
        site.deploy(which, node());
    }
    traffic.goes_on(24).await;
    for which in [0, 1] {
        site.deploy(which, later(node()));
    }
    traffic.goes_on(32).await;
    let (tally, _) = traffic.end().await;
    assert_eq!(tally.faults, Faults::default(), "{tally:?}");
    assert_eq!(tally.statuses.keys().collect::<Vec<_>>(), [&200, &503]);
}

#[test]
fn a_record_of_the_later_one_is_an_error_on_the_other_and_stays() {
    played(async |_| {
        let world = World::new(At::Files).await.unwrap();
        let later = || {
            let store = LaterRecords(world.store.clone());
            Node::with(&world, DynStore::new(store), &Clock::system(), patient)
        };
        let site = Site::start(&world);
        let traffic = Traffic::start(&site, 11);
        traffic.goes_on(24).await;
        for which in [0, 1] {
            site.deploy(which, later());
            traffic.goes_on(48).await;
        }
        // The sessions still exist after the attempt to go back.
        for which in [0, 1] {
            site.deploy(which, Node::start(&world));
        }
        traffic.goes_on(24).await;
        for which in [0, 1] {
            site.deploy(which, later());
        }
        traffic.goes_on(32).await;
        let (tally, _) = traffic.end().await;
        assert_eq!(tally.faults, Faults::default(), "{tally:?}");
        assert_eq!(tally.statuses.keys().collect::<Vec<_>>(), [&200, &503]);
    });
}

#[test]
fn settings_may_differ_that_both_read_the_same_way() {
    let hour = Duration::from_secs(3_600);
    type Change = Box<dyn Fn(SessionConfig) -> SessionConfig>;
    let changes: [Change; 4] = [
        Box::new(move |config| config.idle_timeout(hour)),
        Box::new(move |config| config.absolute_timeout(hour * 48)),
        Box::new(move |config| config.max_age(hour)),
        Box::new(|config| config.sessions_per_subject(100)),
    ];
    for (seed, change) in changes.into_iter().enumerate() {
        played(async |_| {
            let world = World::new(At::Files).await.unwrap();
            let site = Site::start(&world);
            let traffic = Traffic::start(&site, 20 + seed as u64);
            for which in [1, 0] {
                traffic.goes_on(32).await;
                let change = |config| change(patient(config));
                site.deploy(
                    which,
                    Node::with(&world, world.store.clone(), &Clock::system(), change),
                );
            }
            traffic.goes_on(32).await;
            let (tally, _) = traffic.end().await;
            assert_eq!(tally.faults, Faults::default(), "{seed}: {tally:?}");
            assert_eq!(tally.statuses.keys().collect::<Vec<_>>(), [&200], "{seed}");
        });
    }
}

/// To each release the other's sessions look damaged or forged, and no visitor becomes another.
#[test]
fn settings_that_log_everybody_out_do_no_more() {
    type Change = fn(SessionConfig) -> SessionConfig;
    let changes: [(Change, &str); 2] = [
        (|config| config.encrypt_records(), "Corrupt"),
        (|config| config.audience("another"), "Tampered"),
    ];
    for (seed, (change, why)) in changes.into_iter().enumerate() {
        played(async |_| {
            let world = World::new(At::Files).await.unwrap();
            let site = Site::start(&world);
            let ada = site.visitor_of(1);
            log_in(&ada, "ada", "laptop").await;
            // A logout on one release does not end a session of the other.
            let traffic = Traffic::with(&site, 30 + seed as u64, false);
            traffic.goes_on(32).await;
            traffic.may_be_out(true);
            let start = || {
                let change = |config| change(patient(config));
                Node::with(&world, world.store.clone(), &Clock::system(), change)
            };
            site.deploy(1, start());
            assert_eq!(look(&ada).await.why, why);
            traffic.goes_on(32).await;
            site.deploy(0, start());
            traffic.goes_on(24).await;
            traffic.may_be_out(false);
            traffic.goes_on(24).await;
            let (tally, _) = traffic.end().await;
            assert_eq!(tally.faults, Faults::default(), "{why}: {tally:?}");
            assert!(tally.excused > 0, "{why}");
        });
    }
}
