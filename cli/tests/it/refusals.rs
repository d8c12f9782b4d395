//! Arguments that are not understood, and commands that need a confirmation.

use silverback_test_servers::Postgres;

use crate::support::{At, Tool, World};

#[test]
fn help_says_what_exit_codes_mean_and_shows_no_environment() {
    let mut tool = Tool::default();
    tool.env("SILVERBACK_STORE", "redis://ada:hunter2@localhost");
    tool.secret("hunter2");
    let help = tool.run(&["--help"]);
    help.says(0, "Exit codes:");
    help.says(0, "SILVERBACK_STORE");
    for command in [
        "list", "inspect", "end", "end-user", "sweep", "migrate", "keygen", "rotate", "decode",
        "explain", "doctor",
    ] {
        help.says(0, command);
        tool.run(&[command, "--help"]).says(0, "Usage:");
    }
}

#[tokio::test]
async fn a_file_that_a_server_has_open_is_left_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.redb");
    let store = silverback_redb::RedbStore::open(&path).await.unwrap();
    let dsn = format!("redb:{}", path.display());
    let tool = Tool::default();
    tool.run(&["list", "--store", &dsn])
        .says(1, "another process has the file of sessions open");
    store.close().await;
    assert_eq!(tool.run(&["list", "--store", &dsn]).code, 0);
    let none = format!("redb:{}", dir.path().join("none").display());
    tool.run(&["list", "--store", &none])
        .says(1, "there is no such file");
    std::fs::write(&path, "another program's").unwrap();
    tool.run(&["list", "--store", &dsn]).says(1, "is damaged");
}

#[test]
fn arguments_that_mean_nothing_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = format!("file:{}", dir.path().display());
    let tool = Tool::default();
    for (args, says) in [
        (&[][..], "Usage:"),
        (&["frobnicate"], "unrecognized"),
        (&["list"], "--store"),
        (&["inspect"], "<KEY>"),
        (&["list", "--store", "http://x"], "redis://"),
        (&["list", "--store", "file:/x?table=y"], "table"),
        (
            &["list", "--store", &folder, "--within", "soon"],
            "--within",
        ),
        (
            &["list", "--store", &folder, "--user", "ada"],
            "needs the keys",
        ),
        (&["end-user", "ada", "--store", &folder], "needs the keys"),
        (
            &[
                "end",
                "0123456789ab",
                "--store",
                &folder,
                "--kept-in",
                "cookie",
            ],
            "in their cookie alone",
        ),
        (
            &[
                "list",
                "--store",
                &folder,
                "--settings",
                "none.ini",
                "--user",
                "a",
            ],
            "cannot be read",
        ),
        (&["rotate"], "--key-file"),
        (&["explain", "x", "--key-env", "NOTHING"], "NOTHING"),
    ] {
        let output = tool.run(args);
        let code = if says == "cannot be read" { 1 } else { 2 };
        output.says(code, says);
        assert_eq!(output.stdout, "", "{args:?}");
    }
}

#[test]
fn a_store_that_is_not_there_is_a_failure_and_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let none = dir.path().join("none");
    let mut tool = Tool::default();
    tool.secret("hunter2");
    for dsn in [
        format!("file:{}", none.display()),
        format!("sqlite:{}", none.display()),
        // Nobody listens on port 1, and the password is not printed.
        "postgres://ada:hunter2@127.0.0.1:1/x".to_owned(),
        "mysql://ada:hunter2@127.0.0.1:1/x".to_owned(),
        "redis://ada:hunter2@127.0.0.1:1".to_owned(),
        "rediss://ada:hunter2@127.0.0.1:1".to_owned(),
    ] {
        tool.run(&["list", "--store", &dsn]).says(1, "silverback: ");
        tool.run(&["doctor", "--store", &dsn]).says(4, "broken");
    }
    assert!(!none.exists());
}

#[test]
fn what_the_database_says_is_told() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let output = Tool::default().run(&["list", "--store", &server.url_of("nowhere")]);
    output.says(
        1,
        "/nowhere cannot be opened: database \"nowhere\" does not exist\n",
    );
}

/// A slash or a question mark ends the address of the server, unless it is percent-encoded.
#[test]
fn a_password_that_is_not_encoded_is_not_printed() {
    let mut tool = Tool::default();
    tool.secret("hunt");
    tool.secret("er2");
    for dsn in [
        "postgres://ada:hunt/er2@127.0.0.1:1/x",
        "postgres://ada:hunt?er2@127.0.0.1:1/x",
        "mysql://ada:hunt@er2/x@127.0.0.1:1/x",
        "mongodb://ada:hunt/er2@127.0.0.1:1/x",
        "redis+cluster://ada:hunt/er2@127.0.0.1:1",
        "redis+sentinel://ada:hunt/er2@127.0.0.1:1/main",
    ] {
        let output = tool.run(&["list", "--store", dsn]);
        assert!(output.stderr.starts_with("silverback: "), "{dsn}");
    }
}

#[tokio::test]
async fn several_records_that_begin_so_are_not_guessed_at() {
    use silverback::store::{Bytes, Expiry, RecordKey, Store as _};

    let world = World::new(At::Files).await.unwrap();
    let now = silverback::Clock::system().now();
    let expiry = Expiry::new(
        now.saturating_add(std::time::Duration::from_secs(3_600)),
        now,
    );
    for last in [1, 2] {
        let mut key = [0xab; 32];
        key[31] = last;
        let data = Bytes::from_static(b"\x01data");
        world
            .store
            .create(&RecordKey::from_bytes(key), data, expiry)
            .await
            .unwrap();
    }
    world.tool.run(&["inspect", "abab"]).says(2, "several");
    world.tool.run(&["end", "abab", "--yes"]).says(2, "several");
    world.tool.run(&["inspect", "abc"]).says(2, "at least 4");
}
