//! `Session::touch`, and what a handle that outlives its request learns about its session.

use silverback::{Error, ErrorKind, Key, Keys, Rejection, Session};

use crate::support::{
    DAY, HOUR, Jar, Kind, SECOND, Site, World, failure, no_cookie,
    scripted::{Before, Fail, Touch},
};

const IN_STORES: [Kind; 2] = [Kind::Memory, Kind::Remote];

async fn kept(site: &Site, jar: &mut Jar) -> Session {
    let keep = async |session: Session| {
        session.load().await.unwrap();
        session.len().unwrap();
        session
    };
    site.visit(jar, keep).await.0
}

fn why<T>(result: Result<T, Error>) -> Result<T, ErrorKind> {
    result.map_err(|error| error.kind())
}

#[tokio::test]
async fn a_socket_keeps_its_visitor_logged_in() {
    for kind in IN_STORES {
        for touches in [true, false] {
            let world = kind.with(|config| config.idle_timeout(HOUR));
            let jar = &mut world.grown().await;
            let socket = kept(&world, jar).await;
            for _ in 0..10 {
                world.clock.advance(1_800 * SECOND);
                let kept_alive = if touches {
                    socket.touch().await
                } else {
                    socket.load().await
                };
                kept_alive.unwrap();
            }
            let cart: Option<String> = world.get(jar, "cart").await;
            assert_eq!(cart.is_some(), touches, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn no_touch_goes_beyond_the_absolute_end() {
    for kind in IN_STORES {
        let world = kind.with(|config| config.idle_timeout(DAY).absolute_timeout(2 * DAY));
        let jar = &mut world.grown().await;
        let socket = kept(&world, jar).await;
        for hours in 1..48 {
            world.clock.advance(HOUR);
            socket.touch().await.unwrap();
            assert!(world.get::<String>(jar, "cart").await.is_some(), "{hours}");
        }
        world.clock.advance(HOUR);
        assert_eq!(why(socket.touch().await), Err(ErrorKind::Gone));
        assert_eq!(world.get::<String>(jar, "cart").await, None);
    }
}

#[tokio::test]
async fn it_saves_changes() {
    for kind in IN_STORES {
        let world = kind.world();
        let jar = &mut world.grown().await;
        let socket = kept(&world, jar).await;
        world.put(jar, "other", 1).await;
        socket.load().await.unwrap();
        socket.insert("seen", 2).unwrap();
        socket.touch().await.unwrap();
        assert_eq!(world.get(jar, "seen").await, Some(2), "{kind:?}");
        assert_eq!(world.get(jar, "other").await, Some(1), "{kind:?}");
    }
}

#[tokio::test]
async fn in_a_request_it_checks_that_the_session_lives() {
    for kind in Kind::ENDED_BY_SERVER {
        let world = kind.world();
        let jar = &mut world.grown().await;
        let touch = async |session: Session| session.touch().await;
        let (touched, response) = world.visit(jar, touch).await;
        touched.unwrap();
        assert_eq!(failure(&response), None, "{kind:?}");
        let in_cookie = matches!(kind, Kind::Revocable | Kind::RemoteRevocable);
        assert_eq!(no_cookie(&response), !in_cookie, "{kind:?}");
        let (touched, response) = world.visit(&mut Jar::default(), touch).await;
        touched.unwrap();
        assert!(
            no_cookie(&response),
            "{kind:?}: there is nothing to put off"
        );
    }
}

#[tokio::test]
async fn only_a_response_puts_off_the_end_of_a_cookie() {
    for kind in [Kind::Cookie, Kind::Revocable, Kind::RemoteRevocable] {
        let world = kind.world();
        let jar = &mut world.grown().await;
        let socket = kept(&world, jar).await;
        let error = why(socket.touch().await);
        assert_eq!(error, Err(ErrorKind::AlreadyCommitted), "{kind:?}");
    }
}

#[tokio::test]
async fn a_failing_store_is_an_error() {
    let world = Kind::Remote.world();
    let jar = &mut world.grown().await;
    let socket = kept(&world, jar).await;
    world.records().at(Before, Touch, Fail);
    let error = why(socket.touch().await);
    assert_eq!(error, Err(ErrorKind::StoreFailed));
    socket.touch().await.unwrap();
    world.records().take_log();
    socket.touch().await.unwrap();
    assert_eq!(world.records().take_log(), [Touch]);
}

/// How a session ends elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    LoggedOut,
    Renewed,
    AllEnded,
    Expired,
}

impl End {
    const ALL: [Self; 4] = [
        Self::LoggedOut,
        Self::Renewed,
        Self::AllEnded,
        Self::Expired,
    ];

    async fn happen(self, world: &World, jar: &mut Jar) {
        match self {
            Self::LoggedOut => drop(world.destroy(jar).await),
            Self::Renewed => drop(world.renew(jar).await),
            Self::AllEnded => drop(world.destroy_all("ada").await),
            Self::Expired => world.clock.advance(DAY),
        }
    }

    fn reasons(self) -> &'static [Rejection] {
        match self {
            Self::LoggedOut => &[Rejection::Ended],
            Self::Renewed => &[Rejection::Renewed],
            Self::AllEnded => &[Rejection::Revoked, Rejection::NotFound, Rejection::Ended],
            Self::Expired => &[Rejection::Expired, Rejection::NotFound],
        }
    }
}

#[tokio::test]
async fn a_socket_learns_of_the_end_and_its_reason() {
    for kind in Kind::WITH_SUBJECTS {
        for end in End::ALL {
            let world = kind.world();
            let jar = &mut world.logged_in("ada", "laptop").await;
            let socket = kept(&world, jar).await;
            end.happen(&world, &mut jar.clone()).await;
            let what = format!("{kind:?}, {end:?}");
            socket.load().await.unwrap();
            assert!(socket.is_empty().unwrap(), "{what}");
            let reason = socket.rejection().unwrap();
            assert!(end.reasons().contains(&reason), "{what}: {reason:?}");
            assert_eq!(why(socket.touch().await), Err(ErrorKind::Gone), "{what}");
        }
    }
}

#[tokio::test]
async fn what_a_socket_writes_after_the_end_is_gone() {
    for kind in Kind::WITH_SUBJECTS {
        for end in End::ALL {
            for loads in [false, true] {
                let world = kind.world();
                let jar = &mut world.logged_in("ada", "laptop").await;
                let socket = kept(&world, jar).await;
                socket.load().await.unwrap();
                end.happen(&world, &mut jar.clone()).await;
                if loads {
                    socket.load().await.unwrap();
                }
                let what = format!("{kind:?}, {end:?}, {loads}");
                let written = why(socket.insert("late", 1));
                if kind.is_cookie() && !loads {
                    // As far as the handle knows, only a response could set the cookie.
                    assert_eq!(written, Err(ErrorKind::AlreadyCommitted), "{what}");
                    continue;
                }
                let saved = why(socket.save().await);
                assert_eq!((written, saved), (Ok(()), Err(ErrorKind::Gone)), "{what}");
                let sessions = world.records().sessions().await;
                assert!(sessions <= 1, "{what}");
            }
        }
    }
}

/// The key of the socket's cookie was stolen, so anybody may hold the socket.
#[tokio::test]
async fn a_socket_is_locked_out_with_its_key() {
    for kind in Kind::ENDED_BY_SERVER {
        for loads in [false, true] {
            let keys = Keys::generate().unwrap();
            let world = kind.with_keys(keys.clone());
            let jar = &mut world.grown().await;
            let socket = kept(&world, jar).await;
            if loads {
                socket.load().await.unwrap();
            }
            keys.rotate_and_revoke(Key::generate().unwrap()).unwrap();
            for _ in 0..2 {
                assert_eq!(why(socket.touch().await), Err(ErrorKind::Gone), "{kind:?}");
                socket.load().await.unwrap();
                assert!(socket.is_empty().unwrap(), "{kind:?}, {loads}");
                let reason = socket.rejection();
                assert_eq!(reason, Some(Rejection::UnknownKey), "{kind:?}, {loads}");
            }
        }
    }
}

#[tokio::test]
async fn a_socket_that_logs_out_can_write_no_more() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        let socket = kept(&world, jar).await;
        socket.load().await.unwrap();
        socket.destroy().await.unwrap();
        socket.load().await.unwrap();
        socket.insert("late", 1).unwrap();
        let error = why(socket.save().await);
        assert_eq!(error, Err(ErrorKind::Gone), "{kind:?}");
        assert!(!world.is_alive(jar).await, "{kind:?}");
    }
}

#[tokio::test]
async fn a_socket_cannot_begin_a_session() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let socket = kept(&world, &mut Jar::default()).await;
        socket.load().await.unwrap();
        socket.touch().await.unwrap();
        socket.insert("late", 1).unwrap();
        let error = why(socket.save().await);
        assert_eq!(error, Err(ErrorKind::AlreadyCommitted), "{kind:?}");
    }
}
