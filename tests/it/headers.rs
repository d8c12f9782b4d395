//! Response headers, besides the cookies themselves.

use http::{Response, StatusCode, header};

use silverback::Session;

use crate::support::{
    HOUR, Jar, Kind, World,
    log::recorded,
    no_cookie,
    scripted::{ANY, Before, Fail, Load},
    set_cookie, set_cookies,
};

fn response(headers: &[(&str, &str)]) -> Response<String> {
    let mut response = Response::builder();
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(String::new()).unwrap()
}

fn all(response: &Response<String>, name: header::HeaderName) -> Vec<&str> {
    response
        .headers()
        .get_all(name)
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect()
}

#[tokio::test]
async fn vary_is_added_once() {
    for (there, expected) in [
        (vec![], vec!["Cookie"]),
        (vec![("vary", "Accept")], vec!["Accept", "Cookie"]),
        (vec![("vary", "accept, COOKIE")], vec!["accept, COOKIE"]),
        (
            vec![("vary", "accept"), ("vary", "cookie")],
            vec!["accept", "cookie"],
        ),
        (vec![("vary", "*")], vec!["*"]),
        (vec![("vary", "x-cookie")], vec!["x-cookie", "Cookie"]),
    ] {
        let site = Kind::Cookie.world();
        let read = async |session: Session| drop(session.len());
        let (_, response) = site
            .respond(&mut Jar::default(), read, response(&there))
            .await;
        assert_eq!(all(&response, header::VARY), expected);
    }
}

#[tokio::test]
async fn vary_is_added_when_the_handler_fails() {
    let write = async |session: Session| session.insert("n", 1).unwrap();
    let failed = StatusCode::INTERNAL_SERVER_ERROR;
    let world = Kind::Cookie.world();
    let (_, response) = world.answer(&mut Jar::default(), failed, write).await;
    assert_eq!(all(&response, header::VARY), ["Cookie"]);
}

#[tokio::test]
async fn vary_is_added_when_the_load_fails() {
    let world = Kind::Remote.world();
    let jar = &mut Jar::default();
    world.put(jar, "n", 1).await;
    world.records().every(Before, Load, Fail);
    let load = async |session: Session| drop(session.load().await.unwrap_err());
    let (_, response) = world.visit(jar, load).await;
    assert_eq!(all(&response, header::VARY), ["Cookie"]);
}

#[tokio::test]
async fn vary_is_added_when_the_save_fails() {
    let world = Kind::Remote.world();
    let write = async |session: Session| {
        session.load().await.unwrap();
        session.insert("n", 1).unwrap();
        world.records().every(Before, ANY, Fail);
    };
    let (_, response) = world.visit(&mut Jar::default(), write).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(all(&response, header::VARY), ["Cookie"]);
}

#[tokio::test]
async fn caching_is_forbidden_by_default() {
    let write = async |session: Session| session.insert("n", 1).unwrap();
    let site = Kind::Cookie.world();
    let (_, answer) = site
        .respond(&mut Jar::default(), write, response(&[]))
        .await;
    assert_eq!(all(&answer, header::CACHE_CONTROL), ["no-store"]);
    let own = response(&[("cache-control", "private, max-age=5")]);
    let (_, answer) = site.respond(&mut Jar::default(), write, own).await;
    assert_eq!(all(&answer, header::CACHE_CONTROL), ["private, max-age=5"]);
    let (_, answer) = site
        .visit(&mut Jar::default(), async |session| session.len().unwrap())
        .await;
    assert!(all(&answer, header::CACHE_CONTROL).is_empty());
}

#[tokio::test]
async fn our_cookie_replaces_only_its_namesake() {
    let write = async |session: Session| session.insert("n", 1).unwrap();
    for others in [&["a=1; Path=/", "ss=2"] as &[&str], &["a=1"], &[]] {
        for namesake in [Some("s=mine; Path=/"), None] {
            let own = others.iter().chain(&namesake);
            let own: Vec<_> = own.map(|cookie| ("set-cookie", *cookie)).collect();
            let jar = &mut Jar::default();
            let mut answered = None;
            let log = recorded(async || {
                let world = Kind::Cookie.world();
                answered = Some(world.respond(jar, write, response(&own)).await.1);
            });
            let log = log.await;
            let cookies = set_cookies(answered.unwrap().headers());
            let (ours, rest) = cookies.split_last().unwrap();
            assert_eq!(rest, others, "{namesake:?}");
            assert!(ours.starts_with("s=E"));
            let is_told = log.contains("replaced");
            assert_eq!(is_told, namesake.is_some(), "{log}");
        }
    }
}

#[tokio::test]
async fn one_request_sets_one_cookie() {
    for site in Kind::SIMPLE.map(Kind::world) {
        let jar = &mut Jar::default();
        site.visit(jar, async |session| session.insert("n", 1).unwrap())
            .await;
        let (_, response) = site
            .visit(jar, async |session| {
                session.renew();
                session.save().await.unwrap();
                session.destroy().await.unwrap();
                session.insert("n", 2).unwrap();
                session.save().await.unwrap();
                session.persist_for(HOUR);
                session.renew();
            })
            .await;
        let cookies = set_cookies(response.headers());
        assert_eq!(cookies.len(), 1, "{cookies:?}");
        assert!(cookies[0].contains("Max-Age=3600"));
    }
}

#[tokio::test]
async fn a_cookie_moved_leaves_its_old_path() {
    for site in Kind::SIMPLE.map(Kind::world) {
        let jar = &mut Jar::default();
        site.visit(jar, async |session| session.insert("n", 1).unwrap())
            .await;
        let (_, response) = site
            .visit(jar, async |session| {
                session
                    .set_attributes(|cookie| cookie.path("/admin"))
                    .unwrap();
                session
                    .set_attributes(|cookie| cookie.path("/shop"))
                    .unwrap();
            })
            .await;
        let cookies = set_cookies(response.headers());
        assert_eq!(cookies.len(), 2, "{cookies:?}");
        assert!(
            cookies[0].starts_with("s=; Max-Age=0") && cookies[0].ends_with("; Path=/"),
            "{cookies:?}"
        );
        assert!(cookies[1].ends_with("; Path=/shop"), "{cookies:?}");
    }
}

#[tokio::test]
async fn a_cookie_moved_and_back_is_sent_once() {
    let site = Kind::Cookie.world();
    let jar = &mut Jar::default();
    site.visit(jar, async |session| session.insert("n", 1).unwrap())
        .await;
    let there_and_back = async |session: Session| {
        session
            .set_attributes(|cookie| cookie.path("/admin"))
            .unwrap();
        session.set_attributes(|cookie| cookie.path("/")).unwrap();
    };
    let (_, response) = site.visit(jar, there_and_back).await;
    assert_eq!(set_cookies(response.headers()).len(), 1);
    let move_and_fail = async |session: Session| {
        session
            .set_attributes(|cookie| cookie.path("/admin"))
            .unwrap();
        session.renew();
    };
    let (_, response) = site
        .answer(jar, StatusCode::INTERNAL_SERVER_ERROR, move_and_fail)
        .await;
    let cookies = set_cookies(response.headers());
    assert!(
        cookies.len() == 1 && cookies[0].ends_with("; Path=/"),
        "{cookies:?}"
    );
}

/// A session with a value, whose cookie has moved to another path.
async fn moved(world: &World) -> Jar {
    let mut jar = Jar::default();
    let write = async |session: Session| {
        session.insert("n", 1).unwrap();
        session
            .set_attributes(|cookie| cookie.path("/admin"))
            .unwrap();
    };
    world.visit(&mut jar, write).await;
    jar
}

#[tokio::test]
async fn a_removal_has_the_cookies_attributes() {
    for kind in Kind::SIMPLE {
        let world = kind.world();
        let jar = &mut moved(&world).await;
        let destroy_twice = async |session: Session| {
            session.destroy().await.unwrap();
            session.destroy().await.unwrap();
        };
        let (_, response) = world.visit(jar, destroy_twice).await;
        let cookie = set_cookie(&response);
        assert!(
            cookie.contains("Max-Age=0") && cookie.contains("Path=/admin"),
            "{cookie}"
        );
    }
}

#[tokio::test]
async fn a_removal_keeps_them_in_a_failure() {
    for kind in Kind::SIMPLE {
        let world = kind.world();
        let jar = &mut moved(&world).await;
        let replace = async |session: Session| {
            session.destroy().await.unwrap();
            session.insert("new", 1).unwrap();
        };
        let failed = StatusCode::INTERNAL_SERVER_ERROR;
        let (_, response) = world.answer(jar, failed, replace).await;
        let cookie = set_cookie(&response);
        assert!(
            cookie.contains("Max-Age=0") && cookie.contains("Path=/admin"),
            "{cookie}"
        );
    }
}

#[tokio::test]
async fn a_flash_after_destroy_replaces_it() {
    let world = Kind::Cookie.world();
    let jar = &mut moved(&world).await;
    let say_goodbye = async |session: Session| {
        session.destroy().await.unwrap();
        session.flash("bye").unwrap();
    };
    let (_, response) = world.visit(jar, say_goodbye).await;
    let cookie = set_cookie(&response);
    assert!(
        cookie.contains("Path=/admin") && !cookie.contains("Max-Age"),
        "{cookie}"
    );
}

#[tokio::test]
async fn not_modified_carries_no_mere_refresh() {
    let site = Kind::Cookie.world();
    let jar = &mut Jar::default();
    site.visit(jar, async |session| session.insert("n", 1).unwrap())
        .await;
    site.clock.advance(12 * HOUR);
    let read = async |session: Session| drop(session.len());
    let (_, response) = site
        .answer(&mut jar.clone(), StatusCode::NOT_MODIFIED, read)
        .await;
    assert!(no_cookie(&response));
    assert_eq!(all(&response, header::VARY), ["Cookie"]);
    let (_, response) = site.answer(&mut jar.clone(), StatusCode::OK, read).await;
    assert!(!no_cookie(&response));
    let write = async |session: Session| session.insert("n", 2).unwrap();
    let (_, response) = site
        .answer(&mut jar.clone(), StatusCode::NOT_MODIFIED, write)
        .await;
    assert!(!no_cookie(&response));
}

/// The removal is for the cookie that the browser has, not for the one it would have got.
#[tokio::test]
async fn a_cookie_moved_and_destroyed_is_removed_where_it_is() {
    for kind in Kind::PLAIN {
        for (was_moved, path) in [(false, "Path=/"), (true, "Path=/admin")] {
            let world = kind.world();
            let jar = &mut Jar::default();
            if was_moved {
                let move_first = async |session: Session| {
                    session.load().await.unwrap();
                    session.insert("n", 1).unwrap();
                    let moved = session.set_attributes(|cookie| cookie.path("/admin"));
                    moved.unwrap();
                };
                world.visit(jar, move_first).await;
            } else {
                world.put(jar, "n", 1).await;
            }
            let move_and_destroy = async |session: Session| {
                session.load().await.unwrap();
                let moved = session.set_attributes(|cookie| cookie.path("/shop"));
                moved.unwrap();
                session.destroy().await.unwrap();
            };
            let (_, response) = world.visit(jar, move_and_destroy).await;
            let cookie = set_cookie(&response);
            assert!(cookie.starts_with("s=; Max-Age=0"), "{kind:?}: {cookie}");
            assert!(cookie.ends_with(path), "{kind:?}: {cookie}");
        }
    }
}

#[tokio::test]
async fn one_moved_and_emptied_is_removed_where_it_is() {
    for kind in Kind::PLAIN {
        for saves in [false, true] {
            let world = kind.world();
            let jar = &mut Jar::default();
            world.put(jar, "n", 1).await;
            let move_and_empty = async |session: Session| {
                session.load().await.unwrap();
                let moved = session.set_attributes(|cookie| cookie.path("/shop"));
                moved.unwrap();
                if saves {
                    session.save().await.unwrap();
                }
                session.clear().unwrap();
            };
            let (_, response) = world.visit(jar, move_and_empty).await;
            let cookie = set_cookie(&response);
            assert!(cookie.starts_with("s=; Max-Age=0"), "{kind:?}: {cookie}");
            assert!(cookie.ends_with("Path=/"), "{kind:?}: {cookie}");
        }
    }
}

/// To browsers, a cookie in another partition is another cookie.
#[tokio::test]
async fn a_cookie_that_is_partitioned_leaves_its_old_self() {
    for kind in Kind::PLAIN {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "n", 1).await;
        let partition = async |session: Session| {
            session.load().await.unwrap();
            let moved = session.set_attributes(|cookie| cookie.partitioned(true));
            moved.unwrap();
        };
        let (_, response) = world.visit(jar, partition).await;
        let cookies = set_cookies(response.headers());
        assert_eq!(cookies.len(), 2, "{kind:?}: {cookies:?}");
        let is_partitioned = |cookie: &String| cookie.contains("Partitioned");
        assert!(cookies[0].starts_with("s=; Max-Age=0"), "{cookies:?}");
        assert!(!is_partitioned(&cookies[0]), "{cookies:?}");
        assert!(is_partitioned(&cookies[1]), "{cookies:?}");
    }
}
