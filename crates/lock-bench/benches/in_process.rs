//! What an operation costs inside the process: `cargo bench -p lock-bench`.
//!
//! The keys and the answers of the Redis backend are its own business; of its answers what the
//! client library does with them is measured here, and the rest by W1.
#![expect(clippy::expect_used, reason = "a measurement that cannot begin is over")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use lock_core::LockService;
use lock_core::backend::{Capabilities, Clock, LockKey, OwnerToken, ReleaseReply};
use lock_core::machine::attempt::{StepAnswer, StoreAttempt};
use lock_core::machine::margins::drift;
use tokio::runtime::Builder;
use tokio::sync::Mutex;

const TTL: Duration = Duration::from_secs(30);

/// W6 with a statistic.
fn acquire_and_release(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut group = criterion.benchmark_group("acquire and release");
    group.bench_function("tokio Mutex", |bencher| {
        let mutex = Arc::new(Mutex::new(()));
        let turn = async || drop(Arc::clone(&mutex).lock_owned().await);
        bencher.iter_custom(|turns| runtime.block_on(timed(turns, turn)));
    });
    group.bench_function("memory store", |bencher| {
        let lock = LockService::memory().lock("bench").ttl(TTL);
        let turn = async || {
            let guard = lock.try_acquire().await.expect("the store is in memory");
            guard.expect("nobody else holds it").release().await;
        };
        bencher.iter_custom(|turns| runtime.block_on(timed(turns, turn)));
    });
    group.finish();
}

/// Inside of one `block_on`: entering a runtime costs more than a mutex.
async fn timed(turns: u64, turn: impl AsyncFn()) -> Duration {
    let began = Instant::now();
    for _ in 0..turns {
        turn().await;
    }
    began.elapsed()
}

fn names_and_tokens(criterion: &mut Criterion) {
    criterion.bench_function("key of a name in a namespace", |bencher| {
        let name = "order:12345";
        bencher.iter(|| LockKey::new(black_box("shop:"), black_box(name)));
    });
    criterion.bench_function("owner token in hex", |bencher| {
        bencher.iter(|| OwnerToken::random().map(|token| token.to_hex()));
    });
}

fn deadlines(criterion: &mut Criterion) {
    criterion.bench_function("clock that counts suspended time", |bencher| {
        bencher.iter(|| Clock::SYSTEM.now());
    });
    criterion.bench_function("deadline of a lease", |bencher| {
        let sent = Clock::SYSTEM.now();
        bencher.iter(|| black_box(sent) + black_box(TTL) - drift(black_box(TTL)));
    });
    criterion.bench_function("state machine from asking to released", |bencher| {
        let capabilities = Capabilities::none().with_late_after(Duration::from_secs(2));
        let now = Clock::SYSTEM.now();
        bencher.iter(|| {
            let mut attempt = StoreAttempt::new(black_box(&capabilities));
            attempt.step_sent(now, TTL);
            attempt.step_answered(now, StepAnswer::Granted { lease: TTL });
            attempt.leave(now);
            attempt.release_sent(now);
            attempt.release_answered(ReleaseReply::Released);
            attempt.next(now)
        });
    });
}

fn answers(criterion: &mut Criterion) {
    let answers: [(&str, &[u8]); 3] = [
        ("answer: granted", b":1795400000000000\r\n"),
        ("answer: in line", b"*6\r\n:2\r\n:17\r\n:3\r\n:1500\r\n:41\r\n:1795400000000000\r\n"),
        (
            "push: a grant",
            b">3\r\n$8\r\nsmessage\r\n$44\r\ndl:c:{1a2b}:00112233445566778899aabbccddeeff\r\n\
              $55\r\n00112233445566778899aabbccddeeff 1795400000000000 2000 \r\n",
        ),
    ];
    for (name, bytes) in answers {
        redis::parse_redis_value(bytes).expect("an answer that the client understands");
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| redis::parse_redis_value(black_box(bytes)));
        });
    }
}

criterion_group!(benches, acquire_and_release, names_and_tokens, deadlines, answers);
criterion_main!(benches);
