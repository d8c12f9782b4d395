//! Shows the metrics of a service's sessions to Prometheus.

pub mod dashboard;

use std::time::Duration;

use metrics::{Unit, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use silverback::{
    Clock,
    store::{self, Browse},
};

/// The bounds of the buckets of times, in seconds. The last one is the default of `store_timeout`.
const SECONDS: [f64; 13] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

/// The bounds of the buckets of calls per request.
const CALLS: [f64; 9] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0];

/// How often measurements are aggregated if nobody scrapes them.
const UPKEEP: Duration = Duration::from_secs(5);

/// Installs the exporter for this process, and returns the handle that renders the page `/metrics`.
///
/// # Errors
///
/// If another recorder is installed.
///
/// # Panics
///
/// Outside a Tokio runtime.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = exporter()?.install_recorder()?;
    describe();
    let upkeep = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}

/// Returns the exporter.
///
/// It counts times in buckets, because those of several servers can be added up, unlike quantiles.
/// With the naming that Prometheus recommends, counters end with `_total` and times with
/// `_seconds`.
///
/// # Errors
///
/// Never, since the buckets are not empty.
pub fn exporter() -> Result<PrometheusBuilder, BuildError> {
    let calls = Matcher::Full("silverback.request.store_calls".into());
    PrometheusBuilder::new()
        .with_recommended_naming(true)
        .set_buckets(&SECONDS)?
        .set_buckets_for_metric(calls, &CALLS)
}

/// Tells the current recorder which histograms are times.
pub fn describe() {
    describe_histogram!(
        "silverback.store.duration",
        Unit::Seconds,
        "How long a call of a store takes"
    );
    describe_histogram!(
        "silverback.commit.duration",
        Unit::Seconds,
        "How long a response waits until its sessions are saved"
    );
}

/// Counts the sessions of a store periodically. Each count reads every record.
pub async fn count_sessions(store: impl Browse, name: &str, pause: Duration) {
    loop {
        if let Err(error) = store::count_sessions(&store, name, Clock::system().now()).await {
            eprintln!("the sessions of {name} are not counted: {error}");
        }
        tokio::time::sleep(pause).await;
    }
}
