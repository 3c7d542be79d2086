//! What a process says of itself. That is one thing for the whole process, so this is a program of its
//! own, with one test.

use lock_core::backend::this_process;
use lock_core::memory::MemoryBackend;
use lock_core::{LockService, Who};

#[tokio::test]
async fn a_program_says_what_others_read_of_it() {
    let builder = || LockService::builder(MemoryBackend::new());
    let found = this_process();
    assert!(found.program.starts_with("process"), "{found}");
    assert_eq!((found.pid, &found.version), (std::process::id(), &None));
    drop(builder().program("").program_host("").build());
    assert_eq!(this_process(), found);
    drop(builder().program("report-worker").build());
    let locks = builder().program_version("1.4.2").program_host("node-7").build();
    let said = this_process();
    let pid = std::process::id();
    assert_eq!(said.to_string(), format!("report-worker 1.4.2 (pid {pid} on host node-7)"));
    let _guard = locks.lock("x").acquire().await.unwrap();
    let holder = locks.status("x").await.unwrap().unwrap().holder.unwrap();
    assert_eq!(holder.who, Who::Process(said));
    drop(builder().program_version("").build());
    assert_eq!(this_process().version, None);
}
