//! Draws what the dashboard shows while servers, their store and connections are killed. It runs
//! the example `cluster` under a Prometheus, sends the queries of the panels, and draws the answers
//! itself, without Grafana.
//!
//! ```text
//! cargo build -p example-cluster -p example-prometheus
//! target/debug/picture examples/prometheus/dashboard.svg
//! ```
//!
//! It needs `prometheus` and `promtool`, and the programs that the example `cluster` needs.

mod draw;

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use example_prometheus::dashboard::{Query, panels};
use serde::Deserialize;
use silverback::Clock;

use draw::{Chart, Line};

type Failure = Box<dyn Error>;

/// How long the cluster is under load, in seconds.
const LENGTH: u32 = 60;

/// The window of rates in seconds: four times the interval of scrapes.
const RATE: u32 = 4;

/// Panels that stay empty, since the cluster has no store in memory.
const EMPTY: &[&str] = &["Evictions"];

fn main() -> Result<(), Failure> {
    let path = env::args_os().nth(1).ok_or("name the file to be drawn")?;
    let folder = tempfile::tempdir()?;
    let (prometheus, times) = watch_cluster(folder.path())?;
    let mut charts = Vec::new();
    for panel in panels()? {
        let mut lines = Vec::new();
        for query in &panel.targets {
            lines.extend(prometheus.ask(query, times)?);
        }
        println!("{}: {} lines", panel.title, lines.len());
        if lines.is_empty() && !EMPTY.contains(&&*panel.title) {
            return Err(format!("there is nothing in {}", panel.title).into());
        }
        charts.push(Chart {
            unit: panel.unit().to_owned(),
            title: panel.title,
            lines,
        });
    }
    draw::draw(&charts, times.1 - times.0, &PathBuf::from(path))
}

/// Runs the cluster. Returns the Prometheus that watched it, and the start and end of the run.
fn watch_cluster(folder: &Path) -> Result<(Prometheus, (f64, f64)), Failure> {
    let program = env::current_exe()?.with_file_name("example-cluster");
    let mut cluster = Command::new(program)
        .args([
            "redis",
            "--visitors",
            "16",
            "--seconds",
            &LENGTH.to_string(),
        ])
        .stdout(Stdio::piped())
        .spawn()?;
    let output = cluster.stdout.take().ok_or("the cluster has no output")?;
    let (mut prometheus, mut start) = (None, 0.0);
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        if let Some((_, addresses)) = line.split_once("metrics at ") {
            start = now();
            prometheus = Some(Prometheus::start(folder, addresses)?);
        }
    }
    cluster.wait()?;
    let prometheus = prometheus.ok_or("the cluster did not print the address of its metrics")?;
    Ok((prometheus, (start, (start + f64::from(LENGTH)).min(now()))))
}

/// Returns the time in seconds, as Prometheus expects it.
fn now() -> f64 {
    Clock::system().now().as_secs() as f64
}

/// A running Prometheus. It is killed when this is dropped.
struct Prometheus {
    process: Child,
    url: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let killed = self.process.kill().and_then(|()| self.process.wait());
        if let Err(error) = killed {
            println!("Prometheus keeps running: {error}");
        }
    }
}

impl Prometheus {
    /// Starts a Prometheus that scrapes these addresses each second.
    fn start(folder: &Path, addresses: &str) -> Result<Self, Failure> {
        let hosts = addresses.split_whitespace().filter_map(|word| {
            let host = word.strip_prefix("http://")?;
            Some(host.strip_suffix("/metrics")?.to_owned())
        });
        let config = folder.join("prometheus.yml");
        let targets = hosts.collect::<Vec<_>>().join(", ");
        let text = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\n\
             scrape_configs: [{{ job_name: shop, static_configs: [{{ targets: [{targets}] }}] }}]\n"
        );
        fs::write(&config, text)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=warn")
            .spawn()?;
        let url = format!("http://127.0.0.1:{port}");
        Ok(Self { process, url })
    }

    /// Returns a line for each time series of the answer, with its times counted from the start.
    fn ask(&self, query: &Query, (start, end): (f64, f64)) -> Result<Vec<Line>, Failure> {
        let output = Command::new("promtool")
            .args(["query", "range", "--format=json", "--step=1s"])
            .arg(format!("--start={start}"))
            .arg(format!("--end={end}"))
            .args([&self.url, &query.promql(RATE)])
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let answer: Vec<Series> = serde_json::from_slice(&output.stdout)?;
        let lines = answer.iter().map(|series| series.line(query, start));
        Ok(lines.filter(Line::shows).collect())
    }
}

/// A time series, as Prometheus writes it: values as text, since JSON has no NaN.
#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

impl Series {
    fn line(&self, query: &Query, start: f64) -> Line {
        let point = |(at, value): &(f64, String)| Some((at - start, value.parse().ok()?));
        // As in `failed: {{error_type}}`.
        let name = |name: String, (label, value): (&String, &String)| {
            name.replace(&format!("{{{{{label}}}}}"), value)
        };
        Line {
            name: self.metric.iter().fold(query.legend_format.clone(), name),
            points: self.values.iter().filter_map(point).collect(),
        }
    }
}
