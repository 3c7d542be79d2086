//! Claims about the servers that other tests run against, shown on each version.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as tests may")]
#![expect(clippy::print_stdout, reason = "a test's child process tells its parent what it runs")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testbed::{RedisServer, ServerKind};

/// Far above what anything here takes, and still an end.
const LIMIT: Duration = Duration::from_secs(20);
/// Set in the process that `server_dies_with_its_killed_runner` starts and kills.
const RUNNER_VARIABLE: &str = "DISTLOCK_TEST_SERVER_RUNNER";

macro_rules! for_each_server {
    ($($module:ident = $kind:ident),+ $(,)?) => {$(
        mod $module {
            use super::*;

            const KIND: ServerKind = ServerKind::$kind;

            #[test]
            fn server_is_the_wanted_version_on_loopback() { is_wanted_version(&KIND) }
            #[test]
            fn server_keeps_nothing_on_disk() { keeps_nothing_on_disk(&KIND) }
            #[test]
            fn server_takes_more_arguments() { takes_more_arguments(&KIND) }
            #[test]
            fn server_names_its_error_when_it_cannot_start() { names_its_error(&KIND) }
            #[test]
            fn server_is_silent_while_frozen() { is_silent_while_frozen(&KIND) }
            #[test]
            fn server_refuses_connections_once_killed() { refuses_once_killed(&KIND) }
            #[test]
            fn server_restarts_empty_on_its_port() { restarts_empty(&KIND) }
            #[test]
            fn server_that_ended_by_itself_is_reported() { end_is_reported(&KIND) }
            #[test]
            fn server_is_gone_when_dropped() { is_gone_when_dropped(&KIND) }
            #[test]
            fn server_dies_with_its_killed_runner() {
                dies_with_runner(&KIND, concat!(stringify!($module), "::server_dies_with_its_killed_runner"));
            }
        }
    )+};
}

for_each_server! {
    redis_6_2 = REDIS_6_2,
    redis_7_0 = REDIS_7_0,
    redis_8_2 = REDIS_8_2,
    valkey_9_1 = VALKEY_9_1,
}

fn is_wanted_version(kind: &ServerKind) {
    let server = RedisServer::start(kind).unwrap();
    let wanted = kind.name().split_once('-').unwrap().1;
    assert!(server.binary().version().starts_with(wanted), "{server:?}");
    let info = ask(server.address(), "INFO server");
    assert!(info.contains(server.binary().version()), "{info}");
    assert!(info.contains(&format!("process_id:{}\r", server.pid().unwrap())), "{info}");
    assert_eq!(server.url(), format!("redis://127.0.0.1:{}", server.port()));
    assert!(ask(server.address(), "CONFIG GET bind").contains("\r\n127.0.0.1\r\n"));
}

fn keeps_nothing_on_disk(kind: &ServerKind) {
    let server = RedisServer::start(kind).unwrap();
    let directory = directory(server.address());
    assert_eq!(ask(server.address(), "CONFIG GET save"), "*2\r\n$4\r\nsave\r\n$0\r\n\r\n+OK\r\n");
    assert!(ask(server.address(), "CONFIG GET appendonly").contains("\r\nno\r\n"));
    assert_eq!(ask(server.address(), "SET key value"), "+OK\r\n+OK\r\n");
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
    drop(server);
    assert!(!Path::new(&directory).exists(), "{directory} was left behind");
}

fn takes_more_arguments(kind: &ServerKind) {
    let secret = "correct-horse";
    let server = RedisServer::start_with(kind, &["--requirepass", secret]).unwrap();
    assert!(ask(server.address(), "GET key").starts_with("-NOAUTH"));
    assert!(!format!("{server:?}").contains(secret));
}

fn names_its_error(kind: &ServerKind) {
    let error = RedisServer::start_with(kind, &["--no-such-setting", "1"]).unwrap_err();
    assert!(error.to_string().contains("no-such-setting"), "{error}");
}

fn is_silent_while_frozen(kind: &ServerKind) {
    let mut server = RedisServer::start(kind).unwrap();
    let mut stream = connect(server.address());
    server.freeze().unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut reply = [0; 7];
    let error = stream.read_exact(&mut reply).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");

    server.thaw().unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"+PONG\r\n");
}

fn refuses_once_killed(kind: &ServerKind) {
    let mut server = RedisServer::start(kind).unwrap();
    server.freeze().unwrap();
    server.kill();
    let error = TcpStream::connect(server.address()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(server.pid(), None);
    assert_eq!(server.freeze().unwrap_err().kind(), ErrorKind::NotConnected);
    server.kill();
}

fn restarts_empty(kind: &ServerKind) {
    let mut server = RedisServer::start(kind).unwrap();
    let (address, pid) = (server.address(), server.pid());
    ask(address, "SET key value");
    server.restart().unwrap();
    assert_eq!(server.address(), address);
    assert_ne!(server.pid(), pid);
    assert_eq!(ask(address, "GET key"), "$-1\r\n+OK\r\n");

    server.kill();
    let other = TcpListener::bind(address).unwrap();
    assert_eq!(server.restart().unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(other);
    server.restart().unwrap();
    assert_eq!(ask(address, "PING"), "+PONG\r\n+OK\r\n");
}

fn end_is_reported(kind: &ServerKind) {
    let mut server = RedisServer::start(kind).unwrap();
    ask(server.address(), "SHUTDOWN NOSAVE");
    let error = loop {
        // The connection ends a moment before the process does.
        if let Err(error) = server.thaw() {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    assert!(error.to_string().contains("now ready to exit"), "{error}");
}

fn is_gone_when_dropped(kind: &ServerKind) {
    let server = RedisServer::start(kind).unwrap();
    let address = server.address();
    drop(server);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

/// Runs this very test once more in a process of its own, which freezes its server, and kills it.
fn dies_with_runner(kind: &ServerKind, test: &str) {
    if std::env::var_os(RUNNER_VARIABLE).is_some() {
        return run_until_killed(kind);
    }
    let mut runner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(RUNNER_VARIABLE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(runner.stdout.take().unwrap()).lines();
    let facts = lines.find_map(|line| line.unwrap().split_once("runs ").map(|(_, f)| f.to_owned()));
    let facts = facts.unwrap();
    let (port, directory) = facts.split_once(' ').unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
    let mut stream = connect(address);
    // The kernel took the connection for the frozen server, and ends it with the server.
    stream.set_read_timeout(Some(LIMIT)).unwrap();

    runner.kill().unwrap();
    runner.wait().unwrap();
    let ended = stream.read(&mut [0; 1]);
    assert!(
        matches!(&ended, Ok(0))
            || ended.as_ref().is_err_and(|e| e.kind() == ErrorKind::ConnectionReset),
        "the server outlived its runner: {ended:?}"
    );
    let deadline = Instant::now() + LIMIT;
    while Path::new(directory).exists() {
        assert!(Instant::now() < deadline, "{directory} was left behind");
        std::thread::yield_now();
    }
}

fn run_until_killed(kind: &ServerKind) {
    let mut server = RedisServer::start(kind).unwrap();
    let directory = directory(server.address());
    server.freeze().unwrap();
    println!("runs {} {directory}", server.port());
    // Blocks until the parent kills this process; its end would show as a surviving directory.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect_timeout(&address, LIMIT).unwrap()
}

/// Sends one inline command and returns what the server sends until it closes (`QUIT`: `+OK`).
fn ask(address: SocketAddr, command: &str) -> String {
    let mut stream = connect(address);
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
    let mut reply = Vec::new();
    // A server that ends may reset the connection; what came before it counts.
    stream.read_to_end(&mut reply).ok();
    String::from_utf8(reply).unwrap()
}

fn directory(address: SocketAddr) -> String {
    let reply = ask(address, "CONFIG GET dir");
    reply.split("\r\n").nth(4).unwrap().to_owned()
}
