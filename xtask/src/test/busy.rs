//! A busy machine: loops that take what they can get of the processors.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Twice as many as a small machine has processors.
const LOOPS: usize = 4;

/// The loops, until it is dropped. They are threads of this program, so they also end with it.
pub(super) struct BusyLoops {
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl BusyLoops {
    pub(super) fn start() -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let threads = (0..LOOPS).map(|_| {
            let ended = Arc::clone(&ended);
            thread::spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    spin_loop();
                }
            })
        });
        Self { threads: threads.collect(), ended }
    }
}

impl Drop for BusyLoops {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_end_when_they_are_dropped() {
        let loops = BusyLoops::start();
        let ended = Arc::clone(&loops.ended);
        assert_eq!(Arc::strong_count(&ended), LOOPS + 2);
        drop(loops);
        assert_eq!(Arc::strong_count(&ended), 1);
    }
}
