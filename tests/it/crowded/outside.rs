//! What is done to the session without a request.

use silverback::{Error, store::RecordKey};

use super::deeds::USERS;
use crate::support::{Kind, World, schedule::next};

/// What is put into the session without a request.
pub(super) const PARCEL: &str = "put outside";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outside {
    /// All sessions of this user end.
    EndAll(&'static str),
    /// The session ends in the list of this user, by the key that it had.
    EndListed(&'static str),
    /// The session ends by the key that it had.
    EndByKey,
    /// The session of that key gets another value.
    Put,
}

impl Outside {
    pub(super) fn of(seed: &mut u64, kind: Kind) -> Self {
        let user = USERS[usize::from(next(seed).is_multiple_of(3))];
        match next(seed) % 5 {
            0 | 1 => Self::EndAll(user),
            2 => Self::EndListed(user),
            _ if !has_records(kind) => Self::EndAll(user),
            3 => Self::EndByKey,
            _ => Self::Put,
        }
    }

    pub(super) async fn happens(self, world: &World, key: &RecordKey) -> Result<usize, Error> {
        let subjects = world.subjects();
        match self {
            Self::EndAll(user) => subjects.destroy_all(user).await,
            Self::EndListed(user) => subjects.destroy(user, key).await.map(usize::from),
            Self::EndByKey => world.session_records().destroy(key).await.map(usize::from),
            Self::Put => {
                let Some(session) = world.session_records().load(key).await? else {
                    return Ok(0);
                };
                session.insert(PARCEL, 1)?;
                session.save().await?;
                Ok(1)
            }
        }
    }
}

/// Returns whether a session may be in a record.
pub(super) fn has_records(kind: Kind) -> bool {
    !matches!(kind, Kind::Revocable | Kind::RemoteRevocable)
}
