//! The session of tower-sessions over silverback's layer.

use std::time::Duration;

use axum::http::{StatusCode, header};
use serde_json::Value;
use silverback::testing::Calls;

use super::{
    site::{Both, Site, set_cookies},
    tower_sessions::{Expiry, Session},
};
use crate::log::recorded;

#[tokio::test]
async fn what_one_request_puts_in_the_next_one_gets() {
    let site = Site::new();
    let jar = &mut site.jar();
    assert_eq!(site.get(jar, "a").await, None);
    assert_eq!(site.put(jar, "a", 1).await, StatusCode::OK);
    assert_eq!(site.get(jar, "a").await, Some(1));
    let change = |session: Session| async move {
        assert_eq!(
            session.insert_value("a", 2.into()).await.unwrap(),
            Some(1.into())
        );
        session.insert("none", None::<u32>).await.unwrap();
        session.insert("list", [1.5, 2.5]).await.unwrap();
    };
    site.visit(jar, change).await;
    let read = |both: Both| async move {
        assert_eq!(both.tower.get_value("a").await.unwrap(), Some(2.into()));
        assert_eq!(
            both.tower.get_value("none").await.unwrap(),
            Some(Value::Null)
        );
        let list = both.tower.remove::<Vec<f64>>("list").await.unwrap();
        (list, StatusCode::OK)
    };
    assert_eq!(site.serve(jar, read).await.0, Some(vec![1.5, 2.5]));
    let read = |both: Both| async move {
        both.own.load().await.unwrap();
        let mut keys = both.own.keys().unwrap();
        keys.sort();
        (keys, StatusCode::OK)
    };
    assert_eq!(site.serve(jar, read).await.0, ["a", "none"]);
}

#[tokio::test]
async fn a_request_that_does_not_use_its_session_costs_no_call() {
    let site = Site::new();
    let jar = &mut site.jar();
    site.put(jar, "a", 1).await;
    site.store.take_count();
    let look = |session: Session| async move { (session.id().is_some(), session.is_empty().await) };
    let (told, response) = site.visit(jar, look).await;
    assert_eq!(told, (true, false));
    assert_eq!(site.store.take_count(), 0);
    assert!(!response.headers().contains_key(header::VARY));
    assert!(set_cookies(response.headers()).is_empty());
    let (told, response) = site.visit(&mut site.jar(), look).await;
    assert_eq!(told, (false, true));
    assert!(set_cookies(response.headers()).is_empty());
}

#[tokio::test]
async fn changes_of_requests_at_the_same_time_are_merged() {
    let site = Site::new();
    let jar = &mut site.jar();
    site.put(jar, "base", 0).await;
    let (inner, mut other) = (site.clone(), jar.clone());
    let slow = |session: Session| async move {
        assert_eq!(session.get("base").await.unwrap(), Some(0));
        inner.put(&mut other, "theirs", 1).await;
        inner.put(&mut other, "base", 2).await;
        session.insert("mine", 3).await.unwrap();
    };
    assert_eq!(site.visit(jar, slow).await.1.status(), StatusCode::OK);
    for (key, value) in [("base", 2), ("theirs", 1), ("mine", 3)] {
        assert_eq!(site.get(jar, key).await, Some(value), "{key}");
    }
}

#[tokio::test]
async fn a_logout_is_final_whatever_is_under_way() {
    let site = Site::new();
    let jar = &mut site.jar();
    site.put(jar, "user", 7).await;
    let (inner, mut other) = (site.clone(), jar.clone());
    let slow = |session: Session| async move {
        assert_eq!(session.get("user").await.unwrap(), Some(7));
        let log_out = |session: Session| async move { session.flush().await.unwrap() };
        inner.visit(&mut other, log_out).await;
        assert!(other.is_empty());
        session.insert("cart", 1).await.unwrap();
        session.save().await.is_err()
    };
    let (is_refused, response) = site.visit(&mut jar.clone(), slow).await;
    assert!(is_refused);
    assert_eq!(response.status(), StatusCode::CONFLICT);
    assert!(set_cookies(response.headers()).is_empty());
    assert_eq!(site.get(jar, "user").await, None);
    assert_eq!(site.get(jar, "cart").await, None);
}

#[tokio::test]
async fn a_session_that_begins_after_flush_is_another_one() {
    let site = Site::new();
    let jar = &mut site.jar();
    site.put(jar, "user", 7).await;
    for reads_first in [true, false] {
        let old = &mut jar.clone();
        let anew = move |session: Session| async move {
            let id = session.id();
            if reads_first {
                assert!(session.get::<u32>("user").await.unwrap().is_some());
            }
            session.flush().await.unwrap();
            assert!(session.is_empty().await && session.id().is_none());
            session.insert("user", 8).await.unwrap(); // the second time it is the old value
            session.cycle_id().await.unwrap(); // as a login does
            session.insert("greeting", 9).await.unwrap();
            session.save().await.unwrap();
            (id, session.id())
        };
        let ((before, after), _) = site.visit(jar, anew).await;
        assert!(before.is_some() && after.is_some() && before != after);
        assert_eq!(site.get(jar, "user").await, Some(8));
        assert_eq!(site.get(jar, "greeting").await, Some(9));
        assert_eq!(site.get(old, "user").await, None);
        assert_eq!(site.get(old, "greeting").await, None);
    }
}

#[tokio::test]
async fn another_id_keeps_the_values_and_ends_the_old_one() {
    let site = Site::new();
    let jar = &mut site.jar();
    site.put(jar, "cart", 1).await;
    let old = &mut jar.clone();
    let log_in = |session: Session| async move {
        let id = session.id();
        session.cycle_id().await.unwrap();
        session.insert("user", 7).await.unwrap();
        assert!(session.id().is_none());
        id
    };
    let (before, _) = site.visit(jar, log_in).await;
    let id = |session: Session| async move { session.id() };
    let (after, _) = site.visit(jar, id).await;
    assert!(before.is_some() && after.is_some() && before != after);
    assert_eq!(site.get(jar, "cart").await, Some(1));
    assert_eq!(site.get(jar, "user").await, Some(7));
    assert_eq!(site.get(old, "cart").await, None);
    assert_eq!(site.put(old, "cart", 2).await, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_login_is_a_renewal_also_for_a_new_visitor() {
    let site = Site::new();
    let jar = &mut site.jar();
    let log_in = |session: Session| async move {
        assert_eq!(session.get::<u32>("user").await.unwrap(), None);
        session.cycle_id().await.unwrap();
        session.insert("user", 7).await.unwrap();
    };
    site.visit(jar, log_in).await;
    let time = |both: Both| async move {
        both.own.load().await.unwrap();
        (both.own.authenticated_at().unwrap(), StatusCode::OK)
    };
    assert_eq!(site.serve(jar, time).await.0, Some(site.clock.now()));
    // A request with a cookie that was renewed a moment ago can log in as well.
    let old = &mut jar.clone();
    site.visit(jar, |session: Session| async move {
        session.flush().await.unwrap()
    })
    .await;
    let (_, response) = site.visit(old, log_in).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(site.get(old, "user").await, Some(7));
}

#[tokio::test]
async fn a_handler_that_fails_after_another_id_logs_nobody_out() {
    let site = Site::new();
    let jar = &mut site.jar();
    site.put(jar, "cart", 1).await;
    let fail = |both: Both| async move {
        both.tower.cycle_id().await.unwrap();
        both.tower.insert("cart", 2).await.unwrap();
        ((), StatusCode::INTERNAL_SERVER_ERROR)
    };
    site.serve(jar, fail).await;
    assert_eq!(site.get(jar, "cart").await, Some(1));
}

#[tokio::test]
async fn another_id_and_flush_end_the_session() {
    let site = Site::new();
    let jar = &mut site.jar();
    site.put(jar, "user", 7).await;
    let old = &mut jar.clone();
    let end = |both: Both| async move {
        both.tower.cycle_id().await.unwrap();
        both.tower.flush().await.unwrap();
        ((), StatusCode::BAD_GATEWAY)
    };
    site.serve(jar, end).await;
    assert!(jar.is_empty());
    assert_eq!(site.get(old, "user").await, None);
}

#[tokio::test]
async fn nothing_is_saved_after_delete() {
    let site = Site::new();
    let jar = &mut site.jar();
    site.put(jar, "user", 7).await;
    let old = &mut jar.clone();
    let end = |session: Session| async move {
        session.insert("user", 8).await.unwrap();
        session.delete().await.unwrap();
        session.insert("user", 9).await.unwrap();
        session.save().await.is_err()
    };
    let (is_refused, response) = site.visit(jar, end).await;
    assert!(is_refused);
    assert_eq!(response.status(), StatusCode::OK);
    assert!(jar.is_empty());
    assert_eq!(site.get(old, "user").await, None);
}

#[tokio::test]
async fn a_lifetime_is_that_of_the_cookie_and_stays() {
    let site = Site::new();
    let jar = &mut site.jar();
    let day = time_days(1);
    let expire = |expiry: Expiry| {
        move |session: Session| async move {
            session.insert("user", 7).await.unwrap();
            session.set_expiry(Some(expiry));
        }
    };
    let (_, response) = site.visit(jar, expire(Expiry::OnInactivity(day))).await;
    assert!(set_cookies(response.headers())[0].contains("Max-Age=86400"));
    site.clock.advance(Duration::from_secs(23 * 3_600));
    assert_eq!(site.put(jar, "cart", 1).await, StatusCode::OK);
    assert_eq!(site.get(jar, "user").await, Some(7));
    let (_, response) = site.visit(jar, expire(Expiry::OnSessionEnd)).await;
    assert!(!set_cookies(response.headers())[0].contains("Max-Age"));
    let over = Expiry::OnInactivity(time_days(0));
    site.visit(jar, expire(over)).await;
    assert!(jar.is_empty());
    // It begins no session.
    let only =
        move |session: Session| async move { session.set_expiry(Some(Expiry::OnInactivity(day))) };
    let (_, response) = site.visit(jar, only).await;
    assert!(set_cookies(response.headers()).is_empty());
}

fn time_days(days: u64) -> time::Duration {
    time::Duration::seconds((days * 86_400).try_into().unwrap())
}

#[tokio::test]
async fn an_id_is_the_same_in_each_request_and_is_no_secret() {
    let site = Site::new();
    let jar = &mut site.jar();
    let begin = |session: Session| async move {
        session.insert("a", 1).await.unwrap();
        session.save().await.unwrap();
        session.id().unwrap()
    };
    let (first, _) = site.visit(jar, begin).await;
    let ask = |session: Session| async move {
        let before = session.id().unwrap();
        session.insert("b", 1).await.unwrap();
        (before, session.id().unwrap())
    };
    let (second, _) = site.visit(jar, ask).await;
    assert_eq!(second, (first, first));
    let key = |both: Both| async move {
        both.own.load().await.unwrap();
        (*both.own.record_key().unwrap().as_bytes(), StatusCode::OK)
    };
    let (key, _) = site.serve(jar, key).await;
    assert_eq!(first.0.to_le_bytes(), key[..16]);
}

#[tokio::test]
async fn a_save_is_in_the_store_when_it_returns() {
    let site = Site::new();
    let jar = &mut site.jar();
    site.put(jar, "a", 1).await;
    let (inner, mut other) = (site.clone(), jar.clone());
    let save = |both: Both| async move {
        both.tower.insert("a", 2).await.unwrap();
        assert_eq!(inner.get(&mut other, "a").await, Some(1));
        both.tower.save().await.unwrap();
        assert_eq!(inner.get(&mut other, "a").await, Some(2));
        both.tower.insert("a", 3).await.unwrap();
        ((), StatusCode::SERVICE_UNAVAILABLE)
    };
    site.serve(jar, save).await;
    assert_eq!(site.get(jar, "a").await, Some(2));
}

#[tokio::test]
async fn a_response_that_saves_nothing_passes_as_it_is() {
    let site = Site::new();
    let jar = &mut site.jar();
    site.put(jar, "a", 1).await;
    let cut_off = |both: Both| async move {
        both.tower.insert("a", 2).await.unwrap();
        ((), StatusCode::REQUEST_TIMEOUT)
    };
    let (_, response) = site.serve(jar, cut_off).await;
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(site.get(jar, "a").await, Some(1));
    let fail = |both: Both| async move {
        both.tower.set_expiry(Some(Expiry::OnSessionEnd));
        ((), StatusCode::BAD_GATEWAY)
    };
    site.store.fail_all(Calls::All);
    let (_, response) = site.serve(jar, fail).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_load_takes_back_what_was_not_saved() {
    let site = Site::new();
    let jar = &mut site.jar();
    site.put(jar, "a", 1).await;
    let take_back = |session: Session| async move {
        session.insert("a", 2).await.unwrap();
        session.load().await.unwrap();
        session.get::<u32>("a").await.unwrap()
    };
    assert_eq!(site.visit(jar, take_back).await.0, Some(1));
    assert_eq!(site.get(jar, "a").await, Some(1));
}

#[tokio::test]
async fn clear_leaves_what_tower_sessions_does_not_see() {
    let site = Site::new();
    let jar = &mut site.jar();
    let fill = |both: Both| async move {
        both.own.load().await.unwrap();
        both.own.insert_bytes("bytes", [0, 159]).unwrap();
        both.own.flash("hello").unwrap();
        both.tower.insert("a", 1).await.unwrap();
        ((), StatusCode::OK)
    };
    site.serve(jar, fill).await;
    let clear = |session: Session| async move {
        session.clear().await;
        session.get_value("bytes").await.unwrap()
    };
    assert_eq!(site.visit(jar, clear).await.0, None);
    let rest = |both: Both| async move {
        both.own.load().await.unwrap();
        let flashes: Vec<String> = both.own.flashes().unwrap();
        let bytes = both.own.get_bytes("bytes").unwrap();
        ((both.own.keys().unwrap(), flashes, bytes), StatusCode::OK)
    };
    let ((keys, flashes, bytes), _) = site.serve(jar, rest).await;
    assert_eq!(
        (keys, flashes),
        (vec!["bytes".to_owned()], vec!["hello".to_owned()])
    );
    assert_eq!(bytes, Some(vec![0, 159]));
    site.put(jar, "last", 1).await;
    let empty = |both: Both| async move {
        both.own.load().await.unwrap();
        both.own.remove("bytes").unwrap();
        both.tower.remove_value("last").await.unwrap();
        ((), StatusCode::OK)
    };
    site.serve(jar, empty).await;
    assert!(jar.is_empty());
}

#[tokio::test]
async fn a_failing_store_is_no_empty_session() {
    let site = Site::new();
    let jar = &mut site.jar();
    site.put(jar, "user", 7).await;
    site.store.fail_all(Calls::All);
    let read = |session: Session| async move { session.get::<u32>("user").await.is_err() };
    assert!(site.visit(jar, read).await.0);
    let change = |session: Session| async move { session.set_expiry(Some(Expiry::OnSessionEnd)) };
    let (_, response) = site.visit(jar, change).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    site.store.heal();
    let store = site.store.clone();
    let write = |both: Both| async move {
        both.tower.insert("user", 8).await.unwrap();
        store.fail_all(Calls::All);
        ((), StatusCode::OK)
    };
    let (_, response) = site.serve(jar, write).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    site.store.heal();
    assert_eq!(site.get(jar, "user").await, Some(7));
}

#[tokio::test]
async fn a_cookie_that_is_not_valid_is_no_session() {
    let site = Site::new();
    let jar = &mut site.jar();
    site.put(jar, "user", 7).await;
    let other = Site::new(); // of another key
    let read = |session: Session| async move {
        assert!(session.id().is_some());
        let user = session.get::<u32>("user").await.unwrap();
        assert!(session.id().is_none());
        session.insert("user", 8).await.unwrap();
        user
    };
    assert_eq!(other.visit(jar, read).await.0, None);
    assert_eq!(other.get(jar, "user").await, Some(8));
}

#[tokio::test]
async fn a_session_that_is_kept_after_the_response_is_read_and_saved() {
    let site = Site::new();
    let jar = &mut site.jar();
    site.put(jar, "a", 1).await;
    let keep = |session: Session| async move {
        assert_eq!(session.get("a").await.unwrap(), Some(1));
        session
    };
    let (kept, _) = site.visit(jar, keep).await;
    site.put(jar, "b", 2).await;
    kept.load().await.unwrap();
    assert_eq!(kept.get("b").await.unwrap(), Some(2));
    site.put(jar, "c", 3).await;
    kept.insert("a", 4).await.unwrap();
    kept.save().await.unwrap();
    assert_eq!(site.get(jar, "a").await, Some(4));
    assert_eq!(site.get(jar, "c").await, Some(3));
    site.visit(jar, |session: Session| async move {
        session.flush().await.unwrap()
    })
    .await;
    kept.insert("a", 5).await.unwrap();
    assert!(kept.save().await.is_err());
}

#[tokio::test]
async fn the_log_says_why_a_session_is_not_saved() {
    let site = Site::new();
    let jar = &mut site.jar();
    let log = recorded(async || {
        let grow = |session: Session| async move {
            session.insert("large", "x".repeat(2 << 20)).await.unwrap();
        };
        let (_, response) = site.visit(jar, grow).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    });
    let log = log.await;
    assert!(
        log.starts_with("ERROR") && log.contains("its limit is"),
        "{log}"
    );
    assert_eq!(log.lines().count(), 1);
}
