//! Claims about the Dapr sidecars that other tests run against.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as tests may")]

/// What needs a `daprd`: `cargo xtask test` leaves this module out where there is none.
mod daprd {
    use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use testbed::{DaprSidecar, RedisServer, ServerKind};

    /// Far above what anything here takes, and still an end.
    const LIMIT: Duration = Duration::from_secs(20);
    /// Set in the process that `sidecar_dies_with_its_killed_runner` starts and kills.
    const RUNNER_VARIABLE: &str = "DISTLOCK_TEST_SIDECAR_RUNNER";

    fn start() -> (RedisServer, DaprSidecar) {
        let redis = RedisServer::start(&ServerKind::REDIS_8_2).unwrap();
        let sidecar = DaprSidecar::start(&redis).unwrap();
        (redis, sidecar)
    }

    #[test]
    fn sidecar_locks_on_its_redis_and_names_its_key() {
        let (redis, sidecar) = start();
        assert!(try_lock(&sidecar, "").ends_with(r#"{"success":true}"#));
        assert!(try_lock(&sidecar, "").ends_with(r#"{"success":false}"#));
        let answer = ask(redis.address(), &format!("GET {}\r\nQUIT\r\n", sidecar.redis_key("x")));
        assert_eq!(answer, "$2\r\nme\r\n+OK\r\n");
        assert_eq!(sidecar.url(), format!("dapr://lockstore?endpoint={}", sidecar.address()));
    }

    #[test]
    fn sidecar_wants_its_token_and_keeps_it_to_itself() {
        let redis = RedisServer::start(&ServerKind::REDIS_8_2).unwrap();
        let sidecar = DaprSidecar::before(redis.address()).api_token("s3cret").start().unwrap();
        assert!(try_lock(&sidecar, "").starts_with("HTTP/1.1 401"));
        assert!(try_lock(&sidecar, "dapr-api-token: s3cret\r\n").starts_with("HTTP/1.1 200"));
        assert!(!format!("{sidecar:?}").contains("s3cret"));
    }

    #[test]
    fn sidecar_is_silent_while_frozen() {
        let (_redis, mut sidecar) = start();
        sidecar.freeze().unwrap();
        let mut stream = TcpStream::connect(sidecar.http_address()).unwrap();
        stream.write_all(b"GET /v1.0/healthz HTTP/1.0\r\n\r\n").unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let silence = stream.read(&mut [0]).unwrap_err();
        assert!(matches!(silence.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silence}");
        sidecar.thaw().unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 1);
    }

    #[test]
    fn sidecar_refuses_connections_once_killed_and_restarts_on_its_ports() {
        let (_redis, mut sidecar) = start();
        let address = sidecar.address();
        sidecar.kill();
        assert_eq!(sidecar.pid(), None);
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(sidecar.freeze().unwrap_err().kind(), ErrorKind::NotConnected);
        sidecar.restart().unwrap();
        assert_eq!(sidecar.address(), address);
        assert!(try_lock(&sidecar, "").contains("true"));
    }

    #[test]
    fn sidecar_without_its_redis_names_its_error() {
        let (mut redis, _) = start();
        redis.kill();
        let error = DaprSidecar::start(&redis).unwrap_err().to_string();
        assert!(
            error.contains("found no Redis") && error.contains("connection refused"),
            "{error}"
        );
    }

    #[test]
    fn sidecar_dies_with_its_killed_runner() {
        if std::env::var_os(RUNNER_VARIABLE).is_some() {
            let (_redis, mut sidecar) = start();
            sidecar.freeze().unwrap();
            println!("pid {} {}", sidecar.pid().unwrap(), std::process::id());
            loop {
                std::thread::park();
            }
        }
        let mut runner = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "daprd::sidecar_dies_with_its_killed_runner", "--nocapture"])
            .env(RUNNER_VARIABLE, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(runner.stdout.take().unwrap()).lines();
        let line = lines.map(Result::unwrap).find_map(|line| {
            line.split_once("pid ").map(|(_, pids)| pids.split(' ').next().unwrap().to_owned())
        });
        let process = format!("/proc/{}", line.unwrap());
        assert!(Path::new(&process).exists());
        runner.kill().unwrap();
        runner.wait().unwrap();
        let begin = Instant::now();
        while Path::new(&process).exists() {
            assert!(begin.elapsed() < LIMIT, "the sidecar outlived its runner");
            std::thread::yield_now();
        }
    }

    fn try_lock(sidecar: &DaprSidecar, header: &str) -> String {
        let body = r#"{"resourceId":"x","lockOwner":"me","expiryInSeconds":60}"#;
        let length = body.len();
        let request = format!(
            "POST /v1.0-alpha1/lock/lockstore HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n{header}\r\n{body}"
        );
        ask(sidecar.http_address(), &request)
    }

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect_timeout(&address, LIMIT).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}
