//! Listing, ending and sweeping sessions while their records move to another store and then back.
//! The mover is killed at any point, and calls fail or lose their answers. `SILVERBACK_SOAK`
//! multiplies the number of moves by thirty.

use std::collections::BTreeSet;

use http::StatusCode;
use silverback::{
    Clock, Session, SessionConfig, SessionLayer, SessionRecords, Subjects,
    store::{Browse, Cursor, MemoryStore, MigratingStore, RecordKey, RecordKind, Sweep},
};

use crate::support::{
    DAY, HOUR, Jar, MINUTE, START, Site, keys,
    schedule::{cut_off, next, rounds},
    scripted::{ANY, After, Before, Cut, Fail, Lose, Scripted},
};

const USERS: [&str; 2] = ["ada", "bob"];

struct Visitor {
    jar: Jar,
    key: RecordKey,
    user: &'static str,
    lives: bool,
}

struct Moving {
    clock: Clock,
    /// The old store and the new one.
    stores: [Scripted; 2],
    visitors: Vec<Visitor>,
    seed: u64,
    /// What was done, for the story of a failure.
    log: Vec<u8>,
}

impl Moving {
    fn new(round: u64) -> Self {
        let clock = Clock::manual(START);
        let store = || Scripted::new(MemoryStore::new().clock(clock.clone()));
        Self {
            stores: [store(), store()],
            clock,
            visitors: Vec::new(),
            seed: round.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x77,
            log: Vec::new(),
        }
    }

    fn next(&mut self) -> usize {
        next(&mut self.seed).into()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.next().is_multiple_of(n)
    }

    fn store(&self) -> MigratingStore<Scripted, Scripted> {
        let [from, to] = self.stores.clone();
        MigratingStore::new(from, to).clock(self.clock.clone())
    }

    fn config(&self) -> SessionConfig {
        let config = SessionConfig::new("s", self.store(), keys()).cookie_name("s");
        config.store_timeout(HOUR).idle_timeout(2 * DAY)
    }

    fn site(&self) -> Site {
        Site::at(&self.clock, SessionLayer::new(self.config()))
    }

    fn subjects(&self) -> Subjects {
        let subjects = Subjects::new(&self.config()).unwrap();
        subjects.clock(self.clock.clone())
    }

    /// A call of a store goes wrong.
    fn fails(&mut self) {
        let (at, nth) = (self.next() % 2, 1 + self.next() % 8);
        let fault = self.next() % 6;
        let store = &self.stores[at];
        match fault {
            0 => store.nth(nth, Before, ANY, Cut),
            1 => store.nth(nth, After, ANY, Cut),
            2 => store.nth(nth, After, ANY, Lose),
            3 => store.nth(nth, Before, ANY, Fail),
            _ => {}
        }
    }

    fn calm(&self) {
        self.stores.iter().for_each(Scripted::calm);
    }

    async fn act(&mut self) {
        let act = next(&mut self.seed) % 16;
        self.log.push(act);
        match act {
            0..=3 => self.log_in().await,
            4 | 5 => self.change().await,
            6 => self.end_all().await,
            7 => self.end_one().await,
            8 => self.sweep().await,
            9 => self.clock.advance(MINUTE),
            _ => self.migrate().await,
        }
    }

    async fn log_in(&mut self) {
        let (user, mut jar) = (USERS[self.next() % 2], Jar::default());
        let response = self.site().log_in(&mut jar, user, "device").await;
        assert_eq!(response.status(), StatusCode::OK);
        let key = see(&self.site(), &jar).await.unwrap();
        self.visitors.push(Visitor {
            jar,
            key,
            user,
            lives: true,
        });
    }

    /// One of the living.
    fn pick(&mut self) -> Option<usize> {
        let at = self.next() % self.visitors.len().max(1);
        self.visitors.get(at)?.lives.then_some(at)
    }

    async fn change(&mut self) {
        let (renews, site) = (self.one_in(2), self.site());
        let Some(at) = self.pick() else { return };
        let visitor = &mut self.visitors[at];
        site.put(&mut visitor.jar, "n", at).await;
        if renews {
            site.renew(&mut visitor.jar).await;
            visitor.key = see(&site, &visitor.jar).await.unwrap();
        }
    }

    async fn end_all(&mut self) {
        let (user, subjects) = (USERS[self.next() % 2], self.subjects());
        let polls = if self.one_in(4) {
            self.next() % 20
        } else {
            10_000
        };
        self.fails();
        let ended = cut_off(polls, subjects.destroy_all(user)).await;
        self.calm();
        if !matches!(ended, Some(Ok(_))) {
            subjects.destroy_all(user).await.unwrap();
        }
        let theirs = self.visitors.iter_mut();
        let theirs = theirs.filter(|visitor| visitor.user == user);
        theirs.for_each(|visitor| visitor.lives = false);
    }

    async fn end_one(&mut self) {
        let records = SessionRecords::new(&self.config()).unwrap();
        let records = records.clock(self.clock.clone());
        let Some(at) = self.pick() else { return };
        let visitor = &mut self.visitors[at];
        assert!(records.destroy(&visitor.key).await.unwrap());
        visitor.lives = false;
    }

    async fn sweep(&mut self) {
        let [from, to] = self.stores.each_ref().map(|store| store.memory.clone());
        let both = MigratingStore::new(from, to).clock(self.clock.clone());
        while !both.sweep_some(2).await.is_finished() && !self.one_in(4) {}
    }

    async fn migrate(&mut self) {
        let store = self.store();
        let mut migration = store.migration();
        for _ in 0..self.next() % 4 {
            self.fails();
            cut_off(self.next() % 24, migration.step(2)).await;
            self.calm();
        }
    }

    /// The sessions in a listing by pages. `moves`: records move in between.
    async fn browse(&mut self, moves: bool) -> BTreeSet<RecordKey> {
        let (store, limit) = (self.store(), 1 + self.next() % 3);
        let (mut cursor, mut keys) = (Cursor::default(), BTreeSet::new());
        let mut migration = store.migration();
        loop {
            let page = store.browse(&cursor, limit).await.unwrap();
            let entries = page.entries.iter();
            let sessions = entries.filter(|entry| entry.kind == Some(RecordKind::Session));
            keys.extend(sessions.map(|entry| entry.key));
            let Some(next) = page.next else { return keys };
            cursor = next;
            if moves && self.one_in(2) {
                cut_off(self.next() % 12, migration.step(2)).await;
            }
        }
    }

    async fn check(&mut self) {
        let moves = self.one_in(2);
        let shown = self.browse(moves).await;
        let (site, subjects, log) = (self.site(), self.subjects(), format!("{:?}", self.log));
        for visitor in &self.visitors {
            let is_missing = visitor.lives && !shown.contains(&visitor.key);
            assert!(!is_missing, "not shown, {log}");
            let key = see(&site, &visitor.jar).await;
            assert_eq!(key, visitor.lives.then_some(visitor.key), "{log}");
        }
        for user in USERS {
            let living = self.visitors.iter();
            let living = living.filter(|visitor| visitor.lives && visitor.user == user);
            let mut living: Vec<_> = living.map(|visitor| visitor.key).collect();
            let listed = subjects.list(user).await.unwrap();
            let mut listed: Vec<_> = listed.iter().map(|one| one.record_key()).collect();
            living.sort_unstable();
            listed.sort_unstable();
            assert_eq!(listed, living, "{user}, {log}");
        }
    }

    async fn finish(&mut self) {
        let store = self.store();
        let mut migration = store.migration();
        let last = loop {
            let step = migration.step(3).await;
            if step.is_finished() {
                break step;
            }
        };
        assert!(last.is_complete(), "{:?}", self.log);
    }
}

async fn see(site: &Site, jar: &Jar) -> Option<RecordKey> {
    let look = async |session: Session| {
        session.skip_touch();
        session.load().await.unwrap();
        let is_new = session.is_new().unwrap();
        (!is_new).then(|| session.record_key().unwrap())
    };
    site.visit(&mut jar.clone(), look).await.0
}

#[tokio::test(start_paused = true)]
async fn nothing_is_missing_or_comes_back() {
    for round in rounds(60) {
        let mut moving = Moving::new(round);
        for _ in 0..2 {
            for _ in 0..24 {
                moving.act().await;
                moving.check().await;
            }
            moving.finish().await;
            moving.stores.reverse();
        }
    }
}
