//! Registering this process on a server, so that others can name who holds a lock.
//!
//! It is done by the library's own thread, from the first lock that a backend takes or waits for until
//! it is closed or dropped; no caller waits for it, and no lock costs more for it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lock_core::backend::{Clock, InstanceId, Lane, background_runtime, in_time, this_process};
use lock_core::{Instant, event};
use tokio::task::AbortHandle;

use crate::protocol::process;
use crate::protocol::slots::slot;
use crate::protocol::units::whole_millis;
use crate::topology::Topology;
use crate::topology::tries::Tries;
use crate::wire::failure::Failure;

/// How long a process is known after it was last heard of.
const KNOWN_FOR: Duration = Duration::from_secs(60);
/// How often it is heard of.
const EVERY: Duration = Duration::from_secs(20);
/// What failed for a while is tried again after this time.
const AGAIN: Duration = Duration::from_secs(5);
/// How long one try may take, connecting included.
const WITHIN: Duration = Duration::from_secs(10);

/// Keeps this process registered on a backend's server.
pub(crate) struct Registry {
    /// Also where it is never to begin.
    has_begun: AtomicBool,
    task: OnceLock<AbortHandle>,
}

impl Registry {
    pub(crate) fn new(registers: bool) -> Self {
        Self { has_begun: AtomicBool::new(!registers), task: OnceLock::new() }
    }

    /// Begins, unless it has begun or is over.
    pub(crate) fn begin(&self, topology: &Topology) {
        // A value that hardly ever changes costs next to nothing to read.
        if self.has_begun.load(Ordering::Relaxed) || self.has_begun.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Ok(runtime) = background_runtime() {
            let task = runtime.spawn(keep_registered(topology.clone()));
            self.task.set(task.abort_handle()).ok();
        }
    }

    /// Ends; the entry on the server goes by itself.
    pub(crate) fn end(&self) {
        self.has_begun.store(true, Ordering::SeqCst);
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.end();
    }
}

async fn keep_registered(topology: Topology) {
    let Ok(instance) = InstanceId::current() else { return };
    let (key, mut is_failing) = (process::key(instance), false);
    loop {
        let pause = match register(&topology, &key).await {
            Ok(()) => {
                is_failing = false;
                EVERY
            }
            Err(failure) => {
                if !is_failing {
                    let (address, cause) = (topology.address(), failure.message());
                    event!(
                        DEBUG,
                        "not_registered",
                        "redis",
                        address,
                        %cause,
                        "this process cannot be registered on the Redis server, so others cannot \
                         name it when it holds a lock: {cause}"
                    );
                }
                if !failure.is_passing() {
                    return;
                }
                is_failing = true;
                AGAIN
            }
        };
        Clock::SYSTEM.sleep(pause).await;
    }
}

async fn register(topology: &Topology, key: &str) -> Result<(), Failure> {
    let registering = async {
        let mut tries = Tries::default();
        loop {
            let deadline = Clock::SYSTEM.now() + WITHIN;
            let home = topology.home(slot(key), deadline).await?;
            let connection = match home.up() {
                Some(connection) => Ok(connection),
                None => home.route(Lane::Background).connection(deadline).await,
            };
            let set = async {
                let mut command = redis::cmd("SET");
                command.arg(key).arg(process::write(&this_process()));
                command.arg("PX").arg(whole_millis(KNOWN_FOR));
                // A runtime of the user's may drive the connection and stand still for a while.
                // That is no reason to give the connection up.
                connection?.send(command, Instant::FAR_FUTURE).await
            };
            let Err(failure) = set.await else { return Ok(()) };
            home.again(failure, &mut tries, deadline).await?;
        }
    };
    let registered = in_time(Clock::SYSTEM.now() + WITHIN, registering).await;
    let no_answer = || Err(Failure::unavailable("the server did not answer in time"));
    registered.unwrap_or_else(no_answer)
}
