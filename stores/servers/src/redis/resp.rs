//! The part of Redis' protocol that it takes to ask a server about its state.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// A server's answer.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// A word or bytes.
    Bytes(Vec<u8>),
    /// A number.
    Number(i64),
    /// Several answers.
    Many(Vec<Self>),
    /// Nothing.
    Nil,
    /// An error, in the server's words.
    Error(String),
}

impl Reply {
    /// Returns the answer as text. Empty for several answers or none.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Number(number) => number.to_string(),
            Self::Many(_) | Self::Nil => String::new(),
            Self::Error(error) => error.clone(),
        }
    }
}

/// A busy machine may delay a server for seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connects, sends one command and returns the answer.
pub(super) fn ask(port: u16, command: &[&[u8]]) -> io::Result<Reply> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = format!("*{}\r\n", command.len()).into_bytes();
    for word in command {
        request.extend(format!("${}\r\n", word.len()).bytes());
        request.extend_from_slice(word);
        request.extend(b"\r\n");
    }
    (&stream).write_all(&request)?;
    read(&mut BufReader::new(stream))
}

fn read(from: &mut impl BufRead) -> io::Result<Reply> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let (kind, rest) = line
        .trim_end()
        .split_at_checked(1)
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let number = || rest.parse::<i64>().map_err(io::Error::other);
    Ok(match kind {
        "+" => Reply::Bytes(rest.into()),
        "-" => Reply::Error(rest.to_owned()),
        ":" => Reply::Number(number()?),
        "$" => match u64::try_from(number()?) {
            Err(_) => Reply::Nil,
            Ok(len) => {
                let mut bytes = Vec::new();
                from.take(len).read_to_end(&mut bytes)?;
                io::copy(&mut from.take(2), &mut io::sink())?;
                Reply::Bytes(bytes)
            }
        },
        "*" => {
            let many: io::Result<_> = (0..number()?).map(|_| read(from)).collect();
            Reply::Many(many?)
        }
        _ => return Err(io::ErrorKind::InvalidData.into()),
    })
}
