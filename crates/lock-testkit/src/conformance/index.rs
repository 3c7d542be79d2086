//! The list of all claims: their groups, names, needs and texts. Everything else is made from it.

use super::claim::{Claim, Counter};
use super::need::Need;
use super::{
    cancellation, exclusion, execute, expiry, fencing, holders, loss, manual_pair, naming, options,
    passing_on, release, renewal, runtimes, several, shutdown, tools, waiting,
};

/// Hands the list of claims to another macro of this crate.
///
/// An entry: `name [needs] else counter_claim "text";`. The proofs are functions of the same
/// names in the module of the group.
#[doc(hidden)]
#[macro_export]
macro_rules! __with_all_claims {
    ($then:ident { $($context:tt)* }) => {
        $crate::$then! {
            { $($context)* }
            exclusion {
                a_free_lock_is_granted [] "Grants when the lock is free.";
                a_held_lock_is_refused_to_others [] "Answers Held when another token owns it.";
                a_refusal_leaves_nothing_behind []
                    "Without `queue` an attempt leaves nothing behind when not granted.";
                of_many_at_once_one_is_granted []
                    "Of attempts that arrive together, one is granted.";
                two_locks_do_not_exclude_each_other [] "Different names are different locks.";
                a_repeated_attempt_finds_its_own_grant [Repeatable]
                    "The same token again finds the same grant; it is never Held by itself.";
                a_repeated_attempt_raises_the_lease [Repeatable]
                    "The same token again raises the ttl to at least what it asks for.";
                an_attempt_does_not_wait_for_the_lock []
                    "An attempt is one exchange and never waits for the lock.";
                a_grant_arrives_before_its_lease_ends []
                    "An attempt ends within the backend's response timeout.";
                a_late_attempt_is_not_applied [Lateness]
                    "The store refuses to act on a request later than `late_after`.";
                bodies_never_overlap [] "Two bodies never run under one lock at once.";
                a_lock_is_not_reentrant [] "Asking for the same name inside its own body is refused.";
            }
            expiry {
                a_lease_ends_by_itself [] "A lease ends without a release when its time is over.";
                a_lease_does_not_end_early [] "Grants at least the asked ttl, or says the shorter one.";
                the_local_deadline_is_not_behind_the_stores []
                    "The guard's deadline is never later than the store's expiry.";
                the_local_deadline_is_within_the_lease []
                    "The guard's deadline is at most the lease, and short of it by the drift at most.";
                a_status_tells_the_time_that_is_left [Inspect] "A status shows the time that is left.";
                an_expired_lock_has_no_holder [Inspect] "A status is None when nobody holds the lock.";
            }
            renewal {
                a_renewal_raises_the_expiry [Renew] "A renewal raises the expiry to at least the ttl from now.";
                a_renewal_never_shortens [Renew] "A renewal never shortens the lease.";
                an_exact_renewal_sets_the_expiry [Renew]
                    "An exact renewal sets the expiry, also to less than is left.";
                renewals_are_answered_in_order [Renew] "Renewals are answered in order, one each.";
                a_large_batch_is_answered_in_full [Renew] "A batch of any size is answered in full.";
                a_renewal_never_takes_an_expired_lock [Renew] "A renewal never takes a lock that has expired.";
                a_renewal_never_takes_anothers_lock [Renew] "A renewal never takes another's lock.";
                a_renewal_never_revives_a_released_lock [Renew] "A renewal never revives a released lock.";
                keep_alive_outlasts_the_lease [Renew] else keep_alive_is_refused
                    "With keep_alive a lock is held for as long as its guard lives.";
                keep_alive_if_supported_is_never_refused []
                    "keep_alive_if_supported is accepted by every backend.";
                extend_sets_the_lease [Renew] else extend_is_refused
                    "extend sets the lease to ttl from now; it does not add.";
                a_shorter_extend_is_shorter_in_the_store [Renew, Inspect]
                    "A shorter extend is shorter in the store, too.";
                keep_alive_keeps_what_extend_set [Renew, Inspect]
                    "With keep_alive, what the last extend set is kept up.";
                a_shorter_extend_lowers_the_local_deadline [Renew] else extend_is_refused
                    "A shorter extend takes effect at once, locally.";
                max_hold_bounds_keep_alive [Renew] else max_hold_is_allowed
                    "max_hold bounds how long a lock is kept alive.";
            }
            release {
                a_released_lock_is_free_at_once [] "After a release the token owns nothing.";
                a_release_touches_nobody_elses_lock []
                    "A release compares the owner; nobody else's lock is touched.";
                a_late_release_hurts_nobody []
                    "The release of a lease that has ended does not touch the next holder.";
                releasing_an_unknown_token_is_an_answer [] "An unknown token is NotHeld, never an error.";
                a_release_can_be_repeated [] "A release can be repeated.";
                a_release_with_min_hold_keeps_the_name_taken [MinHold]
                    "A release keeps the name taken for what is left of min_hold.";
                a_name_that_is_kept_taken_is_nobodys [MinHold, Repeatable]
                    "A name that is kept taken is neither granted nor renewed, not even to its last holder.";
                min_hold_keeps_the_name_taken [] "min_hold keeps the name taken for at least this long.";
                a_guards_release_says_what_it_found [] "A guard's release says what the store said.";
                dropping_a_guard_releases [] "Dropping a guard releases its lock.";
                a_drop_is_seen_by_the_droppers_next_call [] "A drop is visible to the dropper's next call.";
                a_dropped_guard_is_not_kept_alive [Renew] "A lock is not renewed after its guard is gone.";
            }
            waiting {
                a_waiter_gets_a_lock_that_is_released [] "A waiter gets the lock when it is released.";
                a_waiter_gets_a_lock_whose_lease_ends [] "A waiter gets the lock when its lease ends.";
                a_wait_ends_in_time []
                    "A wait in vain ends in time: as Timeout from acquire, as None from try_acquire.";
                nobody_waits_unasked [] "try_acquire and execute do not wait unless asked to.";
                all_who_wait_are_served [] "All who wait are served.";
                a_held_lock_queues_who_asks_to [Queueing] else asking_to_queue_is_a_plain_attempt
                    "Answers Queued if `queue` is set, and grants when the lock is free.";
                waiters_are_granted_in_order_of_arrival [Queueing]
                    "Queued tokens are granted in order of arrival.";
                asking_again_keeps_the_place [Queueing]
                    "Dropping the wake and asking again keeps the place in the queue.";
                a_waiter_is_granted_without_its_wake [Queueing] "The wake is a hint: asking again works without it.";
                a_waiter_that_is_gone_is_skipped [Queueing] "Waiters that are gone are skipped.";
                a_release_leaves_the_queue [Queueing] "After a release the token waits for nothing.";
                a_grant_to_a_waiter_that_left_is_handed_on [Queueing]
                    "A token that was granted the lock while it left hands it on.";
                a_status_counts_the_queue [Queueing, Inspect] "A status counts those who are queued.";
                services_are_served_in_order_of_arrival [Queueing]
                    "Services are served first come, first served.";
            }
            holders {
                a_status_names_the_holder [Inspect]
                    "A status names the process that holds the lock, and since when it asked for it.";
                a_status_names_those_who_wait [Queueing, Inspect]
                    "A status names those who are queued, in order.";
                a_status_says_that_a_holder_has_released [MinHold, Inspect]
                    "A status says that a name is only kept taken for the rest of its min_hold.";
                who_is_refused_is_told_who_holds [Inspect]
                    "The error of a wait in vain names the holder.";
            }
            tools {
                a_list_names_what_is_held [List] else a_list_is_refused
                    "A list names the locks that are held, with their states, and no others.";
                a_list_takes_its_prefix_literally [List] else a_list_is_refused
                    "A list names what begins with its prefix, byte for byte, and nothing else.";
                a_forced_release_frees_what_was_shown [Inspect] else a_forced_release_is_refused
                    "A forced release ends the grant that a status has shown.";
                a_forced_release_touches_nobody_else [Inspect] else a_forced_release_is_refused
                    "A forced release does nothing if somebody else holds the lock by now.";
                a_forced_release_ends_a_min_hold [MinHold, Inspect]
                    "A forced release frees a name that is kept taken for a min_hold.";
                a_forced_release_hands_over_to_the_queue [Queueing, Inspect]
                    "After a forced release the next in the queue has the lock, with a larger fencing token.";
            }
            cancellation {
                an_attempt_given_up_is_undone [] "A grant whose caller is gone is released.";
                an_attempt_without_an_answer_is_undone []
                    "Who gets no usable answer holds nothing; a grant that happened is undone.";
                acquires_dropped_anywhere_leave_nothing [] "An acquire can be dropped at any point.";
                a_wait_given_up_leaves_the_queue [] "A wait that is given up leaves the queue.";
                an_execute_given_up_releases [] "Dropping an execute drops the body and releases.";
                a_body_that_panics_releases [] "A body's panic releases the lock.";
                a_release_given_up_goes_on [] "A release whose future is dropped goes on.";
                a_failed_release_is_tried_again [] "A release without an answer is tried again.";
            }
            runtimes {
                a_runtime_that_stands_still_holds_up_no_other []
                    "No call depends on a runtime that its caller does not run in: one that stands still.";
                a_runtime_that_has_ended_ends_no_call_of_another []
                    "No call depends on a runtime that its caller does not run in: one that has ended.";
            }
            naming {
                names_are_kept_byte_for_byte []
                    "A legal name is kept byte for byte, or refused by check_key as InvalidName.";
                names_that_look_alike_are_different_locks [] "Names that differ in a byte are different locks.";
                the_longest_names_are_kept_whole [] "The longest names are kept whole.";
                names_that_are_not_allowed_are_refused [] "Illegal names are refused up front by everything.";
                a_namespace_is_a_literal_prefix [] "A namespace is a literal prefix.";
                namespaces_separate_services [] "The same name in two namespaces is two locks.";
            }
            fencing {
                fencing_tokens_rise_with_every_grant [Fencing] else no_token_is_made_up
                    "Fencing tokens rise with every grant of a key.";
                fencing_tokens_rise_across_an_expiry [Fencing] "Fencing tokens rise across an expiry.";
                a_grant_leaves_room_for_local_tokens [Fencing] "Fencing tokens leave room for 1,023 local ones.";
                a_repeated_attempt_has_no_smaller_token [Fencing, Repeatable]
                    "The same token again has perhaps a larger fencing token, never a smaller one.";
                fencing_tokens_rise_along_the_queue [Fencing, Queueing]
                    "Fencing tokens rise along the queue, too.";
                a_refusal_costs_no_order [Fencing] "Refusals do not disturb the order of fencing tokens.";
                guards_carry_rising_tokens [Fencing] else no_token_is_made_up
                    "With require_fencing every guard carries a larger token.";
            }
            loss {
                a_lease_is_lost_at_its_deadline [] "A lease is lost at its deadline, and says so.";
                a_loss_is_final [] "A lease that was lost stays lost.";
                a_release_ends_the_lease [] "lost() also ends on release.";
                a_lock_that_vanished_is_lost [Renew] "A lock that the store lost is lost as Removed.";
                a_lock_that_another_took_is_lost [Renew] "A lock that another took is lost as HeldByOther.";
                a_loss_needs_no_answer [Renew] "lost() resolves at the deadline, whatever the network does.";
                a_verification_leaves_a_lease_as_it_is [Renew] else verify_is_refused
                    "A lock that is held is verified, and its lease stays as it was.";
                a_verification_notices_a_lock_that_vanished [Renew] else verify_is_refused
                    "verify finds that nobody owns the lock, and the lease is lost.";
                a_verification_notices_a_lock_that_another_took [Renew] else verify_is_refused
                    "verify finds that another owns the lock, and the lease is lost.";
            }
            execute {
                execute_runs_under_the_lock []
                    "execute holds the lock while its body runs, and not after it has returned.";
                a_body_is_not_run_without_the_lock [] "None: the body was not run.";
                a_value_survives_a_failed_release [] "The body's value comes back whatever the release did.";
                a_body_is_dropped_when_its_lease_is_lost [] "A body is dropped when its lease is lost.";
                a_body_may_finish_after_a_loss [] "With OnLost::Continue a body finishes after a loss.";
                execute_with_lock_is_execute [] "execute_with_lock is execute in one call.";
            }
            several {
                several_locks_are_held_together [] "All locks of a set are held together, and released together.";
                a_set_of_locks_is_all_or_none [] "If another holds one lock of a set, none of the others is held.";
            }
            passing_on {
                a_lock_is_passed_on_by_its_token [Renew] else passing_on_is_refused
                    "Whoever adopts the token of a guard holds its lock; the guard's service does not.";
                a_token_takes_no_lock_that_is_free [Renew] else passing_on_is_refused
                    "A token whose lock is free does not take it.";
                a_token_takes_no_lock_of_another [Renew] else passing_on_is_refused
                    "A token whose lock somebody else holds does not take it.";
            }
            manual_pair {
                the_pair_takes_and_gives_back [] "The pair takes a lock and gives it back, from any task.";
                releasing_what_is_not_held_is_false [] "Releasing what is not held is false.";
                only_its_own_service_releases_a_lock [] "A lock is released by its own service only.";
                a_lock_that_expired_is_not_released [] "Releasing a lock that has expired is false.";
                a_lock_can_be_taken_anew_after_its_expiry [] "A lock that has expired can be taken anew.";
                the_last_clone_releases [] "A lock is released with the last clone of its service.";
                a_lost_answer_is_unknown [] "A release without an answer is Unknown.";
            }
            shutdown {
                a_shutdown_refuses_new_work [] "A service that was shut down refuses new work.";
                a_shutdown_ends_waits [] "A shutdown ends all waits.";
                a_shutdown_leaves_holders_their_grace [] "A shutdown leaves holders their grace.";
                a_shutdown_ends_what_is_left [] "A shutdown ends and releases what is left after the grace.";
                a_shutdown_renews_during_the_grace [Renew] "Leases are renewed during the grace.";
                a_shutdown_releases_manual_locks [] "A shutdown releases manual locks.";
                a_shutdown_leaves_other_services_alone [] "A shutdown touches no other service.";
            }
            options {
                leases_out_of_range_are_refused [] "A ttl that the backend does not accept is refused up front.";
                the_longest_lease_is_granted [] "The longest ttl that the backend accepts is granted.";
                options_that_contradict_are_refused [] "Options that contradict each other are refused up front.";
                a_free_lock_has_no_status [Inspect] else a_status_is_refused "A free lock has no status.";
                a_held_lock_has_a_status [Inspect] else a_status_is_refused "A held lock has a status.";
                a_ping_is_answered [] "A store that works answers a ping.";
                an_error_names_what_it_is_about [] "An error names its operation and its lock.";
            }
        }
    };
}

/// Makes the table of claims.
#[doc(hidden)]
#[macro_export]
macro_rules! __claim_table {
    ({} $($group:ident {
        $($name:ident [$($need:ident),*] $(else $counter:ident)? $text:literal;)*
    })*) => {
        /// Every claim of the suite, in order.
        pub static CLAIMS: &[Claim] = &[$($(Claim {
            group: stringify!($group),
            name: stringify!($name),
            text: $text,
            needs: &[$(Need::$need),*],
            prove: |scene| Box::pin($group::$name(scene)),
            counter: $crate::__counter_claim!($group $($counter)?),
        },)*)*];
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __counter_claim {
    ($group:ident) => {
        None
    };
    ($group:ident $counter:ident) => {
        Some(Counter {
            name: stringify!($counter),
            prove: |scene| Box::pin($group::$counter(scene)),
        })
    };
}

/// Makes a test of each claim.
#[doc(hidden)]
#[macro_export]
macro_rules! __claim_tests {
    ({} $($group:ident {
        $($name:ident [$($need:ident),*] $(else $counter:ident)? $text:literal;)*
    })*) => {
        $(mod $group {
            $(
                #[doc = $text]
                #[test]
                fn $name() {
                    let path = concat!(stringify!($group), "::", stringify!($name));
                    let harness = super::__conformance_harness();
                    $crate::conformance::prove_or_panic(harness, path);
                }
            )*
        })*
    };
}

/// Makes one `#[test]` of each claim of the conformance suite, in modules named after the groups.
///
/// The expression makes a [`Harness`](crate::conformance::Harness); each test evaluates it anew.
/// With a module's name before it the tests stand in a module of that name, so that several
/// harnesses can be run from one file:
///
/// ```
/// use lock_core::memory::MemoryBackend;
/// use lock_testkit::conformance::{Need, OneBackend};
///
/// lock_testkit::conformance_tests!(
///     mod paused: OneBackend::paused(MemoryBackend::new()).lacking([Need::Lateness])
/// );
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! conformance_tests {
    (mod $module:ident : $harness:expr $(,)?) => {
        mod $module {
            #[allow(
                unused_imports,
                reason = "the expression may need what its own module has"
            )]
            use super::*;

            $crate::conformance_tests!($harness);
        }
    };
    ($harness:expr $(,)?) => {
        fn __conformance_harness() -> impl $crate::conformance::Harness {
            $harness
        }

        $crate::__with_all_claims!(__claim_tests {});
    };
}

crate::__with_all_claims!(__claim_table {});

/// The claim at this path, such as `exclusion::a_free_lock_is_granted`.
#[must_use]
pub fn find(path: &str) -> Option<&'static Claim> {
    CLAIMS.iter().find(|claim| claim.path() == path)
}
