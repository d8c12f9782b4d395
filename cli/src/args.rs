//! What can be asked for.

use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::failure::EXIT_CODES;

/// Sees, ends and explains the sessions of silverback, and looks after its keys and stores.
///
/// Name the store by --store or SILVERBACK_STORE, and give the settings and keys that your
/// application has. No command prints a key or a cookie, but for `keygen`, and none a session's
/// value, but for `inspect --value`.
#[derive(Debug, Parser)]
#[command(name = "silverback", version, after_help = EXIT_CODES, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What most commands take.
#[derive(Clone, Debug, Group)]
#[command(next_help_heading = "What your application has")]
pub(crate) struct Common {
    /// Where sessions are kept: redis://HOST, rediss://HOST, redis+cluster://HOST,HOST,
    /// redis+sentinel://HOST,HOST/MASTER, postgres://HOST/DB, mysql://HOST/DB, sqlite:FILE or
    /// file:DIR. At the end, ?prefix=shop: names the prefix in Redis, and ?table=shop_sessions the
    /// table in a database.
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
    /// The section (table) of that file, such as sessions.account. Unless given, the whole file.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SILVERBACK_SECTION",
        hide_env_values = true
    )]
    pub(crate) section: Option<String>,
    /// The session's name in your application. Unless given, the last part of --section, or
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
    /// The environment variable with the keys, where there is no key file. Unless given,
    /// SESSION_KEY.
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
    /// Where the session is kept.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t = Kept::Store,
        env = "SILVERBACK_KEPT_IN",
        hide_env_values = true
    )]
    pub(crate) kept_in: Kept,
    /// The store takes sessions that outgrow their cookie (CookieStore::overflow).
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
    /// Print JSON: one document, or one a line for lists.
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// Color what is printed.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, help_heading = "Output")]
    pub(crate) color: Color,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Kept {
    /// In the store, with its ID in the cookie.
    Store,
    /// In an encrypted cookie.
    Cookie,
    /// In a cookie that is signed and not encrypted.
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
    /// Remove what has expired.
    Sweep(Sweep),
    /// Move all records to another store, while servers use both by a MigratingStore.
    Migrate(Migrate),
    /// Print a new key, or put it into a new key file.
    Keygen(Keygen),
    /// Put a new key into the key file and keep the others for reading.
    Rotate(Rotate),
    /// Revoke a key of the key file that seals no cookies any more.
    Revoke(Revoke),
    /// Say what a cookie is, without any key.
    Decode(Decode),
    /// Say what a cookie is, what is wrong with it and what a server would answer.
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
    /// The user (subject) whose sessions to list; takes the keys.
    #[arg(long, value_name = "SUBJECT", conflicts_with_all = ["kind", "expired", "within", "summary"])]
    pub(crate) user: Option<String>,
    /// Only records of this kind.
    #[arg(long, value_enum)]
    pub(crate) kind: Option<Kind>,
    /// Only records that are over and not yet swept.
    #[arg(long, conflicts_with = "within")]
    pub(crate) expired: bool,
    /// Only records that end within this time, such as 90m or "2 days".
    #[arg(long, value_name = "TIME")]
    pub(crate) within: Option<String>,
    /// Stop after so many.
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<usize>,
    /// Add up by kind instead.
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
    /// What is left for a minute of a session that was renewed or destroyed.
    Mark,
    /// The list of a user's sessions.
    Roster,
    /// That a session in a cookie has ended.
    End,
    /// What stands for a record that `migrate` has moved to another store.
    Moved,
    /// Of a later release, or of another program.
    Unknown,
}

#[derive(Debug, Group)]
pub(crate) struct Inspect {
    /// The session's key, or the first digits of it.
    #[arg(required_unless_present = "cookie")]
    pub(crate) key: Option<String>,
    /// Print this value, as JSON. May be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) value: Vec<String>,
    /// The session's cookie, for encrypted records and sessions in cookies; - reads it from stdin.
    #[arg(long)]
    pub(crate) cookie: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct End {
    /// The sessions' keys, or the first digits of them.
    #[arg(required = true, value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// The user (subject) whose sessions they are; takes the keys. It ends sessions in cookies too,
    /// and looks through no store.
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) user: Option<String>,
    #[command(flatten)]
    pub(crate) sure: Sure,
}

#[derive(Debug, Group)]
pub(crate) struct EndUser {
    /// The user, as your application calls set_subject.
    pub(crate) subject: String,
    /// Spare the session of this key.
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
    /// Say what would be done, and do nothing.
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Sweep {
    /// Look at so many records at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    pub(crate) batch: usize,
    /// Rest between two batches, such as 1s, so that the store has time for others.
    #[arg(long, value_name = "TIME")]
    pub(crate) pause: Option<String>,
    /// Count what would be removed.
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Migrate {
    /// The store that sessions are in, as for --store.
    pub(crate) from: String,
    /// The store that they move to.
    pub(crate) to: String,
    /// Look at so many records at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    pub(crate) batch: usize,
    /// Rest between two batches, such as 1s, so that the stores have time for others.
    #[arg(long, value_name = "TIME")]
    pub(crate) pause: Option<String>,
    #[command(flatten)]
    pub(crate) sure: Sure,
}

#[derive(Debug, Group)]
pub(crate) struct Keygen {
    /// Print hexadecimal digits instead of base64.
    #[arg(long)]
    pub(crate) hex: bool,
    /// Write the key to a new file that its owner alone can read, and print only its id.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[arg(from_global)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Rotate {
    /// The key file. Unless given, that of --key-file.
    pub(crate) file: Option<PathBuf>,
    /// Drop retired keys beyond the newest N: their cookies are refused from then on.
    #[arg(long, value_name = "N")]
    pub(crate) keep: Option<usize>,
    /// Add the new key as pending: the first of two steps where several servers have the file.
    #[arg(long, conflicts_with_all = ["activate", "revoke"])]
    pub(crate) stage: bool,
    /// Make the pending key the active one: the second of two steps.
    #[arg(long)]
    pub(crate) activate: bool,
    /// Revoke the key that is active until now, for when it was stolen: its cookies are refused.
    #[arg(long)]
    pub(crate) revoke: bool,
    #[command(flatten)]
    pub(crate) sure: Sure,
}

#[derive(Debug, Group)]
pub(crate) struct Revoke {
    /// The key's id, or the first digits of it.
    pub(crate) key: String,
    /// The key file. Unless given, that of --key-file.
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sure: Sure,
}

#[derive(Debug, Group)]
pub(crate) struct Decode {
    /// The cookie: its value, name=value, or a whole Cookie header; - reads it from stdin.
    pub(crate) cookie: String,
}

#[derive(Debug, Group)]
pub(crate) struct Explain {
    /// The cookie: its value, name=value, or a whole Cookie header; - reads it from stdin.
    pub(crate) cookie: String,
}

#[derive(Debug, Group)]
pub(crate) struct Doctor {
    /// Read so many times to measure how fast the store answers.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub(crate) reads: usize,
}

#[derive(Debug, Group)]
pub(crate) struct Manual {
    /// Write silverback.1, silverback-list.1 and so on into this folder instead.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
}
