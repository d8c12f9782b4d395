//! What handlers do and report to the oracle.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use silverback::{Error, ErrorKind, GorillaRecords, Session, SessionLayer, store::RecordKey};
use tokio::task::yield_now;
use tower::{Layer, ServiceExt, service_fn};

use super::{
    go::Table,
    plan::{Act, Late},
    run::has_subjects,
};
use crate::support::Kind;

/// Identifies a written value: the request's number times a hundred, plus the number of the act.
pub(super) type Tag = u32;

/// The only user.
pub(super) const ADA: &str = "ada";

/// A session as a request sees it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Seen {
    pub(super) key: Option<RecordKey>,
    /// The tag of the session's first write.
    pub(super) birth: Option<Tag>,
    /// The tag of the last login.
    pub(super) user: Option<Tag>,
    pub(super) counted: Vec<Tag>,
    pub(super) values: Vec<Tag>,
    /// Only the watcher peeks at these: to read flash messages is to take them.
    pub(super) flashes: Vec<Tag>,
    pub(super) has_subject: bool,
}

impl Seen {
    /// The tags that only this session and its descendants have.
    pub(super) fn names(&self) -> Vec<Tag> {
        self.birth.into_iter().chain(self.user).collect()
    }

    pub(super) fn tags(&self) -> Vec<Tag> {
        let mut tags = self.names();
        tags.extend(self.counted.iter().chain(&self.values));
        tags
    }

    pub(super) fn is_filled(&self) -> bool {
        !self.tags().is_empty() || !self.flashes.is_empty()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Report {
    Loaded(Option<Seen>),
    Began(Act),
    Done(Act, Result<(), ErrorKind>),
    /// The flash messages that it took.
    Took(Vec<Tag>),
    LateBegan(Late),
    LateDone(Late, Result<(), ErrorKind>, Option<RecordKey>),
    /// The handler has returned.
    Returned,
}

/// Handles that outlive their requests.
pub(super) type Kept = Arc<Mutex<Vec<(Tag, Session)>>>;

pub(super) type Reports = Arc<Mutex<Vec<Report>>>;

#[derive(Deserialize, Serialize)]
struct Value(Tag, String);

#[derive(Clone)]
pub(super) struct Script {
    pub(super) kind: Kind,
    pub(super) request: Tag,
    pub(super) acts: Vec<Act>,
    pub(super) fails: bool,
    pub(super) is_head: bool,
    pub(super) reports: Reports,
    pub(super) kept: Kept,
    /// The handler waits for something other than a store.
    pub(super) is_busy: Arc<AtomicBool>,
}

/// Sees an open session without a call to a store.
pub(super) fn see(session: &Session) -> Result<Option<Seen>, Error> {
    if session.is_new()? {
        return Ok(None);
    }
    let value = |key| Ok::<_, Error>(session.get::<Value>(key)?.map(|value| value.0));
    Ok(Some(Seen {
        key: session.record_key(),
        birth: session.get("birth")?,
        user: session.get("user")?,
        counted: counted(session)?,
        values: value("k0")?.into_iter().chain(value("k1")?).collect(),
        flashes: Vec::new(),
        has_subject: session.subject()?.is_some(),
    }))
}

impl Script {
    pub(super) fn report(&self, report: Report) {
        self.reports.lock().unwrap().push(report);
    }

    /// Serves one request.
    pub(super) async fn serve(
        self,
        layer: SessionLayer,
        go: Option<GorillaRecords<Table>>,
        cookie: Option<String>,
    ) -> Response<String> {
        let mut request = Request::new(());
        if self.is_head {
            *request.method_mut() = Method::HEAD;
        }
        if let Some(cookie) = cookie {
            let field = HeaderValue::from_str(&format!("{NAME}={cookie}")).unwrap();
            request.headers_mut().insert(header::COOKIE, field);
        }
        let service = service_fn(move |request: Request<()>| {
            let script = self.clone();
            async move {
                let session = request.extensions().get::<Session>().cloned().unwrap();
                let mut response = Response::new(String::new());
                *response.status_mut() = script.run(session).await;
                script.report(Report::Returned);
                Ok::<_, Infallible>(response)
            }
        });
        match go {
            None => layer.layer(service).oneshot(request).await.unwrap(),
            Some(go) => go
                .layer(layer.layer(service))
                .oneshot(request)
                .await
                .unwrap(),
        }
    }

    async fn run(&self, session: Session) -> StatusCode {
        let loaded = session.load().await.and_then(|()| see(&session));
        let mut seen = match loaded {
            Ok(seen) => seen,
            Err(error) => return error.answer().status(),
        };
        self.report(Report::Loaded(seen.clone()));
        for (act, number) in self.acts.iter().zip(0..) {
            self.report(Report::Began(*act));
            let tag = self.request * 100 + number;
            let done = self.act(*act, tag, &session, &mut seen).await;
            self.report(Report::Done(*act, done.map_err(|error| error.kind())));
        }
        if self.fails {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            StatusCode::OK
        }
    }

    async fn act(
        &self,
        act: Act,
        tag: Tag,
        session: &Session,
        seen: &mut Option<Seen>,
    ) -> Result<(), Error> {
        let writes = !matches!(
            act,
            Act::Remove(_)
                | Act::TakeFlashes
                | Act::Empty
                | Act::Renew
                | Act::Save
                | Act::Destroy
                | Act::DestroyOthers
                | Act::Keep
                | Act::Wait
                | Act::SetSubject
                | Act::RemoveSubject
        );
        if writes && session.get::<Tag>("birth")?.is_none() {
            session.insert("birth", tag)?;
        }
        let key = |number: u8| ["k0", "k1"][usize::from(number % 2)];
        match act {
            Act::Put(number) => session.insert(key(number), Value(tag, String::new())),
            Act::PutLarge(number) => session.insert(key(number), Value(tag, "x".repeat(500))),
            Act::Remove(number) => session.remove(key(number)).map(drop),
            Act::Count if self.kind == Kind::Go => session.insert(&format!("{COUNTED}{tag}"), tag),
            Act::Count => count(session, tag),
            Act::Flash => session.flash(tag),
            Act::TakeFlashes => {
                let taken = session.flashes()?;
                self.report(Report::Took(taken));
                Ok(())
            }
            Act::Empty => session.clear(),
            Act::Renew => {
                session.renew();
                Ok(())
            }
            Act::LogIn => {
                session.renew();
                session.insert("user", tag)?;
                self.set_subject(session)
            }
            Act::SetSubject => self.set_subject(session),
            Act::RemoveSubject => session.remove_subject().map(drop),
            Act::Save => session.save().await,
            Act::Destroy => {
                *seen = None;
                session.destroy().await
            }
            Act::DestroyOthers => session.destroy_others().await.map(drop),
            Act::Keep => {
                self.kept
                    .lock()
                    .unwrap()
                    .push((self.request, session.clone()));
                Ok(())
            }
            Act::Wait => {
                self.is_busy.store(true, Relaxed);
                yield_now().await;
                yield_now().await;
                self.is_busy.store(false, Relaxed);
                Ok(())
            }
        }
    }

    fn set_subject(&self, session: &Session) -> Result<(), Error> {
        if has_subjects(self.kind) {
            session.set_subject(ADA, "device")?;
        }
        Ok(())
    }

    /// Does these acts with a kept handle.
    pub(super) async fn late(self, session: Session, late_acts: Vec<Late>) {
        for (late, number) in late_acts.into_iter().zip(0..) {
            self.report(Report::LateBegan(late));
            let tag = self.request * 100 + number;
            let done = match late {
                Late::Load => session.load().await,
                Late::Touch => session.touch().await,
                Late::Save => save(&session, tag).await,
                Late::Destroy => session.destroy().await,
            };
            let done = done.map_err(|error| error.kind());
            self.report(Report::LateDone(late, done, session.record_key()));
        }
    }
}

/// The list in which updates leave their marks and, where changes of one value are not merged, the
/// keys in which they do.
fn counted(session: &Session) -> Result<Vec<Tag>, Error> {
    let mut all: Vec<Tag> = session.get("counted")?.unwrap_or_default();
    for key in session.keys()? {
        if key.starts_with(COUNTED) {
            all.extend(session.get::<Tag>(&key)?);
        }
    }
    Ok(all)
}

/// What the key of a count begins with, where each has one of its own.
pub(super) const COUNTED: &str = "counted ";

fn count(session: &Session, tag: Tag) -> Result<(), Error> {
    let push = move |counted: &mut Vec<Tag>| counted.push(tag);
    session.update("counted", push).map(drop)
}

async fn save(session: &Session, tag: Tag) -> Result<(), Error> {
    session.load().await?;
    count(session, tag)?;
    session.save().await
}

/// The cookie's name.
const NAME: &str = "s";
