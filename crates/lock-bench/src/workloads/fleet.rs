//! W12: one lock, the library, and others that ask for it again and again; who gets what.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::time::Duration;

use lock_testkit::history::{Claims, History};
use tempfile::{NamedTempFile, TempDir};

use super::bench::Bench;
use super::bout::{Contested, contend};
use crate::contenders::rivals::Rival;
use crate::failure::Failure;
use crate::measure::figures::{Cell, count};
use crate::processes::contest::Party;
use crate::settings::Settings;

const KEY: &str = "contended";
const KEY_PREFIX: &str = "lock:";
const HOLD: Duration = Duration::from_millis(2);
const HOLD_MORE: Duration = Duration::from_millis(3);
const THINK: Duration = Duration::from_millis(10);

/// Those that ask again and again, each in a process of its own.
const ALL: &[Rival] = &[Rival::Every100, Rival::Every50To250, Rival::Every10];
const POLLERS: [&[Rival]; 2] = [ALL, &[Rival::Every100]];

/// The library beside them: what it is called, how it is used, and how many tasks a process has.
const OURS: [(&str, Rival, &[usize]); 5] = [
    ("1 task", Rival::Distlock, &[1]),
    ("4 tasks, strict", Rival::Distlock, &[4]),
    ("4 tasks, hand-over", Rival::DistlockHandover, &[4]),
    ("2 processes of 2, strict", Rival::Distlock, &[2, 2]),
    ("2 processes of 4, hand-over", Rival::DistlockHandover, &[4, 4]),
];

pub(crate) async fn mixed(bench: &Bench, settings: &Settings) -> Result<Vec<Cell>, Failure> {
    let mut cells = Vec::new();
    let mut alike = Alike { bench, settings, rates: BTreeMap::new() };
    for pollers in POLLERS {
        for (name, rival, tasks) in OURS {
            let members = pollers.iter().map(|poller| (*poller, 1));
            let ours = tasks.iter().map(|tasks| (rival, *tasks));
            let members: Vec<(Rival, usize)> = members.chain(ours).collect();
            let contested = run(bench, settings, &members, settings.fleet().0).await?;
            let contenders = members.iter().map(|(_, tasks)| tasks).sum();
            let total = contested.rate();
            for (number, (rival, tasks)) in members.iter().enumerate() {
                let label = format!("{name}: {}", rival.name());
                let mut cell = Cell::new(label, *tasks).over_processes(members.len());
                let (sections, longest) = contested.of_process(number).unwrap_or_default();
                let rate = sections / settings.fleet().0.as_secs_f64();
                let share = rate / total;
                cell.add("sections", sections);
                cell.add("share_percent", share * 100.0);
                cell.add("of_contenders_share", share / (count(*tasks) / count(contenders)));
                let of_one = rate / count(*tasks);
                cell.add("of_share_among_alike", of_one / alike.rate(*rival, contenders).await?);
                cell.add("wait_max_millis", longest.as_secs_f64() * 1e3);
                cell.add("failures", count(contested.failures()));
                cell.add("violations", count(contested.violations()));
                cells.push(cell);
            }
        }
    }
    Ok(cells)
}

/// What one contender gets among others of its own kind.
struct Alike<'a> {
    bench: &'a Bench,
    settings: &'a Settings,
    rates: BTreeMap<(&'static str, usize), f64>,
}

impl Alike<'_> {
    /// Sections a second of one among so many.
    async fn rate(&mut self, rival: Rival, contenders: usize) -> Result<f64, Failure> {
        if let Some(rate) = self.rates.get(&(rival.name(), contenders)) {
            return Ok(*rate);
        }
        let time = self.settings.fleet().1;
        let contested = run(self.bench, self.settings, &[(rival, contenders)], time).await?;
        let rate = contested.rate() / count(contenders);
        self.rates.insert((rival.name(), contenders), rate);
        Ok(rate)
    }
}

/// Each member is a process with so many tasks.
async fn run(
    bench: &Bench,
    settings: &Settings,
    members: &[(Rival, usize)],
    time: Duration,
) -> Result<Contested, Failure> {
    bench.stats.flush()?;
    let exclusion = NamedTempFile::new()?;
    let records = TempDir::new()?;
    let mut parties = Vec::new();
    for (number, (rival, workers)) in members.iter().enumerate() {
        let prefix = if rival.has_key_prefix() { "" } else { KEY_PREFIX };
        let name = format!("process-{number}");
        parties.push(Party {
            url: bench.server.url(),
            rival: *rival,
            key: format!("{prefix}{KEY}"),
            workers: *workers,
            threads: settings.threads,
            hold_micros: u64::try_from(HOLD.as_micros())?,
            hold_more_micros: u64::try_from(HOLD_MORE.as_micros())?,
            think_micros: u64::try_from(THINK.as_micros())?,
            thinks_at_random: false,
            record: Some((name.clone(), records.path().join(name))),
            exclusion: exclusion.path().to_owned(),
        });
    }
    let contested = contend(&parties, time, &bench.stats).await?;
    let mut history = History::default();
    for (_, file) in parties.iter().filter_map(|party| party.record.as_ref()) {
        history.merge(History::read_lines(BufReader::new(File::open(file)?))?);
    }
    let report = history.check(&Claims::new());
    if report.is_clean() { Ok(contested) } else { Err(report.to_string().into()) }
}
