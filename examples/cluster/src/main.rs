//! Two servers of a shop behind haproxy, on one store. Visitors log in, buy with two tabs at once,
//! and log out, while a server, the store and connections are killed in turn. At the end it prints
//! what was lost and what came back.
//!
//! ```text
//! cargo run --release -p example-cluster -- postgres --seconds 60 --visitors 64
//! cargo run --release -p example-cluster -- storm mariadb --seed 7
//! ```
//!
//! In a storm, visitors talk to the servers directly, and anything may break at any time.
//!
//! See `docs/cluster.md` for what it prints and how to read it.

mod backend;
mod front;
mod load;
mod score;
mod shop;
mod site;
mod storm;

use std::{
    env,
    error::Error,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{task::spawn_blocking, time::sleep};

use silverback_test_servers::Port;

use self::{backend::Backend, front::Front, load::Load, score::Score, site::Site, storm::Target};

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // The program starts itself for each server.
    if let ["server", port, store] = arguments[..] {
        shop::serve(port.parse()?, store).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let score = match &arguments[..] {
        ["storm", rest @ ..] => storm(&Options::parse(rest, &Target::NAMES)?).await?,
        rest => turns(&Options::parse(rest, &Backend::NAMES)?).await?,
    };
    let Some(score) = score else {
        return Ok(ExitCode::SUCCESS);
    };
    println!("\n{score}");
    Ok(if score.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Breaks one thing after the other. Returns `None` if something is not installed.
async fn turns(options: &Options<'_>) -> Result<Option<Score>, Box<dyn Error>> {
    let Some(backend) = Backend::start(options.store) else {
        return Ok(None);
    };
    let site = Site::start(&backend.url()).await?;
    let port = Port::take();
    let Some(front) = Front::start(site.folder(), port.number(), site.ports()).await? else {
        return Ok(None);
    };
    let address = port.number();
    Ok(Some(run(options, backend, site, (front, address)).await))
}

/// Breaks anything at any time. Returns `None` if the store is not installed.
async fn storm(options: &Options<'_>) -> Result<Option<Score>, Box<dyn Error>> {
    let Some(target) = Target::start(options.store) else {
        return Ok(None);
    };
    println!("--seed {}", options.seed);
    let score = storm::run(target, options.seed, options.visitors, options.length);
    score.await.map(Some)
}

struct Options<'a> {
    store: &'a str,
    length: Duration,
    visitors: usize,
    seed: u64,
}

impl<'a> Options<'a> {
    fn parse(arguments: &[&'a str], stores: &[&str]) -> Result<Self, Box<dyn Error>> {
        let mut options = Self {
            store: "redis",
            length: Duration::from_secs(60),
            visitors: 32,
            seed: site::random_number()?,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut number = || -> Result<u64, Box<dyn Error>> {
                let number = rest
                    .next()
                    .ok_or(format!("{argument}: a number is missing"))?;
                Ok(number.parse()?)
            };
            match *argument {
                "--seconds" => options.length = Duration::from_secs(number()?),
                "--visitors" => options.visitors = usize::try_from(number()?)?,
                "--seed" => options.seed = number()?,
                store if stores.contains(&store) => options.store = store,
                other => {
                    let usage = "[--seconds N] [--visitors N] [--seed N]";
                    return Err(format!("{other:?}: use {} {usage}", stores.join("|")).into());
                }
            }
        }
        Ok(options)
    }
}

/// Puts the site under load, and breaks one thing after the other meanwhile.
async fn run(
    options: &Options<'_>,
    backend: Backend,
    mut site: Site,
    (front, port): (Front, u16),
) -> Score {
    let start = Instant::now();
    let say = |what: &str| println!("{:5.1} s  {what}", start.elapsed().as_secs_f64());
    let load = Load::start(&[port], options.visitors, options.length);
    say(&format!(
        "{} visitors at http://127.0.0.1:{port}",
        options.visitors
    ));
    let [one, two] = site.ports();
    say(&format!(
        "metrics at http://127.0.0.1:{one}/metrics and http://127.0.0.1:{two}/metrics"
    ));
    let backend = Arc::new(backend);
    let pause = options.length / 6;

    sleep(pause).await;
    say("server one is killed");
    site.kill_server(0);
    sleep(pause / 2).await;
    if let Err(error) = site.start_server(0).await {
        say(&format!("server one does not start: {error}"));
    }
    say("server one is back");

    sleep(pause).await;
    say(backend.threat());
    let hit = Arc::clone(&backend);
    let recovered = spawn_blocking(move || hit.strike());
    if let Ok(after) = recovered.await {
        say(after);
    }

    sleep(pause).await;
    say("the proxy's connections are cut");
    for _ in 0..10 {
        front.cut_connections();
        sleep(pause / 20).await;
    }
    say("no more is broken");
    let mut score = load.end().await;
    score.replicates_late = backend.replicates_late();
    score
}
