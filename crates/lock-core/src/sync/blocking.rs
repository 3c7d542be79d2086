//! Waits for a future on a thread, for a limited time or without a limit.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

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

/// Blocks the thread until the future is done. It needs no runtime.
///
/// # Panics
///
/// In asynchronous code on a tokio runtime, before the future is polled: the thread is needed there,
/// perhaps even for this very future. Not where tokio allows a thread to block, such as in
/// `spawn_blocking`.
#[track_caller]
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    if let Ok(runtime) = Handle::try_current() {
        // It is for tokio to say whether the thread may block here, and it panics if it may not.
        let may_block = catch_unwind(AssertUnwindSafe(|| runtime.block_on(async {}))).is_ok();
        assert!(
            may_block,
            "a call of the blocking API would block this thread, which is used to drive asynchronous \
             tasks; use the asynchronous API, or make the call in tokio::task::spawn_blocking"
        );
    }
    let (mut future, signal) = (pin!(future), Arc::new(Signal::default()));
    let waker = Waker::from(Arc::clone(&signal));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        signal.wait_for_ever();
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

    fn wait_for_ever(&self) {
        let is_given = self.is_given.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.given.wait_while(is_given, |is_given| !*is_given);
        *waited.unwrap_or_else(PoisonError::into_inner) = false;
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
    use std::future::{poll_fn, ready};

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

    #[test]
    fn a_future_that_is_woken_by_another_thread_is_driven_to_its_end() {
        let mut polls = 0;
        let woken = block_on(poll_fn(|cx| {
            polls += 1;
            let waker = cx.waker().clone();
            std::thread::spawn(move || waker.wake());
            if polls == 100 { Poll::Ready(polls) } else { Poll::Pending }
        }));
        assert_eq!(woken, 100);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_thread_that_may_block_may_block_here() {
        assert_eq!(tokio::task::spawn_blocking(|| block_on(ready(7))).await.unwrap(), 7);
        assert_eq!(tokio::task::block_in_place(|| block_on(ready(7))), 7);
    }

    #[tokio::test]
    #[should_panic(expected = "used to drive asynchronous tasks; use the asynchronous API")]
    async fn asynchronous_code_must_not_block() {
        block_on(ready(()));
    }
}
