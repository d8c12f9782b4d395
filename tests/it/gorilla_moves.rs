//! Go's sessions move into a store: each of Go's cookies gets one record, and ends once.

use std::{sync::LazyLock, time::Duration};

use http::{HeaderValue, StatusCode, header};
use silverback::{
    Rejection, Session, SessionConfig, Timestamp,
    gorilla::{
        Gorilla, KeyPair, SecureCookie,
        gob::{Gob, Types, Value},
    },
    store::RecordKind,
};

use crate::support::{
    DAY, HOUR, Jar, Kind, MINUTE, SECOND, START, World, failure, no_cookie, one_more,
    scripted::{ANY, After, Before, Cut, Fail, Lose},
    steps::{at_every_step, in_between},
};

const STORES: [Kind; 2] = [Kind::Memory, Kind::Remote];

/// Whether Go's cookies have a block key. Without one, two visitors may have the same cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cookies {
    Signed,
    Encrypted,
}

use Cookies::{Encrypted, Signed};

impl Cookies {
    fn of_go(self) -> SecureCookie {
        let pair = match self {
            Signed => KeyPair::signing([1; 32]),
            Encrypted => KeyPair::encrypting([1; 32], [1; 16]),
        };
        SecureCookie::new([pair.unwrap()]).unwrap()
    }

    /// A browser with a session in Go. All of them have the same cookie.
    fn jar(self) -> Jar {
        static ENCRYPTED: LazyLock<String> = LazyLock::new(|| Encrypted.cookie("ann"));
        match self {
            Signed => Jar::with("s", &self.cookie("ann")),
            Encrypted => Jar::with("s", &ENCRYPTED),
        }
    }

    fn cookie(self, user: &str) -> String {
        let mut gob = Gob::session();
        gob.insert("user", Value::string(user).named("string"));
        gob.insert("n", Value::Int(1).named("int"));
        let value = self.of_go().encode("s", &gob.encode().unwrap(), START);
        value.unwrap()
    }

    fn site(self, kind: Kind) -> World {
        self.with(kind, |config| config)
    }

    fn with(self, kind: Kind, change: impl Fn(SessionConfig) -> SessionConfig) -> World {
        kind.with(|config| change(config.read_gorilla(Gorilla::new(self.of_go()))))
    }
}

fn each() -> impl Iterator<Item = (Cookies, Kind)> {
    let cookies = [Signed, Encrypted].into_iter();
    cookies.flat_map(|cookies| STORES.map(|kind| (cookies, kind)))
}

async fn sessions(world: &World) -> usize {
    world.records().sessions().await
}

#[tokio::test]
async fn the_first_use_moves_a_session_into_the_store() {
    for (cookies, kind) in each() {
        let world = cookies.site(kind);
        let mut jar = cookies.jar();
        let load = async |session: Session| session.load().await.unwrap();
        let (_, response) = world.visit(&mut jar, load).await;
        assert_eq!(sessions(&world).await, 1);
        assert!(no_cookie(&response), "loading is not use");
        assert_eq!(world.get(&mut jar, "n").await, Some(1));
        assert_ne!(jar.0, cookies.jar().0, "{cookies:?} {kind:?}");
        let moved = jar.clone();
        assert_eq!(world.get(&mut jar, "user").await, Some("ann".to_owned()));
        world.put(&mut jar, "n", 2).await;
        assert_eq!(world.get(&mut jar, "n").await, Some(2));
        assert_eq!(
            jar.0, moved.0,
            "from now on it is like any session's cookie"
        );
        world.log_in(&mut jar, "ann", "laptop").await;
        assert_eq!(world.notes("ann").await, ["laptop"]);
        assert_eq!(world.get(&mut jar, "n").await, Some(2));
    }
}

#[tokio::test]
async fn a_cookie_that_no_other_visitor_has_is_one_session() {
    for kind in STORES {
        let world = Encrypted.site(kind);
        let (mut tab, mut other) = (Encrypted.jar(), Encrypted.jar());
        world.put(&mut tab, "tab", 1).await;
        world.put(&mut other, "other", 1).await;
        assert_eq!(world.get(&mut tab, "other").await, Some(1));
        assert_eq!(world.get(&mut other, "tab").await, Some(1));
        assert_eq!(sessions(&world).await, 1);
    }
}

/// Two visitors came to Go in the same second, and nothing in their sessions tells them apart.
#[tokio::test]
async fn visitors_whose_cookies_are_equal_share_nothing() {
    for kind in STORES {
        let world = Signed.site(kind);
        let (mut one, mut other) = (Signed.jar(), Signed.jar());
        assert_eq!(one.0, other.0);
        world.put(&mut one, "secret", 1).await;
        world.put(&mut other, "mine", 2).await;
        assert_eq!(world.get::<i64>(&mut other, "secret").await, None);
        assert_eq!(world.get::<i64>(&mut one, "mine").await, None);
        assert_eq!(world.get(&mut other, "n").await, Some(1));
        world.log_in(&mut other, "bob", "").await;
        let user: Option<String> = world.get(&mut one, "user").await;
        assert_ne!(user.as_deref(), Some("bob"));
    }
}

/// How a moved session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    LogOut,
    Renew,
    LogIn,
    Empty,
    ByKey,
    WithSubject,
    Idle,
}

const ENDS: [End; 7] = [
    End::LogOut,
    End::Renew,
    End::LogIn,
    End::Empty,
    End::ByKey,
    End::WithSubject,
    End::Idle,
];

async fn end(world: &World, jar: &mut Jar, end: End) {
    match end {
        End::LogOut => drop(world.destroy(jar).await),
        End::Renew => drop(world.renew(jar).await),
        End::LogIn => drop(world.log_in(jar, "ann", "").await),
        End::Empty => {
            let clear = async |session: Session| {
                session.load().await.unwrap();
                session.clear().unwrap();
            };
            world.visit(jar, clear).await;
        }
        End::ByKey => {
            let key = world.key(jar).await;
            world.session_records().destroy(&key).await.unwrap();
        }
        End::WithSubject => {
            world.log_in(jar, "ann", "").await;
            world.destroy_all("ann").await;
        }
        End::Idle => world.clock.advance(HOUR + SECOND),
    }
}

#[tokio::test]
async fn a_replay_brings_nothing_back_however_the_session_ended() {
    for (cookies, kind) in each() {
        for how in ENDS {
            let world = cookies.with(kind, |config| {
                config.idle_timeout(HOUR).absolute_timeout(60 * DAY)
            });
            let mut jar = cookies.jar();
            world.put(&mut jar, "secret", 1).await;
            end(&world, &mut jar, how).await;
            // At once, after the marks have expired, and up to the last second of Go's cookie.
            for later in [Duration::ZERO, 2 * MINUTE, DAY, 30 * DAY - SECOND] {
                world
                    .clock
                    .set(world.clock.now().max(START.saturating_add(later)));
                let mut replay = cookies.jar();
                let found = world.get::<String>(&mut replay, "user").await;
                let rejection = world.rejection(&mut cookies.jar()).await;
                assert_eq!(found, None, "{cookies:?} {kind:?} {how:?} after {later:?}");
                assert!(
                    rejection.is_some(),
                    "{cookies:?} {kind:?} {how:?} after {later:?}"
                );
                assert_eq!(replay.0, cookies.jar().0, "it gets no cookie");
            }
            world.clock.advance(2 * SECOND);
            assert_eq!(
                world.rejection(&mut cookies.jar()).await,
                Some(Rejection::Expired)
            );
        }
    }
}

#[tokio::test]
async fn the_first_request_may_be_a_logout_or_a_login() {
    for (cookies, kind) in each() {
        for how in [End::LogOut, End::LogIn, End::Renew, End::Empty] {
            let world = cookies.site(kind);
            let mut jar = cookies.jar();
            end(&world, &mut jar, how).await;
            let is_alive = matches!(how, End::LogIn | End::Renew);
            assert_eq!(
                world.is_alive(&jar).await,
                is_alive,
                "{cookies:?} {kind:?} {how:?}"
            );
            assert!(
                !world.is_alive(&cookies.jar()).await,
                "{cookies:?} {kind:?} {how:?}"
            );
            world.clock.advance(DAY);
            assert!(
                !world.is_alive(&cookies.jar()).await,
                "{cookies:?} {kind:?} {how:?}"
            );
        }
    }
}

#[tokio::test]
async fn the_response_that_moves_a_session_may_be_lost() {
    for (cookies, kind) in each() {
        let world = cookies.site(kind);
        for later in 0..10 {
            let mut jar = cookies.jar();
            assert_eq!(
                world.get(&mut jar, "n").await,
                Some(1),
                "after {later} hours"
            );
            world.clock.advance(HOUR);
        }
        let expected = if cookies == Encrypted { 1 } else { 10 };
        assert_eq!(sessions(&world).await, expected);
    }
}

#[tokio::test]
async fn nobody_makes_more_than_a_few_copies_of_a_session() {
    let world = Signed.site(Kind::Memory);
    for _ in 0..64 {
        assert_eq!(world.get(&mut Signed.jar(), "n").await, Some(1));
    }
    assert_eq!(
        world.rejection(&mut Signed.jar()).await,
        Some(Rejection::Revoked)
    );
    assert_eq!(sessions(&world).await, 64);
}

/// Each call of a move fails or loses its answer. At worst, the visitor is asked to retry.
#[tokio::test(start_paused = true)]
async fn a_move_that_is_disturbed_loses_nothing() {
    for cookies in [Signed, Encrypted] {
        for (when, act) in [(Before, Fail), (Before, Cut), (After, Cut), (After, Lose)] {
            at_every_step(3, async |step| {
                let world = cookies.site(Kind::Remote);
                let mut jar = cookies.jar();
                world.records().nth(step + 1, when, ANY, act);
                let handler = async |session: Session| session.update("n", one_more).is_ok();
                let disturbed = async |session: Session| match session.load().await {
                    Ok(()) => handler(session).await,
                    Err(_) => false,
                };
                let (was_seen, response) = world.visit(&mut jar, disturbed).await;
                let has_failed = failure(&response).is_some() || !was_seen;
                assert!(
                    !has_failed || act == Fail,
                    "{cookies:?} {when:?} {act:?} at {step}"
                );
                world.records().calm();
                let n = world.get::<u32>(&mut jar, "n").await;
                let expected = if has_failed {
                    vec![Some(1), Some(2)]
                } else {
                    vec![Some(2)]
                };
                assert!(
                    expected.contains(&n),
                    "{n:?}: {cookies:?} {when:?} {act:?} at {step}"
                );
                // A record that nobody knows of does no harm.
                assert_eq!(world.get(&mut jar, "user").await, Some("ann".to_owned()));
                !is_left(&world, step)
            })
            .await;
        }
    }
}

/// Returns whether the calls ended before this step.
fn is_left(world: &World, step: usize) -> bool {
    world.records().take_log().len() <= step
}

#[tokio::test(start_paused = true)]
async fn two_tabs_that_move_a_session_at_once_have_one() {
    for when in [Before, After] {
        at_every_step(3, async |step| {
            let world = Encrypted.site(Kind::Remote);
            let (mut tab, mut other) = (Encrypted.jar(), Encrypted.jar());
            let first = world.put(&mut tab, "tab", 1);
            let second = world.put(&mut other, "other", 1);
            let (_, second) = in_between((world.records(), step + 1, when), first, second).await;
            let is_done = second.is_none();
            if !is_done {
                for jar in [&mut tab, &mut other] {
                    assert_eq!(world.get(jar, "tab").await, Some(1), "{when:?} {step}");
                    assert_eq!(world.get(jar, "other").await, Some(1), "{when:?} {step}");
                }
                assert_eq!(sessions(&world).await, 1, "{when:?} {step}");
            }
            !is_done
        })
        .await;
    }
}

/// A logout in another tab wins against a move at any call.
#[tokio::test(start_paused = true)]
async fn a_logout_during_a_move_is_final() {
    for cookies in [Signed, Encrypted] {
        for when in [Before, After] {
            at_every_step(3, async |step| {
                let world = cookies.site(Kind::Remote);
                let (mut tab, mut other, replay) = (cookies.jar(), cookies.jar(), cookies.jar());
                let first = world.visit(&mut tab, async |session| drop(session.load().await));
                let second = world.destroy(&mut other);
                let (_, second) =
                    in_between((world.records(), step + 1, when), first, second).await;
                let is_done = second.is_none();
                if !is_done {
                    for later in [SECOND, MINUTE, DAY] {
                        assert!(
                            !world.is_alive(&replay).await,
                            "{cookies:?} {when:?} {step}"
                        );
                        world.clock.advance(later);
                    }
                }
                !is_done
            })
            .await;
        }
    }
}

async fn with_both(world: &World, values: &[&str]) -> (Option<String>, Option<Rejection>) {
    let field: Vec<_> = values.iter().map(|value| format!("s={value}")).collect();
    let mut request = http::Request::new(());
    let field = HeaderValue::from_str(&field.join("; ")).unwrap();
    request.headers_mut().insert(header::COOKIE, field);
    let look = async |session: Session| {
        session.load().await.unwrap();
        (session.get("user").unwrap(), session.rejection())
    };
    let response = http::Response::new(String::new());
    world
        .serve(&mut Jar::default(), request, look, response)
        .await
        .0
}

#[tokio::test]
async fn go_s_cookie_beside_ours_is_the_same_session_or_another() {
    for (cookies, kind) in each() {
        let world = cookies.site(kind);
        let mut ours = cookies.jar();
        let go = ours.value("s").to_owned();
        world.put(&mut ours, "user", "ann in Rust").await;
        let ours = ours.value("s");
        for values in [[ours, &go], [&go, ours]] {
            let found = with_both(&world, &values).await;
            assert_eq!(
                found,
                (Some("ann in Rust".into()), None),
                "{cookies:?} {kind:?}"
            );
        }
        // Nobody can tell which of the two visitors this is.
        let stranger = world.logged_in("bob", "").await;
        let found = with_both(&world, &[stranger.value("s"), &go]).await;
        assert_eq!(
            found,
            (None, Some(Rejection::Ambiguous)),
            "{cookies:?} {kind:?}"
        );
        let other = cookies.cookie("eve");
        let found = with_both(&world, &[&other, ours]).await;
        assert_eq!(
            found,
            (None, Some(Rejection::Ambiguous)),
            "{cookies:?} {kind:?}"
        );
        // A logout ends all of them.
        let mut jar = Jar::with("s", &format!("{ours}; s={go}; s={other}"));
        world.destroy(&mut jar).await;
        for value in [ours, &go, &other] {
            assert!(
                !world.is_alive(&Jar::with("s", value)).await,
                "{cookies:?} {kind:?}"
            );
        }
        assert!(world.is_alive(&stranger).await);
    }
}

#[tokio::test]
async fn an_id_without_its_text_is_not_a_session() {
    for kind in STORES {
        let world = Encrypted.site(kind);
        let id = Gob::new(Types::new(), Value::string("A".repeat(52)));
        let cookie = Encrypted
            .of_go()
            .encode("s", &id.encode().unwrap(), START)
            .unwrap();
        let mut jar = Jar::with("s", &cookie);
        assert_eq!(world.rejection(&mut jar).await, Some(Rejection::NotFound));
        // A text that somebody has attached to another cookie.
        let text = Encrypted.jar();
        for value in [
            format!("{}.{}", text.value("s"), text.value("s")),
            format!("{cookie}.{cookie}"),
            format!("{cookie}."),
            format!(".{}", text.value("s")),
        ] {
            let mut jar = Jar::with("s", &value);
            assert!(world.rejection(&mut jar).await.is_some(), "{value}");
        }
        assert_eq!(sessions(&world).await, 0);
    }
}

#[tokio::test]
async fn a_cookie_whose_end_may_be_forgotten_is_refused() {
    for (cookies, kind) in each() {
        for (until, expected) in [
            (Timestamp::from_secs(START.as_secs() - 1), None),
            (START, Some(Rejection::Revoked)),
            (START.saturating_add(HOUR), Some(Rejection::Revoked)),
        ] {
            let world = cookies.site(kind);
            world.records().forgets(until);
            let mut jar = cookies.jar();
            assert_eq!(world.rejection(&mut jar).await, expected, "{until}");
        }
    }
}

#[tokio::test]
async fn a_store_that_fails_is_no_empty_session() {
    for cookies in [Signed, Encrypted] {
        let world = cookies.site(Kind::Remote);
        world.fail(ANY);
        let mut jar = cookies.jar();
        let (error, _) = world
            .visit(&mut jar, async |session| session.load().await.unwrap_err())
            .await;
        assert_eq!(error.answer().status(), StatusCode::SERVICE_UNAVAILABLE);
        world.calm();
        assert_eq!(world.get(&mut jar, "n").await, Some(1));
    }
}

#[tokio::test]
async fn encrypted_records_are_read_by_go_s_cookie_too() {
    for (cookies, kind) in each() {
        let world = cookies.with(kind, SessionConfig::encrypt_records);
        for _ in 0..2 {
            assert_eq!(world.get(&mut cookies.jar(), "n").await, Some(1));
        }
        assert_eq!(world.records().count(RecordKind::End).await, 1);
        let mut jar = cookies.jar();
        let first = jar.clone();
        assert_eq!(world.get(&mut jar, "n").await, Some(1));
        world.destroy(&mut jar).await;
        assert!(!world.is_alive(&first).await);
    }
}
