//! What lives when the crowd has gone.

use std::collections::BTreeSet;

use silverback::{Session, store::RecordKey};

use super::{deeds::tags, play::End};
use crate::support::{Jar, World};

/// A living session.
pub(super) struct Living {
    pub(super) jar: Jar,
    pub(super) key: RecordKey,
    /// It has what was in the session before the crowd came.
    pub(super) has_birth: bool,
    pub(super) is_persistent: bool,
    pub(super) subject: Option<String>,
    pub(super) tags: Vec<String>,
}

impl Living {
    /// What these cookies show.
    pub(super) async fn see(world: &World, jar: &Jar) -> Option<Self> {
        let look = async |session: Session| {
            session.skip_touch();
            session.load().await.unwrap();
            if session.is_new().unwrap() {
                return None;
            }
            Some(Self {
                jar: jar.clone(),
                key: session.record_key().unwrap(),
                has_birth: session.contains_key("birth").unwrap(),
                is_persistent: session.is_persistent().unwrap(),
                subject: session.subject().unwrap(),
                tags: tags(&session),
            })
        };
        world.visit(&mut jar.clone(), look).await.0
    }

    /// What all cookies of the crowd show.
    pub(super) async fn all(end: &End) -> Vec<Self> {
        let mut living = Vec::new();
        let after = end.outcomes.iter().map(|outcome| &outcome.jar);
        for jar in std::iter::once(&end.before.jar).chain(after) {
            living.extend(Self::see(&end.world, jar).await);
        }
        living
    }

    pub(super) fn has(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }

    pub(super) fn is_of(&self, user: &str) -> bool {
        self.subject.as_deref() == Some(user)
    }
}

/// No two IDs have values of one session, or of one request, and none has one of them twice.
pub(super) fn check_apart(living: &[Living]) -> Result<(), &'static str> {
    for (at, one) in living.iter().enumerate() {
        let mut others = living[at + 1..].iter().filter(|two| one.key != two.key);
        let share = |two: &Living| {
            (one.has_birth && two.has_birth) || one.tags.iter().any(|tag| two.has(tag))
        };
        if others.any(share) {
            return Err("two IDs with values of one session");
        }
        let each: BTreeSet<_> = one.tags.iter().collect();
        if each.len() < one.tags.len() {
            return Err("one change twice");
        }
    }
    Ok(())
}
