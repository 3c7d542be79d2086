//! The workloads: who does what, how many of them, against which mark.

mod bench;
mod bout;
mod contended;
mod fleet;
mod special;
mod uncontended;

use std::future::Future;
use std::pin::Pin;

pub(crate) use bench::Bench;

use crate::failure::Failure;
use crate::measure::figures::Cell;
use crate::settings::Settings;

pub(crate) struct Workload {
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    pub(crate) run: for<'a> fn(&'a Bench, &'a Settings) -> Running<'a>,
}

type Running<'a> = Pin<Box<dyn Future<Output = Result<Vec<Cell>, Failure>> + 'a>>;

pub(crate) const ALL: &[Workload] = &[
    Workload {
        id: "W1",
        what: "1 task, its own key, acquire and release",
        run: |bench, settings| Box::pin(uncontended::on_redis(bench, settings, 1)),
    },
    Workload {
        id: "W2",
        what: "64 tasks, their own keys, one service",
        run: |bench, settings| Box::pin(uncontended::on_redis(bench, settings, 64)),
    },
    Workload {
        id: "W3",
        what: "16 workers, one lock, held for 1 ms",
        run: |bench, settings| Box::pin(contended::held(bench, settings)),
    },
    Workload {
        id: "W3t",
        what: "16 workers, one lock, held for 1 ms, random 5 ms between a release and the next wait",
        run: |bench, settings| Box::pin(contended::with_thought(bench, settings)),
    },
    Workload {
        id: "W4",
        what: "2 to 256 workers, one lock, given back at once",
        run: |bench, settings| Box::pin(contended::saturated(bench, settings)),
    },
    Workload {
        id: "W4x",
        what: "4 and 16 processes of one worker each, one lock, given back at once",
        run: |bench, settings| Box::pin(contended::saturated_apart(bench, settings)),
    },
    Workload {
        id: "W3p",
        what: "as W3, with the hand-over inside a process",
        run: |bench, settings| Box::pin(contended::held_with_handover(bench, settings)),
    },
    Workload {
        id: "W4p",
        what: "as W4, with the hand-over inside a process",
        run: |bench, settings| Box::pin(contended::saturated_with_handover(bench, settings)),
    },
    Workload {
        id: "W1c",
        what: "as W1, on one server and on a cluster of three masters",
        run: |bench, settings| Box::pin(uncontended::on_a_cluster(bench, settings, 1)),
    },
    Workload {
        id: "W2c",
        what: "as W2, on one server and on a cluster of three masters",
        run: |bench, settings| Box::pin(uncontended::on_a_cluster(bench, settings, 64)),
    },
    Workload {
        id: "W3c",
        what: "as W3, on one server and on a cluster of three masters",
        run: |bench, settings| Box::pin(contended::held_on_a_cluster(bench, settings)),
    },
    Workload {
        id: "W5",
        what: "1 task, acquire and release, on one server and on a quorum of three",
        run: |bench, settings| Box::pin(uncontended::as_a_quorum(bench, settings)),
    },
    Workload {
        id: "W6",
        what: "the memory store, 1 task, acquire and release",
        run: |_, settings| Box::pin(uncontended::in_memory(settings)),
    },
    Workload {
        id: "W7",
        what: "a Dapr sidecar, 1 and 64 tasks, acquire and release",
        run: |bench, settings| Box::pin(uncontended::beside_a_sidecar(bench, settings)),
    },
    Workload {
        id: "W8",
        what: "100,000 locks that are kept alive",
        run: |bench, settings| Box::pin(special::many_kept_alive(bench, settings)),
    },
    Workload {
        id: "W9",
        what: "a holder that is killed, with a ttl of 2 s",
        run: |bench, settings| Box::pin(special::after_a_death(bench, settings)),
    },
    Workload {
        id: "W10",
        what: "the first lock of a service",
        run: |bench, settings| Box::pin(special::from_cold(bench, settings)),
    },
    Workload {
        id: "W11",
        what: "1,000 tasks of a process want one lock; the first loads for 20 ms, the others find it loaded",
        run: |bench, settings| Box::pin(special::stampede(bench, settings)),
    },
    Workload {
        id: "W12",
        what: "the library beside other libraries that ask again and again, one lock",
        run: |bench, settings| Box::pin(fleet::mixed(bench, settings)),
    },
];
