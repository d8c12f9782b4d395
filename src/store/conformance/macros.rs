//! The names of the rules, in one place, and the macros that use them.

/// Checks a store: makes a module of tests, one for each rule of the contract.
///
/// See the [module docs](crate::store::conformance) for when to use which form:
///
/// - `store_conformance!(MyStore::new())` for a store that uses the system's clock,
/// - `store_conformance!(|clock| MyStore::new().clock(clock))` for one that takes a
///   [`Clock`](crate::Clock),
/// - `store_conformance!(once MyStore::connect().await)` for one that all tests share,
/// - `store_conformance!(mod name, ...)`, with any of these, to give the module another name than
///   `store_conformance`.
///
/// The expression makes a store, or a [`Subject`](crate::store::conformance::Subject) with more to
/// check, or a `Result` of either. Its error is a reason to
/// [`Skip`](crate::store::conformance::Skip) the tests. The expression may `.await`.
#[macro_export]
macro_rules! store_conformance {
    (mod $name:ident, $($subject:tt)+) => {
        #[cfg(test)]
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            static RUN: $crate::store::conformance::Run =
                $crate::store::conformance::Run::new(module_path!());

            $crate::store_conformance_rules!([$crate::store_conformance_tests] ($($subject)+));
        }
    };
    ($($subject:tt)+) => {
        $crate::store_conformance!(mod store_conformance, $($subject)+);
    };
}

/// Passes the rules, grouped by module, to another macro.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_rules {
    ([$($callback:tt)+] $arguments:tt) => {
        $($callback)+! { $arguments
            outcomes:
                a_created_record_is_loaded_as_it_was_given
                a_key_without_a_record_has_none
                a_create_never_overwrites
                an_update_replaces_the_record
                an_update_needs_the_expected_version
                an_update_never_makes_a_record
                every_update_makes_a_new_version
                a_touch_changes_the_end_and_no_data
                a_touch_needs_the_expected_version
                a_touch_never_makes_a_record
                a_delete_removes_the_record_and_no_other
                a_delete_of_nothing_is_no_error
                keys_that_differ_in_one_bit_have_records_of_their_own;
            many:
                load_many_answers_in_the_order_of_the_keys
                delete_many_does_to_each_what_delete_does
                a_cancelled_delete_many_deletes_each_wholly_or_not_at_all;
            versions:
                a_delete_at_a_version_spares_another
                a_delete_at_a_version_of_nothing_is_no_error
                a_delete_at_a_version_spares_a_racing_update
                a_touch_returns_the_version_that_the_record_has
                no_version_of_a_key_comes_back
                a_version_of_an_earlier_life_changes_nothing;
            reading:
                a_current_read_shows_every_write_answered
                a_recent_read_of_a_quiet_store_shows_the_record;
            expiring:
                a_record_ends_at_its_second
                an_update_moves_the_end
                a_touch_moves_the_end
                an_expired_record_is_not_updated
                an_expired_record_is_not_touched
                an_expired_record_can_be_created_anew
                a_record_in_an_expired_ones_place_stays
                the_ends_of_time_are_taken
                an_end_is_given_back_as_it_was_told
                a_write_by_a_clock_of_long_ago_is_kept_or_refused
                a_clock_that_jumps_harms_no_live_record
                a_sweep_removes_no_live_record;
            sizes:
                records_of_every_size_come_back_whole
                a_record_too_large_leaves_the_old_one
                a_store_takes_what_its_limits_say_and_no_more
                limits_stay_as_they_are
                any_bytes_come_back_as_they_were;
            racing:
                a_late_update_brings_nothing_back
                a_late_touch_brings_nothing_back
                a_deleted_record_never_comes_back
                of_two_updates_one_wins
                of_two_creates_one_wins
                a_create_and_a_delete_happen_one_by_one
                an_update_and_a_touch_lose_nothing
                a_load_never_sees_half_an_update;
            tasks:
                no_increment_is_lost
                of_many_creates_one_wins
                readers_see_whole_records_only
                a_record_being_touched_is_never_swept;
            cancelling:
                a_cancelled_create_happens_wholly_or_not_at_all
                a_cancelled_load_changes_nothing
                a_cancelled_update_happens_wholly_or_not_at_all
                a_cancelled_touch_happens_wholly_or_not_at_all
                a_cancelled_delete_happens_wholly_or_not_at_all
                a_store_that_never_waits_is_done_at_once;
            life:
                a_long_random_life_follows_the_contract;
            lasting:
                a_record_ends_in_real_time
                an_update_moves_the_end_in_real_time
                a_touch_moves_the_end_in_real_time
                what_ended_by_itself_is_gone_for_every_call
                a_record_of_one_second_is_kept_for_it;
            keeping:
                a_server_keeps_a_record_until_its_end;
            peers:
                what_one_peer_writes_the_other_sees
                a_recent_read_comes_to_show_what_a_peer_wrote
                a_version_holds_for_every_peer
                of_two_peers_one_creates
                of_two_peers_one_updates
                no_increment_of_a_peer_is_lost;
            silence:
                silence_is_an_error_and_never_no_record
                silence_ends_at_the_deadline;
            cut:
                a_cut_is_an_error_and_never_no_record
                a_cut_is_noticed_by_the_deadline;
            outage:
                a_write_without_an_answer_happens_wholly_or_not_at_all
                a_store_comes_back_with_its_server;
            garbage:
                garbage_is_corrupt_and_never_a_record
                garbage_makes_room_for_a_record;
            trips:
                load_many_asks_for_all_keys_at_once
                delete_many_asks_for_all_keys_at_once;
        }
    };
}

/// Makes a test of each rule.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_tests {
    ($subject:tt $($module:ident: $($rule:ident)+;)+) => {
        $($(
            #[test]
            fn $rule() {
                if let Err(violation) = $crate::store_conformance_run!($rule $subject) {
                    panic!("{violation}");
                }
            }
        )+)+
    };
}

/// Checks one rule on the subject of one of the forms.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_run {
    ($rule:ident (once $subject:expr $(,)?)) => {
        RUN.check_once(
            stringify!($rule),
            Box::pin(async { $crate::store::conformance::Subject::from($subject) }),
        )
    };
    ($rule:ident (|$clock:ident| $subject:expr $(,)?)) => {{
        let clock = $crate::Clock::manual($crate::store::conformance::START);
        let $clock = clock.clone();
        RUN.check(
            stringify!($rule),
            Box::pin(
                async move { $crate::store::conformance::Subject::from($subject).clock(clock) },
            ),
        )
    }};
    ($rule:ident ($subject:expr $(,)?)) => {
        RUN.check(
            stringify!($rule),
            Box::pin(async { $crate::store::conformance::Subject::from($subject) }),
        )
    };
}
