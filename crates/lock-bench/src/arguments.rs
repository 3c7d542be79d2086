//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

pub(crate) const HELP: &str = "\
usage: lock-bench [flags]

  --only W1,W6     only these workloads
  --quick          short rounds, for a look; no figures to quote
  --awake          also with the CPUs kept awake by an idle-priority busy loop per core
  --threads N      worker threads of the runtime; 0 is the current-thread runtime (default 2)
  --server NAME    redis-6.2, redis-7.0, redis-8.2 or valkey-9.1 (default redis-7.0)
  --json FILE      write the figures there too
  --help           this text";

pub(crate) enum Command {
    Run(Arguments),
    Help,
}

#[derive(Debug)]
pub(crate) struct Arguments {
    only: Vec<String>,
    quick: bool,
    pub(crate) awake: bool,
    pub(crate) threads: usize,
    pub(crate) server: String,
    pub(crate) json: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Command, String> {
        let mut arguments = Self {
            only: Vec::new(),
            quick: false,
            awake: false,
            threads: 2,
            server: "redis-7.0".to_owned(),
            json: None,
        };
        while let Some(flag) = words.next() {
            let mut value = || words.next().ok_or(format!("{flag} needs a value"));
            match flag.as_str() {
                "--only" => arguments.only = value()?.split(',').map(str::to_owned).collect(),
                "--quick" => arguments.quick = true,
                "--awake" => arguments.awake = true,
                "--threads" => {
                    let threads = value()?;
                    arguments.threads =
                        threads.parse().map_err(|_| format!("--threads is {threads:?}"))?;
                }
                "--server" => arguments.server = value()?,
                "--json" => arguments.json = Some(value()?.into()),
                "--help" | "-h" => return Ok(Command::Help),
                _ => return Err(format!("unknown flag {flag:?}")),
            }
        }
        for id in &arguments.only {
            if !crate::workloads::ALL.iter().any(|workload| workload.id.eq_ignore_ascii_case(id)) {
                return Err(format!("unknown workload {id:?}"));
            }
        }
        Ok(Command::Run(arguments))
    }

    pub(crate) fn wants(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted.eq_ignore_ascii_case(id))
    }

    pub(crate) const fn is_quick(&self) -> bool {
        self.quick
    }

    pub(crate) fn rounds(&self) -> usize {
        if self.quick { 1 } else { 5 }
    }

    /// How long one contender works in one round.
    pub(crate) fn round(&self) -> Duration {
        Duration::from_millis(if self.quick { 300 } else { 600 })
    }

    /// Rounds of the cells in which many want one lock.
    pub(crate) fn contests(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }

    /// How long one of them takes: long enough for somebody to starve.
    pub(crate) fn contest(&self) -> Duration {
        Duration::from_millis(if self.quick { 500 } else { 2_000 })
    }

    /// The same where there are many cells.
    pub(crate) fn short_contest(&self) -> Duration {
        Duration::from_millis(if self.quick { 300 } else { 1_000 })
    }

    /// Rounds of what takes seconds by its nature.
    pub(crate) fn rare_rounds(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }

    /// How many locks are kept alive, and their ttl in ms.
    pub(crate) fn kept_alive(&self) -> (usize, u64) {
        if self.quick { (20_000, 3_000) } else { (100_000, 6_000) }
    }

    /// How often a hundred runs of each script are timed.
    pub(crate) fn script_rounds(&self) -> u32 {
        if self.quick { 20 } else { 200 }
    }

    pub(crate) fn runtime_text(&self) -> String {
        match self.threads {
            0 => "current-thread runtime".to_owned(),
            threads => format!("{threads} worker threads"),
        }
    }

    pub(crate) fn runtime(&self) -> std::io::Result<Runtime> {
        runtime(self.threads)
    }
}

/// A runtime of so many worker threads; 0 is the current-thread runtime.
pub(crate) fn runtime(threads: usize) -> std::io::Result<Runtime> {
    match threads {
        0 => Builder::new_current_thread().enable_all().build(),
        threads => Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Command, String> {
        Arguments::parse(words.iter().map(ToString::to_string))
    }

    #[test]
    fn workloads_are_chosen_by_name_and_checked() {
        let Ok(Command::Run(arguments)) = parse(&["--only", "w1", "--quick"]) else { panic!() };
        assert!(arguments.wants("W1") && !arguments.wants("W6"));
        assert!(parse(&["--only", "W99"]).is_err());
        assert!(parse(&["--fast"]).is_err());
        assert!(parse(&["--json"]).is_err());
    }
}
