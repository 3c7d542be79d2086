//! Listens to every Sentinel for the news that the master has changed.
//!
//! The library's own thread does so, from the first connection until the backend is closed.
//! All of them are listened to, since one alone may be cut off, and they hear of a failover one after
//! the other.
//! News that is missed costs the time until the next error on the old connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lock_core::backend::{Backoff, Clock, background_runtime, in_time};
use lock_core::{LockErrorKind, event};
use redis::aio::{AsyncPushSender, SendError};
use redis::{PushInfo, PushKind};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::topology::sentinel::ask;
use crate::topology::sentinel::masters::Masters;
use crate::topology::sentinel::report::{self, SWITCH};
use crate::topology::sentinel::settings::{Sentinel, Settings};
use crate::wire::channel::Channel;
use crate::wire::failure::Failure;
use crate::wire::greeting;

/// The pauses before a Sentinel is listened to again grow from the first to the second.
const PAUSE: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
/// How long it may take until a Sentinel is listened to.
const LIMIT: Duration = Duration::from_secs(5);

/// See the [module's documentation](self).
pub(super) struct Watch {
    ear: Ear,
    listening: Mutex<Listening>,
}

#[derive(Default)]
enum Listening {
    #[default]
    NotYet,
    Since(Vec<AbortHandle>),
    NoMore,
}

#[derive(Clone)]
struct Ear {
    settings: Arc<Settings>,
    masters: Arc<Masters>,
    is_forbidden: Arc<AtomicBool>,
}

impl Watch {
    pub(super) fn new(settings: Arc<Settings>, masters: Arc<Masters>) -> Self {
        let ear = Ear { settings, masters, is_forbidden: Arc::default() };
        Self { ear, listening: Mutex::default() }
    }

    /// Begins to listen, unless that was done before.
    pub(super) fn ensure_started(&self) {
        let mut listening = self.lock();
        // Without that thread the connections fail as well, and say why.
        if matches!(*listening, Listening::NotYet)
            && let Ok(runtime) = background_runtime()
        {
            let indices = 0..self.ear.settings.sentinels.len();
            let listen = |index| runtime.spawn(self.ear.clone().follow(index)).abort_handle();
            *listening = Listening::Since(indices.map(listen).collect());
        }
    }

    /// Stops listening for good.
    pub(super) fn stop(&self) {
        if let Listening::Since(tasks) = std::mem::replace(&mut *self.lock(), Listening::NoMore) {
            tasks.iter().for_each(AbortHandle::abort);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Listening> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Ear {
    /// Listens to a Sentinel for as long as it is polled.
    async fn follow(self, index: usize) {
        let settings = Arc::clone(&self.settings);
        let Some(sentinel) = settings.sentinels.get(index) else { return };
        let mut failures = 0;
        loop {
            match self.listen(sentinel).await {
                Ok(()) => failures = 0,
                Err(failure) => {
                    self.tell(sentinel, &failure);
                    failures += 1;
                }
            }
            Clock::SYSTEM.sleep(PAUSE.jittered(failures)).await;
        }
    }

    /// Listens until the connection ends.
    async fn listen(&self, sentinel: &Sentinel) -> Result<(), Failure> {
        let ended = Arc::new(Notify::new());
        let listener = Listener { ear: self.clone(), ended: Arc::clone(&ended) };
        let begin = async {
            let ready = self.settings.credentials.read_again(&sentinel.client)?;
            let connection = greeting::open_with(&ready, listener).await?;
            let mut channel = Channel::Connection(connection);
            let mut subscribe = redis::cmd("SUBSCRIBE");
            subscribe.arg(SWITCH);
            ask::answered(channel.send(&subscribe).await)?;
            // What was told before is not told again.
            if let Ok(report) = ask::over(&mut channel, &self.settings.master).await {
                self.masters.reported(&report);
            }
            Ok(channel)
        };
        let deadline = Clock::SYSTEM.now() + LIMIT;
        let too_slow = || Err(Failure::unavailable("it did not answer in time"));
        // It is there as long as somebody has a handle to it.
        let _channel = in_time(deadline, begin).await.unwrap_or_else(too_slow)?;
        ended.notified().await;
        Ok(())
    }

    fn tell(&self, sentinel: &Sentinel, failure: &Failure) {
        let (address, cause) = (&*sentinel.address, failure.message());
        let is_forbidden = failure.kind == LockErrorKind::Denied;
        if is_forbidden && !self.is_forbidden.swap(true, Ordering::Relaxed) {
            event!(
                WARN,
                "sentinel_forbids",
                "redis",
                address,
                cause,
                "the Sentinel at {address} does not allow a subscription to {SWITCH}, so a \
                 failover is only noticed at the next error: {cause}"
            );
        } else {
            event!(DEBUG, "sentinel_unheard", "redis", address, cause, "{address}: {cause}");
        }
    }
}

/// Lives as long as the connection, and is told what is published.
struct Listener {
    ear: Ear,
    ended: Arc<Notify>,
}

impl AsyncPushSender for Listener {
    fn send(&self, info: PushInfo) -> Result<(), SendError> {
        match info.kind {
            PushKind::Disconnection => self.ended.notify_one(),
            PushKind::Message => match report::switch(&info.data) {
                Some((name, address)) if name == self.ear.settings.master => {
                    self.ear.masters.switched(address);
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.ended.notify_one();
    }
}
