//! Two servers of a shop behind haproxy, on one store. Visitors log in, buy with two tabs at once,
//! and log out, while a server, the store and connections are killed in turn. At the end it tells
//! what was lost and what came back.
//!
//! ```text
//! cargo run --release -p silverback-cluster -- postgres --seconds 60 --visitors 64
//! ```
//!
//! See `docs/cluster.md` for what it prints and how to read it.

mod backend;
mod front;
mod load;
mod score;
mod shop;
mod site;

use std::{
    env,
    error::Error,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{task::spawn_blocking, time::sleep};

use self::{backend::Backend, load::Load, score::Score, site::Site};

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // The program starts itself for each server.
    if let ["server", port, store] = arguments[..] {
        shop::serve(port.parse()?, store).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options::parse(&arguments)?;
    let Some(backend) = Backend::start(options.store) else {
        return Ok(ExitCode::SUCCESS);
    };
    let Some(site) = Site::start(&backend.url()).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let score = run(&options, backend, site).await;
    println!("\n{score}");
    Ok(if score.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Options<'a> {
    store: &'a str,
    length: Duration,
    visitors: usize,
}

impl<'a> Options<'a> {
    fn parse(arguments: &[&'a str]) -> Result<Self, Box<dyn Error>> {
        let mut options = Self {
            store: "redis",
            length: Duration::from_secs(60),
            visitors: 32,
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
                store if Backend::NAMES.contains(&store) => options.store = store,
                other => {
                    let usage = "[redis|postgres] [--seconds N] [--visitors N]";
                    return Err(format!("{other:?}: use {usage}").into());
                }
            }
        }
        Ok(options)
    }
}

/// Loads the site for as long as it is told, and breaks one thing after the other meanwhile.
async fn run(options: &Options<'_>, backend: Backend, mut site: Site) -> Score {
    let start = Instant::now();
    let say = |what: &str| println!("{:5.1} s  {what}", start.elapsed().as_secs_f64());
    let load = Load::start(&site.address(), options.visitors, options.length);
    say(&format!(
        "{} visitors at {}",
        options.visitors,
        site.address()
    ));
    let backend = Arc::new(backend);
    let pause = options.length / 6;

    sleep(pause).await;
    say("server one is killed");
    site.kill_server();
    sleep(pause / 2).await;
    if let Err(error) = site.start_server().await {
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
        site.cut_connections();
        sleep(pause / 20).await;
    }
    say("no more is broken");
    let mut score = load.end().await;
    score.replicates_late = backend.replicates_late();
    score
}
