//! The project's own commands: `cargo xtask help` lists them.
//!
//! One verb, one file. A verb is added by its file and a line in [`VERBS`].

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to a person")]

mod bench;
mod book;
mod daprd;
mod exec;
mod fetch;
mod images;
mod integration;
mod libtest;
mod model;
mod package;
mod paths;
mod project;
mod report;
mod servers;
mod test;
mod tidy;
mod verb;

use std::process::ExitCode;

use verb::{Failure, Outcome, no_more};

/// Everything is as it should be.
const EXIT_OK: u8 = 0;
/// The command ran and found something wrong.
const EXIT_FAILED: u8 = 1;
/// The command line was not understood; nothing was done.
const EXIT_USAGE: u8 = 2;

struct Verb {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Outcome,
}

const VERBS: &[Verb] = &[
    Verb {
        name: "test",
        arguments: "[--strict] [--busy]",
        about: "checks everything: format, lints, tests on all servers, documentation, dependencies.\n\
                --strict (implied by CI=true): a server that cannot be had is a failure;\n\
                --busy: the tests alone, beside four loops that keep the processors busy",
        run: test::run,
    },
    Verb {
        name: "integration",
        arguments: "[--only SERVICE] [--image NAME=REFERENCE]...",
        about: "runs the conformance suite and the examples on servers in containers (needs an engine).\n\
                --only: on these alone: redis, valkey, dapr, sentinel, cluster or quorum;\n\
                --image: takes REFERENCE, such as my/redis:8.2, for\n\
                redis-7, redis-8, valkey-9 or daprd; DISTLOCK_TEST_IMAGES names several, between commas",
        run: integration::run,
    },
    Verb {
        name: "images",
        arguments: "",
        about: "builds images out of local servers, where no image registry can be reached;\n\
                eval \"$(cargo xtask images)\" lets `integration` take them",
        run: images::run,
    },
    Verb {
        name: "bench",
        arguments: "[--quick] [--only W1,W3] [--json FILE]",
        about: "measures beside raw Redis and other crates, and replaces the tables and plots of\n\
                docs/benchmarks.md; the text around them is written by hand, and stays.\n\
                --quick: short rounds, for a look; the page goes to target/xtask/bench instead;\n\
                --only: these workloads alone, the other tables stay; --json: the figures there too",
        run: bench::run,
    },
    Verb {
        name: "servers",
        arguments: "[NAME | --list | --fetch]",
        about: "starts a server (redis-8.2, if no NAME is given; daprd: a Dapr sidecar before one)\n\
                and stops it on Enter or Ctrl-C.\n\
                --list: what is on this machine; --fetch: gets or builds what is missing",
        run: servers::run,
    },
    Verb {
        name: "model",
        arguments: "[--full]",
        about: "explores every state of the protocol's state machines, and finds every seeded bug.\n\
                --full: also the scenarios that are too large for every change (some ten minutes)",
        run: model::run,
    },
    Verb {
        name: "tidy",
        arguments: "",
        about: "checks the repository itself: layout, lengths, words, manifests, links, imports",
        run: tidy::run,
    },
    Verb {
        name: "package",
        arguments: "",
        about: "packages each crate as for a release, unpacks it, builds it against the other packages alone,\n\
                and runs its doctests (some minutes the first time)",
        run: package::run,
    },
    Verb {
        name: "book",
        arguments: "",
        about: "builds the pages of docs/ as a book in target/book, and checks its links (needs mdbook;\n\
                with mdbook-mermaid the diagrams are pictures)",
        run: book::run,
    },
    Verb { name: "help", arguments: "", about: "prints this text", run: help },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let code = match dispatch(&arguments) {
        Ok(()) => EXIT_OK,
        Err(Failure::Reported) => EXIT_FAILED,
        Err(Failure::Error(why)) => {
            eprintln!("error: {why}");
            EXIT_FAILED
        }
        Err(Failure::Usage(why)) => {
            eprintln!("error: {why}\n\n{}", help_text());
            EXIT_USAGE
        }
    };
    ExitCode::from(code)
}

fn dispatch(arguments: &[String]) -> Outcome {
    let Some((name, rest)) = arguments.split_first() else {
        return Err(Failure::Usage("no command given".into()));
    };
    if matches!(name.as_str(), "--help" | "-h") || rest.iter().any(|a| a == "--help" || a == "-h") {
        return help(&[]);
    }
    match VERBS.iter().find(|verb| verb.name == name) {
        Some(verb) => (verb.run)(rest),
        None => Err(Failure::Usage(format!("unknown command `{name}`"))),
    }
}

fn help(arguments: &[String]) -> Outcome {
    no_more(arguments)?;
    println!("{}", help_text());
    Ok(())
}

fn help_text() -> String {
    let mut text = String::from("Usage: cargo xtask COMMAND\n\nCommands:");
    for verb in VERBS {
        text += format!("\n  {} {}", verb.name, verb.arguments).trim_end();
        for line in verb.about.lines() {
            text += &format!("\n      {line}");
        }
    }
    text + "\n\nExit codes: 0 all is well, 1 something failed, 2 the command line is wrong."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage_error(arguments: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        match dispatch(&arguments) {
            Err(Failure::Usage(why)) => why,
            other => panic!("expected a usage error, got {other:?}"),
        }
    }

    #[test]
    fn unknown_words_are_usage_errors_that_name_them() {
        assert_eq!(usage_error(&[]), "no command given");
        assert_eq!(usage_error(&["tset"]), "unknown command `tset`");
        assert_eq!(usage_error(&["test", "--loose"]), "unexpected argument `--loose`");
        assert_eq!(usage_error(&["tidy", "now"]), "unexpected argument `now`");
        assert_eq!(usage_error(&["book", "now"]), "unexpected argument `now`");
        assert_eq!(usage_error(&["package", "now"]), "unexpected argument `now`");
        assert_eq!(usage_error(&["servers", "--stop"]), "unexpected argument `--stop`");
        assert_eq!(usage_error(&["model", "--ful"]), "unexpected argument `--ful`");
        assert_eq!(usage_error(&["images", "now"]), "unexpected argument `now`");
        assert_eq!(usage_error(&["bench", "--slow"]), "unexpected argument `--slow`");
        assert_eq!(usage_error(&["integration", "--slow"]), "unexpected argument `--slow`");
        assert!(usage_error(&["servers", "redis-1.0"]).contains("unknown server `redis-1.0`"));
    }

    #[test]
    fn help_names_every_verb() {
        let text = help_text();
        for verb in VERBS {
            assert!(text.contains(&format!("\n  {}", verb.name)), "{text}");
        }
    }
}
