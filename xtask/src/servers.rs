//! `servers`: real servers for a person to play with.

use std::io;

use testbed::{DaprBinary, DaprSidecar, RedisServer, ServerBinary, ServerKind};

use crate::verb::{Failure, Outcome, no_more};
use crate::{daprd, fetch};

const DEFAULT: ServerKind = ServerKind::REDIS_8_2;
const DAPRD: &str = "daprd";

pub(crate) fn run(arguments: &[String]) -> Outcome {
    match arguments.split_first() {
        None => play(&DEFAULT),
        Some((first, rest)) => {
            no_more(rest)?;
            match first.as_str() {
                "--list" => list(),
                "--fetch" => fetch_all(),
                name if name.starts_with('-') => no_more(arguments),
                DAPRD => play_sidecar(),
                name => play(&kind_named(name)?),
            }
        }
    }
}

/// Finds the server's binary, or fetches it; `true` says that it was fetched now.
pub(crate) fn find_or_fetch(kind: &ServerKind) -> Result<(ServerBinary, bool), String> {
    match kind.find() {
        Ok(binary) => Ok((binary, false)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fetch::fetch(kind)?;
            let binary = kind.find().map_err(|error| error.to_string())?;
            Ok((binary, true))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// What a person wants to know of a binary: its version and where it came from.
pub(crate) fn describe(binary: &ServerBinary) -> String {
    format!("{} from {}", binary.version(), binary.source())
}

/// A kind of the fixed list, or one that the environment names.
fn kind_named(name: &str) -> Result<ServerKind, Failure> {
    let kind = ServerKind::named(name.to_owned());
    if ServerKind::ALL.contains(&kind) {
        return Ok(kind);
    }
    match kind.find() {
        Ok(_) => Ok(kind),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let known = ServerKind::ALL.each_ref().map(ServerKind::name).join(", ");
            let known = format!("{known}, {DAPRD}");
            Err(Failure::Usage(format!("unknown server `{name}`, expected one of {known}")))
        }
        Err(error) => Err(Failure::Error(error.to_string())),
    }
}

fn play(kind: &ServerKind) -> Outcome {
    let (binary, _) = find_or_fetch(kind).map_err(Failure::Error)?;
    let server = RedisServer::start(kind).map_err(|error| Failure::Error(error.to_string()))?;
    println!("{}", server.url());
    await_enter(&format!("{kind} {}", describe(&binary)))
}

fn play_sidecar() -> Outcome {
    let failed = |error: io::Error| Failure::Error(error.to_string());
    find_or_fetch(&DEFAULT).map_err(Failure::Error)?;
    let (binary, _) = daprd::find_or_build().map_err(Failure::Error)?;
    let redis = RedisServer::start(&DEFAULT).map_err(failed)?;
    let sidecar = DaprSidecar::start(&redis).map_err(failed)?;
    println!("{}", sidecar.url());
    await_enter(&format!("{DAPRD} {binary} before {} at {}", redis.binary().kind(), redis.url()))
}

fn await_enter(what: &str) -> Outcome {
    eprintln!("{what} is running; Enter or Ctrl-C stops it");
    // Ctrl-C ends this process, and the servers end with it. An unreadable input is as good as its
    // end.
    io::stdin().read_line(&mut String::new()).ok();
    Ok(())
}

fn list() -> Outcome {
    for kind in &ServerKind::ALL {
        match kind.find() {
            Ok(binary) => println!("{kind:<12} {}", describe(&binary)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => println!("{kind:<12} missing"),
            Err(error) => println!("{kind:<12} {error}"),
        }
    }
    match DaprBinary::find() {
        Ok(binary) => println!("{DAPRD:<12} {binary}"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => println!("{DAPRD:<12} missing"),
        Err(error) => println!("{DAPRD:<12} {error}"),
    }
    Ok(())
}

fn fetch_all() -> Outcome {
    let mut is_complete = true;
    for kind in &ServerKind::ALL {
        let found = find_or_fetch(kind).map(|(binary, is_new)| (describe(&binary), is_new));
        is_complete &= show(kind.name(), &found);
    }
    let found = daprd::find_or_build().map(|(binary, is_new)| (binary.to_string(), is_new));
    is_complete &= show(DAPRD, &found);
    if is_complete { Ok(()) } else { Err(Failure::Reported) }
}

/// Whether it was found; `true` beside it says that it is new here.
fn show(name: &str, found: &Result<(String, bool), String>) -> bool {
    match found {
        Ok((binary, false)) => println!("{name:<12} is there: {binary}"),
        Ok((binary, true)) => println!("{name:<12} fetched: {binary}"),
        Err(why) => println!("{name:<12} MISSING: {why}"),
    }
    found.is_ok()
}
