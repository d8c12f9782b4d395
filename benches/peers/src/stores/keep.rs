//! The content of a session after requests that overlap.

use axum::http::StatusCode;
use tokio::task::JoinSet;

use super::{
    Effort, Result,
    servers::{Library, PoolSettings, Server},
    site::{Site, path},
};

/// The number of simultaneous requests, each of which puts a different key.
pub(super) const CROWD: usize = 16;

pub(super) async fn table(servers: &[Server], effort: Effort) -> Result<Vec<Vec<String>>> {
    let mut head = vec![String::new()];
    let mut keys = vec![format!(
        "of {CROWD} simultaneous requests that each put a new key: keys kept"
    )];
    let mut slow = vec!["answer to a write that a logout has overtaken".to_owned()];
    let mut lives = vec!["and the logged-out session".to_owned()];
    for server in servers {
        for library in Library::ALL {
            let site = server
                .open(library, server.port(), PoolSettings::USUAL)
                .await?;
            head.push(format!("{}: {}", server.kind().name(), library.name()));
            keys.push(crowd(&site, effort).await?);
            let (status, is_alive) = overtaken(&site).await?;
            slow.push(status.to_string());
            lives.push(if is_alive { "lives again" } else { "is over" }.to_owned());
        }
    }
    Ok(vec![head, keys, slow, lives])
}

/// The mean number of keys kept.
async fn crowd(site: &Site, effort: Effort) -> Result<String> {
    let mut kept = 0;
    for _ in 0..effort.crowds {
        let cookie = site.start().await?;
        let mut tasks = JoinSet::new();
        for number in 0..CROWD {
            let (site, cookie) = (site.clone(), cookie.clone());
            let path = path::PUT.replace("{number}", &number.to_string());
            tasks.spawn(async move { site.visit(&path, &cookie).await.map(drop) });
        }
        while let Some(answered) = tasks.join_next().await {
            answered??;
        }
        kept += site.number(path::KEPT, &cookie).await?;
    }
    Ok(format!("{:.1}", kept as f64 / effort.crowds as f64))
}

/// A request reads, the session is logged out, the request writes. Returns the status of its
/// answer, and whether the old cookie has the values again.
async fn overtaken(site: &Site) -> Result<(StatusCode, bool)> {
    let cookie = site.start().await?;
    let slow = {
        let (site, cookie) = (site.clone(), cookie.clone());
        tokio::spawn(async move { site.ask(path::SLOW, &cookie).await.status })
    };
    site.gate.arrived().await;
    site.visit(path::LOG_OUT, &cookie).await?;
    site.gate.open();
    let status = slow.await?;
    let then = site.ask(path::READ, &cookie).await.status;
    Ok((status, then == StatusCode::OK))
}
