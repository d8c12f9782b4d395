//! The sessions of one subject: finding and ending them.

use super::records::{Presence, Vault};
use crate::{
    error::{Error, ErrorKind},
    id::RecordKey,
    roster::{Entry, Roster, damaged},
    state::Enrolment,
};

/// What becomes of the subject's sessions that are missing from the roster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unlisted {
    /// They stay.
    Stay,
    /// Those in cookies that got their subject before now end as well.
    End,
}

impl Vault<'_> {
    /// The subject's live sessions. It asks the store about each of them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::StoreFailed`] if the store fails or the roster is damaged.
    pub(crate) async fn enrolled(&self, subject: &str) -> Result<Vec<Entry>, Error> {
        let roster = self.roster(subject).await?;
        if roster.is_damaged {
            return Err(damaged());
        }
        let (now, oldest) = (self.now(), self.settings.not_before);
        let is_listed = |entry: &Entry| entry.is_alive(now) && entry.created >= oldest;
        let entries: Vec<_> = roster.entries.into_iter().filter(is_listed).collect();
        let names: Vec<_> = entries.iter().flat_map(Entry::names).collect();
        if names.is_empty() {
            return Ok(entries);
        }
        let mut lives = self.lives(&names).await?.into_iter();
        // During a renewal, or after one that was cut off, the session lives under one of its
        // names.
        let living = |entry: Entry| {
            let names: Vec<_> = entry.names().zip(lives.by_ref()).collect();
            let (key, _) = names
                .into_iter()
                .find(|(_, life)| *life == Presence::Alive)?;
            Some(Entry { key, ..entry })
        };
        Ok(entries.into_iter().filter_map(living).collect())
    }

    /// Ends all of the subject's sessions except the one that is named `key`, or recently was. If
    /// that one is missing from the roster it is enrolled first, because it would otherwise count
    /// as ended.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the spared session has itself been ended.
    pub(crate) async fn end_others(
        &self,
        subject: &str,
        key: RecordKey,
        enrolment: Option<&Enrolment>,
    ) -> Result<usize, Error> {
        let is_other = |entry: &Entry| !entry.has(&key);
        let (unlisted, mut is_missing) = (Unlisted::End, false);
        let is_there = |roster: &Roster| {
            is_missing = roster.get(&key).is_none();
            !is_missing
        };
        let ended = self.end_if(subject, is_there, is_other, unlisted).await;
        if !is_missing {
            return ended;
        }
        self.enrol(enrolment, key, None).await?;
        self.end_enrolled(subject, is_other, unlisted).await
    }

    /// Ends the subject's sessions that `which` picks. Returns how many of them were in the roster.
    pub(crate) async fn end_enrolled(
        &self,
        subject: &str,
        which: impl Fn(&Entry) -> bool,
        unlisted: Unlisted,
    ) -> Result<usize, Error> {
        self.end_if(subject, |_| true, which, unlisted).await
    }

    /// As [`end_enrolled`](Self::end_enrolled) if the roster is as expected, and otherwise an
    /// [`ErrorKind::Conflict`].
    async fn end_if(
        &self,
        subject: &str,
        mut is_expected: impl FnMut(&Roster) -> bool,
        which: impl Fn(&Entry) -> bool,
        unlisted: Unlisted,
    ) -> Result<usize, Error> {
        let (now, ends_unlisted) = (self.now(), unlisted == Unlisted::End);
        let (mut ended, mut is_whole) = (0, true);
        self.change(subject, |roster| {
            if !is_expected(roster) {
                return Err(Error::new(ErrorKind::Conflict));
            }
            // One that has expired by this clock may be alive by another, and be extended there.
            ended = 0;
            for entry in roster.entries.iter_mut().filter(|entry| which(entry)) {
                ended += usize::from(entry.is_alive(now));
                entry.ended = true;
            }
            is_whole = !roster.is_damaged;
            if ends_unlisted && self.settings.may_be_in_cookie() {
                roster.raise(self.now());
                // This ends them, unless they are in records as well.
                if self.settings.records().is_none() {
                    roster.entries.retain(|entry| !entry.ended);
                }
            }
            Ok(())
        })
        .await?;
        // Sessions in cookies have been ended in any case, by `not_before`.
        if is_whole || (ends_unlisted && self.settings.records().is_none()) {
            Ok(ended)
        } else {
            Err(damaged())
        }
    }
}
