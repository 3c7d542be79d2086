//! What a backend can do wrong, and the claim that rejects it.

macro_rules! defects {
    ($($(#[$doc:meta])* $defect:ident => $claim:literal,)*) => {
        /// One thing that a backend can do wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Defect {
            $($(#[$doc])* $defect,)*
        }

        impl Defect {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$defect,)*];

            /// The path of the claim that names this defect, and must fail because of it.
            #[must_use]
            pub const fn rejected_by(self) -> &'static str {
                match self {
                    $(Self::$defect => $claim,)*
                }
            }
        }
    };
}

defects! {
    /// Grants a lock that another token owns.
    GrantsTwice => "exclusion::a_held_lock_is_refused_to_others",
    /// Looks whether the lock is free, and takes it in a second step.
    ChecksThenSets => "exclusion::of_many_at_once_one_is_granted",
    /// An attempt that is refused, and did not ask to, is queued all the same.
    RefusalStaysQueued => "exclusion::a_refusal_leaves_nothing_behind",
    /// Tells the holder who asks again that the lock is held.
    HeldByItself => "exclusion::a_repeated_attempt_finds_its_own_grant",
    /// Leaves the lease as it was when its holder asks again.
    RepeatDoesNotRaise => "exclusion::a_repeated_attempt_raises_the_lease",
    /// Answers an attempt only when the holder's lease is over.
    WaitsForTheLock => "exclusion::an_attempt_does_not_wait_for_the_lock",
    /// Answers a grant when its lease is over.
    GrantsLate => "exclusion::a_grant_arrives_before_its_lease_ends",
    /// Acts on attempts however late they are.
    ActsOnLateAttempts => "exclusion::a_late_attempt_is_not_applied",
    /// Never answers an attempt.
    NeverAnswers => "exclusion::a_free_lock_is_granted",
    /// Panics in an attempt.
    Panics => "exclusion::a_free_lock_is_granted",
    /// Knows one lock only.
    OneLockForAll => "exclusion::two_locks_do_not_exclude_each_other",

    /// Leases never end.
    NeverExpires => "expiry::a_lease_ends_by_itself",
    /// Leases end after half their time.
    ExpiresEarly => "expiry::a_lease_does_not_end_early",
    /// Says that it granted twice the lease that it set.
    PromisesTooMuch => "expiry::the_local_deadline_is_not_behind_the_stores",
    /// A status shows twice the time that is left.
    StatusShowsTooMuchTime => "expiry::a_status_tells_the_time_that_is_left",
    /// A status shows the last holder when its lease is over.
    StatusShowsThePast => "expiry::an_expired_lock_has_no_holder",

    /// A renewal leaves the lease as it was.
    RenewalDoesNothing => "renewal::a_renewal_raises_the_expiry",
    /// A renewal sets the lease, also to less than is left.
    RenewalShortens => "renewal::a_renewal_never_shortens",
    /// A renewal never shortens a lease, also where it is to set it.
    ExactRenewalOnlyRaises => "renewal::an_exact_renewal_sets_the_expiry",
    /// Renewals are answered in the wrong order.
    RenewalsOutOfOrder => "renewal::renewals_are_answered_in_order",
    /// Only the first 500 renewals of a batch are done and answered.
    RenewsTooFew => "renewal::a_large_batch_is_answered_in_full",
    /// A renewal brings a lease back whose time was over.
    RenewalRevivesExpired => "renewal::a_renewal_never_takes_an_expired_lock",
    /// A renewal brings a lease back that was released.
    RenewalRevivesReleased => "renewal::a_renewal_never_revives_a_released_lock",
    /// A renewal takes the lock from whoever holds it.
    RenewalTakesAnothers => "renewal::a_renewal_never_takes_anothers_lock",

    /// A release does not look whose lock it is.
    NoOwnerCheck => "release::a_release_touches_nobody_elses_lock",
    /// A release says that it was done, and was not.
    ForgetsReleases => "release::a_released_lock_is_free_at_once",
    /// The release of an unknown token is an error.
    UnknownTokenIsAnError => "release::releasing_an_unknown_token_is_an_answer",
    /// A release that is repeated says that it was done again.
    RepeatedReleaseLies => "release::a_release_can_be_repeated",
    /// A release frees the lock at once, whatever its `min_hold`.
    IgnoresTheRest => "release::a_release_with_min_hold_keeps_the_name_taken",
    /// The last holder of a lock that rests gets it again.
    RestIsNoEnd => "release::a_name_that_is_kept_taken_is_nobodys",

    /// Says that it queues, and does not.
    NeverQueues => "waiting::a_held_lock_queues_who_asks_to",
    /// Serves the last in the queue first.
    ServesTheLastFirst => "waiting::waiters_are_granted_in_order_of_arrival",
    /// Whoever asks again goes to the end of the queue.
    AskingAgainLosesThePlace => "waiting::asking_again_keeps_the_place",
    /// The queue is never served: no wake comes, and asking again does not help.
    ForgetsTheQueue => "waiting::a_waiter_is_granted_without_its_wake",
    /// Grants the lock to waiters that are gone.
    ServesTheGone => "waiting::a_waiter_that_is_gone_is_skipped",
    /// A release does not leave the queue.
    ReleaseStaysQueued => "waiting::a_release_leaves_the_queue",
    /// A status counts nobody in the queue.
    StatusCountsNobody => "waiting::a_status_counts_the_queue",

    /// A status names no holder.
    StatusNamesNobody => "holders::a_status_names_the_holder",
    /// A status names whoever held the lock first.
    StatusNamesTheFirst => "holders::a_status_names_the_holder",
    /// A status names those who are queued in the order of their tokens.
    StatusSortsTheQueue => "holders::a_status_names_those_who_wait",
    /// A status does not tell a lock that rests from one that is held.
    StatusHidesTheRest => "holders::a_status_says_that_a_holder_has_released",

    /// A list leaves the last lock out.
    ListLeavesOneOut => "tools::a_list_names_what_is_held",
    /// A list takes its prefix for a pattern.
    ListTakesPatterns => "tools::a_list_takes_its_prefix_literally",
    /// A forced release says that it was done, and was not.
    EvictsNobody => "tools::a_forced_release_frees_what_was_shown",
    /// A forced release ends the grant of whoever holds the lock.
    EvictsWhoeverHolds => "tools::a_forced_release_touches_nobody_else",
    /// A forced release leaves a name taken for its `min_hold`.
    EvictionLeavesTheRest => "tools::a_forced_release_ends_a_min_hold",
    /// A forced release lets fencing tokens begin anew.
    EvictionLowersFencing => "tools::a_forced_release_hands_over_to_the_queue",

    /// Its connection is driven by the newest of the runtimes that have called.
    TiedToARuntime => "runtimes::a_runtime_that_stands_still_holds_up_no_other",

    /// Trims names, and folds their case.
    ManglesNames => "naming::names_that_look_alike_are_different_locks",
    /// Cuts names after 200 bytes.
    CutsNames => "naming::the_longest_names_are_kept_whole",
    /// Uses only what follows the last colon of a name.
    DropsTheNamespace => "naming::namespaces_separate_services",
    /// Refuses some names, but not as names.
    RefusesNamesUnclearly => "naming::names_are_kept_byte_for_byte",

    /// Every grant has the same fencing token.
    FencingRepeats => "fencing::fencing_tokens_rise_with_every_grant",
    /// Fencing tokens begin anew when a lease has expired.
    FencingFalls => "fencing::fencing_tokens_rise_across_an_expiry",
    /// Fencing tokens follow each other without room between them.
    FencingLeavesNoRoom => "fencing::a_grant_leaves_room_for_local_tokens",
    /// Whoever asks again gets a smaller fencing token.
    RepeatLowersFencing => "fencing::a_repeated_attempt_has_no_smaller_token",
    /// Grants along the queue carry no fencing token.
    QueueIsNotFenced => "fencing::fencing_tokens_rise_along_the_queue",
    /// A refusal sets the fencing tokens back.
    RefusalLowersFencing => "fencing::a_refusal_costs_no_order",

    /// A free lock has a status.
    StatusShowsFreeLocks => "options::a_free_lock_has_no_status",
    /// A held lock has none.
    StatusHidesHeldLocks => "options::a_held_lock_has_a_status",
    /// A ping fails.
    PingFails => "options::a_ping_is_answered",
    /// Leases longer than an hour are over at once.
    LongLeasesOverflow => "options::the_longest_lease_is_granted",
}
