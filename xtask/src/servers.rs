//! `servers`: real servers for a person to play with.

use std::io;

use lock_testkit::server::{RedisServer, ServerBinary, ServerKind};

use crate::{Failure, Outcome, fetch, no_more};

const DEFAULT: ServerKind = ServerKind::REDIS_8_2;

pub(crate) fn run(arguments: &[String]) -> Outcome {
    match arguments.split_first() {
        None => play(&DEFAULT),
        Some((first, rest)) => {
            no_more(rest)?;
            match first.as_str() {
                "--list" => list(),
                "--fetch" => fetch_all(),
                name if name.starts_with('-') => no_more(arguments),
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
            Err(Failure::Usage(format!("unknown server `{name}`, expected one of {known}")))
        }
        Err(error) => Err(Failure::Error(error.to_string())),
    }
}

fn play(kind: &ServerKind) -> Outcome {
    let (binary, _) = find_or_fetch(kind).map_err(Failure::Error)?;
    let server = RedisServer::start(kind).map_err(|error| Failure::Error(error.to_string()))?;
    println!("{}", server.url());
    eprintln!("{kind} {} is running; Enter or Ctrl-C stops it", describe(&binary));
    // Ctrl-C ends this process, and the server ends with it. An unreadable input is as good as its
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
    Ok(())
}

fn fetch_all() -> Outcome {
    let mut result = Ok(());
    for kind in &ServerKind::ALL {
        match find_or_fetch(kind) {
            Ok((binary, fetched)) => {
                let how = if fetched { "fetched" } else { "is there" };
                println!("{kind:<12} {how}: {}", describe(&binary));
            }
            Err(why) => {
                println!("{kind:<12} MISSING: {why}");
                result = Err(Failure::Reported);
            }
        }
    }
    result
}
