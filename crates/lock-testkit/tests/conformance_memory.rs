//! The memory backend keeps every claim, in paused time and in the machine's time.

use lock_core::memory::MemoryBackend;
use lock_testkit::conformance::{Need, OneBackend};

lock_testkit::conformance_tests!(
    mod paused: OneBackend::paused(MemoryBackend::new()).lacking([Need::Lateness])
);
lock_testkit::conformance_tests!(
    mod real: OneBackend::real(MemoryBackend::new()).lacking([Need::Lateness])
);
