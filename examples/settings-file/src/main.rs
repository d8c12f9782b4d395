//! Settings from a file. The server refuses to start with a mistake in it, and names the field.
//!
//! ```text
//! SESSION_KEY=$(openssl rand -base64 32) cargo run -p example-settings-file -- examples/settings-file/settings.toml
//! ```

use std::{env, error::Error as StdError, fs, net::SocketAddr, path::PathBuf};

use axum::{Router, routing::get};
use serde::Deserialize;
use silverback::{
    CookieStore, Error, FilesystemStore, Keys, MemoryStore, SessionConfig, SessionLayer,
    SessionName, SessionOf, SessionSettings,
};
use tokio::net::TcpListener;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    address: SocketAddr,
    account: Section,
    cart: Section,
}

/// `session` has its own table instead of `#[serde(flatten)]`: serde passes a flattened struct only
/// the fields it knows, so a misspelt one would go unnoticed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    store: Store,
    session: SessionSettings,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Store {
    Cookie,
    Memory,
    Files(PathBuf),
}

#[derive(Clone, Copy)]
struct Account;

impl SessionName for Account {
    const NAME: &'static str = "account";
}

#[derive(Clone, Copy)]
struct Cart;

impl SessionName for Cart {
    const NAME: &'static str = "cart";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let path = env::args_os()
        .nth(1)
        .ok_or("which file has the settings?")?;
    let settings: Settings = toml::from_str(&fs::read_to_string(path)?)?;
    let listener = TcpListener::bind(settings.address).await?;
    let app = app(settings, &Keys::from_env("SESSION_KEY")?)?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// `try_new` and `try_with` return what is wrong with the settings. `new` and `with` panic.
fn app(settings: Settings, keys: &Keys) -> Result<Router, Box<dyn StdError>> {
    let account = config(Account, settings.account, keys)?;
    let cart = config(Cart, settings.cart, keys)?;
    let layer = SessionLayer::try_new(account)?.try_with(cart)?;
    Ok(Router::new().route("/", get(visit)).layer(layer))
}

fn config(
    name: impl SessionName,
    section: Section,
    keys: &Keys,
) -> Result<SessionConfig, Box<dyn StdError>> {
    let keys = keys.clone();
    let config = match section.store {
        Store::Cookie => SessionConfig::new(name, CookieStore::new(), keys),
        Store::Memory => SessionConfig::new(name, MemoryStore::new(), keys),
        Store::Files(folder) => SessionConfig::new(name, FilesystemStore::open(folder)?, keys),
    };
    Ok(config.settings(section.session))
}

async fn visit(account: SessionOf<Account>, cart: SessionOf<Cart>) -> Result<String, Error> {
    let count = |n: &mut u32| {
        *n += 1;
        *n
    };
    cart.insert("seen", true)?;
    Ok(format!("visit {}\n", account.update("visits", count)?))
}

#[cfg(test)]
mod tests {
    use silverback::testing::Browser;

    use super::*;

    const FILE: &str = include_str!("../settings.toml");

    fn read(file: &str) -> Result<Router, Box<dyn StdError>> {
        app(toml::from_str(file)?, &Keys::generate()?)
    }

    #[tokio::test]
    async fn cookies_follow_the_file() {
        let ada = Browser::new(read(FILE).unwrap());
        let page = ada.get("/").await;
        let cookies = page.headers().get_all("set-cookie").iter();
        let cookies: Vec<_> = cookies.map(|cookie| cookie.to_str().unwrap()).collect();
        assert!(
            cookies[0].starts_with("__Host-account=") && cookies[0].contains("SameSite=Strict")
        );
        assert!(cookies[1].starts_with("__Host-cart=") && cookies[1].contains("Max-Age=2592000"));
        assert_eq!(ada.get("/").await.text(), "visit 2\n");
    }

    #[tokio::test]
    async fn a_store_may_be_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let files = format!("{{ files = {:?} }}", folder.path().join("carts"));
        let ada = Browser::new(read(&FILE.replace("\"memory\"", &files)).unwrap());
        ada.get("/").await;
        assert!(folder.path().join("carts").is_dir());
    }

    #[test]
    fn a_mistake_names_its_field() {
        for (right, wrong, said) in [
            ("\"30m\"", "\"30x\"", "`idle_timeout`"),
            ("idle_timeout", "idle_time", "`idle_time`"),
            ("\"14 days\"", "\"1 minute\"", "idle timeout"),
            ("\"memory\"", "\"redis\"", "`redis`"),
        ] {
            let error = read(&FILE.replace(right, wrong)).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
