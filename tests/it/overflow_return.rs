//! Sessions that have outgrown their cookie, and come back into it.

use http::StatusCode;
use silverback::Session;

use crate::support::{
    Jar, Kind, Site,
    scripted::{Before, Delete, Fail},
};

async fn put(site: &Site, jar: &mut Jar, key: &str, len: usize) -> StatusCode {
    site.put(jar, key, "x".repeat(len)).await.status()
}

async fn cut(site: &Site, jar: &mut Jar, key: &str) -> StatusCode {
    site.remove(jar, key).await.status()
}

async fn len(site: &Site, jar: &mut Jar, key: &str) -> Option<usize> {
    site.get::<String>(jar, key).await.map(|value| value.len())
}

#[tokio::test]
async fn an_older_copy_that_comes_late_does_not_bring_old_values_back() {
    let site = Kind::Overflow.world();
    let jar = &mut Jar::default();
    put(&site, jar, "large", 1_000).await;
    put(&site, jar, "admin", 4).await;
    let one = &mut jar.clone();
    cut(&site, one, "large").await; // a copy, on its way for long
    assert_eq!(cut(&site, jar, "admin").await, StatusCode::OK); // by the record; a newer copy, which arrives
    assert_eq!(put(&site, jar, "answered", 20).await, StatusCode::OK);
    assert_eq!(len(&site, jar, "answered").await, Some(20)); // comes back: the session leaves the record
    // Now the first response arrives.
    let (answered, admin) = (
        len(&site, &mut one.clone(), "answered").await,
        len(&site, &mut one.clone(), "admin").await,
    );
    assert_eq!((answered, admin), (Some(20), None));
}

#[tokio::test]
async fn a_read_that_settles_does_not_undo_a_write_whose_answer_came_first() {
    let site = Kind::Overflow.world();
    let jar = &mut Jar::default();
    put(&site, jar, "large", 1_000).await;
    cut(&site, jar, "large").await;
    let reader = &mut jar.clone();
    len(&site, reader, "large").await; // a read; its response is slow
    assert_eq!(put(&site, jar, "answered", 20).await, StatusCode::OK);
    jar.0.extend(reader.0.clone()); // now it arrives
    assert_eq!(len(&site, jar, "answered").await, Some(20));
}

#[tokio::test]
async fn two_requests_with_one_copy_both_succeed() {
    for first_writes in [false, true] {
        let site = Kind::Overflow.world();
        let jar = &mut Jar::default();
        put(&site, jar, "large", 1_000).await;
        cut(&site, jar, "large").await;
        let other = &mut jar.clone();
        let (_, response) = site
            .visit(jar, async |session: Session| {
                session.load().await.unwrap();
                session.insert("mine", 1).unwrap();
                // Another request of the same page.
                if first_writes {
                    assert_eq!(put(&site, other, "other", 5).await, StatusCode::OK);
                } else {
                    len(&site, other, "other").await;
                }
            })
            .await;
        assert_eq!(response.status(), StatusCode::OK, "{first_writes}");
    }
}

#[tokio::test]
async fn a_record_that_stays_behind_opens_for_no_old_copy() {
    let site = Kind::RevocableOverflow.world();
    let jar = &mut Jar::default();
    put(&site, jar, "large", 1_000).await;
    put(&site, jar, "user", 3).await;
    cut(&site, jar, "large").await;
    let copy = jar.clone();
    put(&site, jar, "more", 1).await;
    site.records().every(Before, Delete, Fail);
    site.visit(jar, async |session| session.renew()).await;
    site.records().calm();
    assert!(site.is_alive(jar).await && !site.is_alive(&copy).await);
}
