//! What the page does and refuses to do, tested in process.

use std::time::Duration;

use axum::{
    Router,
    http::{Request, StatusCode, header},
};
use example_admin::{Settings, Site, router};
use silverback::{
    Clock, Key,
    testing::{Body, Browser, Page},
};
use tokio::task::JoinSet;

use crate::{PASSWORD, START, Stage, settings};

const FORM: &str = "application/x-www-form-urlencoded";

fn stage() -> Stage {
    Stage::new(Clock::manual(START))
}

impl Stage {
    fn visitor(&self) -> Browser<Router> {
        Browser::new(self.app.clone()).clock(self.clock.clone())
    }

    async fn user(&self, name: &str, device: &str) -> Browser<Router> {
        let browser = self.visitor();
        let login = Request::post("/login")
            .header(header::CONTENT_TYPE, FORM)
            .header(header::USER_AGENT, device)
            .body(Body::from(format!("name={name}")));
        assert_eq!(browser.visit(login.unwrap()).await.status(), 200);
        browser
    }

    async fn administrator(&self) -> Browser<Router> {
        let browser = self.visitor();
        let page = browser
            .submit("/admin/login", &[("password", PASSWORD)])
            .await;
        assert_eq!(page.location().unwrap().path(), "/admin");
        browser
    }
}

/// Returns the first text between the two.
fn between<'a>(page: &'a Page, before: &str, after: &str) -> &'a str {
    let (_, rest) = page.text().split_once(before).unwrap();
    rest.split_once(after).unwrap().0
}

fn csrf(page: &Page) -> &str {
    between(page, r#"name="csrf" value=""#, "\"")
}

async fn hello(user: &Browser<Router>) -> String {
    user.get("/").await.text().to_owned()
}

#[tokio::test]
async fn the_page_exists_only_if_it_is_on_and_has_a_password() {
    let mut without_password = settings();
    without_password.password_hash = None;
    let mut off = settings();
    off.enabled = false;
    for settings in [Settings::default(), without_password, off] {
        let stage = Stage::with(&settings, Clock::manual(START));
        for path in ["/admin", "/admin/login"] {
            let page = stage.visitor().get(path).await;
            assert_eq!(page.status(), StatusCode::NOT_FOUND, "{settings:?}");
        }
    }
}

#[test]
fn mistakes_in_the_settings_show_at_start_up() {
    let stage = stage();
    let refused = |change: fn(&mut Settings)| {
        let mut settings = settings();
        change(&mut settings);
        let site = Site::new(&stage.config, stage.keys.clone(), stage.refusals.clone());
        router(&settings, site.unwrap()).unwrap_err().to_string()
    };
    let plain = refused(|settings| settings.password_hash = Some("correct horse".into()));
    assert!(plain.contains("password_hash"), "{plain}");
    let slash = refused(|settings| settings.path = "/admin/".into());
    assert!(slash.contains("path"), "{slash}");
}

#[tokio::test]
async fn strangers_see_only_the_login() {
    let stage = stage();
    stage.user("ada", "phone").await;
    let stranger = stage.visitor();
    let page = stranger.get("/admin?user=ada").await;
    assert_eq!(page.location().unwrap().path(), "/admin/login");
    for path in ["/admin/end-all", "/admin/end", "/admin/logout"] {
        let page = stranger
            .submit(path, &[("user", "ada"), ("session", "x")])
            .await;
        assert_eq!(page.location().unwrap().path(), "/admin/login", "{path}");
    }
    let page = stranger
        .submit("/admin/login", &[("password", "wrong")])
        .await;
    assert_eq!(page.status(), StatusCode::UNAUTHORIZED);
    assert!(stranger.jar(|jar| jar.is_empty()), "nothing is left behind");
}

#[tokio::test]
async fn guesses_sent_at_once_are_counted_like_others() {
    let stage = stage();
    let mut all = JoinSet::new();
    for _ in 0..20 {
        let stranger = stage.visitor();
        all.spawn(async move {
            let guess = [("password", "wrong")];
            stranger.submit("/admin/login", &guess).await.status()
        });
    }
    let statuses = all.join_all().await;
    let checked = |status: &&StatusCode| **status == StatusCode::UNAUTHORIZED;
    assert_eq!(statuses.iter().filter(checked).count(), 5, "{statuses:?}");
    let refused = |status: &&StatusCode| **status == StatusCode::TOO_MANY_REQUESTS;
    assert_eq!(statuses.iter().filter(refused).count(), 15, "{statuses:?}");
}

#[tokio::test]
async fn after_five_wrong_passwords_none_is_checked_for_a_minute() {
    let stage = stage();
    let stranger = stage.visitor();
    for _ in 0..5 {
        let page = stranger
            .submit("/admin/login", &[("password", "wrong")])
            .await;
        assert_eq!(page.status(), StatusCode::UNAUTHORIZED);
    }
    let page = stranger
        .submit("/admin/login", &[("password", PASSWORD)])
        .await;
    assert_eq!(page.status(), StatusCode::TOO_MANY_REQUESTS);
    stage.clock.advance(Duration::from_secs(60));
    stage.administrator().await;
}

#[tokio::test]
async fn a_user_is_found_and_one_session_of_theirs_is_ended() {
    let stage = stage();
    let (phone, laptop) = (
        stage.user("ada", "phone").await,
        stage.user("ada", "laptop").await,
    );
    let bob = stage.user("bob", "tablet").await;
    let admin = stage.administrator().await;
    let page = admin.get("/admin?user=ada").await;
    assert!(page.text().contains("phone") && page.text().contains("laptop"));
    assert!(!page.text().contains("tablet"));
    // Both were last used now, so either may come first.
    let [session, csrf] = [
        between(&page, r#"name="session" value=""#, "\""),
        csrf(&page),
    ];
    let is_phone = page.text().find("phone").unwrap() < page.text().find("laptop").unwrap();
    let fields = [("user", "ada"), ("session", session), ("csrf", csrf)];
    let answer = admin.submit("/admin/end", &fields).await;
    let page = admin.follow(&answer).await;
    assert!(page.text().contains("One session has ended."));
    assert!(page.text().contains("has one session"));
    let (ended, other) = if is_phone {
        (&phone, &laptop)
    } else {
        (&laptop, &phone)
    };
    assert_eq!(hello(ended).await, "Hello, stranger.\n");
    assert_eq!(hello(other).await, "Hello, ada.\n");

    // A session of another user is left alone.
    let page = admin.get("/admin?user=bob").await;
    let session = between(&page, r#"name="session" value=""#, "\"");
    let fields = [("user", "ada"), ("session", session), ("csrf", csrf)];
    let page = admin
        .follow(&admin.submit("/admin/end", &fields).await)
        .await;
    assert!(page.text().contains("had ended before"));
    assert_eq!(hello(&bob).await, "Hello, bob.\n");
}

#[tokio::test]
async fn all_sessions_of_a_user_are_ended() {
    let stage = stage();
    let users = [
        stage.user("a%26b", "phone").await,
        stage.user("a%26b", "laptop").await,
    ];
    let admin = stage.administrator().await;
    let page = admin.get("/admin?user=a%26b").await;
    let fields = [("user", "a&b"), ("csrf", csrf(&page))];
    let answer = admin.submit("/admin/end-all", &fields).await;
    assert_eq!(answer.location().unwrap().to_string(), "/admin?user=a%26b");
    let page = admin.follow(&answer).await;
    assert!(page.text().contains("2 sessions have ended."));
    assert!(page.text().contains("is logged in nowhere"));
    for user in users {
        assert_eq!(hello(&user).await, "Hello, stranger.\n");
    }
}

#[tokio::test]
async fn forms_count_only_from_the_page_and_with_its_token() {
    let stage = stage();
    let user = stage.user("ada", "phone").await;
    let (admin, other) = (stage.administrator().await, stage.administrator().await);
    let token = csrf(&admin.get("/admin").await).to_owned();
    let others = csrf(&other.get("/admin").await).to_owned();
    for wrong in ["", "x", &others] {
        let fields = [("user", "ada"), ("csrf", wrong)];
        let page = admin.submit("/admin/end-all", &fields).await;
        assert_eq!(page.status(), StatusCode::FORBIDDEN, "{wrong}");
    }
    for site in ["cross-site", "same-site"] {
        let forged = Request::post("/admin/end-all")
            .header(header::CONTENT_TYPE, FORM)
            .header("sec-fetch-site", site)
            .body(Body::from(format!("user=ada&csrf={token}")));
        let page = admin.visit(forged.unwrap()).await;
        assert_eq!(page.status(), StatusCode::FORBIDDEN, "{site}");
    }
    assert_eq!(hello(&user).await, "Hello, ada.\n");
}

#[tokio::test]
async fn an_administrator_is_logged_out_by_a_click_or_by_ten_idle_minutes() {
    let stage = stage();
    let admin = stage.administrator().await;
    let stolen = admin.jar(|jar| jar.clone());
    let page = admin.get("/admin").await;
    admin
        .submit("/admin/logout", &[("csrf", csrf(&page))])
        .await;
    admin.jar(|jar| *jar = stolen);
    assert_eq!(admin.get("/admin").await.status(), StatusCode::SEE_OTHER);

    let admin = stage.administrator().await;
    stage.clock.advance(Duration::from_secs(599));
    assert_eq!(admin.get("/admin").await.status(), StatusCode::OK);
    stage.clock.advance(Duration::from_secs(601));
    assert_eq!(admin.get("/admin").await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_cookie_is_sent_only_to_the_page() {
    let stage = stage();
    let login = stage
        .visitor()
        .submit("/admin/login", &[("password", PASSWORD)])
        .await;
    let cookie = login.headers()[header::SET_COOKIE].to_str().unwrap();
    for word in ["Path=/admin", "HttpOnly", "SameSite=Strict"] {
        assert!(cookie.contains(word), "{cookie}");
    }
}

#[tokio::test]
async fn the_visitors_own_login_is_marked() {
    let stage = stage();
    let ada = stage.user("ada", "phone").await;
    stage.user("ada", "laptop").await;
    ada.submit("/admin/login", &[("password", PASSWORD)]).await;
    let page = ada.get("/admin?user=ada").await;
    assert_eq!(page.text().matches("this browser").count(), 1);
}

#[tokio::test]
async fn keys_have_ids_and_states() {
    let stage = stage();
    let (old, _) = stage.keys.list()[0];
    stage.keys.rotate(Key::generate().unwrap()).unwrap();
    let (new, _) = stage.keys.list()[0];
    let page = stage.administrator().await.get("/admin").await;
    for (id, state) in [(new, "active"), (old, "retiring")] {
        let row = format!(r#"<code>{id}</code><span class="pill {state}">{state}"#);
        assert!(page.text().contains(&row), "{row}: {}", page.text());
    }
}

#[tokio::test]
async fn refusals_of_the_last_hour_are_counted_by_reason() {
    let stage = stage();
    let _guard = metrics::set_default_local_recorder(&stage.refusals);
    let forge = async |times: u32| {
        for _ in 0..times {
            let forged = Request::get("/").header(header::COOKIE, "account=forged");
            stage
                .visitor()
                .visit(forged.body(Body::empty()).unwrap())
                .await;
        }
    };
    let refused = async || {
        let page = stage.administrator().await.get("/admin").await;
        between(&page, r#"<strong id="refused">"#, "<").to_owned()
    };
    assert_eq!(refused().await, "0");
    forge(3).await;
    stage.clock.advance(Duration::from_secs(300));
    forge(2).await;
    assert_eq!(refused().await, "5");
    let page = stage.administrator().await.get("/admin").await;
    assert!(page.text().contains("<code>malformed</code>"));
    assert!(!page.text().contains("forged"), "a cookie is not shown");
    stage.clock.advance(Duration::from_secs(3_300));
    assert_eq!(refused().await, "2", "the first minute is over an hour ago");
    forge(1).await;
    assert_eq!(refused().await, "3", "its place is used again");
}
