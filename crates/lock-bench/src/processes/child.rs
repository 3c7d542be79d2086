//! This program, run once more as a part of a measurement: what it is told and answers are lines.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::failure::Failure;

/// The line of a process that has come up.
pub(crate) const READY: &str = "ready";
/// A process that says nothing for so long has failed.
const TIME_LIMIT: Duration = Duration::from_secs(180);

/// Killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts this program with other words.
    pub(crate) fn start(words: &[&str]) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let orders = child.stdin.take().ok_or("a process without an input")?;
        let answers = child.stdout.take().ok_or("a process without an output")?;
        Ok(Self { child, orders, answers: BufReader::new(answers).lines() })
    }

    pub(crate) async fn await_ready(&mut self) -> Result<(), Failure> {
        let line = self.line().await?;
        if line == READY { Ok(()) } else { Err(line.into()) }
    }

    pub(crate) async fn tell(&mut self, line: &str) -> Result<(), Failure> {
        Ok(self.orders.write_all(format!("{line}\n").as_bytes()).await?)
    }

    /// The next line that it says.
    pub(crate) async fn line(&mut self) -> Result<String, Failure> {
        let line = timeout(TIME_LIMIT, self.answers.next_line()).await;
        let line = line.map_err(|_| "a process of the bench hangs")??;
        line.ok_or_else(|| "a process of the bench ended early".into())
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> Result<(), Failure> {
        timeout(TIME_LIMIT, self.child.wait()).await??;
        Ok(())
    }

    /// Kills it without a chance to clean up.
    pub(crate) async fn kill(mut self) -> Result<(), Failure> {
        Ok(self.child.kill().await?)
    }
}
