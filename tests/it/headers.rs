//! What the response says besides its cookies.

use http::{Response, StatusCode, header};

use crate::support::{HOUR, Jar, Site, no_cookie, set_cookies};

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
        let site = Site::cookie();
        let read = async |session: silverback::Session| drop(session.len());
        let (_, response) = site
            .respond(&mut Jar::default(), read, response(&there))
            .await;
        assert_eq!(all(&response, header::VARY), expected);
    }
}

#[tokio::test]
async fn caching_is_forbidden_unless_the_handler_decided() {
    let write = async |session: silverback::Session| session.insert("n", 1).unwrap();
    let site = Site::cookie();
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
async fn other_cookies_stay_and_ours_replaces_its_namesake() {
    let write = async |session: silverback::Session| session.insert("n", 1).unwrap();
    let own = response(&[
        ("set-cookie", "a=1; Path=/"),
        ("set-cookie", "s=mine; Path=/"),
        ("set-cookie", "ss=2"),
    ]);
    let (_, answer) = Site::cookie()
        .respond(&mut Jar::default(), write, own)
        .await;
    let cookies = set_cookies(answer.headers());
    assert_eq!(cookies.len(), 3, "{cookies:?}");
    assert_eq!(cookies[..2], ["a=1; Path=/", "ss=2"]);
    assert!(cookies[2].starts_with("s=E"));
}

#[tokio::test]
async fn one_request_sets_one_cookie_whatever_it_does() {
    for site in [Site::cookie(), Site::memory().0] {
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
async fn a_cookie_that_moves_to_another_path_does_not_stay_at_the_old_one() {
    for site in [Site::cookie(), Site::memory().0] {
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
async fn a_cookie_that_moves_and_comes_back_is_sent_once() {
    let site = Site::cookie();
    let jar = &mut Jar::default();
    site.visit(jar, async |session| session.insert("n", 1).unwrap())
        .await;
    let there_and_back = async |session: silverback::Session| {
        session
            .set_attributes(|cookie| cookie.path("/admin"))
            .unwrap();
        session.set_attributes(|cookie| cookie.path("/")).unwrap();
    };
    let (_, response) = site.visit(jar, there_and_back).await;
    assert_eq!(set_cookies(response.headers()).len(), 1);
    let move_and_fail = async |session: silverback::Session| {
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

#[tokio::test]
async fn not_modified_carries_no_mere_refresh_but_a_real_change() {
    let site = Site::cookie();
    let jar = &mut Jar::default();
    site.visit(jar, async |session| session.insert("n", 1).unwrap())
        .await;
    site.clock.advance(12 * HOUR);
    let read = async |session: silverback::Session| drop(session.len());
    let (_, response) = site
        .answer(&mut jar.clone(), StatusCode::NOT_MODIFIED, read)
        .await;
    assert!(no_cookie(&response));
    assert_eq!(all(&response, header::VARY), ["Cookie"]);
    let (_, response) = site.answer(&mut jar.clone(), StatusCode::OK, read).await;
    assert!(!no_cookie(&response));
    let write = async |session: silverback::Session| session.insert("n", 2).unwrap();
    let (_, response) = site
        .answer(&mut jar.clone(), StatusCode::NOT_MODIFIED, write)
        .await;
    assert!(!no_cookie(&response));
}
