//! Each broken store on a server fails the rules that it breaks, and no others.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use silverback::store::conformance::{self, Rule, Verdict};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    networked::{Fault, subject},
    server::Server,
};

/// Other rules that a fault may break.
enum Besides {
    Nothing,
    /// A race may be lost under any rule.
    Any,
}

struct Broken {
    fault: Fault,
    rules: &'static [&'static str],
    besides: Besides,
}

const fn broken(fault: Fault, rules: &'static [&'static str], besides: Besides) -> Broken {
    Broken {
        fault,
        rules,
        besides,
    }
}

const ENDS: &[&str] = &[
    "a_record_ends_in_real_time",
    "an_update_moves_the_end_in_real_time",
    "a_touch_moves_the_end_in_real_time",
    "what_ended_by_itself_is_gone_for_every_call",
    "a_server_keeps_a_record_until_its_end",
];
/// Twelve faults that were seen in stores on a network, and others that the rules must detect.
const BROKEN: &[Broken] = &[
    broken(
        Fault::TouchLeavesTheTtl,
        &[
            "a_touch_moves_the_end_in_real_time",
            "a_server_keeps_a_record_until_its_end",
        ],
        Besides::Nothing,
    ),
    broken(
        Fault::UpdateLeavesTheTtl,
        &[
            "an_update_moves_the_end_in_real_time",
            "a_server_keeps_a_record_until_its_end",
        ],
        Besides::Nothing,
    ),
    broken(Fault::LivesAMinute, ENDS, Besides::Nothing),
    broken(Fault::LivesForEver, ENDS, Besides::Nothing),
    broken(
        Fault::ErrorIsNoRecord,
        &[
            "silence_is_an_error_and_never_no_record",
            "a_cut_is_an_error_and_never_no_record",
        ],
        Besides::Nothing,
    ),
    broken(
        Fault::GarbageIsNoRecord,
        &["garbage_is_corrupt_and_never_a_record"],
        Besides::Nothing,
    ),
    broken(
        Fault::ShortIsNotStored,
        &["a_record_of_one_second_is_kept_for_it"],
        Besides::Nothing,
    ),
    broken(
        Fault::ComparesThenSets,
        &[
            "of_two_updates_one_wins",
            "no_increment_is_lost",
            "of_two_peers_one_updates",
            "no_increment_of_a_peer_is_lost",
        ],
        Besides::Any,
    ),
    broken(
        Fault::LooksThenSets,
        &[
            "of_two_creates_one_wins",
            "of_many_creates_one_wins",
            "of_two_peers_one_creates",
        ],
        Besides::Any,
    ),
    broken(
        Fault::EndIsOfTheTtl,
        &["an_end_is_given_back_as_it_was_told"],
        Besides::Any,
    ),
    broken(
        Fault::CutsAtAMebibyte,
        &[
            "records_of_every_size_come_back_whole",
            "a_store_takes_what_its_limits_say_and_no_more",
        ],
        Besides::Nothing,
    ),
    broken(
        Fault::CachesInProcess,
        &["what_one_peer_writes_the_other_sees"],
        Besides::Any,
    ),
    broken(
        Fault::LoadManyLoops,
        &["load_many_asks_for_all_keys_at_once"],
        Besides::Nothing,
    ),
    broken(
        Fault::DeleteManyLoops,
        &["delete_many_asks_for_all_keys_at_once"],
        Besides::Nothing,
    ),
    broken(
        Fault::WaitsForEver,
        &["silence_ends_at_the_deadline"],
        Besides::Nothing,
    ),
    broken(
        Fault::WaitsForTheConnection,
        &["a_cut_is_noticed_by_the_deadline"],
        Besides::Nothing,
    ),
    broken(
        Fault::ErrorIsRefused,
        &[
            "silence_is_an_error_and_never_no_record",
            "a_cut_is_an_error_and_never_no_record",
        ],
        Besides::Nothing,
    ),
    broken(
        Fault::WritesInTwoSteps,
        &["a_write_without_an_answer_happens_wholly_or_not_at_all"],
        Besides::Any,
    ),
    broken(
        Fault::GarbageStays,
        &["garbage_makes_room_for_a_record"],
        Besides::Nothing,
    ),
    broken(
        Fault::CountsVersionsByItself,
        &["a_version_holds_for_every_peer"],
        Besides::Any,
    ),
    broken(
        Fault::HidesWhatLivesForEver,
        &[
            "a_server_keeps_a_record_until_its_end",
            "a_write_by_a_clock_of_long_ago_is_kept_or_refused",
        ],
        Besides::Nothing,
    ),
    broken(
        Fault::UpdatesWhatEnded,
        &["what_ended_by_itself_is_gone_for_every_call"],
        Besides::Nothing,
    ),
];

/// Faults that are detected only when the rule's patience has run out.
const SLOW: &[(Fault, &str)] = &[
    (
        Fault::RecentNeverAges,
        "a_recent_read_comes_to_show_what_a_peer_wrote",
    ),
    (
        Fault::CachesInProcess,
        "a_recent_read_comes_to_show_what_a_peer_wrote",
    ),
    (Fault::StaysAway, "a_store_comes_back_with_its_server"),
];

/// The rules that detect the faults above.
pub(crate) fn detecting_rules() -> impl Iterator<Item = &'static str> {
    let rules = BROKEN.iter().flat_map(|broken| broken.rules).copied();
    rules.chain(SLOW.iter().map(|(_, rule)| *rule))
}

/// Limits the rules that run at once, which would otherwise delay those that measure time.
static AT_ONCE: Semaphore = Semaphore::const_new(4);

/// Checks a rule on a new server. Returns `None` if the store breaks the rule.
async fn check(fault: Fault, rule: Rule, patience: Duration) -> Option<Verdict> {
    let waits = [
        "real_time",
        "by_itself",
        "silence",
        "a_cut",
        "answer",
        "comes_back",
    ];
    let _turn = match waits.iter().any(|part| rule.name().contains(part)) {
        true => None,
        false => AT_ONCE.acquire().await.ok(),
    };
    let server = Arc::new(Server::default());
    let subject = subject(fault, &server).patience(patience);
    match conformance::check(rule, subject).await {
        Ok(verdict) => Some(verdict),
        Err(violation) => {
            println!("{fault:?}: {violation}");
            assert_eq!(violation.rule(), rule);
            None
        }
    }
}

const LONG: Duration = Duration::from_secs(240);

/// How often a race that a rule has to lose may be won by chance.
const RACES: usize = 10;

/// As [`check`], again while a race goes well by chance.
async fn check_well(fault: Fault, rule: Rule) -> Option<Verdict> {
    let breaks = |broken: &&Broken| broken.fault == fault && broken.rules.contains(&rule.name());
    let has_to_lose = fault.is_race() && BROKEN.iter().any(|broken| breaks(&broken));
    let mut verdict = check(fault, rule, LONG).await;
    for _ in 1..RACES {
        if !has_to_lose || verdict.is_none() {
            break;
        }
        verdict = check(fault, rule, LONG).await;
    }
    verdict
}

async fn broken_rules(faults: impl Iterator<Item = Fault>) -> BTreeSet<(String, &'static str)> {
    let mut checking = JoinSet::new();
    for fault in faults {
        // `SLOW` has the pair that would take the whole patience.
        let slow = "a_recent_read_comes_to_show_what_a_peer_wrote";
        let is_slow = |rule: &Rule| fault == Fault::CachesInProcess && rule.name() == slow;
        for rule in conformance::rules()
            .iter()
            .copied()
            .filter(|rule| !is_slow(rule))
        {
            checking.spawn(async move { (fault, rule, check_well(fault, rule).await) });
        }
    }
    let checked = checking.join_all().await;
    let broken = checked
        .into_iter()
        .filter(|(_, _, verdict)| verdict.is_none());
    broken
        .map(|(fault, rule, _)| (format!("{fault:?}"), rule.name()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broken_store_on_a_server_fails_the_rules_it_breaks() {
    let found = broken_rules(BROKEN.iter().map(|broken| broken.fault)).await;
    let mut wrong = Vec::new();
    for Broken {
        fault,
        rules,
        besides,
    } in BROKEN
    {
        let name = format!("{fault:?}");
        let missed = rules
            .iter()
            .filter(|rule| !found.contains(&(name.clone(), **rule)));
        wrong.extend(missed.map(|rule| format!("{name} keeps {rule}")));
        let also = found.iter().filter(|(broken, rule)| {
            let may = matches!(besides, Besides::Any);
            *broken == name && !rules.contains(rule) && !may
        });
        wrong.extend(also.map(|(_, rule)| format!("{name} breaks {rule}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lasting_fault_breaks_a_rule_in_the_end() {
    let mut checking = JoinSet::new();
    for (fault, name) in SLOW {
        let rule = Rule::named(name).unwrap();
        checking.spawn(async move { (fault, check(*fault, rule, Duration::from_secs(4)).await) });
    }
    for (fault, verdict) in checking.join_all().await {
        assert_eq!(verdict, None, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_store_without_a_fault_passes_every_rule_and_leaves_nothing() {
    let server = Arc::new(Server::default());
    for (rule, checked) in conformance::check_all(subject(Fault::None, &server)).await {
        let lacks = match rule.name() {
            "a_clock_that_jumps_harms_no_live_record" => Some("the store is given no clock"),
            "a_store_that_never_waits_is_done_at_once" => {
                Some("the store does not say that it never waits")
            }
            _ => None,
        };
        let verdict = checked.unwrap();
        let skipped = verdict.skipped().map(ToString::to_string);
        assert_eq!(skipped.as_deref(), lacks, "{rule}");
    }
    // A call that was given up, such as a create, may arrive after the rule has cleaned up.
    assert!(server.len() < 10, "{} records are left", server.len());
}
