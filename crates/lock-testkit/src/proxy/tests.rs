//! The proxy between plain sockets and an echo server.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;

const BOUND: Duration = Duration::from_secs(20);

fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || io::copy(&mut &stream, &mut &stream));
        }
    });
    address
}

fn proxy() -> Proxy {
    Proxy::start(echo_server()).unwrap()
}

fn client(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream
}

/// Sends a line and reads it back, so that the connection is known to be open on both sides.
fn greet(stream: &mut TcpStream) {
    send(stream, "hi");
    expect(stream, "hi");
}

fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
}

fn expect(stream: &mut TcpStream, text: &str) {
    let mut bytes = vec![0; text.len()];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), text);
}

/// What arrives before the connection ends, and whether it ends by a reset.
fn drain(stream: &mut TcpStream) -> (String, bool) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).map_err(|error| error.kind());
    assert!(matches!(end, Ok(_) | Err(ErrorKind::ConnectionReset)), "{end:?}");
    (String::from_utf8(bytes).unwrap(), end.is_err())
}

fn assert_silent(stream: &mut TcpStream) {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(read, Err(ErrorKind::WouldBlock));
    stream.set_nonblocking(false).unwrap();
}

fn wait(proxy: &Proxy, what: impl FnMut(&Stats) -> bool) -> Stats {
    proxy.wait_until(BOUND, what).unwrap()
}

#[test]
fn bytes_and_ends_pass_both_ways() {
    let proxy = proxy();
    let mut stream = client(&proxy);
    let text = "x".repeat(300_000);
    let mut writer = stream.try_clone().unwrap();
    let sent = text.clone();
    let writing = std::thread::spawn(move || {
        send(&mut writer, &sent);
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    assert_eq!(drain(&mut stream), (text, false));
    writing.join().unwrap();
    let stats = wait(&proxy, |stats| stats.open == 0);
    assert_eq!((stats.accepted, stats.to_server.forwarded), (1, 300_000));
    assert_eq!(
        stats.to_client,
        Traffic { read: 300_000, forwarded: 300_000, dropped: 0, ended: 1 }
    );
}

#[test]
fn swallowed_bytes_are_gone_and_the_connection_stays_open() {
    let proxy = proxy();
    let mut stream = client(&proxy);
    greet(&mut stream);
    proxy.set(Direction::ToClient, Scope::Existing, Fault::Swallow);
    send(&mut stream, "lost");
    let stats = wait(&proxy, |stats| stats.to_client.dropped == 4);
    assert_eq!(stats.open, 1);
    assert_silent(&mut stream);
    greet(&mut client(&proxy));
    proxy.heal();
    greet(&mut stream);
}

#[test]
fn a_swallowed_end_of_stream_keeps_the_other_side_believing() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(server.local_addr().unwrap()).unwrap();
    let (stream, mut served) = (client(&proxy), server.accept().unwrap().0);
    proxy.set(Direction::ToServer, Scope::Existing, Fault::Swallow);
    drop(stream);
    wait(&proxy, |stats| stats.to_server.ended == 1);
    // The proxy's thread is single: what it does with the end is done when it serves another.
    let (mut other, mut other_served) = (client(&proxy), server.accept().unwrap().0);
    send(&mut other, "ping");
    expect(&mut other_served, "ping");
    assert_silent(&mut served);
    proxy.heal();
    assert_eq!(drain(&mut served), (String::new(), false));
}

#[test]
fn held_bytes_flow_in_order_when_released() {
    let proxy = proxy();
    let mut stream = client(&proxy);
    proxy.set(Direction::ToServer, Scope::All, Fault::Hold);
    send(&mut stream, "one ");
    wait(&proxy, |stats| stats.to_server.held() == 4);
    send(&mut stream, "two ");
    let stats = wait(&proxy, |stats| stats.to_server.held() == 8);
    assert_eq!(stats.to_server.forwarded, 0);
    proxy.set(Direction::ToServer, Scope::All, Fault::Pass);
    send(&mut stream, "three");
    expect(&mut stream, "one two three");
}

#[test]
fn a_held_command_arrives_although_its_sender_is_gone() {
    let proxy = proxy();
    let late = proxy.watch(Direction::ToServer, "late");
    proxy.set(Direction::ToServer, Scope::New, Fault::Hold);
    let mut stream = client(&proxy);
    send(&mut stream, "late command");
    wait(&proxy, |stats| stats.seen(late) == 1);
    drop(stream);
    let stats = wait(&proxy, |stats| stats.to_server.ended == 1);
    assert_eq!(stats.forwarded(late), 0);
    proxy.heal();
    wait(&proxy, |stats| stats.forwarded(late) == 1 && stats.open == 0);
}

#[test]
fn a_delay_keeps_order_and_takes_its_time() {
    let proxy = proxy();
    let mut stream = client(&proxy);
    greet(&mut stream);
    proxy.set(Direction::ToServer, Scope::All, Fault::Delay(Duration::from_millis(50)));
    let start = Instant::now();
    for part in ["a", "b", "c"] {
        send(&mut stream, part);
    }
    expect(&mut stream, "abc");
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[test]
fn a_trickle_moves_few_bytes_an_interval() {
    let proxy = proxy();
    let mut stream = client(&proxy);
    let every = Duration::from_millis(10);
    proxy.set(Direction::ToClient, Scope::All, Fault::Trickle { bytes: 2, every });
    let start = Instant::now();
    send(&mut stream, "0123456789");
    expect(&mut stream, "0123456789");
    assert!(start.elapsed() >= every * 4);
}

#[test]
fn an_order_ends_a_delay_at_once() {
    let proxy = proxy();
    let mut stream = client(&proxy);
    proxy.set_both(Scope::All, Fault::Delay(Duration::from_secs(3600)));
    send(&mut stream, "hurry");
    wait(&proxy, |stats| stats.to_server.held() == 5);
    proxy.heal();
    expect(&mut stream, "hurry");
}

#[test]
fn corruption_flips_each_nth_byte_across_chunks() {
    let proxy = proxy();
    let mut stream = client(&proxy);
    proxy.set(Direction::ToClient, Scope::All, Fault::Corrupt { one_in: 3 });
    send(&mut stream, "aa");
    expect(&mut stream, "aa");
    send(&mut stream, "aaaa");
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, [!b'a', b'a', b'a', !b'a']);
}

#[test]
fn swallowed_pushes_are_gone_and_replies_pass() {
    let proxy = proxy();
    let mut stream = client(&proxy);
    let push = ">2\r\n+message\r\n$1\r\nx\r\n";
    send(&mut stream, push);
    expect(&mut stream, push);
    proxy.set(Direction::ToClient, Scope::Existing, Fault::SwallowPushes);
    send(&mut stream, &format!("+a\r\n{push}:1\r\n"));
    expect(&mut stream, "+a\r\n:1\r\n");
    assert_eq!(proxy.stats().to_client.dropped, push.len() as u64);
    proxy.heal();
    send(&mut stream, push);
    expect(&mut stream, push);
}

#[test]
fn a_reset_hits_existing_connections_and_is_done_when_it_returns() {
    let proxy = proxy();
    let mut streams = [client(&proxy), client(&proxy)];
    streams.iter_mut().for_each(greet);
    assert_eq!(proxy.reset(Scope::All), 2);
    assert_eq!(proxy.stats().open, 0);
    for stream in &mut streams {
        assert_eq!(drain(stream), (String::new(), true));
    }
    greet(&mut client(&proxy));
}

#[test]
fn one_connection_can_be_found_by_what_it_sent_and_closed() {
    let proxy = proxy();
    let subscribe = proxy.watch(Direction::ToServer, "SUBSCRIBE");
    let mut commands = client(&proxy);
    greet(&mut commands);
    let mut pushes = client(&proxy);
    send(&mut pushes, "SUBSCRIBE");
    expect(&mut pushes, "SUBSCRIBE");
    let carriers = proxy.stats().carriers(subscribe).to_vec();
    assert_eq!(carriers.len(), 1);
    assert_eq!(proxy.close(Scope::One(carriers[0])), 1);
    assert_eq!(drain(&mut pushes), (String::new(), false));
    greet(&mut commands);
}

#[test]
fn refused_connections_end_and_open_ones_go_on() {
    let proxy = proxy();
    let mut open = client(&proxy);
    greet(&mut open);
    proxy.admit(Admission::Reset);
    assert_eq!(drain(&mut client(&proxy)), (String::new(), true));
    proxy.admit(Admission::Close);
    assert_eq!(drain(&mut client(&proxy)), (String::new(), false));
    greet(&mut open);
    assert_eq!(wait(&proxy, |stats| stats.refused == 2).accepted, 1);
    proxy.heal();
    greet(&mut client(&proxy));
}

#[test]
fn a_server_that_is_not_there_resets_the_client() {
    // A socket that is bound and does not listen keeps the port from others and refuses.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let proxy = Proxy::start(nobody.local_addr().unwrap()).unwrap();
    assert_eq!(drain(&mut client(&proxy)), (String::new(), true));
    wait(&proxy, |stats| stats.unreachable == 1 && stats.open == 0);
    proxy.redirect(echo_server()).unwrap();
    greet(&mut client(&proxy));
}

#[test]
fn a_cut_reply_never_arrives_whole() {
    let proxy = proxy();
    proxy.arm(Cut::when(Direction::ToClient, "granted"));
    let mut stream = client(&proxy);
    send(&mut stream, "before granted after");
    assert_eq!(drain(&mut stream), ("before ".into(), true));
    let stats = wait(&proxy, |stats| stats.open == 0);
    assert_eq!((stats.cuts_fired, stats.to_client.dropped), (1, 13));
    let mut again = client(&proxy);
    send(&mut again, "granted");
    expect(&mut again, "granted");
}

#[test]
fn a_cut_counts_needles_over_connections_and_pieces() {
    let proxy = proxy();
    let swallow = Then::Apply(Fault::Swallow);
    proxy.arm(Cut::when(Direction::ToClient, "+OK").nth(3).then(swallow));
    let mut first = client(&proxy);
    send(&mut first, "+O");
    expect(&mut first, "+O");
    send(&mut first, "K");
    expect(&mut first, "K");
    let mut second = client(&proxy);
    send(&mut second, "+OK;+OK;+OK;");
    expect(&mut second, "+OK;");
    wait(&proxy, |stats| stats.cuts_fired == 1 && stats.to_client.dropped == 8);
    assert_silent(&mut second);
    send(&mut first, "+OK");
    expect(&mut first, "+OK");
}

#[test]
fn a_cut_behind_the_needle_lets_it_through() {
    let proxy = proxy();
    proxy.arm(Cut::when(Direction::ToClient, "granted").behind().then(Then::Close));
    let mut stream = client(&proxy);
    send(&mut stream, "granted and more");
    assert_eq!(drain(&mut stream), ("granted".into(), false));
}

#[test]
fn a_cut_can_hold_a_command_until_it_is_healed() {
    let proxy = proxy();
    proxy.arm(Cut::when(Direction::ToServer, "SET").then(Then::Apply(Fault::Hold)));
    let mut stream = client(&proxy);
    send(&mut stream, "GET SET DEL");
    expect(&mut stream, "GET ");
    wait(&proxy, |stats| stats.to_server.held() == 7);
    proxy.heal();
    expect(&mut stream, "SET DEL");
}

#[test]
fn a_cut_after_n_bytes_counts_from_when_it_was_armed() {
    let proxy = proxy();
    let mut stream = client(&proxy);
    greet(&mut stream);
    proxy.arm(Cut::after_bytes(Direction::ToClient, 5));
    send(&mut stream, "abc");
    expect(&mut stream, "abc");
    send(&mut stream, "defg");
    assert_eq!(drain(&mut stream), ("de".into(), true));
}

#[test]
fn waiting_in_vain_ends_with_the_counts() {
    let proxy = proxy();
    let error = proxy.wait_until(Duration::from_millis(1), |_| false).unwrap_err();
    assert!(error.to_string().contains("accepted 0"), "{error}");
}

#[test]
fn a_single_threaded_test_can_wait_without_blocking_its_client() {
    let proxy = proxy();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let text = proxy.watch(Direction::ToClient, "text");
        let address = proxy.address();
        let client = tokio::spawn(async move {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"text").await.unwrap();
            stream
        });
        proxy.until(BOUND, |stats| stats.forwarded(text) == 1).await.unwrap();
        drop(client.await.unwrap());
        proxy.until(Duration::from_millis(1), |_| false).await.unwrap_err();
    });
}

#[test]
fn dropping_the_proxy_closes_its_connections() {
    let proxy = proxy();
    let mut stream = client(&proxy);
    greet(&mut stream);
    proxy.set_both(Scope::All, Fault::Hold);
    drop(proxy);
    assert_eq!(drain(&mut stream).0, "");
}

#[test]
fn only_loopback_is_proxied() {
    let error = Proxy::start("192.0.2.1:6379".parse().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("192.0.2.1:6379"), "{error}");
}

#[test]
#[should_panic(expected = "a needle of 0 bytes is out of range")]
fn an_empty_needle_is_refused() {
    drop(Cut::when(Direction::ToClient, ""));
}
