//! Secrets that are pasted into a terminal.

use std::{
    io::{self, Read as _, Stdin},
    os::fd::AsFd as _,
};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::{failure::Failure, out};

/// Asks for a line, which is not shown.
///
/// The terminal must not edit the line: it would cut it off after 4,095 bytes on Linux and 1,024 on
/// macOS, and a `Cookie` header may be longer.
pub(crate) fn secret(question: &str) -> Result<Zeroizing<String>, Failure> {
    let stdin = io::stdin();
    let mode = Mode::unedited(&stdin).map_err(|error| failed(&error))?;
    out::say(question);
    let line = line(&stdin);
    drop(mode);
    line
}

fn line(stdin: &Stdin) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(Vec::new());
    for byte in stdin.lock().bytes() {
        match byte.map_err(|error| failed(&error))? {
            b'\r' | b'\n' | CTRL_D => break,
            CTRL_C => return Err(Failure::Interrupted("nothing was done".to_owned())),
            BACKSPACE => drop(text.pop()),
            byte => text.push(byte),
        }
    }
    let text = str::from_utf8(&text).map_err(|error| Failure::refused("the cookie", &error))?;
    Ok(Zeroizing::new(text.to_owned()))
}

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const BACKSPACE: u8 = 127;

fn failed(error: &io::Error) -> Failure {
    Failure::failed("the terminal", error)
}

/// A terminal that shows nothing, edits no line and sends no signal, until this is dropped.
struct Mode<'a> {
    stdin: &'a Stdin,
    before: Termios,
}

impl<'a> Mode<'a> {
    fn unedited(stdin: &'a Stdin) -> io::Result<Self> {
        let before = tcgetattr(stdin)?;
        let mut mode = before.clone();
        let edits = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        mode.local_modes.remove(edits);
        tcsetattr(stdin.as_fd(), OptionalActions::Now, &mode)?;
        Ok(Self { stdin, before })
    }
}

impl Drop for Mode<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.stdin, OptionalActions::Now, &self.before);
    }
}
