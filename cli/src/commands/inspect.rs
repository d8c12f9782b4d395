//! One session: its times, its user, and the names of its values.

use serde::Serialize;
use serde_json::value::RawValue;
use silverback::{
    ErrorKind, Session, SessionRecords, Subjects, Timestamp,
    store::{Read, RecordKey, RecordKind, Store as _},
};

use super::pages::{find, kind_of, short};
use crate::{
    args::{Common, Inspect},
    cookies,
    failure::Failure,
    out::{self, Out, Table},
    site::{self, Site},
    stores::Opened,
};

/// A session in JSON.
#[derive(Default, Serialize)]
struct Report {
    key: Option<RecordKey>,
    kind: &'static str,
    /// The bytes in the store.
    size: Option<usize>,
    created: Option<Timestamp>,
    last_used: Option<Timestamp>,
    authenticated: Option<Timestamp>,
    expires: Option<Timestamp>,
    is_persistent: Option<bool>,
    subject: Option<String>,
    note: Option<String>,
    flashes: usize,
    values: Vec<Value>,
}

#[derive(Serialize)]
struct Value {
    name: String,
    /// The length of its JSON, or of the value itself if it is bytes.
    size: usize,
    is_bytes: bool,
}

pub(crate) async fn inspect(
    common: &Common,
    inspect: &Inspect,
    out: &mut Out,
) -> Result<(), Failure> {
    let store = site::open(common).await?;
    if store.is_none() && inspect.cookie.is_none() {
        return site::store(common).await.map(drop);
    }
    let site = match &inspect.cookie {
        Some(_) => Site::with_keys(common, store.as_ref())?,
        None => Site::new(common, store.as_ref())?,
    };
    let key = match (&inspect.key, &store) {
        (Some(text), Some(store)) => Some(find(store, text).await?),
        _ => None,
    };
    let found = match &inspect.cookie {
        Some(cookie) => by_cookie(&site, cookie, key, &inspect.value).await?,
        None => match (&store, key) {
            (Some(store), Some(key)) => by_key(&site, store, key, &inspect.value).await?,
            _ => return Err(Failure::Refused("name a session by its key".to_owned())),
        },
    };
    let Found { mut report, values } = found;
    if !inspect.value.is_empty() {
        return print_values(&inspect.value, &values, out);
    }
    if let (Some(store), Some(key)) = (&store, report.key) {
        let record = store.shared().load(&key, Read::Current).await?;
        report.size = record.map(|record| record.data().len());
    }
    if let (Some(subject), true) = (&report.subject, site.has_keys) {
        report.note = note(&site, subject, report.key).await?;
    }
    print(&report, out)
}

/// A session that was read, and the values that were asked for by name.
#[derive(Default)]
struct Found {
    report: Report,
    values: Vec<Option<String>>,
}

async fn by_key(
    site: &Site,
    store: &Opened,
    key: RecordKey,
    names: &[String],
) -> Result<Found, Failure> {
    let missing = || Failure::NotFound(format!("{key}: there is no such session"));
    let record = store.shared().load(&key, Read::Current).await?;
    let record = record.ok_or_else(missing)?;
    let kind = RecordKind::of(record.data());
    let found = Found {
        report: Report {
            key: Some(key),
            kind: kind_of(kind),
            expires: Some(record.expires()),
            ..Report::default()
        },
        values: Vec::new(),
    };
    if kind != Some(RecordKind::Session) {
        return Ok(found);
    }
    match SessionRecords::new(&site.config)?.load(&key).await {
        Ok(Some(session)) => read(&session, names).map_err(Failure::from),
        Ok(None) => Err(Failure::NotFound(format!(
            "{key}: there is a record, but no session: it is over according to --settings, or they \
             differ in encrypt_records"
        ))),
        Err(error) if error.kind() == ErrorKind::RecordsEncrypted => {
            if !names.is_empty() {
                let how = "its record is encrypted: give its cookie by --cookie -";
                return Err(Failure::Refused(format!("{}: {how}", short(&key))));
            }
            out::say("the record is encrypted: for more, give its cookie by --cookie -");
            Ok(found)
        }
        Err(error) => Err(error.into()),
    }
}

async fn by_cookie(
    site: &Site,
    cookie: &str,
    key: Option<RecordKey>,
    names: &[String],
) -> Result<Found, Failure> {
    let cookie = cookies::given(cookie, &site.cookie_names, |_| false)?;
    let names = names.to_vec();
    let handler = move |session: Session| match session.rejection() {
        Some(rejection) => Err(rejection),
        None => Ok(read(&session, &names)),
    };
    let config = site.config.clone();
    let answer = cookies::ask(config, &site.cookie_names, &cookie, handler).await??;
    let found = answer
        .map_err(|rejection| Failure::NotFound(format!("the cookie is refused: {rejection}")))??;
    if key.is_some() && key != found.report.key {
        return Err(Failure::Refused(
            "the cookie is of another session".to_owned(),
        ));
    }
    Ok(found)
}

fn read(session: &Session, names: &[String]) -> Result<Found, silverback::Error> {
    let mut values = Vec::new();
    for name in session.keys()? {
        let (size, is_bytes) = match session.get_bytes(&name) {
            Ok(Some(bytes)) => (bytes.len(), true),
            _ => {
                let value = session.get::<Box<RawValue>>(&name)?;
                (value.map_or(0, |value| value.get().len()), false)
            }
        };
        values.push(Value {
            name,
            size,
            is_bytes,
        });
    }
    values.sort_by(|one, other| one.name.cmp(&other.name));
    let mut asked = Vec::new();
    for name in names {
        let is_bytes = values
            .iter()
            .any(|value| value.name == *name && value.is_bytes);
        asked.push(if is_bytes {
            let bytes = session.get_bytes(name)?;
            bytes.map(|bytes| format!("{:?}", base64_simd::STANDARD.encode_to_string(bytes)))
        } else {
            let value = session.get::<Box<RawValue>>(name)?;
            value.map(|value| value.get().to_owned())
        });
    }
    let report = Report {
        key: session.record_key(),
        kind: "session",
        created: session.created_at()?,
        last_used: session.last_used()?,
        authenticated: session.authenticated_at()?,
        expires: session.expires_at()?,
        is_persistent: Some(session.is_persistent()?),
        subject: session.subject()?,
        flashes: session.peek_flashes::<Box<RawValue>>()?.len(),
        values,
        ..Report::default()
    };
    Ok(Found {
        report,
        values: asked,
    })
}

/// This session's note in the list of its user's sessions.
async fn note(
    site: &Site,
    subject: &str,
    key: Option<RecordKey>,
) -> Result<Option<String>, Failure> {
    // Sessions in a cookie alone have no such list.
    let Ok(subjects) = Subjects::new(&site.config) else {
        return Ok(None);
    };
    let listed = subjects.list(subject).await?;
    let session = listed
        .iter()
        .find(|session| Some(session.record_key()) == key);
    Ok(session.map(|session| session.note().to_owned()))
}

fn print_values(names: &[String], values: &[Option<String>], out: &mut Out) -> Result<(), Failure> {
    let mut missing = None;
    for (at, name) in names.iter().enumerate() {
        match values.get(at) {
            Some(Some(value)) => out.line(out::harmless(value))?,
            _ => missing = missing.or(Some(name)),
        }
    }
    match missing {
        Some(name) => Err(Failure::NotFound(format!(
            "the session has no value {name:?}"
        ))),
        None => Ok(()),
    }
}

fn print(report: &Report, out: &mut Out) -> Result<(), Failure> {
    if out.is_json {
        return out.json(report);
    }
    let now = out::now();
    let mut table = Table::plain();
    if let Some(key) = report.key {
        table.row(["key", &key.to_string()]);
    }
    table.row(["kind", report.kind]);
    if let Some(size) = report.size {
        table.row(["size", &out::bytes(size as u64)]);
    }
    for (name, time) in [
        ("created", report.created),
        ("logged in", report.authenticated),
        ("last used", report.last_used),
        ("expires", report.expires),
    ] {
        if let Some(time) = time {
            table.row([name, &out::time(time, now)]);
        }
    }
    if let Some(is_persistent) = report.is_persistent {
        let text = if is_persistent {
            "outlasts the browser"
        } else {
            "until the browser closes"
        };
        table.row(["cookie", text]);
    }
    if let Some(subject) = &report.subject {
        table.row(["user", subject]);
    }
    if let Some(note) = &report.note {
        table.row(["note", note]);
    }
    if report.flashes > 0 {
        table.row(["flashes", &report.flashes.to_string()]);
    }
    out.table(&table)?;
    if report.values.is_empty() {
        return Ok(());
    }
    out.line("")?;
    let mut table = Table::with_head(&["VALUE", "SIZE", ""], &[1]);
    for value in &report.values {
        let bytes = if value.is_bytes { "bytes" } else { "" };
        table.row([&*value.name, &value.size.to_string(), bytes]);
    }
    out.table(&table)
}
