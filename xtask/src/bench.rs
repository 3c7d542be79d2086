//! `bench`: measures beside raw Redis and other crates, and puts the figures into the page about it.

mod page;
mod places;
mod plot;
mod results;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testbed::ServerKind;

use crate::verb::{Failure, Outcome};
use crate::{daprd, exec, paths, servers};
use page::Origin;
use results::Results;

/// The page, below `docs`.
const PAGE: &str = "benchmarks.md";
/// The server that everything is measured on.
const SERVER: ServerKind = ServerKind::REDIS_7_0;
/// The one workload that needs a sidecar.
const BESIDE_A_SIDECAR: &str = "W7";
/// Runtimes of other sizes, shown once: how many threads, and which workload.
const OTHER_RUNTIMES: [(&str, &str); 2] = [("0", "W2"), ("1", "W2")];

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    quick: bool,
    only: Option<String>,
    json: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let missing = || Failure::Usage(format!("{argument} needs a value"));
                arguments.next().ok_or_else(missing)
            };
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--only" => options.only = Some(value()?.clone()),
                "--json" => options.json = Some(value()?.into()),
                _ => return Err(Failure::Usage(format!("unexpected argument `{argument}`"))),
            }
        }
        Ok(options)
    }

    fn wants(&self, workload: &str) -> bool {
        let is_it = |wanted: &str| wanted.eq_ignore_ascii_case(workload);
        self.only.as_ref().is_none_or(|only| only.split(',').any(is_it))
    }
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let options = Options::parse(arguments)?;
    let docs = paths::root().join("docs");
    let published = fs::read_to_string(docs.join(PAGE));
    let published =
        published.map_err(|error| Failure::Error(format!("cannot read docs/{PAGE}: {error}")))?;
    let in_page = |why| Failure::Error(format!("docs/{PAGE}: {why}"));
    page::check(&published, |workload| options.wants(workload)).map_err(in_page)?;
    servers::find_or_fetch(&SERVER).map_err(Failure::Error)?;
    if options.wants(BESIDE_A_SIDECAR) {
        daprd::find_or_build().map_err(Failure::Error)?;
    }
    let scratch = paths::root().join("target/xtask/bench");
    fs::create_dir_all(&scratch).map_err(|error| cannot_write(&scratch, &error))?;
    let json = scratch.join("results.json");
    let mut flags = vec!["--awake"];
    flags.extend(options.quick.then_some("--quick"));
    flags.extend(options.only.as_deref().into_iter().flat_map(|only| ["--only", only]));
    let results = measure(&flags, &json)?;
    if let Some(wanted) = &options.json {
        fs::copy(&json, wanted).map_err(|error| cannot_write(wanted, &error))?;
    }
    let mut others = Vec::new();
    if options.only.is_none() {
        for (threads, workload) in OTHER_RUNTIMES {
            let json = scratch.join(format!("{threads}-threads.json"));
            let mut flags = vec!["--threads", threads, "--only", workload];
            flags.extend(options.quick.then_some("--quick"));
            others.push(measure(&flags, &json)?);
        }
    }
    let origin = Origin { code: code(), machine: machine() };
    let page = page::update(&published, &results, &others, &origin).map_err(in_page)?;
    // What was measured for a moment only is not shown to others.
    let directory = if options.quick { scratch } else { docs };
    let path = save(&page, &directory)?;
    eprintln!("\nwritten: {}", path.display());
    Ok(())
}

/// Runs the program, whose tables go to the standard output, and reads what it wrote.
fn measure(flags: &[&str], json: &Path) -> Result<Results, Failure> {
    let mut command = exec::cargo();
    command.args(["run", "--release", "--quiet", "--package", "lock-bench", "--"]);
    let status = command.args(flags).arg("--server").arg(SERVER.name()).arg("--json").arg(json);
    let status = status.status();
    let status = status.map_err(|error| Failure::Error(format!("cannot run cargo: {error}")))?;
    if !status.success() {
        return Err(Failure::Reported);
    }
    let text = fs::read_to_string(json);
    let results = text.map_err(|error| error.to_string()).and_then(|text| Results::parse(&text));
    results.map_err(|why| Failure::Error(format!("cannot read the results: {why}")))
}

/// Writes the page and its plots, and removes plots that it does not show.
fn save(page: &page::Page, directory: &Path) -> Result<PathBuf, Failure> {
    let plots = directory.join("benchmarks");
    let put = || {
        fs::create_dir_all(&plots)?;
        for (name, svg) in &page.plots {
            fs::write(plots.join(name), svg)?;
        }
        for entry in fs::read_dir(&plots)? {
            let name = entry?.file_name();
            if !page.text.contains(&format!("](benchmarks/{})", name.display())) {
                fs::remove_file(plots.join(name))?;
            }
        }
        Ok(())
    };
    put().map_err(|error| cannot_write(&plots, &error))?;
    let path = directory.join(PAGE);
    fs::write(&path, &page.text).map_err(|error| cannot_write(&path, &error))?;
    Ok(path)
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Error(format!("cannot write {}: {error}", path.display()))
}

/// From when the code is that was measured: the last commit that changed it.
fn code() -> String {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(arguments).args(["--", "crates", "Cargo.toml", "Cargo.lock"]);
        let output = command.current_dir(paths::root()).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let commit = git(&["log", "-1", "--format=%cs (`%h`"]).filter(|text| !text.is_empty());
    let Some(commit) = commit else { return "an unknown date".to_owned() };
    let is_changed = git(&["status", "--porcelain"]).is_some_and(|text| !text.is_empty());
    format!("{commit}{})", if is_changed { ", and changes to it" } else { "" })
}

/// What kind of machine this is; not which one.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    describe(cores, &text)
}

fn describe(cores: usize, cpu_info: &str) -> String {
    let fields: BTreeMap<&str, &str> =
        cpu_info.lines().filter_map(|line| line.split_once(':')).map(trimmed).collect();
    let model = fields.get("model name").copied().unwrap_or("an unknown model");
    let flags = fields.get("flags").copied().unwrap_or_default();
    let is_virtual = flags.split(' ').any(|flag| flag == "hypervisor");
    let cores = if cores == 1 { "1 core".to_owned() } else { format!("{cores} cores") };
    let kind = if is_virtual { ", virtual" } else { "" };
    format!("{cores} of {model}{kind}")
}

fn trimmed<'a>((name, value): (&'a str, &'a str)) -> (&'a str, &'a str) {
    (name.trim(), value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, Failure> {
        Options::parse(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn workloads_are_wanted_by_name_in_either_case() {
        assert!(parse(&[]).unwrap().wants("W3"));
        let options = parse(&["--only", "w1,w3t", "--json", "a.json"]).unwrap();
        assert!(options.wants("W1") && options.wants("W3t") && !options.wants("W3"));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(matches!(parse(&["--fast"]), Err(Failure::Usage(why)) if why.contains("--fast")));
        assert!(matches!(parse(&["--only"]), Err(Failure::Usage(why)) if why.contains("value")));
    }

    #[test]
    fn a_machine_is_described_by_what_it_is() {
        let text = "model name\t: A CPU @ 3 GHz\nflags\t\t: fpu hypervisor\n";
        assert_eq!(describe(2, text), "2 cores of A CPU @ 3 GHz, virtual");
        assert_eq!(describe(1, ""), "1 core of an unknown model");
    }
}
