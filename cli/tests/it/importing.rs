//! Importing the files of a Go program, and interrupting the import.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use silverback::{
    Clock,
    gorilla::{
        KeyPair, SecureCookie,
        gob::{self, Gob},
    },
};

use crate::support::{At, Output, World, write_private};

const HASH_KEY: &str = "0101010101010101010101010101010101010101010101010101010101010101";
const BLOCK_KEY: &str = "02020202020202020202020202020202";

/// Files as Go leaves them, and a file with its keys.
fn go(world: &World, count: usize) -> [String; 2] {
    let folder = world.dir.path().join("go");
    fs::create_dir(&folder).unwrap();
    let pair = KeyPair::encrypting([1; 32], [2; 16]).unwrap();
    let cookies = SecureCookie::new([pair]).unwrap();
    let mut session = Gob::session();
    session.insert("user", gob::Value::string("ann").named("string"));
    let payload = session.encode().unwrap();
    for number in 0..count {
        let text = cookies
            .encode("account", &payload, Clock::system().now())
            .unwrap();
        let last = char::from(b"ABCDEFGH"[number]);
        let name = format!("session_{}{last}", "A".repeat(51));
        fs::write(folder.join(name), text).unwrap();
    }
    fs::write(folder.join("session_other"), "none").unwrap();
    let keys = world.dir.path().join("go.keys");
    write_private(
        &keys,
        &format!("{}\n{HASH_KEY} {BLOCK_KEY}\n", "9".repeat(64)),
    );
    [folder, keys].map(|path| path.to_str().unwrap().to_owned())
}

fn files(folder: &str) -> usize {
    fs::read_dir(Path::new(folder)).unwrap().count()
}

fn import(world: &World, [folder, keys]: &[String; 2], more: &[&str]) -> Output {
    let mut args = vec!["import", folder, "--go-key-file", keys];
    args.extend(more);
    world.tool.run(&args)
}

fn counts(report: &Value) -> [&Value; 4] {
    ["moved", "over", "refused", "failed"].map(|field| &report[field])
}

#[tokio::test]
async fn files_are_imported_once_and_removed_when_asked() {
    for at in [At::Files, At::Sqlite] {
        let mut world = World::new(at).await.unwrap();
        world.tool.secret(HASH_KEY);
        world.tool.secret(BLOCK_KEY);
        let go = go(&world, 3);
        import(&world, &go, &[]).says(2, "--yes");
        for _ in 0..2 {
            let report = import(&world, &go, &["--yes", "--json"]).json(0);
            assert_eq!(
                counts(&report),
                [&json!(3), &json!(0), &json!(0), &json!(0)]
            );
            assert_eq!(report["is_complete"], true);
            assert_eq!(
                world
                    .tool
                    .run(&["list", "--kind", "session", "--json"])
                    .lines()
                    .len(),
                3
            );
        }
        assert_eq!(files(&go[0]), 4);
        let list = world
            .tool
            .run(&["list", "--kind", "session", "--json"])
            .lines();
        let key = list[0]["key"].as_str().unwrap();
        world.tool.run(&["end", key, "--yes"]).says(0, "");
        import(&world, &go, &["--yes", "--remove"]).says(0, "2 sessions in the store, 1 over");
        assert_eq!(files(&go[0]), 1);
        import(&world, &go, &["--yes"]).says(0, "0 sessions in the store");
    }
}

#[tokio::test]
async fn an_import_is_interrupted_between_two_batches() {
    let world = World::new(At::Files).await.unwrap();
    let go = go(&world, 3);
    let mut command = world.tool.command();
    command.args(["import", &go[0], "--go-key-file", &go[1], "--yes", "--json"]);
    // The second batch would come in a day.
    command.args(["--batch", "1", "--pause", "1 day"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, "1 in the store, 0 over\n");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["moved"], &report["is_complete"]),
        (&json!(1), &json!(false))
    );
    import(&world, &go, &["--yes"]).says(0, "3 sessions in the store");
    assert_eq!(
        world
            .tool
            .run(&["list", "--kind", "session", "--json"])
            .lines()
            .len(),
        3
    );
}

#[tokio::test]
async fn what_is_not_go_s_is_refused() {
    let world = World::new(At::Files).await.unwrap();
    let [folder, keys] = go(&world, 1);
    let file = |name: &str, text: &str| {
        let path = world.dir.path().join(name);
        write_private(&path, text);
        path.to_str().unwrap().to_owned()
    };
    for (keys, code, text) in [
        (file("empty", "\n"), 2, "no codecs provided"),
        (file("no.hex", "xyz"), 2, "hexadecimal"),
        (file("odd", "012"), 2, "hexadecimal"),
        (file("sign", &"+9".repeat(32)), 2, "hexadecimal"),
        (
            file("short", &format!("{HASH_KEY} 0202")),
            2,
            "invalid key size 2",
        ),
        ("nowhere".to_owned(), 1, "nowhere"),
        (file("other", &"9".repeat(64)), 0, "1 refused by Go too"),
    ] {
        import(&world, &[folder.clone(), keys], &["--yes"]).says(code, text);
    }
    import(&world, &["/nowhere".to_owned(), keys.clone()], &["--yes"]).says(1, "folder");
    let in_cookie = ["--yes", "--kept-in", "cookie"];
    import(&world, &[folder, keys], &in_cookie).says(2, "import");
}
