//! What a configuration says of the process. That is one thing for the whole process, so this is a
//! program of its own, with one test.

use distlock::{LockConfig, Who};

#[tokio::test]
async fn a_configuration_says_what_others_read_of_the_program() {
    let said = async |config: LockConfig| {
        let locks = config.connect().await.unwrap();
        let _guard = locks.lock("x").acquire().await.unwrap();
        match locks.status("x").await.unwrap().unwrap().holder.unwrap().who {
            Who::Process(process) => process.to_string(),
            other => panic!("{other}"),
        }
    };
    let from = |url: &str| LockConfig::from_url(url).unwrap();
    let pid = std::process::id();
    let url = "memory:?program=worker&program_version=1.2&program_host=node-7";
    assert_eq!(said(from(url)).await, format!("worker 1.2 (pid {pid} on host node-7)"));
    let config = from(url).program("clerk").program_version("2").program_host("node-8");
    assert_eq!(said(config).await, format!("clerk 2 (pid {pid} on host node-8)"));
    // What is not said anew stays as it was.
    let other = said(from("memory:?program=other")).await;
    assert_eq!(other, format!("other 2 (pid {pid} on host node-8)"));
}
