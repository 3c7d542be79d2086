//! What passes through `distlock run`, in both directions.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use rustix::process::{Pid, getpgid};

use crate::harness::{Running, distlock, end_of, program, run};

const MEMORY: &str = "memory:";

#[test]
fn output_and_exit_code_are_those_of_the_command() {
    let ended = end_of(&mut run(MEMORY, "-q", "x", "echo out; echo err >&2; exit 7"));
    assert_eq!((&*ended.output, &*ended.errors, ended.code), ("out\n", "err\n", 7));
    assert_eq!(end_of(&mut run(MEMORY, "-q", "x", ":")).silent(), 0);
}

#[test]
fn input_and_arguments_reach_the_command_byte_for_byte() {
    let mut command = distlock(["run", "-q", "--url", MEMORY, "x", "--", "sh", "-c"]);
    command.args(["cat; printf '[%s]' \"$@\"", "sh", "--wait", "", "a b", "--"]);
    let mut running = Running::start(command.stdin(Stdio::piped()));
    running.write(b"to the end\xFF");
    running.close_input();
    let (output, errors, status) = running.end_in_bytes();
    assert_eq!(output, b"to the end\xFF[--wait][][a b][--]");
    assert!(errors.is_empty() && status.success());
}

#[test]
fn a_signal_that_ends_the_command_ends_distlock_too_and_a_shell_shows_128_and_its_number() {
    for (name, number) in [("TERM", 15), ("INT", 2), ("KILL", 9), ("SEGV", 11), ("USR1", 10)] {
        let ended = end_of(&mut run(MEMORY, "-q", "x", &format!("kill -{name} $$")));
        assert_eq!((ended.signal, ended.silent()), (Some(number), 128 + number), "{name}");
    }
    let mut shell = program("sh");
    let path = env!("CARGO_BIN_EXE_distlock");
    let script = "\"$0\" run -q --url memory: x -- sh -c 'kill -TERM $$'; echo $?";
    let ended = end_of(shell.args(["-c", script, path]));
    assert_eq!(ended.output, "143\n");
}

#[test]
fn a_command_that_is_not_there_is_127_and_one_that_cannot_run_126() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("plain"), "x").unwrap();
    fs::write(path("script"), "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(path("script"), fs::Permissions::from_mode(0o755)).unwrap();
    for (program, code, cause) in [
        ("no-such-program".to_owned(), 127, "no directory of PATH has it"),
        (path("missing"), 127, "there is no such file"),
        (path("script"), 127, "the program that its first line names was not found"),
        (path("plain"), 126, "Permission denied"),
        (path(""), 126, "Permission denied"),
    ] {
        let ended = end_of(&mut distlock(["run", "-q", "--url", MEMORY, "x", "--", &program]));
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(ended.errors.starts_with(&format!("distlock: {program} cannot be run: {cause}")));
        assert_eq!(ended.errors.lines().count(), 1, "{ended:?}");
    }
}

#[test]
fn the_command_knows_its_lock_and_a_rising_token() {
    let script = "echo \"$DISTLOCK_NAME\"; test \"$DISTLOCK_FENCING_TOKEN\" -ge 1024";
    let ended = end_of(&mut run(MEMORY, "-q", "a name", script));
    assert_eq!((&*ended.output, ended.code), ("a name\n", 0));
}

#[test]
fn a_distlock_below_another_is_not_disturbed_by_what_the_outer_one_sets() {
    let inner = format!(
        "{} run -q inner -- sh -c 'echo $DISTLOCK_NAME'; echo $DISTLOCK_NAME",
        env!("CARGO_BIN_EXE_distlock")
    );
    let ended = end_of(&mut run(MEMORY, "-q", "outer", &inner));
    assert_eq!((&*ended.output, &*ended.errors, ended.code), ("inner\nouter\n", "", 0));
}

#[test]
fn the_command_leads_a_group_of_its_own() {
    let mut command = run(MEMORY, "-q", "x", "echo $$; read line");
    let mut running = Running::start(command.stdin(Stdio::piped()));
    let pid = Pid::from_raw(running.line().parse().unwrap());
    assert_eq!(getpgid(pid).ok(), pid);
    assert_ne!(pid, Some(running.pid()));
    running.write(b"\n");
    assert_eq!(running.end().code, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn the_command_has_no_signal_blocked_and_those_ignored_that_were_ignored_before() {
    let masks = "grep -E 'SigBlk|SigIgn' /proc/self/status";
    let below = |shell: &str| {
        let path = env!("CARGO_BIN_EXE_distlock");
        let script = format!("{shell}; {masks}; exec \"$0\" run -q --url memory: x -- {masks}");
        let ended = end_of(program("sh").args(["-c", &script, path]));
        let lines: Vec<String> = ended.output.lines().map(str::to_owned).collect();
        assert_eq!(lines[..2], lines[2..], "{shell}");
        lines[3].clone()
    };
    let usual = below(":");
    // As below `nohup`.
    assert_ne!(below("trap '' HUP TSTP"), usual);
}

#[cfg(target_os = "linux")]
#[test]
fn these_tests_start_programs_that_ignore_nothing_whatever_they_ignore_themselves() {
    let masks = program("grep");
    let mut below = program("sh");
    below.args(["-c", "trap '' HUP INT QUIT TSTP; exec \"$@\"", "sh"]).arg(masks.get_program());
    below.args(masks.get_args()).args(["SigIgn", "/proc/self/status"]);
    let ended = end_of(&mut below);
    let mask = ended.output.strip_prefix("SigIgn:").unwrap().trim();
    // The C library keeps 32 and 33 for itself, and starts programs that ignore them.
    assert_eq!(u64::from_str_radix(mask, 16).unwrap() & ((1 << 31) - 1), 0, "{ended:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_was_ignored_before_ends_neither_distlock_nor_its_command() {
    use rustix::process::Signal;

    // The shell is what `nohup` is for `HUP`, and for the others a shell without job control that
    // starts something in the background.
    let script = "trap '' HUP INT QUIT; exec \"$0\" run -q --url memory: x -- sh -c \"$1\"";
    let inner = "trap 'echo heard' HUP INT QUIT; echo ready; read -r line; echo \"$line\"";
    for inner in [inner, "echo ready; read -r line; echo \"$line\""] {
        let mut command = program("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_distlock"), inner]);
        let mut running = Running::until_ready(command.stdin(Stdio::piped()));
        for signal in [Signal::HUP, Signal::INT, Signal::QUIT] {
            running.signal(signal);
        }
        running.write(b"on\n");
        let ended = running.end();
        assert_eq!((&*ended.output, &*ended.errors, ended.code), ("on\n", "", 0));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_was_ignored_before_is_not_passed_on_to_a_command_that_listens_all_the_same() {
    use rustix::process::Signal;

    let script = "trap '' HUP INT QUIT; exec \"$@\"";
    let inner = "trap 'echo wrong' HUP INT QUIT; trap 'echo heard' USR1; echo ready; \
                 until read -r line; do :; done; echo \"$line\"";
    let mut command = program("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_distlock"), "run", "-q", "--url"]);
    // It ignores nothing although `distlock` does.
    let listening = program("sh");
    command.args([MEMORY, "x", "--"]).arg(listening.get_program()).args(listening.get_args());
    let mut running = Running::until_ready(command.args(["-c", inner]).stdin(Stdio::piped()));
    for signal in [Signal::HUP, Signal::INT, Signal::QUIT] {
        running.signal(signal);
    }
    // Of the signals that wait, the one with the lowest number is read first: this is the last.
    running.signal(Signal::USR1);
    assert_eq!(running.line(), "heard");
    running.write(b"on\n");
    assert_eq!(running.end().output, "on\n");
}

#[cfg(target_os = "linux")]
#[test]
fn a_command_below_nohup_outlives_a_hang_up() {
    use rustix::process::Signal;

    let mut command = program("nohup");
    command.args([env!("CARGO_BIN_EXE_distlock"), "run", "-q", "--url", MEMORY, "x", "--"]);
    command.args(["sh", "-c", "echo ready; read -r line; echo \"$line\""]);
    let mut running = Running::until_ready(command.stdin(Stdio::piped()));
    running.signal(Signal::HUP);
    running.write(b"on\n");
    let ended = running.end();
    assert_eq!((&*ended.output, ended.code), ("on\n", 0), "{ended:?}");
}

#[test]
fn memory_is_warned_of_and_the_warning_can_be_silenced() {
    let ended = end_of(&mut run(MEMORY, "", "x", "true"));
    ended.says(0, &["distlock: warning: the store is the memory of this process"]);
}
