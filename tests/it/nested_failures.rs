//! Two nested layers, neither of which can save its session. Each may owe a cookie of an explicit
//! `save` or `destroy` before.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Request, Response, header};
use silverback::{FailedCommit, Responder, Session, SessionConfig, SessionLayer};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    Jar, keys,
    scripted::{Before, Create, Fail, Scripted, Update},
    sessions, set_cookies,
};

/// What a request does with a session before its store goes down.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deed {
    Nothing,
    Save,
    Destroy,
}

/// How a layer answers a request whose session it cannot save.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Default,
    Pass,
    Own,
}

const DEEDS: [Deed; 3] = [Deed::Nothing, Deed::Save, Deed::Destroy];
const ANSWERS: [Answer; 3] = [Answer::Default, Answer::Pass, Answer::Own];
const NAMES: [&str; 2] = ["inner", "outer"];

/// A site with an inner and an outer layer.
#[derive(Default)]
struct Nested {
    stores: [Scripted; 2],
    /// The layers that could not save their session.
    failed: Arc<Mutex<Vec<&'static str>>>,
    jar: Jar,
}

impl Nested {
    fn layer(&self, at: usize) -> SessionLayer {
        SessionLayer::new(SessionConfig::new(
            NAMES[at],
            self.stores[at].clone(),
            keys(),
        ))
    }

    fn answer(&self, at: usize, answer: Answer) -> impl Responder<String> + Clone + use<> {
        let failed = self.failed.clone();
        move |commit: FailedCommit<String>| {
            failed.lock().unwrap().push(NAMES[at]);
            let own = Response::builder().header(header::CACHE_CONTROL, "public, max-age=60");
            match answer {
                Answer::Default => {
                    let status = commit.answer().status();
                    Response::builder()
                        .status(status)
                        .body(String::new())
                        .unwrap()
                }
                Answer::Pass => commit.into_response(),
                Answer::Own => own.status(418).body(String::new()).unwrap(),
            }
        }
    }

    /// Serves a request, and keeps its cookies.
    async fn visit(
        &mut self,
        answers: [Answer; 2],
        act: impl AsyncFn(usize, &Session),
    ) -> Response<String> {
        let handle = async |request: Request<()>| {
            let inner = request.extensions().get::<Session>().unwrap();
            let outer = sessions(inner).get("outer").await.unwrap();
            for (at, session) in [inner, &outer].into_iter().enumerate() {
                session.load().await.unwrap();
                act(at, session).await;
            }
            Ok::<_, Infallible>(Response::new(String::new()))
        };
        let layer = |at: usize| self.layer(at).on_failure(self.answer(at, answers[at]));
        let service = layer(1).layer(layer(0).layer(service_fn(handle)));
        let response = service.oneshot(self.jar.request()).await.unwrap();
        self.jar.keep(response.headers());
        response
    }

    /// What the session of a layer has in store.
    async fn value(&self, at: usize) -> Option<u8> {
        let read = async |request: Request<()>| {
            let session = request.extensions().get::<Session>().unwrap();
            session.load().await.unwrap();
            Ok::<_, Infallible>(Response::new(session.get("n").unwrap()))
        };
        let service = self.layer(at).layer(service_fn(read));
        let response = service.oneshot(self.jar.request()).await.unwrap();
        response.into_body()
    }
}

async fn fail(session: &Session, store: &Scripted, deed: Deed) {
    match deed {
        Deed::Nothing => {}
        Deed::Save => {
            session.insert("n", 2).unwrap();
            session.save().await.unwrap();
        }
        Deed::Destroy => session.destroy().await.unwrap(),
    }
    session.insert("n", 3).unwrap();
    store.every(Before, Create | Update, Fail);
}

async fn both_fail(deeds: [Deed; 2], answers: [Answer; 2], had: bool) {
    let what = format!("{deeds:?} {answers:?} {had}");
    let mut nested = Nested::default();
    if had {
        let put = async |_, session: &Session| session.insert("n", 1).unwrap();
        nested.visit(answers, put).await;
    }
    let stores = nested.stores.clone();
    let act = async |at: usize, session: &Session| fail(session, &stores[at], deeds[at]).await;
    let response = nested.visit(answers, act).await;
    stores.iter().for_each(Scripted::calm);

    // After a 503 the outer layer gives its changes up, and has nothing left to fail.
    let (failed, status): (&[_], _) = match answers {
        [Answer::Default, _] => (&["inner"], 503),
        [_, Answer::Default] => (&NAMES, 503),
        [_, Answer::Own] | [Answer::Own, _] => (&NAMES, 418),
        [Answer::Pass, Answer::Pass] => (&NAMES, 200),
    };
    assert_eq!(*nested.failed.lock().unwrap(), failed, "{what}");
    assert_eq!(response.status(), status, "{what}");
    let cookies = set_cookies(response.headers());
    for (at, deed) in deeds.into_iter().enumerate() {
        let name = format!("__Host-{}=", NAMES[at]);
        let is_removed = |cookie: &String| cookie.contains("Max-Age=0;");
        let own = cookies.iter().filter(|cookie| cookie.starts_with(&name));
        let own: Vec<_> = own.map(is_removed).collect();
        let (owed, left): (&[_], _) = match deed {
            Deed::Nothing => (&[], had.then_some(1)),
            Deed::Save if had => (&[], Some(2)),
            Deed::Save => (&[false], Some(2)),
            Deed::Destroy if had => (&[true], None),
            Deed::Destroy => (&[], None),
        };
        assert_eq!(own, owed, "{what}, {name}");
        assert_eq!(nested.value(at).await, left, "{what}, {name}");
    }
    assert_eq!(response.headers()[header::VARY], "Cookie", "{what}");
    let caching: Vec<_> = response
        .headers()
        .get_all(header::CACHE_CONTROL)
        .iter()
        .collect();
    let is_own = status == 418;
    let expected = match (cookies.is_empty(), is_own) {
        (true, true) => "public, max-age=60",
        (true, false) => "private, no-cache",
        (false, true) => "private, no-store",
        (false, false) => "no-store",
    };
    assert_eq!(caching, [expected], "{what}");
}

#[tokio::test]
async fn both_send_what_they_owe() {
    for (inner, outer) in DEEDS
        .iter()
        .flat_map(|inner| DEEDS.map(|outer| (*inner, outer)))
    {
        for (first, second) in ANSWERS
            .iter()
            .flat_map(|first| ANSWERS.map(|second| (*first, second)))
        {
            for had in [false, true] {
                both_fail([inner, outer], [first, second], had).await;
            }
        }
    }
}
