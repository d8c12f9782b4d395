//! A small site with a page for administrators.
//!
//! ```text
//! echo 'correct horse' | cargo run -p example-admin -- hash > hash
//! ADMIN=on ADMIN_PASSWORD_HASH=$(cat hash) cargo run -p example-admin
//! curl -c jar -d name=ada http://localhost:8080/login
//! ```
//!
//! Then log in at <http://localhost:8080/admin>. The page exists only with both settings.

mod site;

use std::{env, error::Error, io};

use argon2::{Argon2, password_hash::PasswordHasher as _};
use example_admin::{Refusals, Settings, Site, router};
use silverback::{Clock, Keys, MemoryStore, SessionConfig, SessionLayer};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if env::args().nth(1).is_some_and(|command| command == "hash") {
        println!("{}", hash_of(&io::read_to_string(io::stdin())?)?);
        return Ok(());
    }
    let refusals = Refusals::new(Clock::system());
    metrics::set_global_recorder(refusals.clone())?;
    let keys = Keys::generate()?;
    let config =
        SessionConfig::new("account", MemoryStore::new(), keys.clone()).insecure_local_http();
    let admin = router(&settings(), Site::new(&config, keys, refusals)?)?;
    match &admin {
        Some(_) => println!("http://localhost:8080 and http://localhost:8080/admin"),
        None => println!("http://localhost:8080; set ADMIN and ADMIN_PASSWORD_HASH for /admin"),
    }
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, site::app(SessionLayer::new(config), admin)).await?;
    Ok(())
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.enabled = env::var_os("ADMIN").is_some();
    settings.password_hash = env::var("ADMIN_PASSWORD_HASH").ok();
    settings.insecure_local_http = true;
    settings
}

fn hash_of(password: &str) -> Result<String, argon2::password_hash::Error> {
    let password = password.trim_end_matches(['\r', '\n']);
    let hash = Argon2::default().hash_password(password.as_bytes())?;
    Ok(hash.to_string())
}
