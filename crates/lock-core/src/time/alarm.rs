//! What the timer thread waits on: an alarm that any thread can set.

pub(crate) use platform::Alarm;

/// A boot-time timer of the kernel: it rings on time also after the machine was suspended.
#[cfg(target_os = "linux")]
mod platform {
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    use super::ticking;
    use crate::time::instant::Instant;
    use crate::time::system;

    /// The alarm looks no further ahead, and rings early instead; whoever waits for it sets it anew.
    /// A time near the kernel's largest would be in the past after the kernel has added the offset
    /// of a time namespace, and ring at once, again and again.
    const FURTHEST: Duration = Duration::from_secs(24 * 60 * 60);

    pub(crate) enum Alarm {
        Kernel(OwnedFd),
        /// Where the kernel gives us no timer (a strict sandbox, no file descriptors left).
        Ticking(ticking::Alarm),
    }

    impl Alarm {
        pub(crate) fn new() -> Self {
            timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)
                .map_or_else(|_| Self::Ticking(ticking::Alarm::default()), Self::Kernel)
        }

        pub(crate) fn set(&self, at: Instant) {
            match self {
                Self::Kernel(timer) => {
                    // Zero would disarm it.
                    let nanos = system::since_boot(at.min(system::now() + FURTHEST)).max(1);
                    let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
                    let once = Timespec { tv_sec: 0, tv_nsec: 0 };
                    let value =
                        Timespec { tv_sec: nanos / 1_000_000_000, tv_nsec: nanos % 1_000_000_000 };
                    let spec = Itimerspec { it_interval: once, it_value: value };
                    // It fails only for a value that is out of range, which this one is not.
                    timerfd_settime(timer, TimerfdTimerFlags::ABSTIME, &spec).ok();
                }
                Self::Ticking(alarm) => alarm.set(at),
            }
        }

        /// Returns when the alarm rings, and perhaps earlier.
        pub(crate) fn wait(&self) {
            match self {
                Self::Kernel(timer) => {
                    let mut count = [0_u8; 8];
                    // Interrupted or not: the caller looks at the clock again.
                    rustix::io::read(timer, &mut count).ok();
                }
                Self::Ticking(alarm) => alarm.wait(),
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    pub(crate) struct Alarm(super::ticking::Alarm);

    impl Alarm {
        pub(crate) fn new() -> Self {
            Self(super::ticking::Alarm::default())
        }

        pub(crate) fn set(&self, at: crate::time::instant::Instant) {
            self.0.set(at);
        }

        pub(crate) fn wait(&self) {
            self.0.wait();
        }
    }
}

mod ticking {
    use std::sync::{Condvar, Mutex, PoisonError};
    use std::time::Duration;

    use crate::time::instant::Instant;
    use crate::time::system;

    /// A condition variable's timeout may stand still while the machine sleeps; looking at the
    /// clock this often bounds how late the alarm rings after that.
    const TICK: Duration = Duration::from_secs(1);

    #[derive(Default)]
    pub(crate) struct Alarm {
        at: Mutex<Option<Instant>>,
        changed: Condvar,
    }

    impl Alarm {
        pub(crate) fn set(&self, at: Instant) {
            *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
            self.changed.notify_one();
        }

        pub(crate) fn wait(&self) {
            let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                let left = at.map(|at| at.saturating_duration_since(system::now()));
                if left.is_some_and(|left| left.is_zero()) {
                    *at = None;
                    return;
                }
                let nap = left.map_or(TICK, |left| left.min(TICK));
                let woken = self.changed.wait_timeout(at, nap);
                at = woken.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_alarm_that_is_set_from_another_thread_rings() {
            let alarm = std::sync::Arc::new(Alarm::default());
            let setter = std::sync::Arc::clone(&alarm);
            let at = system::now() + Duration::from_millis(5);
            std::thread::spawn(move || setter.set(at));
            alarm.wait();
            assert!(system::now() >= at);
        }
    }
}
