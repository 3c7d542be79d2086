//! What is logged of members, so that nobody runs on the last majority unnoticed.

use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use crate::claims::{granted, release};
use crate::store::{Store, Way, quorum};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is logged meanwhile, a line each.
fn logged(what: impl Future<Output = ()>) -> Vec<String> {
    // While there is one subscriber only, `tracing` asks that of the thread which comes to an event
    // first whether anybody wants it: and other tests' threads have none.
    static ANOTHER: LazyLock<tracing::Dispatch> =
        LazyLock::new(|| tracing::Dispatch::new(tracing_subscriber::registry()));
    LazyLock::force(&ANOTHER);
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    tracing::subscriber::with_default(subscriber, || runtime.block_on(what));
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_member_that_fails_is_told_of_once_and_so_is_its_return() {
    let lines = logged(async {
        let stores: [_; 3] = Store::all();
        let backend = quorum(&stores);
        for way in [Way::Down, Way::Well] {
            stores[1].set(way);
            for _ in 0..10 {
                let token = granted(&backend, Duration::from_secs(1)).await;
                release(&backend, token).await;
            }
        }
    });
    let [failed, back] = &*lines else { panic!("{lines:#?}") };
    for part in ["WARN", "quorum_member_failed", "store-b", "the connection was refused"] {
        assert!(failed.contains(part), "{failed}");
    }
    assert!(back.contains("INFO") && back.contains("quorum_member_back"), "{back}");
}

#[test]
fn an_even_quorum_is_warned_of() {
    let lines = logged(async {
        drop(quorum(&Store::all::<4>()));
        drop(quorum(&Store::all::<5>()));
    });
    let [even] = &*lines else { panic!("{lines:#?}") };
    assert!(even.contains("quorum_is_even") && even.contains("of which 1 may fail, as with 3"));
}
