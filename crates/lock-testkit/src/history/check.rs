//! The checks: one sort and one sweep each, so that long histories take seconds at most.

use super::claims::Claims;
use super::record::{Ended, History, Lease};
use super::violation::{Report, Violation};

impl History {
    /// Looks for everything that contradicts the claims.
    pub fn check(&self, claims: &Claims) -> Report {
        let mut violations = Vec::new();
        let mut leases: Vec<&Lease> = self.leases.iter().collect();
        leases.sort_by(|a, b| (&a.name, a.granted_at).cmp(&(&b.name, b.granted_at)));
        for of_one_name in leases.chunk_by(|a, b| a.name == b.name) {
            find_overlaps(of_one_name, &mut violations);
            find_repeated_tokens(of_one_name, &mut violations);
            find_falling_tokens(of_one_name, &mut violations);
        }
        for lease in &self.leases {
            check_lease(lease, claims, &mut violations);
        }
        self.check_attempts(claims, &mut violations);
        let (leases, attempts) = (self.leases.len(), self.attempts.len());
        Report { violations, leases, attempts, fairness: self.fairness() }
    }

    fn check_attempts(&self, claims: &Claims, violations: &mut Vec<Violation>) {
        for attempt in &self.attempts {
            let Some((at, _)) = &attempt.answer else {
                if !claims.killed.contains(&attempt.process) {
                    violations.push(Violation::NeverAnswered { attempt: attempt.clone() });
                }
                continue;
            };
            if let Some(waited_ns) = too_long(claims, attempt.asked_at, *at) {
                violations.push(Violation::ToldLate { attempt: attempt.clone(), waited_ns });
            }
        }
    }
}

/// Reports each lease that was granted while an earlier one of the same name was valid.
///
/// The earlier one is the one that ends last, so a long lease is found behind many short ones.
/// The leases are in order of their grants.
fn find_overlaps(leases: &[&Lease], violations: &mut Vec<Violation>) {
    let mut last: Option<&Lease> = None;
    for &lease in leases.iter().filter(|lease| !lease.is_empty()) {
        if let Some(first) = last
            && lease.granted_at < first.valid_end()
        {
            let by_ns = first.valid_end().min(lease.valid_end()) - lease.granted_at;
            let (first, second) = (first.clone(), lease.clone());
            violations.push(Violation::Overlap { first, second, by_ns });
        }
        if last.is_none_or(|last| last.valid_end() < lease.valid_end()) {
            last = Some(lease);
        }
    }
}

fn find_repeated_tokens(leases: &[&Lease], violations: &mut Vec<Violation>) {
    let mut fenced: Vec<&Lease> =
        leases.iter().copied().filter(|lease| lease.token.is_some()).collect();
    // The sort is stable, so that equal tokens stay in order of their grants.
    fenced.sort_by_key(|lease| lease.token);
    for pair in fenced.windows(2).filter(|pair| pair[0].token == pair[1].token) {
        let (first, second) = (pair[0].clone(), pair[1].clone());
        violations.push(Violation::TokenRepeats { first, second });
    }
}

/// Reports each lease whose token is smaller than that of a lease that was over before it.
///
/// Leases that overlap, or that were over when their worker learned of them, have no known order.
/// The leases are in order of their grants.
fn find_falling_tokens(leases: &[&Lease], violations: &mut Vec<Violation>) {
    let mut by_end = leases.to_vec();
    by_end.sort_by_key(|lease| lease.valid_end());
    let mut over = by_end.into_iter().peekable();
    let mut largest: Option<&Lease> = None;
    for &later in leases.iter().filter(|lease| !lease.is_empty() && lease.token.is_some()) {
        while let Some(lease) = over.next_if(|lease| lease.valid_end() <= later.granted_at) {
            if largest.is_none_or(|largest| largest.token < lease.token) {
                largest = Some(lease);
            }
        }
        if let Some(earlier) = largest.filter(|earlier| later.token < earlier.token) {
            let (earlier, later) = (earlier.clone(), later.clone());
            violations.push(Violation::TokenFalls { earlier, later });
        }
    }
}

/// Checks what concerns a lease alone.
fn check_lease(lease: &Lease, claims: &Claims, violations: &mut Vec<Violation>) {
    let ended_at = lease.end.map_or(u64::MAX, |(at, _)| at);
    if lease.granted_at < lease.asked_at || ended_at < lease.granted_at {
        violations.push(Violation::TimesReversed { lease: lease.clone() });
    }
    if claims.tokens_required && lease.token.is_none() {
        violations.push(Violation::TokenMissing { lease: lease.clone() });
    }
    if let Some(waited_ns) = too_long(claims, lease.asked_at, lease.granted_at) {
        violations.push(Violation::ServedLate { lease: lease.clone(), waited_ns });
    }
    // A worker that was told of its loss, or that fell over, did not take the lease for its own.
    if let Some((at, Ended::Released)) = lease.end {
        let by_ns = at.saturating_sub(lease.valid_until);
        if u128::from(by_ns) > claims.late_use.as_nanos() {
            violations.push(Violation::UsedAfterDeadline { lease: lease.clone(), by_ns });
        }
    }
}

/// How long somebody waited, if that is longer than claimed.
fn too_long(claims: &Claims, asked_at: u64, answered_at: u64) -> Option<u64> {
    let waited_ns = answered_at.saturating_sub(asked_at);
    let bound_ns = claims.longest_wait?.as_nanos();
    (u128::from(waited_ns) > bound_ns).then_some(waited_ns)
}
