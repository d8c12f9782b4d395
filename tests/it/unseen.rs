//! Responses that nobody sees consume no flash message.

use http::{HeaderValue, Method, Request, Response, StatusCode};
use silverback::Session;

use crate::support::{
    HOUR, Jar, Kind, World, no_cookie,
    scripted::{Create, Update},
};

const KINDS: [Kind; 7] = [
    Kind::Cookie,
    Kind::Revocable,
    Kind::RemoteRevocable,
    Kind::Overflow,
    Kind::RevocableOverflow,
    Kind::Memory,
    Kind::Remote,
];

/// Why nobody sees a response.
#[derive(Clone, Copy, Debug)]
enum Unseen {
    Head,
    NotModified,
    Prefetch,
}

const ALL: [Unseen; 3] = [Unseen::Head, Unseen::NotModified, Unseen::Prefetch];

impl Unseen {
    fn request(self, jar: &Jar) -> Request<()> {
        let mut request = jar.request();
        match self {
            Self::Head => *request.method_mut() = Method::HEAD,
            Self::NotModified => {}
            Self::Prefetch => {
                let value = HeaderValue::from_static("prefetch;prerender");
                request.headers_mut().insert("sec-purpose", value);
            }
        }
        request
    }

    fn response(self) -> Response<String> {
        let mut response = Response::default();
        if let Self::NotModified = self {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        response
    }

    async fn visit<T>(
        self,
        world: &World,
        jar: &mut Jar,
        handler: impl AsyncFnOnce(Session) -> T,
    ) -> (T, Response<String>) {
        let request = self.request(jar);
        let handler = async |session: Session| {
            session.load().await.unwrap();
            handler(session).await
        };
        world.serve(jar, request, handler, self.response()).await
    }
}

/// A visitor with a message. If `is_large`, a value also fills the cookie of a session that can
/// overflow.
async fn with_a_message(world: &World, is_large: bool) -> Jar {
    let mut jar = Jar::default();
    let write = async |session: Session| {
        session.load().await.unwrap();
        session.flash("hello").unwrap();
        if is_large {
            session.insert("large", "x".repeat(1_000)).unwrap();
        }
    };
    world.visit(&mut jar, write).await;
    jar
}

async fn messages(session: Session) -> Vec<String> {
    session.load().await.unwrap();
    session.flashes().unwrap()
}

#[tokio::test]
async fn a_message_waits_for_somebody_to_see_it() {
    for (kind, is_large) in KINDS
        .into_iter()
        .flat_map(|kind| [(kind, false), (kind, true)])
    {
        let world = kind.world();
        let jar = &mut with_a_message(&world, is_large).await;
        world.records().take_log();
        for unseen in ALL {
            let (shown, response) = unseen.visit(&world, jar, messages).await;
            assert_eq!(shown, ["hello"], "{kind:?} {unseen:?}");
            assert!(no_cookie(&response), "{kind:?} {unseen:?}");
        }
        let log = world.records().take_log();
        assert!(!log.contains(&Update) && !log.contains(&Create), "{log:?}");
        assert_eq!(world.visit(jar, messages).await.0, ["hello"], "{kind:?}");
        assert!(world.visit(jar, messages).await.0.is_empty(), "{kind:?}");
    }
}

/// Of two queues that were taken, the handler puts one back itself.
#[tokio::test]
async fn a_message_waits_though_another_queue_is_kept() {
    for (kind, unseen) in KINDS
        .into_iter()
        .flat_map(|kind| ALL.map(|unseen| (kind, unseen)))
    {
        let world = kind.world();
        let jar = &mut with_a_message(&world, false).await;
        let add = async |session: Session| {
            session.load().await.unwrap();
            session.flash_in("errors", "wrong").unwrap();
        };
        world.visit(jar, add).await;
        let both = async |session: Session| {
            session.load().await.unwrap();
            let default: Vec<String> = session.flashes().unwrap();
            let errors: Vec<String> = session.flashes_in("errors").unwrap();
            (default, errors)
        };
        let keep = async |session: Session| {
            both(session.clone()).await;
            session.keep_flashes_in("errors").unwrap();
        };
        unseen.visit(&world, jar, keep).await;
        let (default, errors) = world.visit(jar, both).await.0;
        assert_eq!(default, ["hello"], "{kind:?} {unseen:?}");
        assert_eq!(errors, ["wrong"], "{kind:?} {unseen:?}");
    }
}

#[tokio::test]
async fn the_handlers_other_changes_are_kept() {
    for (kind, unseen) in KINDS
        .into_iter()
        .flat_map(|kind| ALL.map(|unseen| (kind, unseen)))
    {
        let world = kind.world();
        let jar = &mut with_a_message(&world, false).await;
        let old = jar.clone();
        let change = async |session: Session| {
            session.flash("and one more").unwrap();
            let shown: Vec<String> = session.flashes().unwrap();
            session.flash("world").unwrap();
            session.insert("n", 2).unwrap();
            session.renew();
            session.persist_for(HOUR);
            shown
        };
        let (shown, _) = unseen.visit(&world, jar, change).await;
        assert_eq!(shown, ["hello", "and one more"]);
        assert_ne!(old.value("s"), jar.value("s"));
        assert_eq!(world.get(jar, "n").await, Some(2));
        let shown = world.visit(jar, messages).await.0;
        assert_eq!(
            shown,
            ["hello", "and one more", "world"],
            "{kind:?} {unseen:?}"
        );
    }
}

#[tokio::test]
async fn cleared_messages_and_ended_sessions_do_not_come_back() {
    for (kind, ends) in KINDS
        .into_iter()
        .flat_map(|kind| [(kind, false), (kind, true)])
    {
        let world = kind.world();
        let jar = &mut with_a_message(&world, false).await;
        let forget = async |session: Session| {
            let _: Vec<String> = session.flashes().unwrap();
            if ends {
                session.destroy().await.unwrap();
            } else {
                session.clear().unwrap();
            }
            session.insert("n", 1).unwrap();
        };
        Unseen::Head.visit(&world, jar, forget).await;
        assert_eq!(world.get(jar, "n").await, Some(1));
        assert!(world.visit(jar, messages).await.0.is_empty(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_claimed_message_is_put_back() {
    for (kind, is_large) in KINDS
        .into_iter()
        .flat_map(|kind| [(kind, false), (kind, true)])
    {
        let world = kind.world();
        let jar = &mut with_a_message(&world, is_large).await;
        let claim = async |session: Session| session.claim_flashes::<String>().await.unwrap();
        for unseen in ALL {
            let (shown, _) = unseen.visit(&world, jar, claim).await;
            assert_eq!(shown, ["hello"], "{kind:?} {unseen:?}");
        }
        assert_eq!(world.visit(jar, messages).await.0, ["hello"], "{kind:?}");
    }
}

/// A message that another request has shown meanwhile is not shown again.
#[tokio::test]
async fn another_request_may_have_the_message() {
    for (kind, is_large) in [
        (Kind::Overflow, true),
        (Kind::Memory, false),
        (Kind::Remote, false),
    ] {
        for claims in [false, true] {
            let world = kind.world();
            let jar = &mut with_a_message(&world, is_large).await;
            // An empty session would be removed.
            world.put(jar, "kept", 1).await;
            let other = &mut jar.clone();
            let take = async |session: Session| {
                session.len().unwrap();
                assert_eq!(world.visit(other, messages).await.0, ["hello"]);
                if claims {
                    assert!(session.claim_flashes::<String>().await.unwrap().is_empty());
                } else {
                    assert_eq!(session.flashes::<String>().unwrap(), ["hello"]);
                }
                session.insert("n", 1).unwrap();
            };
            Unseen::Head.visit(&world, jar, take).await;
            assert_eq!(world.get(jar, "n").await, Some(1));
            assert!(
                world.visit(jar, messages).await.0.is_empty(),
                "{kind:?} {claims}"
            );
        }
    }
}

/// A HEAD request fails no more often than a GET would.
#[tokio::test]
async fn a_message_without_room_is_consumed() {
    let world = Kind::Cookie.world();
    let jar = &mut Jar::default();
    let flash = async |session: Session| session.flash("x".repeat(1_500)).unwrap();
    world.visit(jar, flash).await;
    let fill = async |session: Session| {
        assert_eq!(session.flashes::<String>().unwrap().len(), 1);
        session.insert("n", "y".repeat(1_500)).unwrap();
    };
    let (_, response) = Unseen::Head.visit(&world, jar, fill).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(world.get::<String>(jar, "n").await.is_some());
    assert!(world.visit(jar, messages).await.0.is_empty());
}
