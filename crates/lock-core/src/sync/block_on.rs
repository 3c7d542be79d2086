//! Drives a future on a thread that has nothing else to do.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use tokio::runtime::Handle;

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
        runtime.block_on(async {});
    }
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Parked(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            // Whoever has woken it since the poll has left a permit, so that this returns at once.
            Poll::Pending => thread::park(),
        }
    }
}

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::future::{poll_fn, ready};

    use super::*;

    #[test]
    fn a_future_that_is_woken_by_another_thread_is_driven_to_its_end() {
        let mut polls = 0;
        let woken = block_on(poll_fn(|cx| {
            polls += 1;
            let waker = cx.waker().clone();
            thread::spawn(move || waker.wake());
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
    #[should_panic(expected = "while the thread is being used to drive asynchronous tasks")]
    async fn asynchronous_code_must_not_block() {
        block_on(ready(()));
    }
}
