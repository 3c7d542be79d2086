//! What one token does with its store, event by event.

use super::*;

const TTL: Duration = Duration::from_secs(10);
const LATE: Duration = Duration::from_secs(2);

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn asked(millis: u64) -> StoreAttempt {
    let mut attempt = StoreAttempt::new(&Capabilities::none().with_late_after(LATE));
    attempt.step_sent(at(millis), TTL);
    attempt
}

const GRANTED: StepAnswer = StepAnswer::Granted { lease: TTL };

#[test]
fn the_deadline_counts_from_the_sending_and_allows_for_drift() {
    let mut attempt = asked(1_000);
    // 10 s from the sending at 1 s, less 1 % and 2 ms.
    let valid_until = at(1_000 + 10_000 - 102);
    assert_eq!(attempt.step_answered(at(3_000), GRANTED), Verdict::Hold { valid_until });
}

#[test]
fn a_grant_that_arrives_past_its_deadline_is_undone() {
    let mut attempt = asked(0);
    assert_eq!(attempt.step_answered(at(9_898), GRANTED), Verdict::TooLate);
    assert_eq!(attempt.next(at(9_898)), Next::SendRelease);
}

#[test]
fn a_refused_attempt_leaves_nothing_to_undo() {
    let mut attempt = asked(0);
    assert_eq!(attempt.step_answered(at(1), StepAnswer::Held), Verdict::Refused);
    attempt.leave(at(1));
    assert_eq!(attempt.next(at(1)), Next::Done);
}

#[test]
fn an_abandoned_step_is_awaited_and_its_grant_undone_once() {
    let mut attempt = asked(0);
    attempt.leave(at(1));
    assert_eq!(attempt.next(at(1)), Next::AwaitStep);
    assert_eq!(attempt.step_answered(at(2), GRANTED), Verdict::Abandoned);
    assert_eq!(attempt.next(at(2)), Next::SendRelease);
    attempt.release_sent(at(2));
    attempt.release_answered(ReleaseReply::Released);
    assert_eq!(attempt.next(at(3)), Next::Done);
}

#[test]
fn a_step_in_doubt_costs_a_second_release_after_it_can_run_no_more() {
    let mut attempt = asked(0);
    attempt.step_failed(false);
    attempt.leave(at(100));
    attempt.release_sent(at(100));
    attempt.release_answered(ReleaseReply::Released);
    assert_eq!(attempt.next(at(200)), Next::WaitUntil(at(2_000)));
    assert_eq!(attempt.next(at(2_000)), Next::SendRelease);
    attempt.release_sent(at(2_000));
    attempt.release_answered(ReleaseReply::NotHeld);
    assert_eq!(attempt.next(at(2_001)), Next::Done);
}

#[test]
fn a_step_that_was_not_sent_needs_no_release() {
    let mut attempt = asked(0);
    attempt.step_failed(true);
    attempt.leave(at(1));
    assert_eq!(attempt.next(at(1)), Next::Done);
}

#[test]
fn a_release_is_repeated_with_growing_pauses_until_the_lease_is_over() {
    let mut attempt = asked(0);
    attempt.step_answered(at(1), GRANTED);
    attempt.leave(at(1));
    attempt.release_sent(at(1));
    attempt.release_failed(at(2_001));
    assert_eq!(attempt.next(at(2_001)), Next::WaitUntil(at(2_051)));
    attempt.release_sent(at(2_051));
    attempt.release_failed(at(4_051));
    assert_eq!(attempt.next(at(4_051)), Next::WaitUntil(at(4_151)));
    assert_eq!(attempt.next(at(14_103)), Next::Done);
}

#[test]
fn a_place_in_line_is_left_however_long_the_wait_was() {
    let mut attempt = asked(0);
    attempt.step_answered(at(1), StepAnswer::Queued);
    attempt.leave(at(3_600_000));
    assert_eq!(attempt.next(at(3_600_000)), Next::SendRelease);
}

#[test]
fn a_place_in_line_is_given_up_when_the_line_and_a_turn_in_it_are_surely_over() {
    let mut attempt = asked(0);
    attempt.step_answered(at(1), StepAnswer::Queued);
    attempt.leave(at(3_600_000));
    attempt.release_sent(at(3_600_000));
    attempt.release_failed(at(3_602_000));
    // 60 s of the line, 10 s of the lease, their drift, and twice the lateness.
    let gone_at = 3_600_000 + 70_000 + 702 + 4_000;
    assert_eq!(attempt.next(at(gone_at - 1)), Next::SendRelease);
    assert_eq!(attempt.next(at(gone_at)), Next::Done);
}

#[test]
fn a_step_in_doubt_that_may_stand_in_line_is_released_for_as_long_as_a_line_lasts() {
    let capabilities = Capabilities::none().with_late_after(LATE).with_queueing(true);
    let mut attempt = StoreAttempt::new(&capabilities);
    attempt.step_sent(at(0), TTL);
    attempt.step_failed(false);
    attempt.leave(at(1));
    let gone_at = 70_000 + 702 + 4_000;
    assert_eq!(attempt.next(at(gone_at - 1)), Next::SendRelease);
    assert_eq!(attempt.next(at(gone_at)), Next::Done);
}

#[test]
fn a_renewal_keeps_the_release_going_for_as_long_as_it_can_have_set_the_lease() {
    let mut attempt = asked(0);
    attempt.step_answered(at(1), GRANTED);
    attempt.renewal_sent(at(1), TTL);
    attempt.leave(at(2));
    // It runs up to 8 s late.
    let gone_at = 1 + 8_000 + 10_000 + 102;
    assert_eq!(attempt.next(at(gone_at - 1)), Next::SendRelease);
    assert_eq!(attempt.next(at(gone_at)), Next::Done);
}

#[test]
fn renewals_that_got_no_answer_long_ago_do_not_keep_the_release_going() {
    let mut attempt = asked(0);
    attempt.step_answered(at(1), GRANTED);
    // One that gets no answer and one that does, every 3 s for an hour.
    for second in (3..3_600).step_by(3) {
        attempt.renewal_sent(at(second * 1_000), TTL);
        attempt.renewal_sent(at(second * 1_000), TTL);
        attempt.renewed(at(second * 1_000), TTL);
    }
    attempt.leave(at(3_600_000));
    // The last one was sent at 3,597 s. It can run 8 s later, and then stands for 10 s.
    let gone_at = 3_597_000 + 8_000 + 10_000 + 102;
    assert_eq!(attempt.next(at(gone_at - 1)), Next::SendRelease);
    assert_eq!(attempt.next(at(gone_at)), Next::Done);
}

#[test]
fn after_an_unanswered_release_no_later_answer_is_taken_for_its_own() {
    for reply in [ReleaseReply::Released, ReleaseReply::NotHeld, ReleaseReply::HeldByOther] {
        let mut attempt = asked(0);
        attempt.step_answered(at(1), GRANTED);
        attempt.leave(at(1));
        attempt.release_sent(at(1));
        attempt.release_failed(at(2));
        attempt.release_sent(at(60));
        attempt.release_answered(reply);
        assert_eq!(attempt.outcome(), Some(ReleaseOutcome::Unknown));
    }
}

#[test]
fn a_renewal_never_lowers_the_bound() {
    let mut attempt = asked(0);
    attempt.step_answered(at(1), GRANTED);
    let before = attempt.valid_until();
    assert_eq!(attempt.renewed(at(10), Duration::from_secs(1)), before);
    assert!(attempt.renewed(at(10), Duration::from_secs(60)) > before);
}

#[test]
fn news_for_a_finished_token_starts_a_new_undo() {
    let mut attempt = asked(0);
    attempt.step_answered(at(1), GRANTED);
    attempt.leave(at(1));
    attempt.release_sent(at(1));
    attempt.release_answered(ReleaseReply::Released);
    assert_eq!(attempt.next(at(2)), Next::Done);
    assert_eq!(attempt.pushed(at(3), TTL, at(0)), Verdict::Abandoned);
    assert_eq!(attempt.next(at(3)), Next::SendRelease);
}
