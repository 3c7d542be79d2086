//! Servers that only exist on paper: each answers as its script says, whatever it is asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use lock_core::backend::{
    AcquireReply, AcquireRequest, Clock, LockBackend, RenewReply, RenewRequest, Wake,
};
use lock_core::{LockErrorKind, LockService, ReleaseOutcome};
use lock_redis::RedisBackend;

use crate::common::*;
use crate::queue::queue;

/// A command, as words.
type Command = Vec<String>;
/// What a server answers to a command, on the wire.
type Answer = fn(&Command, usize) -> String;

/// Starts a server with these answers; they are given the command and how often its first word
/// has come. Returns its URL and what it was asked.
fn serve(answer: Answer) -> (String, Receiver<Command>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let (asked, commands) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let asked = asked.clone();
            // The client ends the connection, so an error here is the end and no failure.
            std::thread::spawn(move || {
                let mut seen = Vec::new();
                let mut input = BufReader::new(stream.try_clone().unwrap());
                while let Some(command) = read(&mut input) {
                    if let Some(reply) = allowed(&command) {
                        if (&stream).write_all(reply.as_bytes()).is_err() {
                            return;
                        }
                        continue;
                    }
                    let earlier = seen.iter().filter(|word| **word == command[0]).count();
                    seen.push(command[0].clone());
                    let reply = answer(&command, earlier);
                    if asked.send(command).is_err()
                        || (&stream).write_all(reply.as_bytes()).is_err()
                    {
                        return;
                    }
                }
            });
        }
    });
    (url, commands)
}

/// The answer to what the greeting asks for: that all of it is allowed.
fn allowed(command: &Command) -> Option<String> {
    let [script, name, keys, needed @ ..] = command.as_slice() else { return None };
    match (script.as_str(), keys.as_str()) {
        ("EVALSHA", "0") if name.bytes().all(|digit| digit == b'0') => {
            Some("-NOSCRIPT No matching script.\r\n".to_owned())
        }
        ("EVAL", "0") => {
            Some(format!("*{}\r\n{}", needed.len(), "$0\r\n\r\n".repeat(needed.len())))
        }
        _ => None,
    }
}

fn read(input: &mut BufReader<TcpStream>) -> Option<Command> {
    let number = |input: &mut BufReader<TcpStream>| {
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        line.get(1..)?.trim_end().parse::<usize>().ok()
    };
    let count = number(input)?;
    let word = |_| {
        let mut bytes = vec![0; number(input)? + 2];
        input.read_exact(&mut bytes).ok()?;
        bytes.truncate(bytes.len() - 2);
        String::from_utf8(bytes).ok()
    };
    (0..count).map(word).collect()
}

/// A healthy server of some version, for all but scripts.
fn healthy(command: &Command, version: &str, mode: &str) -> String {
    match command[0].as_str() {
        "HELLO" => {
            format!("%3\r\n+server\r\n+redis\r\n+version\r\n+{version}\r\n+mode\r\n+{mode}\r\n")
        }
        "TIME" => "*2\r\n$10\r\n1790000000\r\n$1\r\n0\r\n".to_owned(),
        "PING" => "+PONG\r\n".to_owned(),
        _ => "+OK\r\n".to_owned(),
    }
}

async fn ping_error(answer: Answer) -> lock_core::LockError {
    let (url, _commands) = serve(answer);
    let backend = build(RedisBackend::builder().url(url).register_process(false));
    soon(LIMIT, backend.ping()).await.unwrap_err()
}

#[tokio::test]
async fn an_attempt_that_is_called_late_is_sent_again_by_the_servers_newest_time() {
    let (url, commands) = serve(|command, earlier| match (command[0].as_str(), earlier) {
        // Its clock has leapt by an hour since the greeting.
        ("EVALSHA", 0) => "*2\r\n:-1\r\n:1790003600000000\r\n".to_owned(),
        ("EVALSHA", _) => ":1790003600000500\r\n".to_owned(),
        _ => healthy(command, "7.0.15", "standalone"),
    });
    let backend = build(RedisBackend::builder().url(url).register_process(false));
    let granted = attempt(&backend, "x", token(), MINUTE).await.unwrap();
    assert_eq!(fencing(granted).get() >> 10, 1_790_003_600_000_500);
    let not_after: Vec<u64> = commands
        .try_iter()
        .filter(|command| command[0] == "EVALSHA")
        .map(|command| command.last().unwrap().parse().unwrap())
        .collect();
    // Two seconds of response timeout behind what the server showed, or a little less.
    assert_eq!(not_after.len(), 2);
    assert!((1_790_000_000_000_001..=1_790_000_002_000_000).contains(&not_after[0]));
    assert!((1_790_003_600_000_001..=1_790_003_602_000_000).contains(&not_after[1]));
}

#[tokio::test]
async fn an_exact_renewal_that_is_called_late_is_sent_again_by_the_servers_newest_time() {
    let (url, commands) = serve(|command, earlier| match (command[0].as_str(), earlier) {
        ("EVALSHA", 0) => "*1\r\n:1790003600000000\r\n".to_owned(),
        ("EVALSHA", 1) => "*1\r\n:1\r\n".to_owned(),
        ("EVALSHA", _) => "*1\r\n:1790009900000000\r\n".to_owned(),
        _ => healthy(command, "7.0.15", "standalone"),
    });
    let backend = build(RedisBackend::builder().url(url).register_process(false));
    let set = || {
        let request = RenewRequest::new(key("x"), token(), MINUTE, Clock::SYSTEM).with_exact();
        backend.renew(vec![request.with_within(LIMIT)])
    };
    assert!(matches!(set().await.unwrap()[..], [RenewReply::Renewed]));
    let sent: Vec<Vec<String>> = commands.try_iter().collect();
    let sent: Vec<_> = sent.iter().filter(|command| command[0] == "EVALSHA").collect();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0][5], "-60000");
    let not_after: u64 = sent[1][6].parse().unwrap();
    assert!((1_790_003_600_000_001..=1_790_003_602_000_000).contains(&not_after));
    // Twice is enough: it was not applied.
    match &set().await.unwrap()[..] {
        [RenewReply::Failed(error)] => assert!(error.is_not_applied(), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_attempt_that_is_always_called_late_was_not_applied() {
    let (url, _commands) = serve(|command, earlier| match command[0].as_str() {
        "EVALSHA" => {
            format!("*2\r\n:-1\r\n:{}\r\n", 1_790_000_000_000_000 + earlier * 3_600_000_000)
        }
        _ => healthy(command, "7.0.15", "standalone"),
    });
    let backend = build(RedisBackend::builder().url(url).register_process(false));
    let error = soon(LIMIT, attempt(&backend, "x", token(), MINUTE)).await.unwrap_err();
    assert!(error.is_not_applied() && error.is_retryable(), "{error}");
}

#[tokio::test]
async fn servers_that_are_too_old_are_refused_by_name() {
    let error = ping_error(|command, _| match command[0].as_str() {
        "HELLO" => "-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n".to_owned(),
        _ => healthy(command, "5.0.14", "standalone"),
    });
    let error = error.await;
    assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
    assert!(error.to_string().contains("6.2"), "{error}");
    let error = ping_error(|command, _| healthy(command, "6.0.16", "standalone")).await;
    assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
    assert!(error.to_string().contains("redis 6.0.16"), "{error}");
}

#[tokio::test]
async fn a_sentinel_is_not_taken_for_its_master() {
    let error = ping_error(|command, _| healthy(command, "7.0.15", "sentinel")).await;
    assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
    assert!(error.to_string().contains("Sentinel"), "{error}");
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_an_error() {
    let error = ping_error(|_, _| "HTTP/1.1 400 Bad Request\r\n\r\n".to_owned()).await;
    assert_eq!(error.kind(), LockErrorKind::Unavailable);
    assert!(error.to_string().contains("not Redis's protocol"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_loading_is_unavailable_for_a_while() {
    let (url, _commands) = serve(|command, earlier| match (command[0].as_str(), earlier) {
        ("EVALSHA", 0) => "-LOADING Redis is loading the dataset in memory\r\n".to_owned(),
        ("EVALSHA", 1) => "-BUSY Redis is busy running a script.\r\n".to_owned(),
        ("EVALSHA", 2) => "-TRYAGAIN Multiple keys request during rehashing of slot\r\n".to_owned(),
        ("EVALSHA", _) => "*3\r\n:0\r\n:250\r\n:1790000000000500\r\n".to_owned(),
        _ => healthy(command, "7.0.15", "standalone"),
    });
    let backend = build(RedisBackend::builder().url(url).register_process(false));
    for _ in 0..3 {
        let error = attempt(&backend, "x", token(), MINUTE).await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Unavailable);
        assert!(error.is_not_applied(), "{error}");
    }
    let held = attempt(&backend, "x", token(), MINUTE).await.unwrap();
    let AcquireReply::Held { retry_after: Some(left) } = held else { panic!("{held:?}") };
    assert_eq!(left.as_millis(), 250);
}

#[tokio::test]
async fn an_answer_of_the_wrong_shape_ends_the_connection() {
    let (url, commands) = serve(|command, earlier| match (command[0].as_str(), earlier) {
        ("EVALSHA", _) => "+surprise\r\n".to_owned(),
        _ => healthy(command, "7.0.15", "standalone"),
    });
    let backend = build(RedisBackend::builder().url(url).register_process(false));
    for _ in 0..3 {
        let error = attempt(&backend, "x", token(), MINUTE).await.unwrap_err();
        assert!(!error.is_not_applied(), "{error}");
        assert!(error.to_string().contains("acquire script"), "{error}");
    }
    // Each attempt had a connection of its own, and each was greeted once by each of us.
    assert_eq!(commands.try_iter().filter(|command| command[0] == "HELLO").count(), 6);
}

/// What a server without `EVALSHA` says: it quotes what it was given.
fn quoting(command: &Command) -> String {
    let quoted: Vec<String> = command[1..].iter().map(|word| format!("'{word}'")).collect();
    let (name, quoted) = (&command[0], quoted.join(" "));
    format!("-ERR unknown command '{name}', with args beginning with: {quoted} \r\n")
}

/// By the server's time after which it may not run.
fn is_acquire(command: &Command) -> bool {
    command[2] == "4" && command.get(9).is_some_and(|late| late.len() == 16)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_and_no_log_repeats_what_a_server_quotes() {
    let (url, commands) = serve(|command, earlier| match (command[0].as_str(), earlier) {
        // Two are granted; everything else is refused.
        ("EVALSHA", 0 | 1) if is_acquire(command) => ":1790000000000500\r\n".to_owned(),
        ("EVALSHA" | "EVAL", _) => quoting(command),
        _ => healthy(command, "7.0.15", "standalone"),
    });
    let log = Log::default();
    let mut sent: Vec<Command> = Vec::new();
    let errors = log.of(async {
        let backend = build(RedisBackend::builder().url(url).register_process(false));
        // The background runs here as well, and is heard.
        let locks = LockService::builder(Arc::clone(&backend)).tokio_time().build();
        let guard = locks.lock("x").ttl(MINUTE).acquire().await.unwrap();
        let dropped = locks.lock("dropped").ttl(MINUTE).acquire().await.unwrap();
        let extended = guard.extend(MINUTE).await.unwrap_err();
        let taken = attempt(&backend, "y", token(), MINUTE).await.unwrap_err();
        assert_eq!(guard.release().await, ReleaseOutcome::Unknown);
        assert!(locks.try_acquire_lock("z", MINUTE).await.is_err());
        let released = release(&backend, "x", token()).await.unwrap_err();
        drop(dropped);
        // One release in its drop, and three by the background.
        let is_of_dropped = |sent: &&Command| sent.contains(&"lock:dropped".to_owned());
        while sent.iter().filter(is_of_dropped).count() < 1 + 4 {
            sent.extend(commands.try_iter());
            tokio::task::yield_now().await;
        }
        [extended, taken, released]
    });
    let mut shown = log.text();
    assert!(shown.contains("does not know the command evalsha"), "{shown}");
    // How often is for the core to say.
    let of_dropped = |line: &str| line.contains("WARN") && line.contains("dropped");
    assert!(shown.lines().any(of_dropped), "{shown}");
    for error in errors {
        assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
        shown.push_str(&format!("{error} {error:?} {error:#?}"));
    }
    sent.extend(commands.try_iter());
    // With or without the mark of this library.
    let digits = sent.iter().flatten().map(|word| word.rsplit(':').next().unwrap());
    let is_token = |word: &&str| word.len() == 32 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let tokens: Vec<&str> = digits.filter(is_token).collect();
    assert!(tokens.len() >= 6, "{tokens:?}");
    for token in tokens {
        assert!(!shown.contains(token), "{shown}");
    }
}

/// As a proxy before the server does that translates.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_pushed_through_a_proxy_that_answers_in_the_older_protocol() {
    let (url, commands) = serve(|command, _| match command[0].as_str() {
        "HELLO" => {
            "*6\r\n+server\r\n+redis\r\n+version\r\n+7.0.15\r\n+mode\r\n+standalone\r\n".to_owned()
        }
        "EVALSHA" => "*3\r\n:0\r\n:60000\r\n:1790000000000500\r\n".to_owned(),
        _ => healthy(command, "7.0.15", "standalone"),
    });
    let log = Log::default();
    log.of(async {
        let backend = build(RedisBackend::builder().url(url).register_process(false));
        let request = AcquireRequest::new(key("x"), token(), MINUTE, Clock::SYSTEM);
        let asked = Arc::clone(&backend).acquire(request.with_queue(None)).await.unwrap();
        assert!(is_held(&asked), "{asked:?}");
        assert!(!backend.capabilities().queueing);
    });
    assert!(log.text().contains("RESP2"), "{}", log.text());
    let subscribes =
        commands.try_iter().filter(|command| command[0].ends_with("SUBSCRIBE")).count();
    assert_eq!(subscribes, 0);
}

/// As a node of a cluster does with the channels of a slot that it loses. redis-rs takes that for
/// the answer to the oldest command under way, and each answer behind it for that to the next one.
#[tokio::test(flavor = "multi_thread")]
async fn behind_a_subscription_that_the_server_has_ended_no_answer_is_believed() {
    const UNSUBSCRIBED: &str = ">3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:0\r\n";
    let (url, commands) = serve(|command, earlier| match (command[0].as_str(), earlier) {
        ("EVALSHA", 0) => {
            let (ticket, rank, left, counter) = (7, 0, 3_600_000, 7);
            format!(
                "*6\r\n:2\r\n:{ticket}\r\n:{rank}\r\n:{left}\r\n:{counter}\r\n:1790000000000500\r\n"
            )
        }
        // It is answered when the next one has come.
        ("EVALSHA", 1) => String::new(),
        ("EVALSHA", 2) => {
            let (granted, busy) =
                (":1790000000000600\r\n", "*3\r\n:0\r\n:9\r\n:1790000000000700\r\n");
            format!("{UNSUBSCRIBED}{granted}{busy}")
        }
        _ => healthy(command, "7.0.15", "standalone"),
    });
    let backend = build(RedisBackend::builder().url(url).register_process(false));
    let waiter = token();
    let waiting = queue(&backend, "x", waiter, None).await;
    let ticket = waiting.ticket;
    let (first, second) = tokio::join!(
        biased;
        attempt(&backend, "y", token(), MINUTE),
        attempt(&backend, "z", token(), MINUTE),
    );
    assert!(first.is_err() && second.is_err(), "{first:?}, {second:?}");
    for answer in [first, second] {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
        // Either may own its lock.
        assert!(!error.is_not_applied() && error.to_string().contains("subscription"), "{error}");
    }
    // Long before the holder's lease ends: over a new connection, which subscribes anew.
    assert_eq!(soon(LIMIT, waiting.wake).await, Wake::AskAgain);
    queue(&backend, "x", waiter, Some(ticket)).await;
    let subscribed: Vec<Command> =
        commands.try_iter().filter(|command| command[0] == "SSUBSCRIBE").collect();
    assert_eq!(subscribed.len(), 2);
    assert_eq!(subscribed[0], subscribed[1]);
}

#[tokio::test]
async fn whoever_closes_the_connection_at_once_is_quoted_as_far_as_is_safe() {
    for (said, kind, shown) in [
        (
            "-DENIED Redis is running in protected mode because none. Do this: x",
            LockErrorKind::Denied,
            "protected mode",
        ),
        (
            "-NOAUTH HELLO must be called with the client already authenticated",
            LockErrorKind::Denied,
            "requires a password",
        ),
        (
            "-LOADING Redis is loading the dataset in memory",
            LockErrorKind::Unavailable,
            "loading its data",
        ),
        (
            "-ERR max number of clients + cluster connections reached",
            LockErrorKind::Unavailable,
            "max number of clients",
        ),
        ("-NOPROTO unsupported protocol version", LockErrorKind::InvalidConfig, "RESP3"),
        (
            "-ERR this proxy speaks no AUTH default s3cret",
            LockErrorKind::InvalidConfig,
            "this proxy speaks no",
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://user:s3cret@{}/3", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // The rest of what was sent is never read: the connection is reset behind the words.
                stream.write_all(format!("{said}\r\n").as_bytes()).ok();
            }
        });
        for _ in 0..20 {
            let backend = build(RedisBackend::builder().url(url.as_str()).register_process(false));
            let error = backend.ping().await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.is_not_applied() && error.to_string().contains(shown), "{error}");
            assert!(!format!("{error:?} {error:#?}").contains("s3cret"));
        }
    }
}

/// Somebody has deleted the lock between two commands of one write, and somebody else has it.
#[tokio::test]
async fn a_number_that_was_drawn_when_the_lock_was_gone_is_not_handed_out() {
    let (url, commands) = serve(|command, earlier| match (command[0].as_str(), earlier) {
        ("HELLO", _) => {
            "%4\r\n+server\r\n+redis\r\n+version\r\n+7.0.15\r\n+mode\r\n+standalone\r\n\
                         +id\r\n:7\r\n"
                .to_owned()
        }
        ("INFO", _) if command[1] == "server" => "$10\r\nrun_id:abc\r\n".to_owned(),
        ("CLIENT", _) => ":0\r\n".to_owned(),
        ("EVALSHA", 0) if is_acquire(command) => ":1790000000000500\r\n".to_owned(),
        ("EVALSHA", _) if is_acquire(command) => {
            "*3\r\n:0\r\n:60000\r\n:1790000000000900\r\n".into()
        }
        ("DELIFEQ", 0) => "-ERR unknown command\r\n".to_owned(),
        ("EVALSHA", _) => ":1\r\n".to_owned(),
        ("INCR", _) => ":1790000000000600\r\n".to_owned(),
        ("GET", _) => format!("$35\r\ndl:{}\r\n", "0".repeat(32)),
        _ => healthy(command, "7.0.15", "standalone"),
    });
    let backend = build(RedisBackend::builder().url(url).register_process(false));
    let (owner, _) = take(&backend, "x", MINUTE).await;
    release(&backend, "x", owner).await.unwrap();
    assert!(is_held(&attempt(&backend, "x", token(), MINUTE).await.unwrap()));
    let asked: Vec<String> = commands.try_iter().map(|command| command[0].clone()).collect();
    assert!(asked.ends_with(&["SET", "INCR", "GET", "EVALSHA"].map(str::to_owned)), "{asked:?}");
}
