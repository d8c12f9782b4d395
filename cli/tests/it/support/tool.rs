//! The tool as a process, with a check of everything that it prints.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use base64_simd::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

/// The tool in a separate environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tool {
    env: Vec<(String, String)>,
    secrets: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Tool {
    pub(crate) fn env(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn without(&mut self, name: &str) {
        self.env.retain(|(known, _)| known != name);
    }

    /// What the tool must never print.
    pub(crate) fn secret(&mut self, text: &str) {
        self.secrets.push(text.to_owned());
    }

    /// Adds a cookie that the tool must never print, and the session's ID in it.
    pub(crate) fn cookie(&mut self, cookie: &str) {
        self.secret(cookie);
        let token = URL_SAFE_NO_PAD.decode_to_vec(cookie).unwrap();
        // A signed token: 5 bytes of head, 14 of times, the ID, 2 of attributes, 32 of tag. In a
        // sealed token this part is noise, which must not be printed either.
        let id = &token[19..token.len() - 34];
        self.secret(
            &id.iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>(),
        );
        self.secret(&URL_SAFE_NO_PAD.encode_to_string(id));
        self.secret(&STANDARD_NO_PAD.encode_to_string(id));
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_silverback"));
        command.env_clear();
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn envs(&self) -> &[(String, String)] {
        &self.env
    }

    /// Runs the tool without a terminal.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.run_with(args, "")
    }

    /// Runs it with this input.
    pub(crate) fn run_with(&self, args: &[&str], stdin: &str) -> Output {
        let output = self.run_unchecked(args, stdin);
        self.check(&output.stdout);
        self.check(&output.stderr);
        output
    }

    /// Runs a command that is to print a secret.
    pub(crate) fn run_unchecked(&self, args: &[&str], stdin: &str) -> Output {
        let mut command = self.command();
        command.args(args).stdin(Stdio::piped());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The tool may end before it has read everything.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn check(&self, printed: &str) {
        for secret in &self.secrets {
            assert!(!printed.contains(secret), "{secret:?} is in:\n{printed}");
        }
    }
}

impl Output {
    /// Returns the JSON of a command that ended with this code.
    pub(crate) fn json(&self, code: i32) -> Value {
        assert_eq!(self.code, code, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns the JSON documents, one per line.
    pub(crate) fn lines(&self) -> Vec<Value> {
        assert_eq!(self.code, 0, "{self:?}");
        let lines = self.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub(crate) fn says(&self, code: i32, text: &str) {
        let all = format!("{}{}", self.stdout, self.stderr);
        assert!(
            self.code == code && all.contains(text),
            "{code} {text:?}: {self:?}"
        );
    }
}
