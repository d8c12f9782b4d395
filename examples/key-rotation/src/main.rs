//! Keys in a file, which the server reloads on SIGHUP. Nobody is logged out.
//!
//! ```text
//! (umask 077; openssl rand -base64 32 > keys)
//! cargo run -p example-key-rotation -- keys
//! curl -b jar -c jar http://localhost:8080/
//! ```
//!
//! To rotate, put the new key first, and send the signal:
//!
//! ```text
//! (umask 077; openssl rand -base64 32 | cat - keys > new && mv new keys)
//! kill -HUP PID
//! ```
//!
//! The first key in the file seals cookies. The others only open the cookies that they have sealed.
//! With several servers, add the new key as `pending:` to all of them before you put it first
//! anywhere. Remove the old key when its cookies have expired. If a key is stolen, mark it
//! `revoked:` at once.

use std::{env, error::Error as StdError, path::PathBuf};

use axum::{Router, routing::get};
use silverback::{Error, Keys, Session, SessionConfig, SessionLayer};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let path = PathBuf::from(env::args_os().nth(1).ok_or("which file has the keys?")?);
    let keys = Keys::from_file(&path)?;
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://localhost:8080, process {}", std::process::id());
    let hangups = signal(SignalKind::hangup())?;
    tokio::spawn(reload(hangups, path, keys.clone(), |said| {
        println!("{said}")
    }));
    axum::serve(listener, app(keys)).await?;
    Ok(())
}

fn app(keys: Keys) -> Router {
    let config = SessionConfig::cookie("session", keys).insecure_local_http();
    Router::new()
        .route("/", get(visit))
        .layer(SessionLayer::new(config))
}

/// Reloads the keys at each signal. All clones of `Keys` share their keys, so the layer uses the
/// new ones at once. A missing or invalid file changes nothing.
async fn reload(mut hangups: Signal, path: PathBuf, keys: Keys, say: impl Fn(String)) {
    while hangups.recv().await.is_some() {
        match Keys::from_file(&path) {
            Ok(new) => {
                keys.replace(&new);
                say(format!("{} keys", new.list().len()));
            }
            Err(error) => say(format!("the keys stay as they were: {error}")),
        }
    }
}

async fn visit(session: Session) -> Result<String, Error> {
    let n = session.update("visits", |n: &mut u32| {
        *n += 1;
        *n
    })?;
    Ok(format!("visit {n}\n"))
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use silverback::testing::Browser;
    use tokio::sync::mpsc;

    use super::*;

    const OLD: &str = "YW4gb2xkIGtleSBvZiB0aGlydHktdHdvIGJ5dGVzIG9yIG1vcmU=";
    const NEW: &str = "YSBrZXkgb2YgdGhpcnR5LXR3byBieXRlcywgb3IgbW9yZQ==";

    fn hang_up() {
        let this = std::process::id().to_string();
        let status = Command::new("kill").args(["-HUP", &this]).status();
        assert!(status.unwrap().success());
    }

    /// A single test, since the signal reaches the whole process.
    #[tokio::test]
    async fn a_signal_reloads_the_keys_and_nobody_is_logged_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        fs::write(&path, OLD).unwrap();
        let keys = Keys::from_file(&path).unwrap();
        let (say, mut said) = mpsc::unbounded_channel();
        let hangups = signal(SignalKind::hangup()).unwrap();
        let reload = reload(hangups, path.clone(), keys.clone(), move |text| {
            say.send(text).unwrap();
        });
        tokio::spawn(reload);

        let ada = Browser::new(app(keys));
        assert_eq!(ada.get("/").await.text(), "visit 1\n");
        let copy = ada.another();
        copy.jar(|jar| *jar = ada.jar(|jar| jar.clone()));

        fs::write(&path, format!("{NEW}\n{OLD}\n")).unwrap();
        hang_up();
        assert_eq!(said.recv().await.unwrap(), "2 keys");
        assert_eq!(ada.get("/").await.text(), "visit 2\n", "the old key opens");

        fs::write(&path, format!("{NEW} revoked:{OLD}")).unwrap();
        hang_up();
        assert_eq!(said.recv().await.unwrap(), "2 keys");
        assert_eq!(ada.get("/").await.text(), "visit 3\n", "the new key opens");
        assert_eq!(
            copy.get("/").await.text(),
            "visit 1\n",
            "the old key is revoked"
        );

        fs::write(&path, "no key").unwrap();
        hang_up();
        let error = said.recv().await.unwrap();
        assert!(error.starts_with("the keys stay as they were: "), "{error}");
        assert_eq!(ada.get("/").await.text(), "visit 4\n");
    }
}
