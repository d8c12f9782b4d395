//! A site whose store is filled through the library, and the tool beside it.

mod reopened;
mod tool;

use std::{
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use http::Response;
use silverback::{
    FilesystemStore, Key, Keys, Session, SessionConfig, SessionSettings,
    store::{DynStore, RecordKey},
    testing::{Body, Browser},
};
use silverback_dynamodb::DynamoDbStore;
use silverback_firestore::FirestoreStore;
use silverback_memcached::MemcachedStore;
use silverback_mongodb::MongoStore;
use silverback_redis::RedisStore;
use silverback_sqlx::{SqlStore, SqliteStore};
use silverback_test_servers::{
    DynamoDb, Firestore, MariaDb, Memcached, Postgres, Redis, SecantusDb, kit::connected,
};
use tower::service_fn;

use self::reopened::Reopened;
pub(crate) use self::tool::{Output, Tool};

/// A key of the tests, as text and as bytes.
pub(crate) const KEY: &str = "dGhlIGFjdGl2ZSBrZXkgb2YgdGhlIHRlc3RzLCAzMiBieXRlcw==";
/// A secret that is shown only on request.
pub(crate) const TREASURE: &str = "a-value-that-is-nobodys-business";

const AWS_SECRET: &str = "nobody-checks-this-secret";

/// Where sessions are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum At {
    Files,
    Sqlite,
    Redb,
    Redis,
    Postgres,
    MariaDb,
    Memcached,
    Firestore,
    MongoDb,
    DynamoDb,
}

/// A server that runs for the length of the test.
enum Server {
    None,
    Redis(Redis),
    Postgres(Postgres),
    MariaDb(MariaDb),
    Memcached(Memcached),
    Firestore(Firestore),
    MongoDb(SecantusDb),
    DynamoDb { _server: DynamoDb },
}

/// A site and its parts.
pub(crate) struct World {
    pub(crate) at: At,
    pub(crate) store: DynStore,
    pub(crate) config: SessionConfig,
    pub(crate) tool: Tool,
    pub(crate) dir: tempfile::TempDir,
    server: Server,
}

/// A visitor's session.
pub(crate) struct Visit {
    pub(crate) key: RecordKey,
    pub(crate) cookie: String,
}

const SETTINGS: &str =
    "[sessions.account]\nidle_timeout = \"1 day\"\nabsolute_timeout = \"14 days\"\n";

impl World {
    /// Returns `None` if the server is not installed.
    pub(crate) async fn new(at: At) -> Option<Self> {
        Self::with(at, SETTINGS).await
    }

    pub(crate) async fn with(at: At, settings: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let (dsn, store, server) = open(at, &dir).await?;
        let file = dir.path().join("app.toml");
        fs::write(&file, settings).unwrap();
        let key_file = dir.path().join("keys");
        write_private(&key_file, KEY);
        let keys = Keys::new(Key::from_base64(KEY).unwrap());
        let config = SessionConfig::new("account", store.clone(), keys).settings(read(&file));
        let mut tool = Tool::default();
        tool.env("SILVERBACK_STORE", &dsn);
        if let Server::Firestore(server) = &server {
            tool.env("FIRESTORE_EMULATOR_HOST", &server.host());
        }
        tool.env("SILVERBACK_SETTINGS", file.to_str().unwrap());
        tool.env("SILVERBACK_SECTION", "sessions.account");
        tool.env("SILVERBACK_KEY_FILE", key_file.to_str().unwrap());
        tool.env("AWS_ACCESS_KEY_ID", "tests");
        tool.env("AWS_SECRET_ACCESS_KEY", AWS_SECRET);
        tool.secret(AWS_SECRET);
        tool.secret(KEY);
        tool.secret("the active key of the tests");
        tool.secret(TREASURE);
        Some(Self {
            at,
            store,
            config,
            tool,
            dir,
            server,
        })
    }

    /// Switches to another store.
    pub(crate) fn use_store(&mut self, dsn: &str, store: DynStore) {
        let keys = Keys::new(Key::from_base64(KEY).unwrap());
        self.config = SessionConfig::new("account", store.clone(), keys);
        self.store = store;
        self.tool.env("SILVERBACK_STORE", dsn);
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.dir.path().join("keys")
    }

    pub(crate) fn settings_file(&self) -> PathBuf {
        self.dir.path().join("app.toml")
    }

    /// Returns the settings for a server that starts now.
    pub(crate) fn settings(&self) -> SessionSettings {
        read(&self.settings_file())
    }

    /// A visitor comes and gets a session with this content. The tool must not print its cookie.
    pub(crate) async fn visit(&mut self, fill: impl FnOnce(&Session)) -> Visit {
        let nothing = service_fn(async |_: http::Request<Body>| {
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let browser = Browser::new(nothing);
        let filled = browser.seed(&self.config, |session| {
            fill(session);
            Ok(())
        });
        let session = filled.await.unwrap();
        let cookie = browser.jar(|jar| jar.get("__Host-account").unwrap().to_owned());
        self.tool.cookie(&cookie);
        Visit {
            key: session.record_key().unwrap(),
            cookie,
        }
    }

    /// A user logs in, with a cart and a token.
    pub(crate) async fn log_in(&mut self, user: &str, device: &str) -> Visit {
        self.visit(|session| {
            session.set_subject(user, device).unwrap();
            session.insert("cart", [TREASURE, "x"]).unwrap();
            session.insert_bytes("token", TREASURE).unwrap();
        })
        .await
    }

    /// Makes a record that expired days ago.
    pub(crate) fn let_expire(&self, key: &RecordKey) {
        let (then, id) = match self.at {
            At::Postgres => (
                "now() - interval '2 days'",
                format!("decode('{key}', 'hex')"),
            ),
            _ => (
                "UTC_TIMESTAMP(6) - INTERVAL 2 DAY",
                format!("UNHEX('{key}')"),
            ),
        };
        self.sql(&format!(
            "UPDATE silverback_sessions \
             SET expires = {then}, sweep_after = {then}, app_expires = 1000 WHERE id = {id}"
        ));
    }

    /// Runs a statement on the database.
    pub(crate) fn sql(&self, statements: &str) {
        match &self.server {
            Server::Postgres(server) => drop(server.sql(statements)),
            Server::MariaDb(server) => drop(server.sql(statements)),
            Server::None
            | Server::Redis(_)
            | Server::Memcached(_)
            | Server::DynamoDb { .. }
            | Server::MongoDb(_)
            | Server::Firestore(_) => {
                panic!("{:?} has no such statement", self.at)
            }
        }
    }

    /// Makes memcached forget everything.
    pub(crate) fn forget(&self) {
        match &self.server {
            Server::Memcached(server) => server.flush(),
            _ => panic!("{:?} forgets nothing", self.at),
        }
    }

    pub(crate) fn mongodb(&self) -> Option<&SecantusDb> {
        match &self.server {
            Server::MongoDb(server) => Some(server),
            _ => None,
        }
    }

    pub(crate) fn redis(&self) -> Option<&Redis> {
        match &self.server {
            Server::Redis(redis) => Some(redis),
            _ => None,
        }
    }
}

fn read(settings: &Path) -> SessionSettings {
    let mut all: toml::Value = toml::from_str(&fs::read_to_string(settings).unwrap()).unwrap();
    let sessions = all["sessions"].as_table_mut().unwrap();
    sessions.remove("account").unwrap().try_into().unwrap()
}

async fn open(at: At, dir: &tempfile::TempDir) -> Option<(String, DynStore, Server)> {
    let long = Duration::from_secs(30);
    Some(match at {
        At::Files => {
            let path = dir.path().join("sessions");
            let store = FilesystemStore::open(&path).unwrap();
            (
                format!("file:{}", path.display()),
                DynStore::new(store),
                Server::None,
            )
        }
        At::Sqlite => {
            let path = dir.path().join("sessions.db");
            let store = SqliteStore::open(&path).await.unwrap().timeout(long);
            (
                format!("sqlite:{}", path.display()),
                DynStore::new(store),
                Server::None,
            )
        }
        At::Redb => {
            let path = dir.path().join("sessions.redb");
            let store = Reopened::new(&path);
            store.open().await.close().await;
            let dsn = format!("redb:{}", path.display());
            (dsn, DynStore::new(store), Server::None)
        }
        At::Redis => {
            let server = Redis::start()?;
            let store = connected(async || RedisStore::connect(&server.url()).await).await;
            let store = store.prefix("shop:");
            let dsn = format!("{}?prefix=shop:", server.url());
            (
                dsn,
                DynStore::new(store.timeout(long)),
                Server::Redis(server),
            )
        }
        At::Postgres => {
            let server = Postgres::start()?;
            let pool = sqlx::PgPool::connect(&server.url()).await.unwrap();
            let store = SqlStore::new(pool).timeout(long);
            store.create_table().await.unwrap();
            (server.url(), DynStore::new(store), Server::Postgres(server))
        }
        At::MariaDb => {
            let server = MariaDb::start()?;
            let pool = sqlx::MySqlPool::connect(&server.url()).await.unwrap();
            let store = SqlStore::new(pool).timeout(long);
            store.create_table().await.unwrap();
            (server.url(), DynStore::new(store), Server::MariaDb(server))
        }
        At::Memcached => {
            let server = Memcached::start()?;
            let store = connected(async || MemcachedStore::connect(&server.url()).await).await;
            let store = store.prefix("shop:").unwrap().timeout(long);
            let dsn = format!("{}?prefix=shop:", server.url());
            (dsn, DynStore::new(store), Server::Memcached(server))
        }
        At::DynamoDb => {
            let server = DynamoDb::start()?;
            let store = DynamoDbStore::new(&dynamodb(&server.url()), "shop").timeout(long);
            // The emulator makes the table but has no time to live.
            store.create_table().await.unwrap_err();
            let dsn = format!(
                "dynamodb:shop?region=eu-central-1&endpoint={}",
                server.url()
            );
            let server = Server::DynamoDb { _server: server };
            (dsn, DynStore::new(store), server)
        }
        At::Firestore => {
            let server = Firestore::start()?;
            let store = connected(async || {
                FirestoreStore::connect_emulator(&server.host(), "firestore://shop").await
            });
            let store = store.await.collection("sessions").unwrap();
            let dsn = "firestore://shop?collection=sessions".to_owned();
            (
                dsn,
                DynStore::new(store.timeout(long)),
                Server::Firestore(server),
            )
        }
        At::MongoDb => {
            let server = SecantusDb::start()?;
            let dsn = format!("{}&collection=carts", server.url("shop"));
            let store = connected(async || MongoStore::connect(&server.url("shop")).await).await;
            let store = store.collection("carts").timeout(long);
            (dsn, DynStore::new(store), Server::MongoDb(server))
        }
    })
}

fn dynamodb(url: &str) -> aws_sdk_dynamodb::Client {
    use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("tests", AWS_SECRET, None, None, "tests"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(url);
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

/// Writes a file that only its owner can read.
pub(crate) fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
