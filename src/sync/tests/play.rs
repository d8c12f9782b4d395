//! A request whose tasks use its session, while it is answered.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::Mutex,
};

use http::{HeaderMap, Request, Response, StatusCode, header};
use shuttle::thread;
use tower::{Layer, Service, service_fn};

use super::{
    executor::{block_on, poll_once},
    plan::{Act, KEYS, Plan, RIVAL},
};
use crate::{Error, ErrorKind, Session, SessionLayer};

/// What a browser sends, if it has a cookie.
pub(super) type Cookie = Option<String>;

/// What a task did, in its order.
pub(super) type Done = Vec<(Act, Result<(), ErrorKind>)>;

#[derive(Debug)]
pub(super) struct End {
    pub(super) status: StatusCode,
    pub(super) tasks: Vec<Done>,
    /// Whether the other request was told that its value is saved.
    pub(super) is_rival_saved: bool,
    /// What the session has, by the cookie from before the request and by the one after it.
    pub(super) before: Found,
    pub(super) after: Found,
}

/// The values of a session: the counter, and those of the tasks. `None` if there is no session.
pub(super) type Found = Option<(u32, Vec<&'static str>)>;

/// What a task has begun, and has neither finished nor dropped.
type Save = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

pub(super) fn play(plan: &Plan) -> End {
    let layer = plan.kind.layer();
    let before = first_visit(&layer);
    let (running, handled) = (Mutex::new(Vec::new()), Mutex::new(None));
    let handle = |session: Session| {
        let mut tasks = plan.tasks.clone().into_iter().zip(KEYS);
        let last = tasks.next_back();
        for (acts, key) in tasks {
            let session = session.clone();
            let task = thread::spawn(move || run(&session, &acts, key));
            running.lock().unwrap().push(task);
        }
        *handled.lock().unwrap() = last.map(|(acts, key)| run(&session, &acts, key));
    };
    let rival = plan.has_rival.then(|| {
        let (layer, cookie) = (layer.clone(), before.clone());
        thread::spawn(move || is_inserted(&layer, &cookie))
    });
    let (status, after) = visit(&layer, &before, handle);
    let running = running.into_inner().unwrap().into_iter();
    let tasks = running.map(|task| task.join().unwrap());
    let tasks = tasks.chain(handled.into_inner().unwrap());
    let (tasks, kept): (_, Vec<_>) = tasks.unzip();
    drop(kept);
    End {
        status,
        tasks,
        is_rival_saved: rival.is_some_and(|rival| rival.join().unwrap()),
        before: look(&layer, &before),
        after: look(&layer, &after),
    }
}

fn run(session: &Session, acts: &[Act], key: &str) -> (Done, Vec<Save>) {
    let (mut done, mut kept) = (Vec::new(), Vec::new());
    for act in acts {
        let result = act_once(session, *act, key, &mut kept);
        done.push((*act, result.map_err(|error| error.kind())));
    }
    (done, kept)
}

fn act_once(session: &Session, act: Act, key: &str, kept: &mut Vec<Save>) -> Result<(), Error> {
    match act {
        Act::Insert => session.insert(key, 1),
        Act::Count => session.update("n", |n: &mut u32| *n += 1),
        Act::Save => block_on(session.save()),
        Act::InsertAndSave => session
            .insert(key, 1)
            .and_then(|()| block_on(session.save())),
        Act::DropSave => {
            poll_once(pin!(session.save()));
            Ok(())
        }
        Act::KeepSave => {
            let session = session.clone();
            let mut save: Save = Box::pin(async move { session.save().await });
            poll_once(save.as_mut());
            kept.push(save);
            Ok(())
        }
        Act::Renew => {
            session.renew();
            Ok(())
        }
        Act::Load => block_on(session.load()),
        Act::Destroy => block_on(session.destroy()),
    }
}

/// The other request. Returns whether it was told that its value is saved.
fn is_inserted(layer: &SessionLayer, cookie: &Cookie) -> bool {
    let mut inserted = false;
    let insert = |session: Session| inserted = session.insert(RIVAL, 1).is_ok();
    let (status, _) = visit(layer, cookie, insert);
    inserted && status == StatusCode::OK
}

/// Makes a session. The store may fail.
fn first_visit(layer: &SessionLayer) -> Cookie {
    loop {
        let insert = |session: Session| session.insert("n", 0).unwrap_or_default();
        if let (_, Some(cookie)) = visit(layer, &None, insert) {
            return Some(cookie);
        }
    }
}

/// One request. Returns the browser's cookie after it.
fn visit(
    layer: &SessionLayer,
    cookie: &Cookie,
    handle: impl FnOnce(Session),
) -> (StatusCode, Cookie) {
    let handle = Mutex::new(Some(handle));
    let mut service = layer.layer(service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().unwrap().clone();
        let _ = session.load().await;
        let handle = handle.lock().unwrap().take();
        handle.unwrap()(session);
        Ok::<_, Infallible>(Response::new(()))
    }));
    let mut request = Request::new(());
    if let Some(cookie) = cookie {
        let cookie = cookie.parse().unwrap();
        request.headers_mut().insert(header::COOKIE, cookie);
    }
    let Ok(response) = block_on(service.call(request));
    let cookie = new_cookie(response.headers()).unwrap_or_else(|| cookie.clone());
    (response.status(), cookie)
}

/// The cookie that a response sets or removes.
fn new_cookie(headers: &HeaderMap) -> Option<Cookie> {
    let cookie = headers.get(header::SET_COOKIE)?.to_str().unwrap();
    let is_removed = cookie.contains("Max-Age=0");
    let pair = cookie.split(';').next().map(str::to_owned);
    Some(pair.filter(|_| !is_removed))
}

/// What the session of a cookie has. The store may fail.
fn look(layer: &SessionLayer, cookie: &Cookie) -> Found {
    loop {
        let found = Mutex::new(None);
        visit(layer, cookie, |session| {
            *found.lock().unwrap() = values(&session).ok();
        });
        if let Some(found) = found.into_inner().unwrap() {
            return found;
        }
    }
}

fn values(session: &Session) -> Result<Found, Error> {
    let Some(count) = session.get("n")? else {
        return Ok(None);
    };
    let mut keys = Vec::new();
    for key in KEYS {
        if session.contains_key(key)? {
            keys.push(key);
        }
    }
    Ok(Some((count, keys)))
}
