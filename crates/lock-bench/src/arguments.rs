//! The command line.

use std::path::PathBuf;

use crate::settings::Settings;
use crate::workloads;

pub(crate) const HELP: &str = "\
usage: lock-bench [flags]
       lock-bench failovers [ROUNDS] [WORD]   what failovers cost, in the cases with WORD in their names

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

#[derive(Default)]
pub(crate) struct Arguments {
    only: Vec<String>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) settings: Settings,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Command, String> {
        let mut arguments = Self::default();
        let settings = &mut arguments.settings;
        while let Some(flag) = words.next() {
            let mut value = || words.next().ok_or(format!("{flag} needs a value"));
            match flag.as_str() {
                "--only" => arguments.only = value()?.split(',').map(str::to_owned).collect(),
                "--quick" => settings.quick = true,
                "--awake" => settings.awake = true,
                "--threads" => {
                    let threads = value()?;
                    settings.threads =
                        threads.parse().map_err(|_| format!("--threads is {threads:?}"))?;
                }
                "--server" => settings.server = value()?,
                "--json" => arguments.json = Some(value()?.into()),
                "--help" | "-h" => return Ok(Command::Help),
                _ => return Err(format!("unknown flag {flag:?}")),
            }
        }
        for id in &arguments.only {
            if !workloads::ALL.iter().any(|workload| workload.id.eq_ignore_ascii_case(id)) {
                return Err(format!("unknown workload {id:?}"));
            }
        }
        Ok(Command::Run(arguments))
    }

    pub(crate) fn wants(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted.eq_ignore_ascii_case(id))
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
