//! What the types promise, and what the compiler says about programs that cannot be right.

use std::fmt::Debug;

use distlock::backend::AnyBackend;
use distlock::{
    FencingToken, Lease, Lock, LockConfig, LockError, LockErrorKind, LockGuard, LockName,
    LockOptions, LockService, LockServiceBuilder, LockStatus, LossReason, ReleaseOutcome, Result,
};

#[test]
fn handles_are_small() {
    let word = size_of::<usize>();
    assert!(size_of::<LockGuard>() <= 2 * word);
    assert!(size_of::<Result<Option<LockGuard>>>() <= 2 * word);
    assert_eq!(size_of::<Lease>(), word);
    assert_eq!(size_of::<LockError>(), word);
    assert_eq!(size_of::<Result<()>>(), word);
    assert_eq!(size_of::<FencingToken>(), 8);
}

#[test]
fn everything_crosses_threads_and_borrows_nothing() {
    fn promises<T: Send + Sync + 'static + Debug>() {}
    promises::<LockService>();
    promises::<Lock>();
    promises::<LockGuard>();
    promises::<Lease>();
    promises::<LockError>();
    promises::<LockName>();
    promises::<LockOptions>();
    promises::<LockStatus>();
    promises::<LockConfig>();
    promises::<LockServiceBuilder>();
    promises::<ReleaseOutcome>();
    promises::<LossReason>();

    promises::<AnyBackend>();
}

#[test]
fn futures_of_operations_cross_threads_and_borrow_nothing() {
    fn promises<T: Send + 'static>(future: T) -> T {
        future
    }
    let operations = |lock: &Lock, guard: &LockGuard| {
        drop(promises(lock.try_acquire()));
        drop(promises(lock.acquire()));
        drop(promises(lock.status()));
        drop(promises(lock.execute(async |_| 7)));
        drop(promises(guard.lost()));
        drop(promises(guard.extend(std::time::Duration::ZERO)));
        drop(promises(distlock::connect("memory:")));
    };
    let _: &dyn Fn(&Lock, &LockGuard) = &operations;
}

#[test]
fn an_error_kind_is_compared_with_one_word() {
    let error = LockName::new("").err();
    assert!(error.is_some_and(|error| error.kind() == LockErrorKind::InvalidName));
}

/// The documentation promises these messages.
///
/// One that lists the backends is longer with each of them, so it is compared where there is one.
#[cfg(not(feature = "redis"))]
#[test]
fn mistakes_are_answered_with_the_way_out() {
    let mistakes = trybuild::TestCases::new();
    mistakes.compile_fail("tests/mistakes/*.rs");
}
