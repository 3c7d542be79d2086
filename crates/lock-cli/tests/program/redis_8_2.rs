//! What needs a server that several programs share. Which one it is makes no difference to them.

mod benching;
mod clustered;
mod listing;
mod looking;
mod loss;
mod others;
mod releasing;
mod signals;
mod starting;
#[cfg(target_os = "linux")]
mod watching;

use std::io::{Read, Write};
use std::net::TcpStream;

use testbed::{RedisServer, ServerKind};

use crate::harness::LIMIT;

fn server() -> RedisServer {
    RedisServer::start(&ServerKind::REDIS_8_2).unwrap()
}

/// Sends a command as a person would type it, and returns the answer's first bytes.
fn redis(server: &RedisServer, command: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
    let mut answer = [0; 64];
    let length = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..length]).trim_end().to_owned()
}
