//! New keys, and rotating a key file that an application uses.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    process::Command,
};

use serde_json::json;
use silverback::{KeyState, Keys};

use crate::support::{At, Tool, World};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_key_is_one_that_the_library_reads() {
    let tool = Tool::default();
    for args in [&["keygen"][..], &["keygen", "--hex"]] {
        let output = tool.run(args);
        let list = Keys::parse(&output.stdout).unwrap().list();
        assert_eq!((list.len(), list[0].1), (1, KeyState::Active));
        assert_eq!((output.code, output.stdout.lines().count()), (0, 1));
    }
    let told = tool.run(&["keygen", "--json"]).json(0);
    let keys = Keys::parse(told["key"].as_str().unwrap()).unwrap();
    assert_eq!(told["id"], json!(keys.list()[0].0));
}

#[test]
fn a_new_key_file_is_for_its_owner_and_replaces_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    let shown = path.to_str().unwrap();
    let mut tool = Tool::default();
    let output = tool.run(&["keygen", "--out", shown]);
    let text = fs::read_to_string(&path).unwrap();
    tool.secret(text.trim());
    tool.check(&output.stdout);
    let id = Keys::from_file(&path).unwrap().list()[0].0;
    output.says(0, &id.to_string());
    assert_eq!(mode(&path), 0o600);
    tool.run(&["keygen", "--out", shown])
        .says(2, "cannot be made");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    tool.run(&["keygen", "--out", "/no/such/folder/keys"])
        .says(1, "cannot be made");
}

/// The shell lets the tool write no byte into a file.
#[test]
fn a_key_file_that_cannot_be_written_leaves_no_part_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    let full = || {
        let limited = "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"";
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", limited, env!("CARGO_BIN_EXE_silverback")]);
        shell
    };
    let output = full()
        .args(["keygen", "--out"])
        .arg(&path)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot be made"), "{stderr}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

    // Once the disk has room again, the same command succeeds.
    let shown = path.to_str().unwrap();
    Tool::default()
        .run(&["keygen", "--out", shown])
        .says(0, "key ");
    let text = fs::read_to_string(&path).unwrap();
    let output = full().arg("rotate").arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_rotation_logs_nobody_out_until_the_key_is_dropped() {
    let mut world = World::new(At::Files).await.unwrap();
    let ada = world.log_in("ada", "laptop").await;
    let (path, tool) = (world.key_file(), &world.tool);
    let before = Keys::from_file(&path).unwrap().list();
    let rotated = tool.run(&["rotate", "--json"]).json(0);
    let after = Keys::from_file(&path).unwrap().list();
    assert_eq!(
        rotated["keys"][0],
        json!({ "id": after[0].0, "state": "active" })
    );
    assert_eq!(
        (after.len(), after[1]),
        (2, (before[0].0, KeyState::Retired))
    );
    let told = tool.run(&["explain", &ada.cookie, "--json"]).json(0);
    assert_eq!(
        (&told["key_state"], &told["answer"]),
        (&json!("retired"), &json!("opens the session"))
    );
    assert_eq!(
        tool.run(&["list", "--user", "ada", "--json"]).lines().len(),
        1
    );

    // Dropping a key logs people out, so it needs a confirmation.
    let text = fs::read_to_string(&path).unwrap();
    tool.run(&["rotate", "--keep", "1"]).says(2, "Drop");
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        text,
        "nothing was written"
    );
    tool.run(&["rotate", "--keep", "1", "--dry-run"])
        .says(0, "nothing was written");
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        text,
        "nothing was written"
    );
    let dropped = tool
        .run(&["rotate", "--keep", "1", "--yes", "--json"])
        .json(0);
    assert_eq!(dropped["dropped"], json!([before[0].0]));
    let told = tool.run(&["explain", &ada.cookie, "--json"]).json(4);
    assert_eq!(
        (&told["rejection"], &told["key_state"]),
        (&json!("unknown_key"), &json!(null))
    );
}

#[tokio::test]
async fn a_key_is_staged_activated_and_revoked() {
    let mut world = World::new(At::Files).await.unwrap();
    let ada = world.log_in("ada", "laptop").await;
    let (path, tool) = (world.key_file(), &world.tool);
    let states = || {
        let list = Keys::from_file(&path).unwrap().list();
        list.into_iter().map(|(_, state)| state).collect::<Vec<_>>()
    };
    tool.run(&["rotate", "--activate"])
        .says(3, "no pending key");
    tool.run(&["rotate", "--stage"]).says(0, "pending");
    assert_eq!(states(), [KeyState::Active, KeyState::Pending]);
    tool.run(&["rotate", "--activate"]).says(0, "retired");
    assert_eq!(states(), [KeyState::Active, KeyState::Retired]);
    tool.run(&["rotate", "--revoke"]).says(2, "Revoke");
    tool.run(&["rotate", "--revoke", "--yes"])
        .says(0, "revoked");
    assert_eq!(
        states(),
        [KeyState::Active, KeyState::Revoked, KeyState::Retired]
    );
    tool.run(&["explain", &ada.cookie]).says(0, "retired");
}

#[tokio::test]
async fn a_key_that_seals_nothing_any_more_is_revoked() {
    let mut world = World::new(At::Files).await.unwrap();
    let ada = world.log_in("ada", "laptop").await;
    let (path, tool) = (world.key_file(), &world.tool);
    let first = Keys::from_file(&path).unwrap().list()[0].0;
    let text = first.to_string();
    tool.run(&["revoke", &text, "--yes"])
        .says(2, "rotate --revoke");
    tool.run(&["rotate"]).says(0, "retired");
    let before = fs::read_to_string(&path).unwrap();
    tool.run(&["revoke", &text]).says(2, "--yes");
    tool.run(&["revoke", &text, "--dry-run"])
        .says(0, "nothing was written");
    tool.run(&["revoke", "ffffffff", "--yes"]).says(3, "no key");
    tool.run(&["revoke", "", "--yes"]).says(3, "no key");
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    let done = tool.run(&["revoke", &text[..6], "--yes", "--json"]).json(0);
    assert_eq!(
        done["keys"][1],
        json!({ "id": first, "state": "revoked" }),
        "{done}"
    );
    let told = tool.run(&["explain", &ada.cookie, "--json"]).json(4);
    assert_eq!(
        (&told["rejection"], &told["key_state"]),
        (&json!("unknown_key"), &json!("revoked"))
    );
}

#[tokio::test]
async fn a_key_file_is_replaced_at_once_and_stays_where_it_was() {
    let world = World::new(At::Files).await.unwrap();
    let path = world.key_file();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let link = world.dir.path().join("link");
    symlink(&path, &link).unwrap();
    let output = world.tool.run(&["rotate", link.to_str().unwrap()]);
    output.says(0, "its owner alone can");
    assert_eq!(mode(&path), 0o600);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(Keys::from_file(&link).unwrap().list().len(), 2);
    let names = fs::read_dir(world.dir.path()).unwrap();
    let left = names.filter(|name| {
        name.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .ends_with(".new")
    });
    assert_eq!(left.count(), 0);

    fs::write(&path, "no key").unwrap();
    world.tool.run(&["rotate"]).says(2, "the keys");
    assert_eq!(fs::read_to_string(&path).unwrap(), "no key");
    world
        .tool
        .run(&["rotate", "/no/such/file"])
        .says(1, "cannot be read");
}

#[tokio::test]
async fn rotations_at_the_same_time_lose_no_key() {
    let world = World::new(At::Files).await.unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| world.tool.run(&["rotate"]).says(0, "active"));
        }
    });
    assert_eq!(Keys::from_file(world.key_file()).unwrap().list().len(), 5);
}
