//! How everything is logged, by the core and by the backends.

/// Logs an event: its level, its name, the backend's [kind](super::LockBackend::kind), then more
/// fields and a message as [`tracing::event!`] takes them.
///
/// All events have the target `distlock` and the fields `event` and `backend`; one that is about a
/// lock has the field `lock`. The guide lists all of them, and `cargo xtask tidy` compares.
///
/// ```
/// lock_core::event!(DEBUG, "connected", "redis", address = "[::1]:6379", "connected");
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! event {
    ($level:ident, $event:literal, $backend:expr, $($rest:tt)+) => {
        $crate::backend::tracing::event!(
            target: "distlock",
            $crate::backend::tracing::Level::$level,
            event = $event,
            backend = $backend,
            $($rest)+
        )
    };
}

pub(crate) use event;
