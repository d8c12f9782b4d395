//! The meta commands of memcached's protocol, as far as a store uses them:
//! <https://docs.memcached.org/protocols/meta/>.

use std::{
    io::{self, Write as _},
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use crate::error::broken;

/// Commands that are sent together. Each has a number that its answer repeats, so that no answer is
/// taken for another's.
#[derive(Debug)]
pub(crate) struct Commands<'a> {
    numbers: &'a AtomicU64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: Vec<u64>,
}

impl<'a> Commands<'a> {
    pub(crate) const fn new(numbers: &'a AtomicU64) -> Self {
        Self {
            numbers,
            bytes: Vec::new(),
            expected: Vec::new(),
        }
    }

    /// Asks for a value and its compare-and-swap token.
    pub(crate) fn get(&mut self, key: &str) {
        let number = self.number();
        self.write(format_args!("mg {key} v c O{number}\r\n"));
    }

    /// Stores a value where there is none.
    pub(crate) fn add(&mut self, key: &str, seconds: i64, value: &[u8]) {
        let (number, len) = (self.number(), value.len());
        self.write(format_args!("ms {key} {len} T{seconds} ME O{number}\r\n"));
        self.value(value);
    }

    /// Replaces the value that has this token.
    pub(crate) fn replace(&mut self, key: &str, token: u64, seconds: i64, value: &[u8]) {
        let (number, len) = (self.number(), value.len());
        self.write(format_args!(
            "ms {key} {len} T{seconds} MS C{token} O{number}\r\n"
        ));
        self.value(value);
    }

    /// Deletes a value. With a token, only the value that has it.
    pub(crate) fn delete(&mut self, key: &str, token: Option<u64>) {
        let number = self.number();
        match token {
            Some(token) => self.write(format_args!("md {key} C{token} O{number}\r\n")),
            None => self.write(format_args!("md {key} O{number}\r\n")),
        }
    }

    fn number(&mut self) -> u64 {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.expected.push(number);
        number
    }

    fn value(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn write(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to memory cannot fail.
        let _ = self.bytes.write_fmt(line);
    }
}

/// The server's answer to one command.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    Value {
        token: u64,
        data: Vec<u8>,
    },
    /// The command succeeded.
    Done,
    /// There is no value under the key.
    Missing,
    /// There is a value under the key already.
    Exists,
    /// The value under the key has another token.
    Changed,
    /// The server refused, for this reason.
    Refused(String),
}

/// Lines of answers are short, unless the other side is not memcached.
const LONGEST_LINE: u64 = 4 << 10;

/// Reads the answer to the command with this number.
///
/// # Errors
///
/// If the connection fails, or the answer belongs to another command. Later answers on the
/// connection are then unreliable too.
pub(crate) async fn read(
    from: &mut (impl AsyncBufRead + Unpin),
    number: u64,
    most: usize,
) -> io::Result<Answer> {
    let line = read_line(from).await?;
    if let Some(reason) = line.strip_prefix("SERVER_ERROR ") {
        return Ok(Answer::Refused(reason.to_owned()));
    }
    let mut words = line.split(' ');
    let code = words.next().unwrap_or_default();
    let len = match code {
        "VA" => words.next().and_then(|len| len.parse::<usize>().ok()),
        _ => None,
    };
    let flag = |name: char| {
        let mut values = words.clone().filter_map(|word| word.strip_prefix(name));
        values.next().and_then(|value| value.parse::<u64>().ok())
    };
    if flag('O') != Some(number) {
        return Err(broken(&format!("memcached says {line:?}")));
    }
    match (code, len) {
        ("VA", Some(len)) if len <= most => {
            let token = flag('c').ok_or_else(|| broken("a value has no token"))?;
            let data = read_value(from, len).await?;
            Ok(Answer::Value { token, data })
        }
        ("HD", None) => Ok(Answer::Done),
        ("EN" | "NF", None) => Ok(Answer::Missing),
        ("NS", None) => Ok(Answer::Exists),
        ("EX", None) => Ok(Answer::Changed),
        _ => Err(broken(&format!("memcached says {line:?}"))),
    }
}

async fn read_value(from: &mut (impl AsyncBufRead + Unpin), len: usize) -> io::Result<Vec<u8>> {
    let mut data = vec![0; len];
    from.read_exact(&mut data).await?;
    let mut end = [0; 2];
    from.read_exact(&mut end).await?;
    if end != *b"\r\n" {
        return Err(broken("a value is longer than memcached said"));
    }
    Ok(data)
}

/// Reads a line, without its end.
pub(crate) async fn read_line(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<String> {
    let mut line = String::new();
    from.take(LONGEST_LINE).read_line(&mut line).await?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(bytes: &[u8]) -> io::Result<Answer> {
        let mut bytes = bytes;
        read(&mut bytes, 7, 100).await
    }

    #[tokio::test]
    async fn answers_are_read_as_the_server_writes_them() {
        let value = |data: &[u8]| Answer::Value {
            token: 42,
            data: data.to_vec(),
        };
        for (bytes, expected) in [
            (&b"VA 5 c42 O7\r\nhello\r\n"[..], value(b"hello")),
            (b"VA 2 O7 c42\r\n\r\n\r\n", value(b"\r\n")),
            (b"VA 0 c42 O7\r\n\r\n", value(b"")),
            (b"HD O7\r\n", Answer::Done),
            (b"EN O7\r\n", Answer::Missing),
            (b"NF O7\r\n", Answer::Missing),
            (b"NS O7\r\n", Answer::Exists),
            (b"EX O7\r\n", Answer::Changed),
            (
                b"SERVER_ERROR out of memory storing object\r\n",
                Answer::Refused("out of memory storing object".to_owned()),
            ),
        ] {
            assert_eq!(answer(bytes).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn an_answer_to_another_command_is_an_error() {
        for bytes in [
            &b"VA 5 c42 O8\r\nhello\r\n"[..],
            b"VA 5 c42\r\nhello\r\n",
            b"VA 5 O7\r\nhello\r\n",
            b"VA 101 c42 O7\r\n",
            b"VA x c42 O7\r\n",
            b"VA 4 c42 O7\r\nhello\r\n",
            b"HD\r\n",
            b"HD O70\r\n",
            b"EN\r\n",
            b"MN\r\n",
            b"ERROR\r\n",
            b"CLIENT_ERROR bad data chunk\r\n",
            b"HTTP/1.1 400 Bad Request\r\n",
            b"HD O7",
            b"VA 5 c42 O7\r\nhel",
            b"",
        ] {
            let read = answer(bytes).await;
            assert!(read.is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
        let endless = vec![b'x'; 1 << 20];
        assert!(answer(&endless).await.is_err());
    }
}
