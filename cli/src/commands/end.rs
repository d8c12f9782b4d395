//! Ending sessions.

use serde::Serialize;
use silverback::{
    ErrorKind, SessionRecords, SubjectSession, Subjects,
    store::{Read, RecordKey, RecordKind, Store as _},
};

use super::pages::{find, find_among, no_sessions, short};
use crate::{
    args::{Common, End, EndUser},
    ask,
    failure::Failure,
    out::{self, Out},
    site::{self, Site},
    stores::Opened,
};

#[derive(Serialize)]
struct Ended<'a> {
    ended: &'a [RecordKey],
    not_found: &'a [RecordKey],
    is_dry_run: bool,
}

#[derive(Serialize)]
struct EndedUser<'a> {
    user: &'a str,
    ended: usize,
    is_dry_run: bool,
}

pub(crate) async fn end(common: &Common, end: &End, out: &mut Out) -> Result<(), Failure> {
    let store = site::store(common).await?;
    let way = Way::new(common, end, &store).await?;
    let mut keys = Vec::new();
    for text in &end.keys {
        keys.push(way.find(&store, text).await?);
    }
    let is_dry_run = end.sure.dry_run;
    if !is_dry_run {
        let shown: Vec<_> = keys.iter().map(short).collect();
        let sessions = out::counted(keys.len() as u64, "session");
        ask::whether(&format!("End {sessions} ({})?", shown.join(", ")), end.sure)?;
    }
    let (mut ended, mut not_found) = (Vec::new(), Vec::new());
    for key in keys {
        let was_there = if is_dry_run {
            way.has(&store, &key).await?
        } else {
            way.destroy(&key).await?
        };
        if was_there {
            ended.push(key)
        } else {
            not_found.push(key)
        }
    }
    let done = Ended {
        ended: &ended,
        not_found: &not_found,
        is_dry_run,
    };
    print(&done, out)
}

fn print(done: &Ended<'_>, out: &mut Out) -> Result<(), Failure> {
    if out.is_json {
        out.json(done)?;
    } else {
        let word = if done.is_dry_run {
            "would end"
        } else {
            "ended"
        };
        for key in done.ended {
            out.line(format!("{word} {key}"))?;
        }
    }
    match done.not_found.first() {
        Some(key) => Err(Failure::NotFound(format!(
            "{key}: there is no such session"
        ))),
        None => Ok(()),
    }
}

/// The way in which sessions are found and ended.
enum Way<'a> {
    /// By their records.
    Records(SessionRecords),
    /// By the user's list, which includes sessions in cookies.
    User {
        subjects: Subjects,
        user: &'a str,
        listed: Vec<RecordKey>,
    },
}

impl<'a> Way<'a> {
    async fn new(common: &Common, end: &'a End, store: &Opened) -> Result<Self, Failure> {
        let Some(user) = end.user.as_deref() else {
            let site = Site::new(common, Some(store))?;
            return Ok(Self::Records(SessionRecords::new(&site.config)?));
        };
        let site = Site::with_keys(common, Some(store))?;
        let subjects = Subjects::new(&site.config)?;
        let listed = subjects.list(user).await?;
        if listed.is_empty() {
            return Err(no_sessions(user, &site.name));
        }
        Ok(Self::User {
            subjects,
            user,
            listed: listed.iter().map(SubjectSession::record_key).collect(),
        })
    }

    async fn find(&self, store: &Opened, text: &str) -> Result<RecordKey, Failure> {
        match self {
            Self::Records(_) => {
                let key = find(store, text).await?;
                check_kind(store, &key).await?;
                Ok(key)
            }
            Self::User { listed, .. } => find_among(listed, text),
        }
    }

    async fn has(&self, store: &Opened, key: &RecordKey) -> Result<bool, Failure> {
        match self {
            Self::Records(_) => Ok(store.shared().load(key, Read::Current).await?.is_some()),
            Self::User { listed, .. } => Ok(listed.contains(key)),
        }
    }

    async fn destroy(&self, key: &RecordKey) -> Result<bool, Failure> {
        match self {
            Self::Records(records) => {
                let ended = records.destroy(key).await;
                ended.map_err(|error| of_end(key, error))
            }
            Self::User { subjects, user, .. } => Ok(subjects.destroy(user, key).await?),
        }
    }
}

fn of_end(key: &RecordKey, error: silverback::Error) -> Failure {
    if error.kind() == ErrorKind::Gone {
        return Failure::Failed(format!(
            "{key}: it was ended or renewed less than a minute ago, and where it went is encrypted: \
             name its user by --user, or end it by `silverback end-user`"
        ));
    }
    error.into()
}

/// Refuses a key of another kind of record: deleting a user's list of sessions would lose it.
async fn check_kind(store: &Opened, key: &RecordKey) -> Result<(), Failure> {
    let record = store.shared().load(key, Read::Current).await?;
    let kind = record.and_then(|record| RecordKind::of(record.data()));
    if matches!(
        kind,
        Some(RecordKind::Roster | RecordKind::End | RecordKind::Moved)
    ) {
        return Err(Failure::Refused(format!(
            "{}: this is not a session",
            short(key)
        )));
    }
    Ok(())
}

pub(crate) async fn end_user(common: &Common, end: &EndUser, out: &mut Out) -> Result<(), Failure> {
    let store = site::store(common).await?;
    let site = Site::with_keys(common, Some(&store))?;
    let subjects = Subjects::new(&site.config)?;
    let user = &*end.subject;
    let listed = subjects.list(user).await?;
    if listed.is_empty() {
        return Err(no_sessions(user, &site.name));
    }
    let keep = end.keep.as_deref().map(|text| spared(&listed, text));
    let keep = keep.transpose()?;
    let is_meant = |session: &&SubjectSession| Some(session.record_key()) != keep;
    let count = listed.iter().filter(is_meant).count();
    let sessions = out::counted(count as u64, "session");
    let is_dry_run = end.sure.dry_run;
    let ended = if is_dry_run {
        count
    } else {
        ask::whether(&format!("End {sessions} of {user:?}?"), end.sure)?;
        let ended = match keep {
            Some(keep) => subjects.destroy_all_but(user, &keep).await?,
            None => subjects.destroy_all(user).await?,
        };
        // Until it is written again, the list includes sessions that were ended by their key.
        ended.min(count)
    };
    if out.is_json {
        return out.json(&EndedUser {
            user,
            ended,
            is_dry_run,
        });
    }
    let done = if is_dry_run { "would end" } else { "ended" };
    let sessions = out::counted(ended as u64, "session");
    out.line(format!("{done} {sessions} of {}", out::one_line(user)))
}

/// The session of --keep. Any other key would spare none, and end the one that was meant.
fn spared(listed: &[SubjectSession], text: &str) -> Result<RecordKey, Failure> {
    let keys: Vec<_> = listed.iter().map(SubjectSession::record_key).collect();
    let key = find_among(&keys, text)?;
    if keys.contains(&key) {
        return Ok(key);
    }
    Err(Failure::NotFound(format!(
        "{}: the user has no such session",
        short(&key)
    )))
}
