//! What a request does with its session.

use silverback::{Error, ErrorKind, Session};

use crate::support::{DAY, schedule::next};

pub(super) const USERS: [&str; 2] = ["ada", "bob"];

/// The key of the value that only one request can take.
pub(super) const PRIZE: &str = "prize";

/// The tags of what it took or read, each of which is in the session once.
pub(super) type Done = Result<Vec<String>, ErrorKind>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Put,
    Count,
    Flash,
    Grow,
    Shrink,
    Take,
    ReadFlashes,
    ClaimFlashes,
    Clear,
    Persist,
    Renew,
    LogIn(&'static str),
    SetSubject(&'static str),
    Leave,
    Save,
    Touch,
    Destroy,
    DestroyOthers,
}

impl Deed {
    pub(super) fn of(seed: &mut u64) -> Self {
        let user = USERS[usize::from(next(seed) % 2)];
        match next(seed) % 29 {
            0 => Self::Put,
            1..=3 => Self::Count,
            4 | 5 => Self::Flash,
            6..=8 => Self::Grow,
            9 | 10 => Self::Shrink,
            11 | 12 => Self::Take,
            13 => Self::ReadFlashes,
            14 | 15 => Self::ClaimFlashes,
            16 => Self::Clear,
            17 => Self::Persist,
            18 => Self::Renew,
            19 | 20 => Self::LogIn(user),
            21 => Self::SetSubject(user),
            22 | 23 => Self::Leave,
            24 | 25 => Self::Save,
            26 => Self::Touch,
            27 => Self::Destroy,
            _ => Self::DestroyOthers,
        }
    }

    /// `tag` marks what it puts into the session.
    pub(super) async fn run(self, session: &Session, tag: &str) -> Done {
        let done = self.try_run(session, tag).await;
        done.map_err(|error| error.kind())
    }

    async fn try_run(self, session: &Session, tag: &str) -> Result<Vec<String>, Error> {
        match self {
            Self::Put => session.insert(tag, 1)?,
            Self::Count => count(session, tag)?,
            Self::Flash => session.flash(tag)?,
            Self::Grow => {
                session.insert(tag, 1)?;
                session.insert("large", "x".repeat(600))?;
            }
            Self::Shrink => drop(session.remove("large")?),
            Self::Take => {
                let taken = session.take::<u8>(PRIZE).await?;
                return Ok(taken.iter().map(|_| PRIZE.to_owned()).collect());
            }
            Self::ReadFlashes => return session.flashes(),
            Self::ClaimFlashes => return session.claim_flashes().await,
            Self::Clear => session.clear()?,
            Self::Persist => session.persist_for(DAY),
            Self::Renew => session.renew(),
            Self::LogIn(user) => {
                session.renew();
                session.insert(tag, 1)?;
                session.set_subject(user, "device")?;
            }
            Self::SetSubject(user) => session.set_subject(user, "device")?,
            Self::Leave => drop(session.remove_subject()?),
            Self::Save => session.save().await?,
            Self::Touch => session.touch().await?,
            Self::Destroy => session.destroy().await?,
            Self::DestroyOthers => drop(session.destroy_others().await?),
        }
        Ok(Vec::new())
    }

    /// Returns whether it may give the session a new ID.
    pub(super) fn may_renew(self) -> bool {
        matches!(
            self,
            Self::Renew | Self::LogIn(_) | Self::SetSubject(_) | Self::Leave
        )
    }

    /// Returns whether it gives the session a subject.
    pub(super) fn moves(self) -> bool {
        matches!(self, Self::LogIn(_) | Self::SetSubject(_))
    }

    pub(super) fn puts(self) -> bool {
        matches!(
            self,
            Self::Put | Self::Count | Self::Flash | Self::Grow | Self::LogIn(_)
        )
    }

    /// Returns whether it saves what the request has changed so far.
    pub(super) fn saves(self) -> bool {
        matches!(
            self,
            Self::Save | Self::Touch | Self::Take | Self::ClaimFlashes
        )
    }

    pub(super) fn reads_flashes(self) -> bool {
        matches!(self, Self::ReadFlashes | Self::ClaimFlashes)
    }
}

fn count(session: &Session, tag: &str) -> Result<(), Error> {
    let tag = tag.to_owned();
    session.update("counted", move |counted: &mut Vec<String>| {
        counted.push(tag.clone());
    })
}

/// The tags in a session.
pub(super) fn tags(session: &Session) -> Vec<String> {
    let keys = session.keys().unwrap().into_iter();
    let mut tags: Vec<String> = keys
        .filter(|key| key.starts_with("put") || key == PRIZE)
        .collect();
    tags.extend(session.get_or_default::<Vec<String>>("counted").unwrap());
    tags.extend(session.peek_flashes::<String>().unwrap());
    tags
}
