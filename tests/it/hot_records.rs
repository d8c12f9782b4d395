//! Many requests save one session at the same time.

use std::{panic::AssertUnwindSafe, pin::pin, time::Duration};

use silverback::{Error, ErrorKind, Session};
use tokio::time::{Instant, sleep};

use crate::support::{
    Jar, Kind, MINUTE, SECOND, World, keys, one_more,
    schedule::{all, cut_off},
    scripted::{ANY, After, Before, Cut, Fail, Hang, Load, Lose, Op, Take, Update, Wait},
    watched::kept,
};

const MANY: u32 = 40;

/// A session with a counter, and handles that have each incremented it without saving. Each handle
/// will lose its first attempt: another request has saved meanwhile.
async fn counted(handles: u32) -> (World, Jar, Vec<Session>) {
    let (world, mut jar) = (Kind::Remote.in_time(), Jar::default());
    world.put(&mut jar, "n", 0).await;
    let mut all = Vec::new();
    for _ in 0..handles {
        let session = kept(&world, &mut jar).await;
        session.load().await.unwrap();
        session.update("n", one_more).unwrap();
        all.push(session);
    }
    world.put(&mut jar, "other", 1).await;
    world.records().take_log();
    (world, jar, all)
}

/// Saves all at once.
async fn save(sessions: &[Session]) -> Vec<Result<(), Error>> {
    all(sessions.iter().map(Session::save).collect()).await
}

async fn count(world: &World, jar: &Jar) -> u32 {
    world.get(&mut jar.clone(), "n").await.unwrap()
}

fn calls(log: &[Op], op: Op) -> usize {
    log.iter().filter(|other| **other == op).count()
}

#[tokio::test(start_paused = true)]
async fn waiters_are_saved_by_one_write() {
    let (world, jar, sessions) = counted(MANY).await;
    assert!(save(&sessions).await.iter().all(Result::is_ok));
    let log = world.records().take_log();
    // The lost attempts, and the one for all.
    assert_eq!((calls(&log, Load), calls(&log, Update)), (1, 41), "{log:?}");
    assert_eq!(count(&world, &jar).await, MANY);
    // Each handle has the stored state, and can continue from there.
    for session in &sessions {
        assert_eq!(session.get("n").unwrap(), Some(MANY));
        session.update("n", one_more).unwrap();
    }
    sessions[0].save().await.unwrap();
    assert_eq!(world.records().take_log(), [Load, Update], "at once");
    assert!(save(&sessions).await.iter().all(Result::is_ok));
    assert_eq!(count(&world, &jar).await, 2 * MANY);
}

/// Handles that have each incremented the stored counter without saving.
async fn fresh(world: &World, jar: &Jar, handles: u32) -> Vec<Session> {
    let mut all = Vec::new();
    for _ in 0..handles {
        let session = kept(world, &mut jar.clone()).await;
        session.load().await.unwrap();
        session.update("n", one_more).unwrap();
        all.push(session);
    }
    all
}

/// Their own writes would collide with the leader's, and the leader's with the next.
#[tokio::test(start_paused = true)]
async fn latecomers_make_no_calls_of_their_own() {
    let (world, jar, sessions) = counted(2).await;
    let later = fresh(&world, &jar, MANY).await;
    world.records().take_log();
    world.records().nth(3, Before, Update, Wait);
    let join = async {
        world.records().reached().await;
        let go = async {
            sleep(SECOND / 2).await;
            world.records().go();
        };
        tokio::join!(save(&later), go).0
    };
    let (first, later) = tokio::join!(save(&sessions), join);
    assert!(first.iter().chain(&later).all(Result::is_ok));
    // Two attempts are lost, one leads, and the next leader continues from there.
    assert_eq!(
        world.records().take_log(),
        [Update, Update, Load, Update, Update]
    );
    assert_eq!(count(&world, &jar).await, MANY + 2);
}

/// Another process writes between two leaders of this one, and the second leader notices each time.
#[tokio::test(start_paused = true)]
async fn a_leader_that_starts_from_an_old_write_loads_again() {
    for other_does in ["change", "renew", "destroy"] {
        let (world, jar, sessions) = counted(2).await;
        let (other, later) = (world.beside(keys()), fresh(&world, &jar, 4).await);
        let new = &mut jar.clone();
        world.records().take_log();
        world.records().nth(3, Before, Update, Wait);
        let join = async {
            world.records().reached().await;
            let go = async {
                sleep(SECOND / 2).await;
                world.records().nth(1, Before, Update, Wait);
                world.records().go();
                world.records().reached().await;
                let _ = match other_does {
                    "change" => other.put(new, "other", 2).await,
                    "renew" => other.renew(new).await,
                    _ => other.destroy(new).await,
                };
                world.records().go();
            };
            tokio::join!(futures(&later), go).0
        };
        let (first, later) = tokio::join!(save(&sessions), join);
        assert!(first.iter().all(Result::is_ok), "{other_does}");
        let changes = other_does == "change";
        let kind = (!changes).then_some(ErrorKind::Gone);
        assert_eq!(later, [kind; 4], "{other_does}");
        let n = world.get(new, "n").await;
        let expected = match other_does {
            "change" => Some(6),
            "renew" => Some(2),
            _ => None,
        };
        assert_eq!(n, expected, "{other_does}");
        if changes {
            assert_eq!(world.get(new, "other").await, Some(2));
        }
    }
}

/// They wait for the leader, and then each saves alone.
#[tokio::test(start_paused = true)]
async fn waiters_of_a_silent_leader_are_answered_within_their_own_time() {
    let (world, jar, sessions) = counted(2).await;
    let later = fresh(&world, &jar, 4).await;
    world.records().take_log();
    world.records().nth(3, Before, Update, Wait);
    let join = async {
        world.records().reached().await;
        world.records().every(Before, ANY, Hang);
        world.records().go();
        let start = Instant::now();
        let kinds = futures(&later).await;
        (start.elapsed(), kinds)
    };
    let (_, (elapsed, kinds)) = tokio::join!(save(&sessions), join);
    assert_eq!(kinds, [Some(ErrorKind::StoreFailed); 4]);
    assert!(elapsed <= 5 * SECOND, "{elapsed:?}");
    world.records().calm();
    let (first, later) = (save(&sessions).await, save(&later).await);
    assert!(
        first.iter().chain(&later).all(Result::is_ok),
        "{first:?} {later:?}"
    );
    assert_eq!(count(&world, &jar).await, 6);
}

/// The last write of a line may become outdated.
#[tokio::test(start_paused = true)]
async fn a_leader_does_not_start_from_an_expired_session() {
    let (world, jar, sessions) = counted(2).await;
    let later = fresh(&world, &jar, 4).await;
    world.records().nth(3, After, Update, Wait);
    let join = async {
        world.records().reached().await;
        let go = async {
            sleep(SECOND / 2).await;
            world.clock.advance(30 * 24 * 60 * MINUTE);
            world.records().go();
        };
        tokio::join!(futures(&later), go).0
    };
    let (first, later) = tokio::join!(save(&sessions), join);
    assert!(first.iter().all(Result::is_ok));
    assert_eq!(later, [Some(ErrorKind::Gone); 4]);
}

/// The leader is cut off after each number of polls.
#[tokio::test(start_paused = true)]
async fn a_leader_that_is_dropped_is_replaced() {
    let mut was_saved = [false; 2];
    for polls in 0..30 {
        let (world, jar, sessions) = counted(4).await;
        let first = cut_off(polls, sessions[0].save());
        let (first, others) = tokio::join!(first, save(&sessions[1..]));
        assert!(others.iter().all(Result::is_ok), "{polls} polls");
        let saved = count(&world, &jar).await;
        match first {
            Some(result) => {
                result.unwrap();
                assert_eq!(saved, 4, "{polls} polls");
            }
            None => assert!([3, 4].contains(&saved), "{polls} polls: {saved}"),
        }
        was_saved[usize::from(saved == 4)] = true;
        // The leader knows the outcome of its own save.
        sessions[0].save().await.unwrap();
        assert_eq!(count(&world, &jar).await, 4, "{polls} polls");
    }
    assert_eq!(was_saved, [true; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_nobody_polls_is_replaced() {
    for polls in 0..30 {
        let (world, jar, sessions) = counted(4).await;
        let mut first = pin!(sessions[0].save());
        let done = cut_off(polls, first.as_mut()).await;
        let start = Instant::now();
        let others = save(&sessions[1..]).await;
        assert!(others.iter().all(Result::is_ok), "{polls} polls");
        assert!(start.elapsed() < 2 * SECOND, "{polls} polls");
        if done.is_none() {
            sleep(SECOND).await;
            first.await.unwrap();
        }
        assert_eq!(count(&world, &jar).await, 4, "{polls} polls");
    }
}

/// The waiters are not polled either.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_never_polled_blocks_nobody() {
    let (world, jar, sessions) = counted(4).await;
    world.records().at(Before, Load, Wait);
    let mut leader = pin!(sessions[0].save());
    assert!(cut_off(9, leader.as_mut()).await.is_none());
    let mut idle = pin!(sessions[1].save());
    assert!(cut_off(9, idle.as_mut()).await.is_none());
    world.records().go();
    let start = Instant::now();
    let others = all(vec![sessions[2].save(), sessions[3].save()]);
    let (first, others) = tokio::join!(leader, others);
    assert!(first.is_ok() && others.iter().all(Result::is_ok));
    assert!(start.elapsed() < SECOND);
    idle.await.unwrap();
    assert_eq!(count(&world, &jar).await, 4);
}

/// Its changes are taken out before the write.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_leaves_is_not_saved() {
    let (world, jar, sessions) = counted(3).await;
    world.records().at(Before, Load, Wait);
    let mut leader = pin!(sessions[0].save());
    assert!(cut_off(9, leader.as_mut()).await.is_none());
    assert!(cut_off(9, sessions[1].save()).await.is_none(), "dropped");
    world.records().go();
    let (first, third) = tokio::join!(leader, sessions[2].save());
    assert!(first.is_ok() && third.is_ok());
    assert_eq!(count(&world, &jar).await, 2);
    sessions[1].save().await.unwrap();
    assert_eq!(count(&world, &jar).await, 3);
}

/// Its change has been written, but it left before the answer.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_leaves_during_the_write_is_not_saved_twice() {
    for when in [Before, After] {
        let (world, jar, sessions) = counted(3).await;
        world.records().nth(4, when, Update, Wait);
        let mut saves: Vec<_> = sessions.iter().map(|one| Box::pin(one.save())).collect();
        for _ in 0..50 {
            for save in &mut saves {
                assert!(cut_off(1, save.as_mut()).await.is_none());
            }
        }
        let left = saves.pop().unwrap();
        drop(left);
        world.records().go();
        assert!(all(saves).await.iter().all(Result::is_ok), "{when:?}");
        assert_eq!(count(&world, &jar).await, 3, "{when:?}");
        sessions[2].save().await.unwrap();
        assert_eq!(count(&world, &jar).await, 3, "{when:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_that_fails_fails_alone() {
    let (world, mut jar) = (Kind::Remote.in_time(), Jar::default());
    world.put(&mut jar, "n", 0).await;
    let mut sessions = Vec::new();
    for number in 0..5 {
        let session = kept(&world, &mut jar).await;
        session.load().await.unwrap();
        let add = move |n: &mut u32| match (number, *n) {
            (2, 1..) => Err("it has begun"),
            _ => Ok(one_more(n)),
        };
        session.try_update("n", add).unwrap().unwrap();
        sessions.push(session);
    }
    world.put(&mut jar, "n", 10).await;
    let kinds: Vec<_> = futures(&sessions).await;
    for (number, kind) in kinds.iter().enumerate() {
        let expected = (number == 2).then_some(ErrorKind::UpdateRefused);
        assert_eq!(*kind, expected, "{number}");
    }
    assert_eq!(count(&world, &jar).await, 14);
}

/// The outcome of each save, in the order of the sessions.
async fn futures(sessions: &[Session]) -> Vec<Option<ErrorKind>> {
    let numbered = sessions.iter().enumerate();
    let saves = numbered
        .map(async |(number, one)| (number, one.save().await))
        .collect();
    let mut ends = all(saves).await;
    ends.sort_by_key(|(number, _)| *number);
    let kind = |(_, end): (usize, Result<(), Error>)| end.err().map(|error| error.kind());
    ends.into_iter().map(kind).collect()
}

#[tokio::test(start_paused = true)]
async fn a_panic_belongs_to_the_request_whose_update_panics() {
    // Any of them may lead.
    for at in 0..5 {
        let (world, jar, mut sessions) = counted(4).await;
        let panicking = kept(&world, &mut jar.clone()).await;
        panicking.load().await.unwrap();
        let panics = |n: &mut u32| {
            assert!(*n == 0, "on purpose");
            one_more(n)
        };
        panicking.update("n", panics).unwrap();
        sessions.insert(at, panicking);
        world.put(&mut jar.clone(), "n", 10).await;
        let ends = all(sessions.iter().map(|one| caught(one.save())).collect()).await;
        let saved = ends.iter().flatten().filter(|end| end.is_ok()).count();
        assert_eq!((ends.len(), saved), (5, 4), "{at}");
        assert_eq!(ends.iter().flatten().count(), 4, "{at}");
        assert_eq!(count(&world, &jar).await, 14, "{at}");
    }
}

/// `None` if it panics.
async fn caught<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    std::future::poll_fn(move |cx| {
        let poll = std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        match poll {
            Ok(poll) => poll.map(Some),
            Err(_) => std::task::Poll::Ready(None),
        }
    })
    .await
}

/// Each request recognizes its own change in the write for all.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_resolved_by_every_request() {
    for act in [Cut, Lose] {
        let (world, jar, sessions) = counted(MANY).await;
        world.records().nth(41, After, Update, act);
        assert!(save(&sessions).await.iter().all(Result::is_ok), "{act:?}");
        assert_eq!(count(&world, &jar).await, MANY, "{act:?}");
    }
}

/// The leader has started from the last write.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_after_the_first_write_is_resolved_by_every_request() {
    for act in [Cut, Lose] {
        let (world, jar, sessions) = counted(2).await;
        let later = fresh(&world, &jar, MANY).await;
        world.records().nth(3, Before, Update, Wait);
        world.records().nth(4, After, Update, act);
        let join = async {
            world.records().reached().await;
            let go = async {
                sleep(SECOND / 2).await;
                world.records().go();
            };
            tokio::join!(save(&later), go).0
        };
        let (first, later) = tokio::join!(save(&sessions), join);
        assert!(first.iter().chain(&later).all(Result::is_ok), "{act:?}");
        assert_eq!(count(&world, &jar).await, MANY + 2, "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_another_process_overtakes_is_done_again() {
    let (world, jar, sessions) = counted(MANY).await;
    let other = world.beside(keys());
    world.records().nth(41, Before, Update, Wait);
    let overtake = async {
        world.records().reached().await;
        // More writes than a record lists.
        for n in 2..12 {
            other.put(&mut jar.clone(), "other", n).await;
        }
        world.records().go();
    };
    let (saved, ()) = tokio::join!(save(&sessions), overtake);
    assert!(saved.iter().all(Result::is_ok));
    assert_eq!(count(&world, &jar).await, MANY);
}

/// The store's client gives up after a while. Requests do not wait for that one after another.
#[tokio::test(start_paused = true)]
async fn waiters_fail_with_a_leader_whose_store_failed() {
    for (op, millis, most) in [(Load, 300, 700), (Update, 300, 700), (Load, 900, 3_000)] {
        let (world, jar, sessions) = counted(MANY).await;
        // After the lost attempts.
        let first = if op == Update { 41 } else { 1 };
        for n in [first, first + 1, first + 2] {
            let time = Duration::from_millis(millis);
            world.records().nth(n, Before, op, Take(time));
            world.records().nth(n, After, op, Cut);
        }
        let start = Instant::now();
        let ends = save(&sessions).await;
        assert!(start.elapsed() <= Duration::from_millis(most), "{op:?}");
        let failed = ends.iter().filter(|end| end.is_err()).count();
        assert!(failed + 1 >= ends.len(), "{op:?}: {failed}");
        world.records().calm();
        assert!(save(&sessions).await.iter().all(Result::is_ok));
        assert_eq!(count(&world, &jar).await, MANY, "{op:?}");
    }
}

/// The first request gives up first, and the others have their own time.
#[tokio::test(start_paused = true)]
async fn a_silent_store_answers_each_within_its_own_time() {
    let (world, _, sessions) = counted(20).await;
    world.records().every(Before, Load, Hang);
    let late = |(number, session): (usize, &Session)| {
        let session = session.clone();
        async move {
            sleep(SECOND * u32::try_from(number).unwrap() / 4).await;
            let start = Instant::now();
            let kind = session.save().await.unwrap_err().kind();
            (start.elapsed(), kind)
        }
    };
    for end in all(sessions.iter().enumerate().map(late).collect()).await {
        assert_eq!(end, (5 * SECOND, ErrorKind::StoreFailed));
    }
}

/// One request's oversized change does not keep the others from being saved.
#[tokio::test(start_paused = true)]
async fn one_that_is_too_large_fails_alone() {
    let (world, jar, sessions) = counted(4).await;
    sessions[1].insert("large", "x".repeat(600_000)).unwrap();
    sessions[2].insert("larger", "x".repeat(600_000)).unwrap();
    let kinds = futures(&sessions).await;
    let failed: Vec<_> = kinds.into_iter().flatten().collect();
    assert!(
        matches!(failed[..], [ErrorKind::TooLarge { .. }]),
        "{failed:?}"
    );
    assert_eq!(count(&world, &jar).await, 3);
}

/// If the store refuses the combined write, each change is tried alone.
#[tokio::test(start_paused = true)]
async fn changes_refused_together_are_tried_one_by_one() {
    let (world, jar, sessions) = counted(4).await;
    world.records().nth(5, Before, Update, Fail);
    assert!(save(&sessions).await.iter().all(Result::is_ok));
    assert_eq!(count(&world, &jar).await, 4);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ended_is_gone_for_all() {
    let (world, jar, sessions) = counted(4).await;
    world.records().nth(5, Before, Update, Wait);
    let end = async {
        world.records().reached().await;
        world.destroy(&mut jar.clone()).await;
        world.records().go();
    };
    let (kinds, ()) = tokio::join!(futures(&sessions), end);
    assert_eq!(kinds, [Some(ErrorKind::Gone); 4]);
    let (_, jar, sessions) = counted(4).await;
    drop(jar);
    world.clock.advance(MINUTE);
    assert_eq!(futures(&sessions).await, [None; 4]);
}

/// Requests of layers with different settings save separately.
#[tokio::test(start_paused = true)]
async fn layers_beside_each_other_lose_nothing() {
    let (world, jar, mut sessions) = counted(4).await;
    let beside = world.beside(keys());
    for _ in 0..4 {
        let session = kept(&beside, &mut jar.clone()).await;
        session.load().await.unwrap();
        session.update("n", one_more).unwrap();
        sessions.push(session);
    }
    world.put(&mut jar.clone(), "other", 2).await;
    assert!(save(&sessions).await.iter().all(Result::is_ok));
    assert_eq!(count(&world, &jar).await, 8);
}
