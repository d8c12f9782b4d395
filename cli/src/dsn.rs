//! The address of a store.

use std::path::PathBuf;

use crate::failure::Failure;

/// An address, split for the store's client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Dsn {
    pub(crate) place: Place,
    /// The prefix of keys in Redis and memcached.
    pub(crate) prefix: Option<String>,
    /// The table in a database.
    pub(crate) table: Option<String>,
    /// The collection in MongoDB or Firestore.
    pub(crate) collection: Option<String>,
    /// Where the table of DynamoDB is, if not where the AWS CLI would look.
    pub(crate) region: Option<String>,
    pub(crate) endpoint: Option<String>,
    /// The directory is meant to be on another machine's file system.
    pub(crate) is_network: bool,
    /// The address without the login.
    pub(crate) shown: String,
    /// The password, which must not be printed.
    pub(crate) secret: Option<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    File(PathBuf),
    Redb(PathBuf),
    Sqlite(PathBuf),
    Redis(String),
    RedisCluster(Vec<String>),
    RedisSentinel(Vec<String>, String),
    Postgres(String),
    MySql(String),
    Memcached(String),
    Firestore(String),
    MongoDb(String),
    DynamoDb(String),
}

impl Dsn {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let mut dsn = Self {
            place: Place::File(PathBuf::new()),
            prefix: None,
            table: None,
            collection: None,
            region: None,
            endpoint: None,
            is_network: false,
            shown: String::new(),
            secret: None,
        };
        let mut rest = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("prefix", prefix)) => dsn.prefix = Some(prefix.to_owned()),
                Some(("table", table)) => dsn.table = Some(table.to_owned()),
                Some(("collection", name)) => dsn.collection = Some(name.to_owned()),
                Some(("region", region)) => dsn.region = Some(region.to_owned()),
                Some(("endpoint", endpoint)) => dsn.endpoint = Some(endpoint.to_owned()),
                Some(("network", "true")) => dsn.is_network = true,
                _ => rest.push(pair),
            }
        }
        let query = if rest.is_empty() {
            String::new()
        } else {
            format!("?{}", rest.join("&"))
        };
        let (scheme, rest) = address.split_once(':').ok_or_else(not_understood)?;
        let (login, hosts) = split_login(rest);
        dsn.secret = login
            .and_then(|login| login.split_once(':'))
            .map(|(_, password)| password.to_owned());
        dsn.shown = match login {
            _ if has_cut_login(scheme, hosts, &query) => format!("{scheme}://***"),
            Some(_) => format!("{scheme}://{hosts}"),
            None => address.to_owned(),
        };
        let path = || PathBuf::from(rest.strip_prefix("//").unwrap_or(rest));
        dsn.place = match scheme {
            "file" => Place::File(path()),
            "redb" => Place::Redb(path()),
            "sqlite" => Place::Sqlite(path()),
            "redis" | "rediss" | "redis+unix" => Place::Redis(format!("{address}{query}")),
            "redis+cluster" | "rediss+cluster" => {
                Place::RedisCluster(each(scheme, login, hosts, ""))
            }
            "redis+sentinel" | "rediss+sentinel" => {
                let (hosts, master) = hosts.split_once('/').ok_or_else(no_master)?;
                // Sentinels have their own login, for which an address has no room.
                let hosts = each(scheme, None, hosts, "");
                let plain = scheme.trim_end_matches("+sentinel");
                let login = login.map_or(String::new(), |login| format!("{login}@"));
                Place::RedisSentinel(hosts, format!("{plain}://{login}{master}"))
            }
            "postgres" | "postgresql" => Place::Postgres(format!("{address}{query}")),
            "mysql" | "mariadb" => Place::MySql(format!("mysql:{rest}{query}")),
            "memcached" => Place::Memcached(format!("{address}{query}")),
            "firestore" => Place::Firestore(format!("{address}{query}")),
            "mongodb" => Place::MongoDb(format!("{address}{query}")),
            "dynamodb" => Place::DynamoDb(rest.strip_prefix("//").unwrap_or(rest).to_owned()),
            _ => return Err(not_understood()),
        };
        dsn.check()
    }

    /// Refuses options that would be silently ignored.
    fn check(self) -> Result<Self, Failure> {
        let has_prefix = matches!(
            self.place,
            Place::Redis(_)
                | Place::RedisCluster(_)
                | Place::RedisSentinel(..)
                | Place::Memcached(_)
        );
        let is_sql = matches!(
            self.place,
            Place::Sqlite(_) | Place::Postgres(_) | Place::MySql(_)
        );
        let has_collection = matches!(self.place, Place::MongoDb(_) | Place::Firestore(_));
        let is_file = matches!(self.place, Place::File(_));
        let is_aws = matches!(self.place, Place::DynamoDb(_));
        for (name, is_given, works) in [
            ("prefix", self.prefix.is_some(), has_prefix),
            ("table", self.table.is_some(), is_sql),
            ("collection", self.collection.is_some(), has_collection),
            ("region", self.region.is_some(), is_aws),
            ("endpoint", self.endpoint.is_some(), is_aws),
            ("network", self.is_network, is_file),
        ] {
            if is_given && !works {
                let shown = &self.shown;
                return Err(Failure::Refused(format!(
                    "--store: `{name}` means nothing to {shown}"
                )));
            }
        }
        Ok(self)
    }
}

/// Returns whether a login seems to go on in the path or the options: its password has a `/` or `?`
/// that is not percent-encoded, so that nobody knows where it ends. Paths of files may have an `@`.
fn has_cut_login(scheme: &str, hosts: &str, query: &str) -> bool {
    let is_path = matches!(scheme, "file" | "redb" | "sqlite");
    !is_path && (hosts.contains('@') || query.contains('@'))
}

/// Splits the login off the rest after the scheme.
fn split_login(rest: &str) -> (Option<&str>, &str) {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, _) = rest.split_at(end);
    match authority.rfind('@') {
        Some(at) => {
            let (login, hosts) = rest.split_at(at);
            (Some(login), hosts.strip_prefix('@').unwrap_or(hosts))
        }
        None => (None, rest),
    }
}

/// The addresses of several servers.
fn each(scheme: &str, login: Option<&str>, hosts: &str, end: &str) -> Vec<String> {
    let plain = scheme.split('+').next().unwrap_or(scheme);
    let login = login.map_or(String::new(), |login| format!("{login}@"));
    let host = |host: &str| format!("{plain}://{login}{host}{end}");
    hosts.split(',').map(host).collect()
}

fn not_understood() -> Failure {
    let known = "redis://, rediss://, redis+cluster://, redis+sentinel://, postgres://, mysql://, mongodb://, memcached://, firestore://, dynamodb:, sqlite:, redb: or file:";
    Failure::Refused(format!("--store: an address begins with {known}"))
}

fn no_master() -> Failure {
    let like = "redis+sentinel://HOST:26379,HOST:26379/mymaster";
    Failure::Refused(format!(
        "--store: the master's name is missing, as in {like}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_split_for_its_store() {
        let redis = |address: &str| Place::Redis(address.to_owned());
        for (text, place, shown) in [
            ("file:/var/s", Place::File("/var/s".into()), "file:/var/s"),
            (
                "file:///var/s?network=true",
                Place::File("/var/s".into()),
                "file:///var/s",
            ),
            (
                "sqlite:s.db?table=t",
                Place::Sqlite("s.db".into()),
                "sqlite:s.db",
            ),
            ("redb:s.redb", Place::Redb("s.redb".into()), "redb:s.redb"),
            (
                "redb:///var/s",
                Place::Redb("/var/s".into()),
                "redb:///var/s",
            ),
            (
                "memcached://h:1?prefix=p:",
                Place::Memcached("memcached://h:1".into()),
                "memcached://h:1",
            ),
            (
                "dynamodb:shop?region=eu-central-1&endpoint=http://h:1",
                Place::DynamoDb("shop".into()),
                "dynamodb:shop",
            ),
            (
                "dynamodb:arn:aws:dynamodb:eu-central-1:1:table/shop",
                Place::DynamoDb("arn:aws:dynamodb:eu-central-1:1:table/shop".into()),
                "dynamodb:arn:aws:dynamodb:eu-central-1:1:table/shop",
            ),
            (
                "firestore://shop/eu?collection=s",
                Place::Firestore("firestore://shop/eu".into()),
                "firestore://shop/eu",
            ),
            (
                "mongodb://u:p@a:1,b/shop?replicaSet=rs0&collection=carts",
                Place::MongoDb("mongodb://u:p@a:1,b/shop?replicaSet=rs0".into()),
                "mongodb://a:1,b/shop",
            ),
            (
                "sqlite:///s.db",
                Place::Sqlite("/s.db".into()),
                "sqlite:///s.db",
            ),
            (
                "redis://h:1/2?prefix=p:",
                redis("redis://h:1/2"),
                "redis://h:1/2",
            ),
            ("rediss://u:p@h", redis("rediss://u:p@h"), "rediss://h"),
            (
                "redis+unix:///r.sock",
                redis("redis+unix:///r.sock"),
                "redis+unix:///r.sock",
            ),
            (
                "redis+unix:///r.sock?db=1",
                redis("redis+unix:///r.sock?db=1"),
                "redis+unix:///r.sock",
            ),
            (
                "redis+cluster://u:p@a:1,b:2",
                Place::RedisCluster(vec!["redis://u:p@a:1".into(), "redis://u:p@b:2".into()]),
                "redis+cluster://a:1,b:2",
            ),
            (
                "rediss+sentinel://u:p@a:1,b:2/main/3",
                Place::RedisSentinel(
                    vec!["rediss://a:1".into(), "rediss://b:2".into()],
                    "rediss://u:p@main/3".into(),
                ),
                "rediss+sentinel://a:1,b:2/main/3",
            ),
            (
                "postgres://u:p@h/db?sslmode=require&table=a.b",
                Place::Postgres("postgres://u:p@h/db?sslmode=require".into()),
                "postgres://h/db",
            ),
            (
                "mariadb://u@h/db",
                Place::MySql("mysql://u@h/db".into()),
                "mariadb://h/db",
            ),
        ] {
            let dsn = Dsn::parse(text).unwrap();
            assert_eq!((dsn.place, &*dsn.shown), (place, shown), "{text}");
        }
        // A password that is not percent-encoded may be anywhere.
        for (text, shown) in [
            ("postgres://u:s/cret@h/db", "postgres://***"),
            ("postgres://u:s?cret@h/db", "postgres://***"),
            ("mysql://u:s@cr/et@h/db", "mysql://***"),
            ("mongodb://u:s/cr?et@h/db", "mongodb://***"),
            ("redis+cluster://u:s/cret@a:1,b:2", "redis+cluster://***"),
            ("redis://h/2?prefix=a@b:", "redis://h/2"),
            ("file:/var/a@b", "file:/var/a@b"),
        ] {
            assert_eq!(Dsn::parse(text).unwrap().shown, shown, "{text}");
        }
        let dsn = Dsn::parse("redis://u:s%40cret@h?prefix={shop}:").unwrap();
        assert_eq!(
            (dsn.secret.as_deref(), dsn.prefix.as_deref()),
            (Some("s%40cret"), Some("{shop}:"))
        );
    }

    #[test]
    fn options_without_meaning_are_refused() {
        for text in [
            "",
            "x",
            "http://h",
            "redis+sentinel://h",
            "file:/s?table=x",
            "redis://h?table=x",
            "sqlite:s?prefix=x",
            "redb:s?prefix=x",
            "redb:s?table=x",
            "memcached://h?table=x",
            "firestore://shop?table=x",
            "sqlite:s?collection=x",
            "mongodb://h/d?table=x",
            "postgres://h/d?collection=x",
            "memcached://h?region=x",
            "dynamodb:t?table=x",
            "sqlite:s?endpoint=x",
            "mysql://h?network=true",
        ] {
            assert!(
                matches!(Dsn::parse(text), Err(Failure::Refused(_))),
                "{text}"
            );
        }
    }
}
