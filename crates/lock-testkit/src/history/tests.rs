//! Planted violations are found, clean histories pass.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// A lease of worker 1 that was asked for when it was granted and released in time.
fn lease(granted_at: u64, ended_at: u64, token: u64) -> Lease {
    Lease {
        process: "p".into(),
        worker: 1,
        name: "n".into(),
        token: Some(token),
        asked_at: granted_at,
        granted_at,
        valid_until: ended_at,
        end: Some((ended_at, Ended::Released)),
    }
}

fn attempt(answer: Option<(u64, Told)>) -> Attempt {
    Attempt { process: "p".into(), worker: 2, name: "n".into(), asked_at: 0, answer }
}

fn violations(leases: Vec<Lease>, attempts: Vec<Attempt>, claims: &Claims) -> Vec<Violation> {
    History { leases, attempts }.check(claims).violations
}

/// The one violation of these leases, as it prints.
fn only(leases: Vec<Lease>, claims: &Claims) -> String {
    let found = violations(leases, Vec::new(), claims);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].to_string()
}

#[test]
fn leases_that_touch_or_have_other_names_do_not_overlap() {
    let mut other = lease(5, 15, 1);
    other.name = "other".into();
    let leases = vec![lease(10, 20, 2), lease(0, 10, 1), other];
    assert_eq!(violations(leases, Vec::new(), &Claims::new()), []);
}

#[test]
fn an_overlap_names_both_leases_and_its_length() {
    assert_eq!(
        only(vec![lease(7, 20, 2), lease(0, 10, 1)], &Claims::new()),
        "n: two leases were valid together for 3 ns: \
         [p/1 granted at 0, valid until 10, released at 10, token 1] and \
         [p/1 granted at 7, valid until 20, released at 20, token 2]"
    );
}

#[test]
fn a_long_lease_is_found_behind_many_short_ones() {
    let long = lease(0, 1000, 99);
    let short = (1..50).map(|at| lease(at * 10, at * 10 + 1, 100 + at));
    let found = violations(short.chain([long]).collect(), Vec::new(), &Claims::new());
    let overlaps = found.iter().filter(|found| matches!(found, Violation::Overlap { .. }));
    assert_eq!((overlaps.count(), found.len()), (49, 49));
}

#[test]
fn a_lease_is_valid_until_its_deadline_or_its_end_whichever_comes_first() {
    let expired = Lease { valid_until: 5, end: Some((50, Ended::Lost)), ..lease(0, 50, 1) };
    let released_early = Lease { valid_until: 90, ..lease(5, 10, 2) };
    let killed = Lease { end: None, valid_until: 20, ..lease(10, 20, 3) };
    let late = Lease { valid_until: 12, end: Some((30, Ended::Lost)), ..lease(15, 30, 4) };
    let leases = vec![expired, released_early, killed, late];
    assert_eq!(violations(leases, Vec::new(), &Claims::new()), []);
    let killed = Lease { end: None, valid_until: 21, ..lease(10, 21, 3) };
    assert!(only(vec![killed, lease(20, 30, 4)], &Claims::new()).contains("for 1 ns"));
}

#[test]
fn tokens_that_fall_are_found_also_long_after() {
    let found = only(vec![lease(0, 1, 9), lease(1, 2, 10), lease(50, 60, 8)], &Claims::new());
    assert!(found.starts_with("n: fencing tokens fall: [p/1 granted at 1"), "{found}");
}

#[test]
fn tokens_that_repeat_are_found_without_any_order() {
    let empty = Lease { valid_until: 40, end: Some((70, Ended::Lost)), ..lease(60, 70, 7) };
    let found = only(vec![lease(0, 10, 7), lease(20, 30, 8), empty], &Claims::new());
    assert!(found.starts_with("n: a fencing token repeats"), "{found}");
}

#[test]
fn a_missing_token_is_found_where_tokens_are_claimed() {
    let plain = || vec![Lease { token: None, ..lease(0, 1, 0) }];
    assert_eq!(violations(plain(), Vec::new(), &Claims::new()), []);
    let found = only(plain(), &Claims::new().require_tokens());
    assert!(found.contains("no fencing token"), "{found}");
}

#[test]
fn an_attempt_without_an_answer_is_found_unless_its_process_was_killed() {
    let unanswered = || vec![attempt(None)];
    let found = violations(Vec::new(), unanswered(), &Claims::new());
    assert_eq!(found[0].to_string(), "n: an attempt was never answered: [p/2 asked at 0]");
    assert_eq!(violations(Vec::new(), unanswered(), &Claims::new().killed("p")), []);
    let told = vec![attempt(Some((3, Told::Failed("no route".into()))))];
    assert_eq!(violations(Vec::new(), told, &Claims::new()), []);
}

#[test]
fn waiting_longer_than_claimed_is_found_for_served_and_told() {
    let claims = Claims::new().longest_wait(Duration::from_nanos(10));
    let served = |at| Lease { asked_at: 0, ..lease(at, 30, 1) };
    let told = |at| attempt(Some((at, Told::TimedOut)));
    assert_eq!(violations(vec![served(10)], vec![told(10)], &claims), []);
    let found = violations(vec![served(11)], vec![told(12)], &claims);
    assert!(matches!(found[0], Violation::ServedLate { waited_ns: 11, .. }), "{found:?}");
    assert!(matches!(found[1], Violation::ToldLate { waited_ns: 12, .. }), "{found:?}");
}

#[test]
fn use_after_the_deadline_is_found_and_being_told_of_the_loss_is_not() {
    let late = |how| vec![Lease { end: Some((13, how)), ..lease(0, 10, 1) }];
    let found = only(late(Ended::Released), &Claims::new());
    assert!(found.starts_with("n: a lease was used 3 ns after its deadline"), "{found}");
    let tolerant = Claims::new().tolerate_late_use(Duration::from_nanos(3));
    assert_eq!(violations(late(Ended::Released), Vec::new(), &tolerant), []);
    assert_eq!(violations(late(Ended::Lost), Vec::new(), &Claims::new()), []);
}

#[test]
fn times_that_do_not_rise_are_found() {
    let found = only(vec![Lease { asked_at: 5, ..lease(0, 10, 1) }], &Claims::new());
    assert!(found.contains("do not rise (asked at 5)"), "{found}");
}

#[test]
fn fairness_is_one_for_equal_shares_and_one_nth_for_a_monopoly() {
    let by = |worker, at| Lease { worker, asked_at: 0, ..lease(at, at + 1, at) };
    let equal = History { leases: vec![by(1, 3), by(2, 5)], attempts: Vec::new() }.fairness();
    assert!((equal.jain_index - 1.0).abs() < 1e-9);
    assert_eq!(equal.longest_wait, Duration::from_nanos(5));
    let refused = attempt(Some((1, Told::Refused)));
    let unequal = History { leases: vec![by(1, 3)], attempts: vec![refused] }.fairness();
    assert!((unequal.jain_index - 0.5).abs() < 1e-9, "{unequal}");
    assert!((History::default().fairness().jain_index - 1.0).abs() < 1e-9);
}

#[test]
fn a_long_report_is_cut_short() {
    let leases = (0..30).map(|token| lease(0, 10, token)).collect();
    let report = History { leases, attempts: Vec::new() }.check(&Claims::new());
    assert!(report.to_string().ends_with("and 9 more"), "{report}");
}

/// Runs workers that take turns on a mutex, and records them.
fn contend(recorder: &Recorder, workers: u64, mutex: &Mutex<u64>) {
    std::thread::scope(|scope| {
        for worker in 0..workers {
            scope.spawn(move || {
                for _ in 0..50 {
                    let asked = recorder.ask(worker, "mutex");
                    let mut token = mutex.lock().unwrap();
                    *token += 1;
                    let held = asked.granted(Some(*token), || Duration::from_secs(60));
                    held.renewed(|| Duration::from_secs(90));
                    held.ended(Ended::Released);
                }
                recorder.ask(worker, "mutex").told(Told::Refused);
            });
        }
    });
}

#[test]
fn a_mutex_passes_in_one_file_of_two_processes() {
    let mutex = Mutex::new(0);
    let (first, second) = (Recorder::new("first"), Recorder::new("second"));
    std::thread::scope(|scope| {
        scope.spawn(|| contend(&first, 3, &mutex));
        contend(&second, 2, &mutex);
    });
    let mut lines = Vec::new();
    first.write_lines(&mut lines).unwrap();
    second.write_lines(&mut lines).unwrap();
    let history = History::read_lines(lines.as_slice()).unwrap();
    let report = history.check(&Claims::new().require_tokens());
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.leases, report.attempts, report.fairness.shares.len()), (250, 5, 5));
    let mut merged = first.history();
    merged.merge(second.history());
    assert_eq!(merged, history);
}

#[derive(Clone, Default)]
struct SharedFile(Arc<Mutex<Vec<u8>>>);

impl Write for SharedFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_killed_process_leaves_what_it_saw() {
    let file = SharedFile::default();
    let recorder = Recorder::with_writer("victim", file.clone());
    let _asked = recorder.ask(1, "n");
    let _held = recorder.ask(2, "n").granted(None, || Duration::from_secs(1));
    let mut lines = file.0.lock().unwrap().clone();
    lines.extend_from_slice(br#"{"process":"victim","att"#);
    let history = History::read_lines(lines.as_slice()).unwrap();
    assert_eq!((history.attempts.len(), history.leases[0].end), (1, None));
    assert!(history.check(&Claims::new().killed("victim")).is_clean());
    recorder.flush().unwrap();
}

struct FullDisk;

impl Write for FullDisk {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failing_writer_is_reported_once() {
    let recorder = Recorder::with_writer("p", FullDisk);
    recorder.ask(1, "n").told(Told::Cancelled);
    recorder.flush().unwrap_err();
    recorder.flush().unwrap();
    assert_eq!(recorder.history().attempts.len(), 1);
}

#[test]
fn a_lease_whose_task_fell_over_ends_as_dropped() {
    let recorder = Recorder::new("p");
    drop(recorder.ask(1, "n").granted(Some(1), || Duration::from_secs(1)));
    let end = recorder.history().leases[0].end;
    assert!(matches!(end, Some((_, Ended::Dropped))), "{end:?}");
}

#[test]
fn broken_lines_and_misplaced_events_are_named() {
    let asked = r#"{"process":"p","attempt":0,"event":"asked","worker":1,"name":"n","at":5}"#;
    let error = History::read_lines(format!("{asked}\nnonsense\n").as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "line 2 of a recorded history is not an event");
    let error = History::read_lines(format!("{asked}\n{asked}\n").as_bytes()).unwrap_err();
    assert!(error.to_string().contains("attempt 0 of process \"p\""), "{error}");
}

#[test]
fn hundreds_of_thousands_of_records_are_checked() {
    let mut leases: Vec<_> = (0..300_000).map(|n| lease(n * 10, n * 10 + 10, n)).collect();
    let history = History { leases: leases.clone(), attempts: Vec::new() };
    assert!(history.check(&Claims::new()).is_clean());
    leases.push(Lease { name: "n".into(), ..lease(1_500_003, 1_500_004, 1_000_000) });
    let found = violations(leases, Vec::new(), &Claims::new());
    assert!(matches!(found[0], Violation::Overlap { by_ns: 1, .. }), "{:?}", found[0]);
}

/// Leases of two names, each after the one before, with tokens that rise; in any order.
fn clean_leases() -> impl Strategy<Value = Vec<Lease>> {
    let steps =
        proptest::collection::vec((0..5_u64, 1..20_u64, 0..9_u64, 1..4_u64, 0..2_u8), 1..60);
    let leases = steps.prop_map(|steps| {
        let (mut at, mut token) = ([0; 2], [0; 2]);
        let leases = steps.into_iter().map(|(gap, length, unused, rise, name)| {
            let index = usize::from(name);
            let granted_at = at[index] + gap;
            at[index] = granted_at + length;
            token[index] += rise;
            let lease = lease(granted_at, at[index], token[index]);
            Lease { name: name.to_string(), valid_until: at[index] + unused, ..lease }
        });
        leases.collect::<Vec<_>>()
    });
    leases.prop_shuffle()
}

/// Leases without any rule.
fn wild_leases() -> impl Strategy<Value = Vec<Lease>> {
    let times = (0..60_u64, 0..9_u64, 0..30_u64);
    let wild = times.prop_map(|(at, length, token)| lease(at, at + length, token));
    proptest::collection::vec(wild, 0..25)
}

fn overlap(a: &Lease, b: &Lease) -> bool {
    a.granted_at.max(b.granted_at) < a.valid_end().min(b.valid_end())
}

proptest! {
    #[test]
    fn a_clean_history_passes(leases in clean_leases()) {
        prop_assert_eq!(violations(leases, Vec::new(), &Claims::new().require_tokens()), []);
    }

    #[test]
    fn an_injected_overlap_is_always_found(
        mut leases in clean_leases(),
        victim in any::<prop::sample::Index>(),
        offset in any::<prop::sample::Index>(),
        length in 1..50_u64,
    ) {
        let victim = victim.get(&leases);
        let inside = usize::try_from(victim.valid_end() - victim.granted_at).unwrap();
        let granted_at = victim.granted_at + offset.index(inside) as u64;
        let name = victim.name.clone();
        let intruder = Lease { name, token: None, ..lease(granted_at, granted_at + length, 0) };
        leases.push(intruder.clone());
        let found = violations(leases, Vec::new(), &Claims::new());
        let accused = found.iter().any(|found| match found {
            Violation::Overlap { first, second, .. } => *first == intruder || *second == intruder,
            _ => false,
        });
        prop_assert!(accused, "{:?}", found);
    }

    #[test]
    fn the_sweeps_find_what_comparing_all_pairs_finds(leases in wild_leases()) {
        let found = violations(leases.clone(), Vec::new(), &Claims::new());
        let pairs = || leases.iter().flat_map(|a| leases.iter().map(move |b| (a, b)))
            .filter(|(a, b)| !std::ptr::eq(*a, *b));
        let falls = |a: &Lease, b: &Lease| {
            a.valid_end() <= b.granted_at && !b.is_empty() && a.token > b.token
        };
        let overlaps = found.iter().any(|found| matches!(found, Violation::Overlap { .. }));
        prop_assert_eq!(overlaps, pairs().any(|(a, b)| overlap(a, b)));
        let repeats = found.iter().any(|found| matches!(found, Violation::TokenRepeats { .. }));
        prop_assert_eq!(repeats, pairs().any(|(a, b)| a.token == b.token));
        let fallen = found.iter().filter(|found| matches!(found, Violation::TokenFalls { .. }));
        let fallen_pairs = leases.iter().filter(|b| leases.iter().any(|a| falls(a, b)));
        prop_assert_eq!(fallen.count(), fallen_pairs.count());
    }
}
