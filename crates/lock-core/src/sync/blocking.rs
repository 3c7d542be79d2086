//! Waits for a future on a thread, for a limited time.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Blocks the thread until the future ends; `None` if that takes longer than `limit`.
pub(crate) fn wait_for<T>(future: impl Future<Output = T>, limit: Duration) -> Option<T> {
    let (mut future, signal) = (pin!(future), Arc::new(Signal::default()));
    let waker = Waker::from(Arc::clone(&signal));
    let deadline = Instant::now() + limit;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        if !signal.wait(deadline.saturating_duration_since(Instant::now())) {
            return None;
        }
    }
}

/// Not the thread's own token, `unpark`: what waits for that, below on the stack, must not lose it.
#[derive(Default)]
struct Signal {
    is_given: Mutex<bool>,
    given: Condvar,
}

impl Signal {
    fn wait(&self, limit: Duration) -> bool {
        let is_given = self.is_given.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.given.wait_timeout_while(is_given, limit, |is_given| !*is_given);
        let (mut is_given, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *is_given)
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *self.is_given.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.given.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn what_another_thread_ends_is_waited_for() {
        let (tell, told) = tokio::sync::oneshot::channel();
        let other = std::thread::spawn(move || tell.send(7));
        assert_eq!(wait_for(told, LIMIT), Some(Ok(7)));
        other.join().unwrap().unwrap();
    }

    #[test]
    fn what_does_not_end_is_waited_for_until_the_limit() {
        let (began, limit) = (Instant::now(), Duration::from_millis(20));
        assert_eq!(wait_for(std::future::pending::<()>(), limit), None);
        assert!(began.elapsed() >= limit);
    }

    #[test]
    fn the_thread_keeps_its_own_token() {
        std::thread::current().unpark();
        let (tell, told) = tokio::sync::oneshot::channel();
        let other = std::thread::spawn(move || tell.send(()));
        wait_for(told, LIMIT).unwrap().unwrap();
        other.join().unwrap().unwrap();
        let began = Instant::now();
        std::thread::park_timeout(LIMIT);
        assert!(began.elapsed() < LIMIT);
    }
}
