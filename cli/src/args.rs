//! The command line's arguments.

use std::{path::PathBuf, time::Duration};

use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::{failure::EXIT_CODES, settings::length};

/// Lists, ends and explains silverback's sessions, and manages their keys and stores.
///
/// Name the store with --store or SILVERBACK_STORE, and give the settings and keys that your
/// application uses. Only `keygen` prints a key, only `inspect --value` prints a session's value,
/// and no command prints a cookie.
#[derive(Debug, Parser)]
#[command(name = "silverback", version, after_help = EXIT_CODES, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that most commands share.
#[derive(Clone, Debug, Group)]
#[command(next_help_heading = "What your application uses")]
pub(crate) struct Common {
    /// Where sessions are kept: redis://HOST, rediss://HOST, redis+cluster://HOST,HOST,
    /// redis+sentinel://HOST,HOST/MASTER, postgres://HOST/DB, mysql://HOST/DB, mongodb://HOST/DB,
    /// memcached://HOST, firestore://PROJECT/DATABASE, dynamodb:TABLE, sqlite:FILE, redb:FILE or
    /// file:DIR. At the end, ?prefix=shop: names the prefix in Redis and memcached,
    /// ?table=shop_sessions the table in a database, and ?collection=shop_sessions the collection
    /// in MongoDB and Firestore.
    #[arg(
        long,
        global = true,
        value_name = "DSN",
        env = "SILVERBACK_STORE",
        hide_env_values = true
    )]
    pub(crate) store: Option<String>,
    /// The file with the session's settings: .toml, .json, .yaml or .yml.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "SILVERBACK_SETTINGS",
        hide_env_values = true
    )]
    pub(crate) settings: Option<PathBuf>,
    /// The section (table) of that file, such as sessions.account. By default, the whole file.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SILVERBACK_SECTION",
        hide_env_values = true
    )]
    pub(crate) section: Option<String>,
    /// The session's name in your application. By default, the last part of --section, or
    /// "session".
    #[arg(long, global = true, env = "SILVERBACK_NAME", hide_env_values = true)]
    pub(crate) name: Option<String>,
    /// The file with the keys.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "SILVERBACK_KEY_FILE",
        hide_env_values = true
    )]
    pub(crate) key_file: Option<PathBuf>,
    /// The environment variable with the keys, if there is no key file. By default, SESSION_KEY.
    #[arg(long, global = true, value_name = "VARIABLE")]
    pub(crate) key_env: Option<String>,
    /// The file with the key of SessionConfig::subject_key, if your application sets one.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "SILVERBACK_SUBJECT_KEY_FILE",
        hide_env_values = true
    )]
    pub(crate) subject_key_file: Option<PathBuf>,
    /// The text of SessionConfig::audience, if your application sets one.
    #[arg(
        long,
        global = true,
        value_name = "TEXT",
        env = "SILVERBACK_AUDIENCE",
        hide_env_values = true
    )]
    pub(crate) audience: Option<String>,
    /// Where your application keeps the session.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t = Kept::Store,
        env = "SILVERBACK_KEPT_IN",
        hide_env_values = true
    )]
    pub(crate) kept_in: Kept,
    /// Sessions that outgrow their cookie are in the store (CookieStore::overflow).
    #[arg(
        long,
        global = true,
        env = "SILVERBACK_OVERFLOW",
        hide_env_values = true
    )]
    pub(crate) overflow: bool,
    /// The store remembers which sessions in cookies have ended (CookieStore::revocation).
    #[arg(
        long,
        global = true,
        env = "SILVERBACK_REVOCATION",
        hide_env_values = true
    )]
    pub(crate) revocation: bool,
    /// Print JSON: one document, or for lists one per line.
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// Color the output.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, help_heading = "Output")]
    pub(crate) color: Color,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Kept {
    /// In the store; the cookie has only its ID.
    Store,
    /// In an encrypted cookie.
    Cookie,
    /// In a cookie that is signed but not encrypted.
    SignedCookie,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal.
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the records of the store, or the sessions of a user.
    List(List),
    /// Show one session: its times, user, and the names and sizes of its values.
    Inspect(Inspect),
    /// End sessions, as a logout does.
    End(End),
    /// End all sessions of a user.
    EndUser(EndUser),
    /// Remove expired records.
    Sweep(Sweep),
    /// Move all records to another store, while servers use both through a MigratingStore.
    Migrate(Migrate),
    /// Move the sessions of gorilla's FilesystemStore, of a Go program, into the store.
    Import(Import),
    /// Print a new key, or write it into a new key file.
    Keygen(Keygen),
    /// Add a new key to the key file, and keep the others for reading.
    Rotate(Rotate),
    /// Revoke a key of the key file that no longer seals cookies.
    Revoke(Revoke),
    /// Say what a cookie is, without a key.
    Decode(Decode),
    /// Say what a cookie is, what is wrong with it, and what a server would answer.
    Explain(Explain),
    /// Check settings, keys and the store, and say what to change.
    Doctor(Doctor),
    /// Print the script by which a shell completes this tool's arguments.
    Completions { shell: Shell },
    /// Print the manual page, or write one for each command.
    Man(Manual),
}

#[derive(Debug, Group)]
pub(crate) struct List {
    /// List this user's (subject's) sessions instead. Needs the keys.
    #[arg(long, value_name = "SUBJECT", conflicts_with_all = ["kind", "expired", "within", "summary"])]
    pub(crate) user: Option<String>,
    /// Only records of this kind.
    #[arg(long, value_enum)]
    pub(crate) kind: Option<Kind>,
    /// Only records that have expired and have not been swept.
    #[arg(long, conflicts_with = "within")]
    pub(crate) expired: bool,
    /// Only records that expire within this time, such as 90m or "2 days".
    #[arg(long, value_name = "TIME", value_parser = length)]
    pub(crate) within: Option<Duration>,
    /// Stop after this many records.
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<usize>,
    /// Print totals for each kind instead.
    #[arg(long)]
    pub(crate) summary: bool,
    /// Print whole keys.
    #[arg(long)]
    pub(crate) full: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Kind {
    /// A session.
    Session,
    /// The mark that a renewed or destroyed session leaves for a minute.
    Mark,
    /// The list of a user's sessions.
    Roster,
    /// The end of a session in a cookie.
    End,
    /// Replaces a record that `migrate` has moved to another store.
    Moved,
    /// Written by a later release, or by another program.
    Unknown,
}

#[derive(Debug, Group)]
pub(crate) struct Inspect {
    /// The session's key, or its first digits.
    #[arg(required_unless_present = "cookie")]
    pub(crate) key: Option<String>,
    /// Print this value as JSON. May be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) value: Vec<String>,
    /// The session's cookie, for encrypted records and sessions in cookies; - reads it from stdin,
    /// or asks for it on a terminal.
    #[arg(long)]
    pub(crate) cookie: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct End {
    /// The sessions' keys, or their first digits.
    #[arg(required = true, value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// The user (subject) whose sessions these are. Ends sessions in cookies too, and needs no scan
    /// of the store. Needs the keys.
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) user: Option<String>,
    #[command(flatten)]
    pub(crate) sure: Sure,
}

#[derive(Debug, Group)]
pub(crate) struct EndUser {
    /// The user, as your application names them to set_subject.
    pub(crate) subject: String,
    /// Spare the user's session with this key.
    #[arg(long, value_name = "KEY")]
    pub(crate) keep: Option<String>,
    #[command(flatten)]
    pub(crate) sure: Sure,
}

#[derive(Clone, Copy, Debug, Group)]
pub(crate) struct Sure {
    /// Do not ask.
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Say what would be done, without doing it.
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Sweep {
    /// How many records to examine in one batch.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    pub(crate) batch: usize,
    /// Pause between two batches, such as 200ms or 1s, so that the store has time for others.
    #[arg(long, value_name = "TIME", value_parser = length, default_value = "0s")]
    pub(crate) pause: Duration,
    /// Count what would be removed.
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Migrate {
    /// The store to move from, as for --store. tower-sessions+redis://, +postgres://, +mysql:// and
    /// +sqlite: name data of the published stores of tower-sessions.
    pub(crate) from: String,
    /// The store to move to.
    pub(crate) to: String,
    /// How many records to examine in one batch.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    pub(crate) batch: usize,
    /// Pause between two batches, such as 200ms or 1s, so that the stores have time for others.
    #[arg(long, value_name = "TIME", value_parser = length, default_value = "0s")]
    pub(crate) pause: Duration,
    #[command(flatten)]
    pub(crate) sure: Sure,
}

#[derive(Debug, Group)]
pub(crate) struct Import {
    /// The folder with the files session_ID.
    pub(crate) folder: PathBuf,
    /// The file with the keys of the Go program: on each line a hash key and, if there is one, its
    /// block key, in hexadecimal digits, the newest pair first.
    #[arg(long, value_name = "FILE")]
    pub(crate) go_key_file: PathBuf,
    /// How old a file may be, like Go's MaxAge, such as "7 days". By default, 30 days.
    #[arg(long, value_name = "TIME", value_parser = length)]
    pub(crate) go_max_age: Option<Duration>,
    /// A key that the Go program passes to AddFlash, if it is not the default one. May be given
    /// several times.
    #[arg(long, value_name = "KEY")]
    pub(crate) go_flash_queue: Vec<String>,
    /// Remove each file once its session is in the store, or over. Switch the Go program off first.
    #[arg(long)]
    pub(crate) remove: bool,
    /// How many files to examine in one batch.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    pub(crate) batch: usize,
    /// Pause between two batches, such as 200ms or 1s, so that the store has time for others.
    #[arg(long, value_name = "TIME", value_parser = length, default_value = "0s")]
    pub(crate) pause: Duration,
    /// Do not ask.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Keygen {
    /// Print hexadecimal digits instead of base64.
    #[arg(long)]
    pub(crate) hex: bool,
    /// Write the key to a new file that only its owner can read, and print only its id.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[arg(from_global)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Rotate {
    /// The key file. By default, the one of --key-file.
    pub(crate) file: Option<PathBuf>,
    /// Drop all retired keys except the newest N. Cookies of dropped keys are refused.
    #[arg(long, value_name = "N")]
    pub(crate) keep: Option<usize>,
    /// Add the new key as pending: the first of two steps if several servers have the file.
    #[arg(long, conflicts_with_all = ["activate", "revoke"])]
    pub(crate) stage: bool,
    /// Make the pending key the active one: the second of two steps.
    #[arg(long)]
    pub(crate) activate: bool,
    /// Revoke the key that was active until now, because it was stolen. Its cookies are refused.
    #[arg(long)]
    pub(crate) revoke: bool,
    #[command(flatten)]
    pub(crate) sure: Sure,
}

#[derive(Debug, Group)]
pub(crate) struct Revoke {
    /// The key's id, or its first digits.
    pub(crate) key: String,
    /// The key file. By default, the one of --key-file.
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sure: Sure,
}

#[derive(Debug, Group)]
pub(crate) struct Decode {
    /// The cookie: its value, name=value, or a whole Cookie header; - reads it from stdin, or asks
    /// for it on a terminal.
    pub(crate) cookie: String,
}

#[derive(Debug, Group)]
pub(crate) struct Explain {
    /// The cookie: its value, name=value, or a whole Cookie header; - reads it from stdin, or asks
    /// for it on a terminal.
    pub(crate) cookie: String,
}

#[derive(Debug, Group)]
pub(crate) struct Doctor {
    /// How many reads to time.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub(crate) reads: usize,
}

#[derive(Debug, Group)]
pub(crate) struct Manual {
    /// Write silverback.1, silverback-list.1 and so on into this folder instead.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
}
