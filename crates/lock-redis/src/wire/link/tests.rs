//! Attempts to connect that end in every way but by an answer.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::runtime::Builder;

use super::*;

const PATIENT: Duration = Duration::from_secs(60);

/// Never connects: an attempt ends in this way.
struct Never(fn() -> Option<Failure>, AtomicU32);

impl Connector for Never {
    fn connect(&self, _deadline: Instant) -> BoxFuture<'_, Result<Connection, Failure>> {
        async {
            self.1.fetch_add(1, Ordering::Relaxed);
            match self.0() {
                Some(failure) => Err(failure),
                None => std::future::pending().await,
            }
        }
        .boxed()
    }

    fn too_slow(&self) -> Failure {
        Failure::unavailable("too slow").not_applied()
    }

    fn address(&self) -> &str {
        "nowhere"
    }
}

fn never(ends: fn() -> Option<Failure>) -> (Arc<Never>, Link) {
    let connector = Arc::new(Never(ends, AtomicU32::new(0)));
    let link = Link::new(Arc::clone(&connector) as _, Driver::Caller, PATIENT);
    (connector, link)
}

async fn refused(link: &Link) -> Failure {
    let deadline = Clock::SYSTEM.now() + PATIENT;
    match link.connection(deadline, Patience::Full).await {
        Err(NoConnection::Failed(failure)) => failure,
        Err(NoConnection::Foreign) => panic!("nobody else uses it"),
        Ok(_) => panic!("it never connects"),
    }
}

fn panics() -> Option<Failure> {
    // As `panic!`, without what that prints.
    std::panic::resume_unwind(Box::new("a defect"))
}

#[test]
fn the_pauses_between_attempts_are_those_that_are_documented() {
    let pauses = (PAUSE.first(), PAUSE.longest());
    assert_eq!(pauses, (Duration::from_millis(50), Duration::from_secs(1)));
}

#[tokio::test]
async fn attempts_that_panic_are_errors_and_are_not_repeated_without_a_pause() {
    let (connector, link) = never(panics);
    let begin = Clock::SYSTEM.now();
    for _ in 0..1_000 {
        let failure = refused(&link).await;
        assert_eq!(failure.kind, LockErrorKind::Backend);
        assert!(failure.message().contains("a defect"), "{failure:?}");
    }
    // The first pause is 25 ms at least, and the later ones are longer.
    let took = Clock::SYSTEM.now().saturating_duration_since(begin);
    let attempts = u128::from(connector.1.load(Ordering::Relaxed));
    assert!(attempts <= took.as_millis() / 25 + 1, "{attempts} in {took:?}");
}

#[test]
fn an_attempt_whose_runtime_has_ended_is_an_error_and_holds_up_no_other_runtime() {
    let (connector, link) = never(|| None);
    for attempts in 1..=3 {
        let runtime = Builder::new_current_thread().build().unwrap();
        let mut waiting = Box::pin(refused(&link));
        let polled = runtime.block_on(async { futures_util::poll!(waiting.as_mut()) });
        assert!(polled.is_pending());
        runtime.block_on(tokio::task::yield_now());
        assert_eq!(connector.1.load(Ordering::Relaxed), attempts);
        let here = runtime.handle().id();
        assert!(!link.is_unfit(here));
        drop(runtime);
        let failure = FutureExt::now_or_never(waiting).unwrap();
        assert!(failure.not_applied && failure.message().contains("ended"), "{failure:?}");
        assert!(link.is_unfit(here));
    }
}

#[test]
fn a_runtime_that_lacks_io_is_told_once_and_not_asked_again() {
    let without_io = || -> Option<Failure> {
        std::panic::resume_unwind(Box::new("IO is disabled. Call `enable_io` on the builder"))
    };
    let (connector, link) = never(without_io);
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let failure = refused(&link).await;
        assert_eq!(failure.kind, LockErrorKind::InvalidConfig);
        assert!(failure.message().contains("enable_io"), "{failure:?}");
        let here = current_runtime().unwrap();
        assert!(link.is_unfit(here));
        assert!(matches!(link.visit(here), Standing::Unfit));
    });
    assert_eq!(connector.1.load(Ordering::Relaxed), 1);
}

#[test]
fn the_last_attempt_is_not_told_twice_in_the_same_words() {
    let (_, link) = never(|| None);
    let told = |cause: &'static str| {
        let last = link.0.unconnected(Failure::unavailable(cause));
        link.0.lock().last_failure = Some(last);
        link.too_slow().message().to_owned()
    };
    let text = "could not connect to Redis at nowhere: too slow";
    assert_eq!(told("too slow"), text);
    assert_eq!(told("refused"), format!("{text}; the last attempt: refused"));
}
