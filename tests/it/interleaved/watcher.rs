//! Observes a world from outside. No time passes meanwhile, and nothing changes.

use std::{
    convert::Infallible,
    future::pending,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use http::{HeaderValue, Request, Response, header};
use silverback::{GorillaRecords, Keys, Session, SessionLayer, Subjects, store::RecordKey};
use tower::{Layer, ServiceExt, service_fn};

use super::{
    go::Table,
    moving::Glass,
    plan::Plan,
    run::configure,
    script::{ADA, Seen, see},
};
use crate::support::{Kind, Stores, scripted::Scripted};

pub(super) struct Watcher {
    layer: SessionLayer,
    go: Option<GorillaRecords<Table>>,
    subjects: Option<Subjects>,
    glass: Option<Glass>,
}

impl Watcher {
    pub(super) fn new(plan: &Plan, stores: &Stores, go: &Table, keys: Keys) -> Self {
        let at_once = |store: &Scripted| Scripted::new(store.memory.clone()).at_once();
        let stores = Stores {
            records: at_once(&stores.records),
            ends: at_once(&stores.ends),
            clock: stores.clock.clone(),
        };
        let glass = plan.moves.then(|| Glass::of(&stores));
        let config = match &glass {
            Some(glass) => glass.config(plan, &stores, &keys),
            None => configure(plan, &stores, go, keys),
        };
        let subjects = Subjects::new(&config).ok();
        Self {
            go: (plan.kind == Kind::Go).then(|| go.at_once().records()),
            layer: SessionLayer::new(config).clock(stores.clock.clone()),
            subjects: subjects.map(|subjects| subjects.clock(stores.clock)),
            glass,
        }
    }

    fn wipe(&self) {
        if let Some(glass) = &self.glass {
            glass.wipe();
        }
    }

    /// What a request with this cookie would see. The request is dropped before it can change
    /// anything.
    pub(super) fn see(&self, cookie: &str) -> Option<Seen> {
        self.wipe();
        let seen = Arc::new(Mutex::new(None));
        let inside = seen.clone();
        let service = service_fn(move |request: Request<()>| {
            let inside = inside.clone();
            async move {
                let session = request.extensions().get::<Session>().cloned().unwrap();
                session.load().await.unwrap();
                let mut seen = see(&session).unwrap();
                if let Some(seen) = &mut seen {
                    seen.flashes = session.flashes().unwrap();
                }
                *inside.lock().unwrap() = Some(seen);
                pending::<()>().await;
                Ok::<_, Infallible>(Response::new(()))
            }
        });
        let mut request = Request::new(());
        let field = HeaderValue::from_str(&format!("s={cookie}")).unwrap();
        request.headers_mut().insert(header::COOKIE, field);
        let answer = async {
            match &self.go {
                None => drop(self.layer.layer(service).oneshot(request).await),
                Some(go) => drop(go.layer(self.layer.layer(service)).oneshot(request).await),
            }
        };
        let answer = pin!(answer);
        assert!(
            answer
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        let seen = seen.lock().unwrap().take();
        seen.expect("the watcher's stores never wait")
    }

    /// The sessions in the user's roster.
    pub(super) fn listed(&self) -> Option<Vec<RecordKey>> {
        self.wipe();
        let list = pin!(self.subjects.as_ref()?.list(ADA));
        match list.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(listed)) => {
                Some(listed.iter().map(|session| session.record_key()).collect())
            }
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => panic!("the watcher's stores never wait"),
        }
    }
}

/// Returns whether a session of this kind is in a record from its first save.
pub(super) fn is_in_record(kind: Kind) -> bool {
    matches!(kind, Kind::Memory | Kind::Remote | Kind::Go)
}
