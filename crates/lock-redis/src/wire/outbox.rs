//! Commands of many callers in one write.
//!
//! While few commands are under way, a command goes straight to the connection, which is fastest.
//! When many are sent at once, each of them would cost a write and a wake-up of the connection's
//! task: so commands that come while a batch is under way wait for its replies and are the next
//! batch.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lock_core::backend::GivenUp;
use redis::{Cmd, Pipeline, RedisError, RedisResult, Value};
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use crate::wire::channel::Channel;

/// So many commands are sent one by one.
const FEW: usize = 4;
/// So many commands go out in one write at most.
const MAX_BATCH: usize = 256;
/// So many commands may wait before those that were given up are looked for.
const MANY: usize = 1_024;

/// What is to be sent over one connection, by a task of the runtime in which it was made.
pub(crate) struct Outbox {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Default)]
struct State {
    waiting: Vec<PendingCommand>,
    /// When so many wait, those that were given up are taken out.
    sweep_at: usize,
    /// A batch was taken out and is not answered. Until then nothing is sent past it, so that a
    /// release never overtakes its acquire.
    is_out: bool,
    /// Commands that went straight to the connection and are not answered.
    alone: usize,
    /// The task has ended, perhaps with its runtime.
    is_over: bool,
}

struct PendingCommand {
    command: Cmd,
    given_up: Option<GivenUp>,
    /// None is sent back for a command that was given up, and so was not sent.
    reply: oneshot::Sender<Reply>,
}

type Reply = RedisResult<Option<Value>>;

impl Outbox {
    /// Starts the task in the current runtime.
    pub(crate) fn start(channel: Channel) -> Self {
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(deliver(channel, End(Arc::clone(&shared)))).abort_handle();
        Self { shared, task }
    }

    /// Sends a command and awaits its reply. The first poll settles its place in the order.
    ///
    /// `None` if it was given up before it was sent.
    pub(crate) async fn send(
        &self,
        channel: &Channel,
        command: Cmd,
        given_up: Option<&GivenUp>,
    ) -> Reply {
        match self.post(command, given_up) {
            Ok(command) => {
                let _alone = Alone(&self.shared);
                channel.clone().send(&command).await.map(Some)
            }
            Err(reply) => reply.await.unwrap_or_else(|_| Err(ended())),
        }
    }

    /// Puts a command with the others, or gives it back to be sent alone.
    fn post(
        &self,
        command: Cmd,
        given_up: Option<&GivenUp>,
    ) -> Result<Cmd, oneshot::Receiver<Reply>> {
        let mut state = self.shared.lock();
        if state.is_over || (state.alone < FEW && !state.is_out && state.waiting.is_empty()) {
            state.alone += 1;
            return Ok(command);
        }
        let (reply, replied) = oneshot::channel();
        state.waiting.push(PendingCommand { command, given_up: given_up.cloned(), reply });
        let is_idle = !state.is_out && state.waiting.len() == 1;
        let unwanted = state.sweep_if_many();
        drop(state);
        drop_unsent(unwanted);
        if is_idle {
            self.shared.filled.notify_one();
        }
        Err(replied)
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        // A connection that is half open would never let it go.
        self.task.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch, none if nothing waits. The one before is answered.
    fn take(&self) -> Vec<PendingCommand> {
        let mut state = self.lock();
        let unwanted = state.sweep();
        let size = state.waiting.len().min(MAX_BATCH);
        state.is_out = size > 0;
        let batch = if size == state.waiting.len() {
            std::mem::take(&mut state.waiting)
        } else {
            state.waiting.drain(..size).collect()
        };
        drop(state);
        drop_unsent(unwanted);
        batch
    }
}

impl State {
    /// Takes out what was given up.
    fn sweep(&mut self) -> Vec<PendingCommand> {
        let is_unwanted =
            |pending: &mut PendingCommand| pending.given_up.as_ref().is_some_and(GivenUp::is_set);
        self.waiting.extract_if(.., is_unwanted).collect()
    }

    /// As [`sweep`](Self::sweep), where much has come since the last time: a server that does not
    /// answer must not let what nobody wants pile up.
    fn sweep_if_many(&mut self) -> Vec<PendingCommand> {
        if self.waiting.len() < self.sweep_at.max(MANY) {
            return Vec::new();
        }
        let unwanted = self.sweep();
        self.sweep_at = self.waiting.len() * 2;
        unwanted
    }
}

/// Tells whoever has given these commands up that they were not sent.
fn drop_unsent(unwanted: Vec<PendingCommand>) {
    for PendingCommand { reply, .. } in unwanted {
        reply.send(Ok(None)).ok();
    }
}

/// A command that was sent alone is answered, or given up.
struct Alone<'a>(&'a Shared);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.lock().alone -= 1;
    }
}

/// The end of the task, whatever ends it: nobody waits for it any more.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_over = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        drop(waiting);
    }
}

async fn deliver(mut channel: Channel, end: End) {
    loop {
        let batch = end.0.take();
        if batch.is_empty() {
            end.0.filled.notified().await;
            continue;
        }
        let mut commands = Pipeline::with_capacity(batch.len());
        let mut waiting = Vec::with_capacity(batch.len());
        for PendingCommand { command, reply, .. } in batch {
            commands.add_command(command);
            waiting.push(reply);
        }
        // Whoever does not wait any more needs no reply.
        match channel.send_all(&commands).await {
            Ok(replies) => {
                for (reply, to) in replies.into_iter().zip(waiting) {
                    to.send(Ok(Some(reply))).ok();
                }
            }
            Err(error) => {
                for to in waiting {
                    to.send(Err(error.clone())).ok();
                }
            }
        }
    }
}

fn ended() -> RedisError {
    io::Error::new(io::ErrorKind::BrokenPipe, "the connection's runtime has ended").into()
}
