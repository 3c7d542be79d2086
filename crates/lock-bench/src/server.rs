//! The server under measurement, and what it says of its own work.

use std::sync::Mutex;

use lock_testkit::server::{RedisServer, ServerKind};

use crate::Failure;

pub(crate) struct Stats {
    connection: Mutex<redis::Connection>,
}

/// Starts the server, which ends with the run.
pub(crate) fn start(name: &str) -> Result<(RedisServer, Stats), Failure> {
    let kind = ServerKind::named(name.to_owned());
    let server = RedisServer::start(&kind)?;
    let connection = Mutex::new(redis::Client::open(server.url())?.get_connection()?);
    Ok((server, Stats { connection }))
}

impl Stats {
    pub(crate) fn reset(&self) -> Result<(), Failure> {
        let mut connection = self.connection.lock().map_err(|e| e.to_string())?;
        Ok(redis::cmd("CONFIG").arg("RESETSTAT").query(&mut connection)?)
    }

    /// How many commands clients sent since the last reset; those inside scripts do not count.
    pub(crate) fn client_commands(&self) -> Result<f64, Failure> {
        let sent = ["set", "evalsha", "eval", "ping", "time", "script|load", "pttl"];
        let lines = self.command_stats()?;
        // `set`, `time` and `pttl` also run inside our scripts; there is no telling them apart, so
        // they count only where no script ran that uses them.
        let inside: &[&str] =
            if lines.iter().any(|line| line.0 == "time") { &["set", "time", "pttl"] } else { &[] };
        Ok(lines
            .iter()
            .filter(|line| sent.contains(&line.0.as_str()) && !inside.contains(&line.0.as_str()))
            .map(|line| line.1)
            .sum())
    }

    /// The server's time for one call of a script, in µs, over all calls since the last reset.
    pub(crate) fn script_micros(&self) -> Result<f64, Failure> {
        let lines = self.command_stats()?;
        let script = lines.iter().find(|line| line.0 == "evalsha").ok_or("no script ran")?;
        Ok(script.2 / script.1)
    }

    /// Name, calls and µs of each command.
    fn command_stats(&self) -> Result<Vec<(String, f64, f64)>, Failure> {
        let mut connection = self.connection.lock().map_err(|e| e.to_string())?;
        let info: String = redis::cmd("INFO").arg("commandstats").query(&mut connection)?;
        let mut lines = Vec::new();
        for line in info.lines() {
            let Some((name, rest)) =
                line.strip_prefix("cmdstat_").and_then(|line| line.split_once(':'))
            else {
                continue;
            };
            let field = |key: &str| {
                rest.split(',').find_map(|pair| pair.strip_prefix(key)?.parse::<f64>().ok())
            };
            let (calls, micros) = (field("calls="), field("usec="));
            lines.push((name.to_owned(), calls.unwrap_or(0.0), micros.unwrap_or(0.0)));
        }
        Ok(lines)
    }
}
