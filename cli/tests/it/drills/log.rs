//! The log of the servers in a drill.

use std::{
    cell::RefCell,
    env,
    fmt::{self, Write as _},
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use tokio::runtime::Builder;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// The lines so far. Clones share the log.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Returns whether a line contains all of these texts.
    pub(super) fn has(&self, words: &[&str]) -> bool {
        let lines = self.0.lock().unwrap();
        let has_all = |line: &String| words.iter().all(|word| line.contains(word));
        lines.iter().any(has_all)
    }
}

thread_local! {
    /// Returns the log of the drill that this thread belongs to.
    static LOG: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// Runs a drill on separate threads whose events go to its log.
pub(super) fn played(drill: impl AsyncFnOnce(Log)) {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| tracing::subscriber::set_global_default(Recorder).unwrap());
    let log = Log::default();
    let own = log.clone();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(move || LOG.set(Some(own.clone())))
        .build();
    LOG.set(Some(log.clone()));
    // This only ends a hang.
    let patience = match env::var_os("SILVERBACK_SOAK") {
        Some(_) => Duration::from_secs(7_200),
        None => Duration::from_secs(600),
    };
    runtime.unwrap().block_on(async {
        tokio::time::timeout(patience, drill(log)).await.unwrap();
    });
    LOG.set(None);
}

struct Recorder;

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "silverback"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        LOG.with_borrow(|log| {
            let log = log.iter();
            log.for_each(|log| log.0.lock().unwrap().push(line.0.clone()));
        });
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}
