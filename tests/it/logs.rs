//! What is logged, and that no secret is.

use std::{cell::Cell, sync::Mutex, time::Duration};

use crate::support::{
    DAY, Jar, Kind, START, Site, keys,
    log::recorded,
    scripted::{ANY, Before, Delete, Fail, Load, Scripted, Update},
    sessions, until,
};
use silverback::{
    Clock, ErrorKind, Rejection, Session, SessionConfig, SessionLayer,
    store::{Bytes, MemoryStore, Read, RecordKey, Store},
};

async fn write(session: Session) {
    session.load().await.unwrap();
    session.insert("user", "a secret value").unwrap();
}

#[tokio::test]
async fn a_rejected_cookie_is_an_event() {
    let log = recorded(async || {
        let site = Kind::Memory.world();
        let (reason, _) = site
            .visit(&mut Jar::with("s", "x"), async |session| {
                session.rejection()
            })
            .await;
        assert_eq!(reason, Some(Rejection::Malformed));
    })
    .await;
    assert!(
        log.contains("WARN")
            && log.contains("session=\"s\"")
            && log.contains("not a session token"),
        "{log}"
    );
}

/// A flood of bad cookies must not fill the disk.
#[tokio::test]
async fn a_flood_of_bad_cookies_is_a_line_a_minute() {
    let site = Kind::Cookie.world();
    let stale = &mut Jar::default();
    site.put(stale, "n", 1).await;
    site.clock.advance(2 * DAY);
    let read = async |session: Session| drop(session.get::<u32>("n"));
    let flood = async || {
        for _ in 0..500 {
            site.visit(&mut Jar::with("s", "x"), read).await;
            site.visit(&mut Jar::with("s", stale.value("s")), read)
                .await;
        }
    };
    let log = recorded(async || {
        flood().await;
        site.clock.advance(Duration::from_secs(59));
        flood().await;
    })
    .await;
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 2, "one of each kind: {log}");
    assert!(lines[0].contains("not a session token"), "{log}");
    assert!(lines[1].contains("expired"), "{log}");
    assert!(!log.contains("left_out"), "{log}");

    site.clock.advance(Duration::from_secs(1));
    let log = recorded(flood).await;
    let counted = |line: &str| line.contains("left_out=999");
    assert_eq!(log.lines().filter(|line| counted(line)).count(), 2, "{log}");
    assert_eq!(log.lines().count(), 2, "{log}");
}

/// Anyone can raise the version of a cookie, which names no more than its key.
#[tokio::test]
async fn a_flood_of_cookies_of_a_later_format_is_a_line_a_minute() {
    for kind in [Kind::Cookie, Kind::Memory, Kind::Remote] {
        let site = kind.world();
        let jar = &mut Jar::default();
        site.put(jar, "n", 1).await;
        let forged = crate::later_formats::later(jar);
        let flood = async || {
            for _ in 0..50 {
                let jar = &mut Jar::with("s", forged.value("s"));
                let read = async |session: Session| {
                    let read = match kind.never_waits() {
                        true => session.get::<u8>("n").map(drop),
                        false => session.load().await,
                    };
                    assert_eq!(read.unwrap_err().kind(), ErrorKind::LaterFormat);
                    session.renew();
                };
                site.visit(jar, read).await;
            }
        };
        let log = recorded(flood).await;
        assert_eq!(log.lines().count(), 1, "{kind:?}: {log}");
        assert!(log.contains("ERROR message=session not loaded"), "{log}");
        site.clock.advance(Duration::from_secs(60));
        let log = recorded(flood).await;
        assert_eq!(log.lines().count(), 1, "{kind:?}: {log}");
        assert!(log.contains("left_out="), "{log}");
    }
}

/// Anyone can send the cookie of a session again that they have ended.
#[tokio::test]
async fn a_flood_of_writes_with_an_old_cookie_is_a_hundred_lines_a_minute() {
    let site = Kind::Memory.world();
    let jar = &mut Jar::default();
    site.put(jar, "n", 1).await;
    let old = jar.value("s").to_owned();
    let leave = async |session: Session| session.destroy().await.unwrap();
    site.visit(jar, leave).await;
    let flood = async || {
        for _ in 0..150 {
            site.visit(&mut Jar::with("s", &old), write).await;
        }
    };
    let log = recorded(flood).await;
    assert_eq!(log.matches("WARN message=session not saved").count(), 100);
    site.clock.advance(Duration::from_secs(59));
    assert!(!recorded(flood).await.contains("session not saved"));
}

#[tokio::test]
async fn a_flood_of_long_cookies_is_a_line_a_minute() {
    let site = Kind::Cookie.world();
    let read = async |session: Session| drop(session.get::<u32>("n"));
    let log = recorded(async || {
        for _ in 0..5 {
            let jar = &mut Jar::with("other", &"x".repeat(8_000));
            site.visit(jar, read).await;
        }
        site.clock.advance(Duration::from_secs(60));
        let jar = &mut Jar::with("other", &"x".repeat(8_000));
        site.visit(jar, read).await;
    })
    .await;
    assert_eq!(log.matches("limit of proxies").count(), 2, "{log}");
    assert!(log.contains("left_out=4"), "{log}");
}

/// A task that forgets `save` loses its changes without an error.
#[tokio::test]
async fn changes_after_the_response_that_nobody_saves_are_logged() {
    const LINE: &str = "WARN message=changes made after the response are lost: call save after them session=\"s\"\n";
    for kind in [Kind::Memory, Kind::Remote] {
        let site = kind.world();
        let jar = &mut Jar::default();
        site.put(jar, "n", 1).await;
        let mut late = async |act: &dyn Fn(&Session), saves: bool| {
            let (session, _) = site.visit(jar, async |session| session).await;
            recorded(async || {
                session.load().await.unwrap();
                act(&session);
                if saves {
                    session.save().await.unwrap();
                }
                let last = session.clone();
                drop(session);
                drop(last);
            })
            .await
        };
        let read = |session: &Session| assert_eq!(session.get("n").unwrap(), Some(1));
        let change = |session: &Session| session.insert("late", 1).unwrap();
        assert_eq!(late(&read, false).await, "", "{kind:?}");
        assert_eq!(late(&change, true).await, "", "{kind:?}");
        let log = late(&|session| session.insert("late", 2).unwrap(), false).await;
        assert_eq!(log, LINE, "{kind:?}");
        assert_eq!(site.get(jar, "late").await, Some(1), "{kind:?}");
    }
}

#[tokio::test]
async fn no_secret_is_logged_or_shown() {
    let shown = Mutex::new(String::new());
    let jar = &mut Jar::default();
    let log = recorded(async || {
        let remote = Scripted::default();
        let config = SessionConfig::new("s", remote.clone(), keys());
        let layer = SessionLayer::new(config.clone()).with(SessionConfig::cookie("c", keys()));
        let site = Site::of(layer);
        site.visit(jar, write).await;
        let all = async |session: Session| {
            let other = sessions(&session).get("c").await.unwrap();
            write(other.clone()).await;
            let sessions = sessions(&session);
            *shown.lock().unwrap() = format!(
                "{session:?} {other:?} {sessions:?} {config:?} {:?}",
                site.layer
            );
            session.load().await.unwrap();
            session.insert("n", 1).unwrap();
            remote.every(Before, ANY, Fail);
        };
        let (_, response) = site.visit(jar, all).await;
        let error = response.extensions().get::<silverback::Error>().unwrap();
        shown
            .lock()
            .unwrap()
            .push_str(&format!("{error:?} {error}"));
        remote.calm();
        site.visit(jar, async |session| {
            session.load().await.unwrap();
            session.renew();
            remote.every(Before, Update | Delete, Fail);
        })
        .await;
        let (late, _) = site.visit(jar, async |session| session).await;
        late.renew();
    })
    .await;
    assert!(
        log.contains("session not saved")
            && log.contains("left in the store")
            && log.contains("committed"),
        "{log}"
    );
    let all = log + &shown.into_inner().unwrap();
    for secret in [
        "a secret value",
        "key of the tests",
        jar.value("__Host-s"),
        jar.value("__Host-c"),
    ] {
        assert!(!secret.is_empty() && !all.contains(secret), "{all}");
    }
}

#[tokio::test]
async fn a_store_that_fails_is_an_event() {
    let log = recorded(async || {
        let site = Kind::Remote.world();
        let jar = &mut Jar::default();
        site.visit(jar, write).await;
        site.records().every(Before, Load, Fail);
        site.visit(jar, async |session| session.load().await.unwrap_err())
            .await;
    })
    .await;
    assert!(
        log.contains("ERROR") && log.contains("session not loaded"),
        "{log}"
    );
}

#[tokio::test]
async fn an_evicted_session_that_was_in_use_is_an_event() {
    let (first, later) = (Cell::new(0), Cell::new(0));
    let log = recorded(async || {
        let store = MemoryStore::new()
            .clock(Clock::manual(START))
            .max_bytes(64 * 200);
        for number in 0..2_500_u32 {
            let mut bytes = [0; 32];
            bytes[28..].copy_from_slice(&number.to_be_bytes());
            let key = RecordKey::from_bytes(bytes);
            let (data, end) = (
                Bytes::from_static(&[1; 100]),
                until(START.saturating_add(DAY)),
            );
            store.create(&key, data, end).await.unwrap();
            match number {
                0..100 => first.set(store.evicted().sessions),
                _ => drop(store.load(&key, Read::Current).await.unwrap()),
            }
        }
        later.set(store.evicted().sessions);
    })
    .await;
    assert_eq!((first.get(), later.get()), (0, 2_399));
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 3, "the first, and each thousandth: {log}");
    for (line, count) in lines.iter().zip([1, 1_000, 2_000]) {
        let is_it = line.starts_with("WARN") && line.contains("evicted");
        assert!(is_it && line.contains(&format!("count={count}")), "{line}");
    }
}

#[tokio::test]
async fn a_cookie_that_caches_would_share_is_an_event() {
    let log = recorded(async || {
        let world = Kind::Cookie.world();
        for fields in [
            ["cache-control", "public"],
            ["cdn-cache-control", "max-age=5"],
            ["cache-control", "private"],
        ] {
            let response = http::Response::builder().header(fields[0], fields[1]);
            let response = response.body(String::new()).unwrap();
            world.respond(&mut Jar::default(), write, response).await;
        }
    })
    .await;
    let fields: Vec<_> = log
        .lines()
        .filter(|line| line.contains("field="))
        .map(|line| line.split("field=").nth(1))
        .collect();
    assert_eq!(fields.len(), 2, "{log}");
    assert!(fields[0].unwrap().contains("\"cache-control\""), "{log}");
    assert!(
        fields[1].unwrap().contains("\"cdn-cache-control\""),
        "{log}"
    );
}

#[tokio::test]
async fn cookies_near_the_limit_of_proxies_are_an_event() {
    let large = async |session: Session| {
        let all = sessions(&session);
        for name in ["a", "b", "c"] {
            let session = all.get(name).await.unwrap();
            session.insert("x", "x".repeat(1_800)).unwrap();
        }
    };
    let cookie = |name| SessionConfig::cookie(name, keys());
    let layer = SessionLayer::new(cookie("a"))
        .with(cookie("b"))
        .with(cookie("c"));
    let site = Site::of(layer);
    let jar = &mut Jar::default();
    let log = recorded(async || drop(site.visit(jar, large).await)).await;
    assert!(
        log.contains("limit of proxies") && log.contains("\"response\""),
        "{log}"
    );
    let log = recorded(async || drop(site.visit(jar, async |_| ()).await)).await;
    assert!(
        log.contains("limit of proxies") && log.contains("\"request\""),
        "{log}"
    );
    jar.0.remove("__Host-c");
    let log = recorded(async || drop(site.visit(jar, async |_| ()).await)).await;
    assert!(log.is_empty(), "{log}");
}

/// A browser sends a cookie with `Path=/app/` to `/app/x`, but not to `/app`.
#[tokio::test]
async fn a_path_with_a_trailing_slash_is_an_event_at_start_up() {
    for (path, is_event) in [("/app/", true), ("/app", false), ("/", false)] {
        let log = recorded(async || {
            let config = SessionConfig::cookie("s", keys()).attributes(|a| a.path(path));
            let _ = SessionLayer::new(config);
        })
        .await;
        let found = log.contains("WARN") && log.contains("/app/") && log.contains("last slash");
        assert_eq!(found, is_event, "{path}: {log}");
    }
}

#[tokio::test]
async fn a_dropped_message_is_an_event_without_its_text() {
    let log = recorded(async || {
        let flash = async |session: Session| {
            session.flash("a secret value").unwrap();
            assert!(session.flashes::<u64>().unwrap().is_empty());
        };
        Kind::Cookie.world().visit(&mut Jar::default(), flash).await;
    })
    .await;
    assert!(
        log.contains("WARN") && log.contains("u64") && log.contains("dropped"),
        "{log}"
    );
    assert!(!log.contains("secret"), "{log}");
}
