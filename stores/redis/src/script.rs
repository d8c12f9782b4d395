//! Scripts that check a record's version and write, in one step on the server.
//!
//! `SET .. IFEQ` (Valkey 8.1) and `DELIFEQ` (9.0) compare whole values, so a client would have to
//! keep each record that it has read and send it back. A script compares only the 16 bytes of the
//! version at the start of the record.
//!
//! A write is recognised by its new version: a client that resends it after a lost answer learns
//! that it was done.

use std::sync::LazyLock;

use redis::{Cmd, Script};
use silverback::store::StoreError;

use crate::record::{self, HEAD, MAGIC};

/// One of the scripts, by its text.
pub(crate) struct Call {
    script: LazyLock<Script>,
    text: fn() -> String,
}

impl Call {
    const fn new(text: fn() -> String, script: fn() -> Script) -> Self {
        Self {
            script: LazyLock::new(script),
            text,
        }
    }

    /// Makes the command that runs the script: by its hash or, for a server that does not have it
    /// yet, by its text. The arguments follow.
    pub(crate) fn command(&self, by: By, key: &str) -> Cmd {
        let mut command = Cmd::new();
        match by {
            By::Hash => command.arg("EVALSHA").arg(self.script.get_hash()),
            By::Text => command.arg("EVAL").arg((self.text)()),
        };
        command.arg(1).arg(key);
        command
    }
}

/// How a command names its script.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum By {
    Hash,
    Text,
}

macro_rules! call {
    ($text:expr) => {
        Call::new($text, || Script::new(&$text()))
    };
}

/// ARGV: the new version, milliseconds, the record. A value that is not a record is overwritten.
pub(crate) static CREATE: Call = call!(|| {
    format!(
        "local head = redis.pcall('GETRANGE', KEYS[1], 0, {last})\n\
         if head.err and string.sub(head.err, 1, 9) ~= 'WRONGTYPE' then return head end\n\
         if not head.err and #head == {HEAD} and string.sub(head, 1, 4) == '{magic}' then\n\
           if string.sub(head, 5, 20) == ARGV[1] then return {DONE} end\n\
           return {EXISTS}\n\
         end\n\
         if not head.err and string.find(head, '{LATER_MAGIC}') then return {LATER} end\n\
         if ARGV[2] == '0' then redis.call('DEL', KEYS[1])\n\
         else redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2]) end\n\
         return {DONE}",
        last = HEAD - 1,
        magic = magic(),
    )
});

/// ARGV: the expected version, the new one, milliseconds, the record, whether it is a mark.
///
/// A full server refuses the first command of a script that may take memory, but none after a
/// command that has written. So a mark begins with `PEXPIRE`: logouts are possible on a full
/// server. They free memory, since a mark is short and ends soon.
pub(crate) static UPDATE: Call = call!(|| {
    format!(
        "{}if version == ARGV[2] then return {DONE} end\n\
         if version ~= ARGV[1] then return {CONFLICT} end\n\
         if ARGV[3] == '0' then redis.call('DEL', KEYS[1])\n\
         else\n\
           if ARGV[5] == '1' then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end\n\
           redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[3])\n\
         end\n\
         return {DONE}",
        look(GONE)
    )
});

/// ARGV: the expected version, milliseconds, the end as a record stores it. `PEXPIRE` comes first,
/// so that a full server accepts this.
pub(crate) static TOUCH: Call = call!(|| {
    format!(
        "{}if version ~= ARGV[1] then return {CONFLICT} end\n\
         if ARGV[2] == '0' then redis.call('DEL', KEYS[1])\n\
         else\n\
           redis.call('PEXPIRE', KEYS[1], ARGV[2])\n\
           redis.call('SETRANGE', KEYS[1], 20, ARGV[3])\n\
         end\n\
         return {DONE}",
        look(GONE)
    )
});

/// ARGV: the expected version.
pub(crate) static DELETE: Call = call!(|| {
    format!(
        "{}if version ~= ARGV[1] then return {CONFLICT} end\n\
         redis.call('DEL', KEYS[1])\n\
         return {DONE}",
        look(NOTHING)
    )
});

/// ARGV: the expected value, the new value, seconds.
#[cfg(feature = "gorilla")]
pub(crate) static SWAP: Call = call!(|| {
    format!(
        "local found = redis.pcall('GET', KEYS[1])\n\
         if type(found) == 'table' then return found end\n\
         if found ~= ARGV[1] then return {CONFLICT} end\n\
         redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])\n\
         return {DONE}"
    )
});

/// ARGV: the expected value.
#[cfg(feature = "gorilla")]
pub(crate) static CUT: Call = call!(|| {
    format!(
        "local found = redis.pcall('GET', KEYS[1])\n\
         if type(found) == 'table' then return found end\n\
         if found ~= ARGV[1] then return {CONFLICT} end\n\
         redis.call('DEL', KEYS[1])\n\
         return {DONE}"
    )
});

/// Reads the version. If there is none, ends the script, with this answer if the key is free.
fn look(nothing: i64) -> String {
    format!(
        "local head = redis.pcall('GETRANGE', KEYS[1], 0, {last})\n\
         if head.err then return head end\n\
         if head == '' and redis.call('EXISTS', KEYS[1]) == 0 then return {nothing} end\n\
         if string.find(head, '{LATER_MAGIC}') then return {LATER} end\n\
         if #head ~= {HEAD} or string.sub(head, 1, 4) ~= '{magic}' then return {CORRUPT} end\n\
         local version = string.sub(head, 5, 20)\n",
        last = HEAD - 1,
        magic = magic(),
    )
}

fn magic() -> std::borrow::Cow<'static, str> {
    String::from_utf8_lossy(MAGIC)
}

/// The pattern for the start of a record that a later release has written.
const LATER_MAGIC: &str = "^sbr[2-9]";

const DONE: i64 = 1;
/// The answer of `DEL` for a missing key.
const NOTHING: i64 = 0;
// Answers below zero mean that nothing has changed, so no replica has to confirm.
const GONE: i64 = -1;
const CONFLICT: i64 = -2;
const EXISTS: i64 = -3;
const CORRUPT: i64 = -4;
const LATER: i64 = -5;

/// The meaning of a script's answer.
pub(crate) fn outcome(answer: i64) -> Result<(), StoreError> {
    match answer {
        DONE | NOTHING => Ok(()),
        GONE => Err(StoreError::Gone),
        CONFLICT => Err(StoreError::Conflict),
        EXISTS => Err(StoreError::Exists),
        CORRUPT => Err(record::no_record()),
        LATER => Err(record::later()),
        other => Err(StoreError::refused(format!(
            "the server answers {other} to a script of this store"
        ))),
    }
}
