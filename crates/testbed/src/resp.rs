//! As much of Redis's protocol as is needed to set servers up.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use crate::process::REPLY_LIMIT;

/// A reply of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Nil,
    Text(String),
    List(Vec<Self>),
}

impl Reply {
    /// The value of a field, in a flat list of names and values.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let Self::List(parts) = self else { return None };
        let found = parts.chunks_exact(2).find(|pair| pair[0] == Self::Text(name.to_owned()));
        found.and_then(|pair| pair[1].text())
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Sends a command over a connection of its own and returns the reply.
pub(crate) fn ask(
    address: SocketAddr,
    password: Option<&str>,
    command: &[&str],
) -> io::Result<Reply> {
    let mut input = connect(address, password)?;
    send(input.get_ref(), command)?;
    read(&mut input)
}

/// A connection for many commands, one after the other.
#[derive(Debug)]
pub(crate) struct Dialogue(BufReader<TcpStream>);

impl Dialogue {
    pub(crate) fn begin(address: SocketAddr, password: Option<&str>) -> io::Result<Self> {
        connect(address, password).map(Self)
    }

    /// Sends a command and returns the reply. After any error but a refusal it is of no use.
    pub(crate) fn ask(&mut self, command: &[&str]) -> io::Result<Reply> {
        send(self.0.get_ref(), command)?;
        read(&mut self.0)
    }
}

/// What a Sentinel tells of what it sees.
pub(crate) struct Events(BufReader<TcpStream>);

impl Events {
    pub(crate) fn follow(address: SocketAddr, password: Option<&str>) -> io::Result<Self> {
        let mut input = connect(address, password)?;
        send(input.get_ref(), &["PSUBSCRIBE", "*"])?;
        read(&mut input)?;
        Ok(Self(input))
    }

    /// Waits for the next event.
    pub(crate) fn next(&mut self) -> io::Result<Reply> {
        read(&mut self.0)
    }
}

fn connect(address: SocketAddr, password: Option<&str>) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&address, REPLY_LIMIT)?;
    stream.set_read_timeout(Some(REPLY_LIMIT))?;
    let mut input = BufReader::new(stream);
    if let Some(password) = password {
        send(input.get_ref(), &["AUTH", password])?;
        read(&mut input)?;
    }
    Ok(input)
}

fn send(mut stream: &TcpStream, words: &[&str]) -> io::Result<()> {
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(text.as_bytes())
}

fn read(input: &mut impl BufRead) -> io::Result<Reply> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "not a reply of Redis");
    let mut line = String::new();
    input.read_line(&mut line)?;
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).ok_or_else(malformed)?;
    let length = || rest.parse::<i64>().map_err(|_| malformed());
    match kind {
        "+" | ":" => Ok(Reply::Text(rest.to_owned())),
        "-" => Err(io::Error::other(rest.to_owned())),
        "$" => {
            let Ok(length) = usize::try_from(length()?) else { return Ok(Reply::Nil) };
            let mut bytes = vec![0; length + 2];
            input.read_exact(&mut bytes)?;
            bytes.truncate(length);
            String::from_utf8(bytes).map(Reply::Text).map_err(|_| malformed())
        }
        "*" => {
            let Ok(count) = usize::try_from(length()?) else { return Ok(Reply::Nil) };
            (0..count).map(|_| read(input)).collect::<io::Result<_>>().map(Reply::List)
        }
        _ => Err(malformed()),
    }
}
