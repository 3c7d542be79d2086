//! The verbs beside `run`, and what is said of a wrong command line.

use crate::harness::{distlock, end_of, run};

fn error_of<'a>(arguments: impl IntoIterator<Item = &'a str>, code: i32, parts: &[&str]) {
    let ended = end_of(&mut distlock(arguments));
    ended.says(code, parts);
    assert_eq!(ended.output, "");
    assert!(ended.errors.starts_with("distlock: "), "{ended:?}");
}

#[test]
fn a_wrong_command_line_is_125_and_says_what_is_right() {
    let store = "--url=memory:";
    error_of(["run", store, "x"], 125, &["<COMMAND>...", "distlock run [OPTIONS] NAME -- COMMAND"]);
    error_of(
        ["run", store, "--ttl", "30", "x", "--", "true"],
        125,
        &["it has no unit; write \"30s\" or \"30ms\""],
    );
    error_of(
        ["run", store, "--wait", "5", "x", "--", "true"],
        125,
        &["write \"5s\" or \"5ms\", or `forever`"],
    );
    error_of(
        ["run", store, "--no-wait", "--wait=1s", "x", "--", "true"],
        125,
        &["cannot be used with"],
    );
    error_of(["run", store, "--tll", "1s", "x", "--", "true"], 125, &["--ttl"]);
    error_of(["run", "--ulr", "memory:", "x", "--", "true"], 125, &["tip: ", "'--url'"]);
    error_of(["rnu", store, "x", "--", "true"], 125, &["tip: ", "'run'"]);
    // What follows the forgotten name, or the variable that is not set, is no name.
    error_of(["run", store, "--", "echo", "hi"], 125, &["<NAME>", "run [OPTIONS] NAME -- COMMAND"]);
    error_of(["run", store, "x", "true"], 125, &["write `--` before the command"]);
    error_of(["run", "-q", store, "", "--", "true"], 125, &["name"]);
    error_of(["run", "-q", store, "--min-hold=2m", "x", "--", "true"], 125, &["min_hold", "ttl"]);
    error_of(["run", "-q", store, "--max-hold=1s", "x", "--", "true"], 125, &["max_hold", "ttl"]);
    error_of(
        ["run", "x", "--", "true"],
        125,
        &["set the environment variable DISTLOCK_URL", "--url"],
    );
    error_of(["status", "--url=nowhere:", "x"], 125, &["nowhere", "redis://"]);
}

#[test]
fn an_option_of_the_command_line_counts_more_than_what_it_contradicts() {
    for (options, variable, value) in [
        ("--max-hold=2m", "DISTLOCK_MAX_HOLD", "30s"),
        ("--ttl=1s", "DISTLOCK_MAX_HOLD", "2s"),
        ("--ttl=10m", "DISTLOCK_MIN_HOLD", "5m"),
        ("--min-hold=0s", "DISTLOCK_MIN_HOLD", "5m"),
        ("--ttl=10s", "DISTLOCK_TTL", "100ms"),
        ("--ttl=10s", "DISTLOCK_URL", "memory:?max_hold=30s"),
        ("--ttl=10s --max-hold=20s --min-hold=5s", "DISTLOCK_URL", "memory:?ttl=2m&min_hold=3m"),
    ] {
        let mut command = run("memory:", &format!("-q {options}"), "x", "true");
        assert_eq!(end_of(command.env(variable, value)).silent(), 0, "{options} {variable}");
        // Without it, the same is refused.
        let mut command = run("memory:", "-q --wait=1s", "x", "true");
        assert_eq!(end_of(command.env(variable, value)).code, 125, "{variable}={value}");
    }
    let mut command = run("memory:", "-q --ttl=1m", "x", "true");
    let ended = end_of(command.env("DISTLOCK_MAX_HOLD", "30s"));
    ended.says(125, &["distlock: max_hold is 30s, below the ttl of 60s"]);
}

#[test]
fn a_misspelt_variable_is_refused_and_a_password_is_never_shown() {
    let ended =
        end_of(distlock(["check"]).env("DISTLOCK_URL", "memory:").env("DISTLOCK_TLL", "1s"));
    ended.says(125, &["DISTLOCK_TLL is not known", "DISTLOCK_TTL"]);
    for url in ["redis://me:s3cret@127.0.0.1:1", "redis://me:s3cret@[::1"] {
        let ended = end_of(distlock(["check"]).env("DISTLOCK_URL", url));
        assert!(ended.code == 122 || ended.code == 125, "{ended:?}");
        assert!(!ended.errors.contains("s3cret") && !ended.output.contains("s3cret"), "{ended:?}");
    }
}

#[test]
fn check_says_of_memory_that_it_excludes_nobody() {
    let ended = end_of(&mut distlock(["check", "--url=memory:"]));
    assert_eq!((ended.code, &*ended.errors), (1, ""));
    assert!(ended.output.contains("to be changed: the store is the memory of one process"));
}

#[test]
fn verbs_that_look_at_locks_say_of_memory_that_nobody_elses_are_there() {
    let warning = "warning: the store is the memory of this process, so it shows no locks of other";
    for verb in
        [&["status", "x"][..], &["wait", "x"], &["list"], &["release", "--force", "-y", "x"]]
    {
        let ended = end_of(distlock(verb.iter().copied()).env("DISTLOCK_URL", "memory:"));
        ended.says(0, &[warning]);
    }
}

#[test]
fn bench_measures_memory_too() {
    let ended = end_of(&mut distlock(["bench", "--url=memory:", "--seconds=1", "--tasks=2"]));
    assert_eq!((ended.code, &*ended.errors), (0, ""), "{ended:?}");
    assert!(ended.output.starts_with("2 tasks in 1 service, 4 locks, memory:\n"), "{ended:?}");
}

#[test]
fn help_version_completions_and_manual_are_printed() {
    for (arguments, parts) in [
        (
            &["--help"][..],
            &["DISTLOCK_URL", "status", "completions", "redis+quorum://", "memory:"][..],
        ),
        (&["run", "--help"], &["--kill-after", "--no-wait", "128 + its number", "DISTLOCK_NAME"]),
        (&["--version"], &["distlock 0."]),
        (&["completions", "bash"], &["complete -F _distlock", "--kill-after"]),
        (&["completions", "zsh"], &["#compdef distlock"]),
        (&["completions", "fish"], &["complete -c distlock"]),
        (&["man"], &[".TH", "DISTLOCK RUN", "kill\\-after", "127  the command was not found"]),
    ] {
        let ended = end_of(&mut distlock(arguments.iter().copied()));
        assert_eq!((ended.code, &*ended.errors), (0, ""), "{arguments:?}");
        for part in parts {
            assert!(ended.output.contains(part), "{arguments:?}: {part}: {}", ended.output);
        }
    }
}
