//! The drills of `docs/guides/drills.md`, run under traffic.

mod chance;
mod log;
mod site;
mod traffic;

mod attributes;
mod backup;
mod laptop;
mod leak;
mod outage;
mod page;
mod releases;
mod sweep;

use tokio::task::spawn_blocking;

use self::{
    log::{Log, played},
    site::{Node, Site},
    traffic::{Faults, Traffic},
};
use crate::support::{Output, Tool};

/// Runs an operator's command while the site is in use.
async fn operator(tool: &Tool, args: &[&str]) -> Output {
    let (tool, args) = (tool.clone(), args.iter().map(|arg| (*arg).to_owned()));
    let args: Vec<_> = args.collect();
    let typed = move || tool.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    spawn_blocking(typed).await.unwrap()
}
