//! Which master to believe in when Sentinels were asked.
//!
//! Each failover has a number, the *configuration epoch*, which most of the Sentinels have agreed to
//! before it began.
//! So whoever knows of the newest one is right, and the others have not heard of it yet.
//! Among those who know of the same one, the majority is right; they can only differ where they
//! spell the address in different ways, or were told different things by hand.

use std::collections::BTreeMap;

use lock_core::LockErrorKind;
use lock_core::message_text::quoted;

use crate::topology::address::Address;
use crate::topology::sentinel::ask::Said;
use crate::topology::sentinel::report::Report;
use crate::wire::failure::Failure;

/// The master of this name, by what the Sentinels said.
pub(super) fn of(name: &str, said: &[Said<'_>]) -> Result<Report, Failure> {
    let newest = said.iter().flat_map(|said| &said.report).map(|report| report.epoch).max();
    let Some(newest) = newest else { return Err(nobody(name, said)) };
    let of_newest = || {
        let reports = said.iter().flat_map(|said| &said.report);
        reports.filter(|report| report.epoch == newest)
    };
    let mut votes: BTreeMap<&Address, (usize, &Report)> = BTreeMap::new();
    for report in of_newest() {
        let (count, first) = votes.entry(&report.address).or_insert((0, report));
        *count += 1;
        // Whoever says that it is down knows more.
        if report.is_down {
            *first = report;
        }
    }
    let all = of_newest().count();
    match votes.into_values().find(|(count, _)| count * 2 > all) {
        Some((_, report)) => Ok(report.clone()),
        None => Err(Failure::unavailable(format!(
            "the Sentinels do not agree on the master {}: {}",
            quoted(name),
            told(said)
        ))
        .not_applied()),
    }
}

fn nobody(name: &str, said: &[Said<'_>]) -> Failure {
    let text = told(said);
    let mut kinds = said.iter().filter_map(|said| said.report.as_ref().err().map(|it| it.kind));
    // Trying again cannot help if it helps with none of them.
    let first = kinds.next().unwrap_or(LockErrorKind::Unavailable);
    let kind = if kinds.all(|kind| kind == first) { first } else { LockErrorKind::Unavailable };
    let message = format!("no Sentinel names the master {}: {text}", quoted(name));
    Failure::new(kind, message).not_applied()
}

/// Which Sentinel said what.
fn told(said: &[Said<'_>]) -> String {
    let told = said.iter().map(|Said { sentinel, report }| match report {
        Ok(report) => format!("{sentinel} says {}", quoted(&report.address.to_string())),
        Err(failure) => format!("{sentinel}: {}", failure.message()),
    });
    told.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, epoch: Option<u64>) -> Result<Report, Failure> {
        let address = Address { host: host.to_owned(), port: 1 };
        Ok(Report { address, epoch, is_down: false })
    }

    fn verdict<const N: usize>(reports: [Result<Report, Failure>; N]) -> Result<String, Failure> {
        let names = ["s1:1", "s2:2", "s3:3", "s4:4", "s5:5"];
        let said =
            reports.into_iter().zip(names).map(|(report, sentinel)| Said { sentinel, report });
        of("main", &said.collect::<Vec<_>>()).map(|report| report.address.host)
    }

    #[test]
    fn whoever_knows_of_the_newest_failover_is_right_also_against_all_others() {
        let old = || at("old", Some(3));
        assert_eq!(verdict([old(), at("new", Some(4)), old()]).unwrap(), "new");
        assert_eq!(verdict([old(), old(), old()]).unwrap(), "old");
        let silent = || Err(Failure::unavailable("it did not answer in time"));
        assert_eq!(verdict([silent(), at("new", Some(4)), silent()]).unwrap(), "new");
    }

    #[test]
    fn among_those_who_know_of_the_same_failover_the_majority_is_right() {
        for epoch in [None, Some(3)] {
            let (a, b) = (|| at("a", epoch), || at("b", epoch));
            assert_eq!(verdict([a(), b(), a()]).unwrap(), "a");
            let failure = verdict([a(), b()]).unwrap_err();
            assert_eq!(failure.kind, LockErrorKind::Unavailable);
            let text = failure.message();
            assert!(failure.not_applied && text.contains("do not agree"), "{text}");
            assert!(text.contains("s1:1 says \"a:1\"; s2:2 says \"b:1\""), "{text}");
        }
        // One that may not be asked for the epoch does not stand against those that may.
        assert_eq!(verdict([at("a", None), at("b", Some(0)), at("a", None)]).unwrap(), "b");
    }

    #[test]
    fn where_nobody_names_a_master_each_sentinel_is_quoted() {
        let silent = || Err(Failure::unavailable("it did not answer in time"));
        let denied = || Err(Failure::new(LockErrorKind::Denied, "a password is wanted"));
        let failure = verdict([silent(), denied()]).unwrap_err();
        assert_eq!(failure.kind, LockErrorKind::Unavailable);
        let text = failure.message();
        for part in ["\"main\"", "s1:1: it did not answer in time", "s2:2: a password is wanted"] {
            assert!(text.contains(part), "{text}");
        }
        // To ask again would be of no use.
        assert_eq!(verdict([denied(), denied()]).unwrap_err().kind, LockErrorKind::Denied);
    }
}
