//! How many commands may be under way over one connection.
//!
//! A command goes straight to the connection, whose task puts what has come meanwhile into one write.
//! But a server that does not answer must not let what nobody wants any more pile up in front of it:
//! so only a window of commands is sent, and whoever has to wait for room is asked, before it sends,
//! whether it still wants to.

use tokio::sync::{Semaphore, SemaphorePermit};

/// So many commands may be sent and not answered. A server answers about 100 in a millisecond, so
/// more of them would only wait there.
const SIZE: usize = 512;

/// The room for commands of one connection.
pub(crate) struct Window(Semaphore);

/// A command's room, until this is dropped.
pub(crate) type Room<'a> = SemaphorePermit<'a>;

impl Window {
    pub(crate) const fn new() -> Self {
        Self(Semaphore::const_new(SIZE))
    }

    /// Room, if there is some and nobody waits for it.
    pub(crate) fn room(&self) -> Option<Room<'_>> {
        self.0.try_acquire().ok()
    }

    /// Waits for room, first come, first served.
    pub(crate) async fn wait_for_room(&self) -> Option<Room<'_>> {
        // It is never closed.
        self.0.acquire().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn whoever_comes_when_it_is_full_waits_for_its_turn() {
        let window = Window::new();
        let mut sent: Vec<_> = (0..SIZE).map(|_| window.room().unwrap()).collect();
        assert!(window.room().is_none());
        let (mut first, mut second) =
            (Box::pin(window.wait_for_room()), Box::pin(window.wait_for_room()));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        sent.pop();
        assert!(window.room().is_none(), "nobody passes those who wait");
        assert!(second.as_mut().now_or_never().is_none());
        assert!(first.as_mut().now_or_never().flatten().is_some());
        assert!(second.as_mut().now_or_never().flatten().is_some());
    }
}
