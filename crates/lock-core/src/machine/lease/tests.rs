//! What a lease does at each event.

use super::*;
use crate::backend::capabilities::Capabilities;
use crate::machine::attempt::StepAnswer;

const TTL: Duration = Duration::from_secs(30);
const WINDOW: Duration = Duration::from_secs(2);
const FIXED: Terms =
    Terms { ttl: TTL, keep_alive: false, max_hold: None, min_hold: Duration::ZERO };
const KEPT: Terms = Terms { keep_alive: true, ..FIXED };

fn at(millis: u64) -> Instant {
    Instant::ORIGIN + Duration::from_millis(1_000_000 + millis)
}

/// An attempt that was granted `lease` at 0, on a store with this very clock.
fn granted(lease: Duration) -> StoreAttempt {
    let mut attempt = StoreAttempt::new(&Capabilities::none().with_local_clock(true));
    attempt.step_sent(at(0), lease);
    attempt.step_answered(at(0), StepAnswer::Granted { lease });
    attempt
}

fn lease(terms: &Terms) -> Lease {
    Lease::granted(terms, at(0), at(0) + terms.ttl, false, granted(terms.ttl))
}

fn renewal(lease: &mut Lease, now: Instant) -> (Renewal, Duration) {
    match lease.duty(now) {
        Duty::Renew { renewal, within } => (renewal, within),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_fixed_lease_is_looked_at_when_it_ends_and_is_undone_after_the_grace() {
    let mut lease = lease(&FIXED);
    assert_eq!(lease.first_look(at(0)), at(30_000));
    assert_eq!(lease.look(at(29_999)), None);
    assert_eq!(lease.duty(at(30_000)), Duty::LookAgain(at(30_100)));
    assert_eq!(lease.ended(), Some(LeaseEnd::Lost(LossReason::Expired)));
    assert!(matches!(lease.duty(at(30_100)), Duty::Undo(_)));
}

#[test]
fn a_kept_lease_is_renewed_when_a_third_of_it_is_over() {
    let mut lease = lease(&KEPT);
    assert_eq!(lease.first_look(at(0)), at(10_000));
    let (renewal, within) = renewal(&mut lease, at(10_000));
    assert_eq!((renewal.ttl, within), (TTL, Duration::from_secs(5)));
    assert_eq!(lease.renewed(renewal, at(10_000), at(10_050)), Ok(at(20_000)));
    assert_eq!(lease.deadline(), at(40_000));
}

#[test]
fn a_renewal_that_failed_is_tried_again_after_a_quarter_of_what_is_left_within_bounds() {
    let lease = lease(&KEPT);
    assert_eq!(lease.renewal_failed(at(10_000)), at(11_000));
    assert_eq!(lease.renewal_failed(at(28_000)), at(28_500));
    assert_eq!(lease.renewal_failed(at(29_999)), at(30_009));
}

#[test]
fn a_renewal_that_is_confirmed_after_the_deadline_revives_nothing() {
    let mut lease = lease(&KEPT);
    let (renewal, _) = renewal(&mut lease, at(29_000));
    let end = LeaseEnd::Lost(LossReason::Expired);
    assert_eq!(lease.renewed(renewal, at(29_000), at(30_000)), Err(end));
    assert_eq!(lease.look(at(30_001)), Some(end));
}

#[test]
fn a_renewal_sent_before_the_deadline_was_lowered_does_not_raise_it_again() {
    let mut lease = lease(&KEPT);
    let (renewal, _) = renewal(&mut lease, at(10_000));
    lease.extend(at(10_010), Duration::from_secs(5)).unwrap();
    assert_eq!(lease.deadline(), at(15_010));
    assert!(lease.renewed(renewal, at(10_000), at(10_050)).is_ok());
    assert_eq!(lease.deadline(), at(15_010));
}

#[test]
fn only_the_latest_of_two_extensions_sets_the_deadline() {
    let mut lease = lease(&FIXED);
    let first = lease.extend(at(0), Duration::from_secs(100)).unwrap();
    let second = lease.extend(at(1), Duration::from_secs(50)).unwrap();
    assert_eq!(lease.extended(second, at(1), at(20)), Ok(true));
    assert_eq!(lease.extended(first, at(0), at(30)), Ok(true));
    assert_eq!(lease.deadline(), at(50_001));
}

#[test]
fn the_last_extension_says_what_is_kept_up() {
    let mut lease = lease(&KEPT);
    let long = lease.extend(at(0), Duration::from_secs(60)).unwrap();
    lease.extended(long, at(0), at(10)).unwrap();
    let (first, _) = renewal(&mut lease, at(10_000));
    assert_eq!(first.ttl, Duration::from_secs(60));
    assert_eq!(lease.renewed(first, at(10_000), at(10_010)), Ok(at(30_000)));
    let short = lease.extend(at(11_000), Duration::from_secs(1)).unwrap();
    assert_eq!(short.look_at, Some(at(11_000) + Duration::from_secs(1) / 3));
    assert_eq!(lease.deadline(), at(12_000));
    lease.extended(short, at(11_000), at(11_010)).unwrap();
    let (second, _) = renewal(&mut lease, at(11_333));
    assert_eq!(second.ttl, Duration::from_secs(1));
    lease.renewed(second, at(11_333), at(11_340)).unwrap();
    assert_eq!(lease.deadline(), at(12_333));
}

#[test]
fn a_shorter_lease_counts_before_it_is_sent_with_the_allowance_for_drift() {
    let mut attempt = StoreAttempt::new(&Capabilities::none());
    attempt.step_sent(at(0), TTL);
    attempt.step_answered(at(0), StepAnswer::Granted { lease: TTL });
    let mut lease = Lease::granted(&FIXED, at(0), attempt.valid_until(), false, attempt);
    let short = lease.extend(at(0), Duration::from_secs(1)).unwrap();
    assert_eq!(lease.deadline(), at(988));
    lease.extended(short, at(0), at(500)).unwrap();
    assert_eq!(lease.deadline(), at(988));
    assert_eq!(lease.give_up(at(500)).unwrap().attempt.valid_until(), at(988));
}

/// The short one may be on its way still, and arrive after everything that was sent later.
#[test]
fn while_a_shorter_lease_is_unanswered_nothing_longer_is_believed() {
    let late_after = Duration::from_secs(2);
    let mut attempt =
        StoreAttempt::new(&Capabilities::none().with_local_clock(true).with_late_after(late_after));
    attempt.step_sent(at(0), TTL);
    attempt.step_answered(at(0), StepAnswer::Granted { lease: TTL });
    let mut lease = Lease::granted(&KEPT, at(0), at(30_000), false, attempt);
    lease.extend(at(0), Duration::from_secs(5)).unwrap();
    lease.extension_failed(at(1_000));
    let long = lease.extend(at(2_000), TTL).unwrap();
    assert_eq!(lease.extended(long, at(2_000), at(2_010)), Ok(false));
    assert_eq!(lease.deadline(), at(7_000));
    // A lease is not handed over that may change under the next task.
    assert_eq!(lease.clone().give_up(at(2_999)).unwrap().handover, None);
    // Now the store refuses it.
    let long = lease.extend(at(3_000), TTL).unwrap();
    assert_eq!(lease.extended(long, at(3_000), at(3_010)), Ok(true));
    assert_eq!(lease.deadline(), at(33_000));
}

#[test]
fn a_renewal_that_an_extension_overtook_is_not_believed_and_is_sent_again() {
    let mut lease = Lease::granted(&FIXED, at(0), at(2_000), true, granted(WINDOW));
    let (claim, _) = renewal(&mut lease, at(600));
    let long = lease.extend(at(610), TTL * 2).unwrap();
    let again = lease.renewed(claim, at(600), at(620)).unwrap();
    assert!(again < at(1_000) && lease.deadline() == at(2_000), "{again:?}");
    // The extension gets no answer: the window is still to be claimed.
    lease.extension_failed(at(630));
    assert!(matches!(lease.duty(again), Duty::Renew { .. }));
    assert_ne!(long.asked, TTL);
}

#[test]
fn an_extension_leaves_the_store_s_lease_as_long_as_min_hold() {
    let mut lease = lease(&Terms { min_hold: Duration::from_secs(20), ..FIXED });
    let short = lease.extend(at(5_000), Duration::from_secs(1)).unwrap();
    assert_eq!(short.asked, Duration::from_secs(15));
    assert_eq!(lease.extended(short, at(5_000), at(5_010)), Ok(true));
    assert_eq!(lease.deadline(), at(6_000));
}

#[test]
fn nothing_extends_a_lease_beyond_max_hold() {
    let max = Duration::from_secs(40);
    let mut lease = lease(&Terms { max_hold: Some(max), ..KEPT });
    let (renewal, _) = renewal(&mut lease, at(20_000));
    lease.renewed(renewal, at(20_000), at(20_000)).unwrap();
    assert_eq!(lease.deadline(), at(40_000));
    assert_eq!(lease.duty(at(25_000)), Duty::LookAgain(at(40_000)));
    assert_eq!(lease.look(at(40_000)), Some(LeaseEnd::Lost(LossReason::MaxHold)));
}

#[test]
fn a_window_is_claimed_up_to_the_lease_that_was_asked_for() {
    let mut lease = Lease::granted(&FIXED, at(0), at(2_000), true, granted(WINDOW));
    assert_eq!(lease.first_look(at(0)), at(0) + WINDOW / 3);
    let (renewal, _) = renewal(&mut lease, at(1_000));
    assert_eq!(renewal.ttl, Duration::from_secs(29));
    lease.renewed(renewal, at(1_000), at(1_010)).unwrap();
    assert_eq!(lease.deadline(), at(30_000));
    assert_eq!(lease.duty(at(2_000)), Duty::LookAgain(at(30_000)));
}

#[test]
fn an_offer_lapses_unless_it_is_accepted_in_time() {
    let offer = || Lease::handed_over(&FIXED, at(1_000), granted(TTL));
    let mut accepted = offer();
    assert_eq!(accepted.deadline(), at(1_000) + OFFER);
    assert!(accepted.accept(at(2_999)));
    assert_eq!(accepted.deadline(), at(30_000));
    let mut late = offer();
    assert!(!late.accept(at(3_000)));
    assert_eq!(late.ended(), Some(LeaseEnd::Lost(LossReason::Expired)));
}

#[test]
fn a_handed_over_lease_is_never_longer_than_what_the_next_task_asked_for() {
    let brief = Terms { ttl: Duration::from_secs(5), ..FIXED };
    let mut lease = Lease::handed_over(&brief, at(1_000), granted(TTL));
    assert!(lease.accept(at(1_000)));
    assert_eq!(lease.deadline(), at(6_000));
}

#[test]
fn an_offer_is_not_renewed_before_it_is_accepted() {
    let mut lease = Lease::handed_over(&KEPT, at(1_000), granted(TTL));
    assert!(matches!(lease.duty(at(1_100)), Duty::LookAgain(_)));
    assert!(lease.accept(at(1_200)));
    assert!(matches!(lease.duty(at(1_200)), Duty::Renew { .. }));
}

#[test]
fn what_is_left_of_a_lost_lease_is_undone_after_a_grace_and_once() {
    let mut lease = lease(&FIXED);
    lease.lose(LossReason::Removed);
    assert_eq!(lease.duty(at(10)), Duty::LookAgain(at(110)));
    assert!(matches!(lease.duty(at(110)), Duty::Undo(_)));
    assert_eq!(lease.duty(at(300)), Duty::Nothing);
    assert_eq!(lease.give_up(at(300)), None);
}

#[test]
fn the_grace_begins_when_the_loss_is_known_and_not_again_at_the_next_look() {
    let mut lease = lease(&KEPT);
    lease.lose(LossReason::HeldByOther);
    assert_eq!(lease.undo_at(at(10)), at(110));
    assert!(matches!(lease.duty(at(110)), Duty::Undo(_)));
}

#[test]
fn a_lease_is_handed_over_only_if_it_was_held_confirmed_and_beyond_min_hold() {
    let min_hold = Duration::from_secs(10);
    let given_up = |mut lease: Lease, now| lease.give_up(now).unwrap();
    assert_eq!(given_up(lease(&FIXED), at(1_000)).handover, Some(Duration::from_secs(29)));
    assert_eq!(given_up(lease(&FIXED), at(30_000)).handover, None);
    let resting = given_up(lease(&Terms { min_hold, ..FIXED }), at(9_999));
    assert_eq!((resting.handover, resting.min_hold_end), (None, at(10_000)));
    let mut unconfirmed = lease(&KEPT);
    renewal(&mut unconfirmed, at(10_000));
    assert_eq!(given_up(unconfirmed, at(10_001)).handover, None);
}

#[test]
fn a_lost_lease_does_not_keep_its_name_taken() {
    let mut lost = lease(&Terms { min_hold: TTL, ..FIXED });
    lost.lose(LossReason::HeldByOther);
    assert_eq!(lost.give_up(at(1)).unwrap().min_hold_end, Instant::ORIGIN);
    let mut shut_down = lease(&Terms { min_hold: TTL, ..FIXED });
    shut_down.lose(LossReason::ShutDown);
    assert_eq!(shut_down.give_up(at(1)).unwrap().min_hold_end, at(30_000));
}
