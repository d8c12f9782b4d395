//! What a cookie is, and what is wrong with it.

use serde::Serialize;
use silverback::{
    Explanation, KeyId, KeyState, Rejection, Session, Timestamp, TokenHead, TokenTimes,
    store::RecordKey,
};

use crate::{
    args::{Common, Decode, Explain},
    cookies::{self, ask},
    failure::{Failure, chain},
    keyring::word_of,
    out::{self, Out, Table},
    site::{self, Site},
};

/// A cookie's head in JSON.
#[derive(Serialize)]
struct Head {
    version: u8,
    kind: &'static str,
    key: KeyId,
    /// The length of the token in bytes.
    size: usize,
    /// The length of the cookie's value in letters.
    length: usize,
    claims: Option<Times>,
}

#[derive(Clone, Copy, Serialize)]
struct Times {
    issued: Timestamp,
    created: Timestamp,
    expires: Timestamp,
}

impl Times {
    fn of(times: TokenTimes) -> Self {
        Self {
            issued: times.issued,
            created: times.created,
            expires: times.expires,
        }
    }
}

impl Head {
    fn of(head: TokenHead, length: usize) -> Self {
        Self {
            version: head.version,
            kind: if head.is_sealed {
                "encrypted"
            } else {
                "signed"
            },
            key: head.key,
            size: head.len,
            length,
            claims: head.claims.map(Times::of),
        }
    }

    fn show(&self, table: &mut Table) {
        let format = format!("{}, version {}", self.kind, self.version);
        table.row(["token", &format]);
        table.row([
            "length",
            &format!("{} letters, {} bytes", self.length, self.size),
        ]);
    }
}

pub(crate) fn decode(common: &Common, decode: &Decode, out: &mut Out) -> Result<(), Failure> {
    // What is wrong with the settings does not matter here.
    let settings = site::read_settings(common).unwrap_or_default();
    let names = site::cookie_names(&site::name(common), &settings);
    let is_token = |value: &str| TokenHead::read(value).is_some();
    let cookie = cookies::given(&decode.cookie, &names, is_token)?;
    let Some(head) = TokenHead::read(&cookie) else {
        return no_token(&cookie, out);
    };
    let head = Head::of(head, cookie.len());
    if out.is_json {
        return out.json(&head);
    }
    let now = out::now();
    let mut table = Table::plain();
    head.show(&mut table);
    table.row(["key", &head.key.to_string()]);
    if let Some(times) = head.claims {
        table.row(["issued", &out::time(times.issued, now)]);
        table.row(["made", &out::time(times.created, now)]);
        table.row(["expires", &out::time(times.expires, now)]);
    }
    out.table(&table)?;
    out.line("")?;
    out.line("None of this is verified: that needs the key (silverback explain).")
}

fn no_token(cookie: &str, out: &mut Out) -> Result<(), Failure> {
    if out.is_json {
        out.json(&serde_json::json!({ "kind": "none", "length": cookie.len() }))?;
    } else {
        out.line(format!(
            "{} letters, and no token of silverback",
            cookie.len()
        ))?;
        out.line(why_no_token(cookie))?;
    }
    Err(Failure::Findings)
}

/// Guesses what happened to the cookie when it was copied.
fn why_no_token(cookie: &str) -> &'static str {
    let is_ours = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if cookie.len() > 4_096 {
        "It is longer than a cookie can be."
    } else if cookie.contains('%') {
        "It has a percent sign: something has URL-encoded it."
    } else if !cookie.chars().all(is_ours) {
        "It has characters outside base64url: is part of another cookie attached?"
    } else {
        "It is cut off, or from another program."
    }
}

/// The answer of `explain` in JSON.
#[derive(Serialize)]
struct Report {
    token: Option<Head>,
    key_state: Option<&'static str>,
    times: Option<Times>,
    record_key: Option<RecordKey>,
    holds_values: Option<bool>,
    /// The end according to the settings, if nobody uses the session again.
    expires: Option<Timestamp>,
    rejection: Option<Rejection>,
    /// Whether the store was asked.
    asked_store: bool,
    /// The server's answer, in a sentence.
    answer: String,
    /// The status, if the session's error is not handled.
    status: Option<u16>,
}

/// The server's verdict on the cookie.
struct Verdict {
    rejection: Option<Rejection>,
    status: Option<u16>,
    answer: String,
    expires: Option<Timestamp>,
}

pub(crate) async fn explain(
    common: &Common,
    explain: &Explain,
    out: &mut Out,
) -> Result<(), Failure> {
    let store = site::open(common).await?;
    let site = Site::with_keys(common, store.as_ref())?;
    let cookie = cookies::given(&explain.cookie, &site.cookie_names, |_| false)?;
    let told = site.config.explain(&cookie, out::now())?;
    let asks = store.is_some();
    let verdict = if told.head.is_none() {
        Verdict::refused(Rejection::Malformed)
    } else if asks || told.holds_values || told.rejection.is_some() {
        by_server(&site, &cookie).await?
    } else {
        Verdict {
            rejection: None,
            status: None,
            answer: "asks the store for the session: name it by --store".to_owned(),
            expires: None,
        }
    };
    let report = Report {
        token: told.head.map(|head| Head::of(head, cookie.len())),
        key_state: told.key.map(word_of),
        times: told.times.map(Times::of),
        record_key: told.record_key,
        holds_values: told.record_key.map(|_| told.holds_values),
        expires: verdict.expires.or(told.expires),
        rejection: verdict.rejection,
        asked_store: asks,
        answer: verdict.answer,
        status: verdict.status,
    };
    if out.is_json {
        out.json(&report)?;
    } else {
        print(&report, &told, &cookie, out)?;
    }
    if is_refused(&report) {
        Err(Failure::Findings)
    } else {
        Ok(())
    }
}

impl Verdict {
    fn refused(rejection: Rejection) -> Self {
        Self {
            rejection: Some(rejection),
            status: None,
            answer: format!("gives the handler an empty session: {rejection}"),
            expires: None,
        }
    }
}

fn is_refused(report: &Report) -> bool {
    report.rejection.is_some() || report.status.is_some()
}

/// Has a server answer a request with the cookie.
async fn by_server(site: &Site, cookie: &str) -> Result<Verdict, Failure> {
    let handler = |session: Session| (session.rejection(), session.expires_at());
    let answered = ask(site.config.clone(), &site.cookie_names, cookie, handler).await?;
    Ok(match answered {
        Ok((None, expires)) => Verdict {
            rejection: None,
            status: None,
            answer: "opens the session".to_owned(),
            expires: expires.ok().flatten(),
        },
        Ok((Some(rejection), _)) => Verdict::refused(rejection),
        Err(error) => {
            let status = error.answer().status();
            Verdict {
                rejection: None,
                status: Some(status.as_u16()),
                answer: format!("answers {status}: {}", chain(&error)),
                expires: None,
            }
        }
    })
}

fn print(report: &Report, told: &Explanation, cookie: &str, out: &mut Out) -> Result<(), Failure> {
    let (now, mut table) = (out::now(), Table::plain());
    match &report.token {
        Some(head) => {
            head.show(&mut table);
            let state = report.key_state.unwrap_or("not among the keys");
            table.row(["key", &format!("{}, {state}", head.key)]);
        }
        None => table.row(["token", &format!("none: {} letters", cookie.len())]),
    }
    if let Some(times) = report.times {
        table.row(["issued", &out::time(times.issued, now)]);
        table.row(["made", &out::time(times.created, now)]);
    }
    if let Some(expires) = report.expires {
        // Once a session is refused, its record no longer shows its end.
        let is_of_cookie = !told.holds_values && is_refused(report);
        let name = if is_of_cookie {
            "cookie ends"
        } else {
            "expires"
        };
        table.row([name, &out::time(expires, now)]);
    }
    if let Some(key) = report.record_key {
        let place = if told.holds_values {
            "in the cookie"
        } else {
            "in the store"
        };
        table.row(["session", &format!("{key}, {place}")]);
    }
    out.table(&table)?;
    out.line("")?;
    let answer = format!("A server {}.", report.answer);
    out.line(if is_refused(report) {
        out.red(&answer)
    } else {
        out.green(&answer)
    })?;
    if let Some(hint) = hint(report.rejection, told, cookie) {
        out.line(hint)?;
    }
    Ok(())
}

/// Suggests what to do.
fn hint(rejection: Option<Rejection>, told: &Explanation, cookie: &str) -> Option<&'static str> {
    Some(match rejection? {
        Rejection::Malformed => why_no_token(cookie),
        Rejection::UnknownKey if told.key == Some(KeyState::Revoked) => {
            "Its key was revoked: the user has to log in again."
        }
        Rejection::UnknownKey => {
            "Its key is not among the keys given here: does this server have the same key file?"
        }
        Rejection::Tampered => {
            "It was changed, or made for another name, kind of session or audience: compare --settings, \
             --name, --kept-in and --audience."
        }
        Rejection::NotYetValid => "The clock of the server that made it is ahead.",
        Rejection::Expired => "Nobody used the session for too long, or it got too old.",
        Rejection::NotFound => {
            "It was ended or renewed more than a minute ago, swept or lost, or is in another store."
        }
        Rejection::Corrupt => "The record is damaged, or --settings differ in encrypt_records.",
        Rejection::Revoked => "It was ended or renewed, and that is remembered.",
        Rejection::Renewed => {
            "The session has a new ID since, as after a login: the browser should have a newer cookie."
        }
        Rejection::Ended => "The user logged out, or was logged out, less than a minute ago.",
        _ => return None,
    })
}
