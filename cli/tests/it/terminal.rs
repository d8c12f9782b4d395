//! The tool in a real terminal.

use std::{
    io::{Read as _, Write as _},
    process::Stdio,
};

use pty_process::blocking;

use crate::support::{At, World};

/// Runs the tool in a terminal and answers its questions. Returns its exit code and what the
/// terminal shows.
fn run(world: &World, args: &[&str], question: &str, answer: &str) -> (i32, String) {
    let (mut terminal, pts) = blocking::open().unwrap();
    terminal.resize(pty_process::Size::new(24, 120)).unwrap();
    let command = blocking::Command::new(env!("CARGO_BIN_EXE_silverback"))
        .args(args)
        .env_clear()
        .envs(world.tool.envs().iter().map(|(name, value)| (name, value)));
    let mut child = command.spawn(pts).unwrap();
    let mut shown = String::new();
    let mut is_asked = question.is_empty();
    let mut bytes = [0; 4_096];
    // On Linux, reading a terminal whose program has ended is an error.
    while let Ok(count) = terminal.read(&mut bytes) {
        if count == 0 {
            break;
        }
        shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
        if !is_asked && shown.contains(question) {
            is_asked = true;
            terminal.write_all(answer.as_bytes()).unwrap();
        }
    }
    world.tool.check(&shown);
    (child.wait().unwrap().code().unwrap_or(-1), shown)
}

#[tokio::test]
async fn a_question_is_asked_before_sessions_end() {
    let mut world = World::new(At::Files).await.unwrap();
    let ada = world.log_in("ada", "laptop").await;
    let key = ada.key.to_string();
    let end = ["end", &key];
    let (code, shown) = run(&world, &end, "[y/N] ", "n\n");
    assert!(
        code == 2 && shown.contains("nothing was done"),
        "{code} {shown}"
    );
    world
        .tool
        .run(&["explain", &ada.cookie])
        .says(0, "opens the session");
    let (code, shown) = run(&world, &end, "[y/N] ", "yes\n");
    assert!(
        code == 0 && shown.contains(&format!("ended {key}")),
        "{code} {shown}"
    );
    world
        .tool
        .run(&["explain", &ada.cookie])
        .says(4, "destroyed a moment ago");
}

#[tokio::test]
async fn a_sweep_shows_how_far_it_is_and_stops_at_ctrl_c() {
    let world = World::new(At::Files).await.unwrap();
    crate::sweeping::fill(&world, 3).await;
    let sweep = ["sweep", "--batch", "1", "--pause", "1 day"];
    let (code, shown) = run(&world, &sweep, "\r1 looked at, 1 removed", "\u{3}");
    assert!(
        code == 130 && shown.contains("interrupted after 1 record"),
        "{code} {shown}"
    );
}

#[tokio::test]
async fn color_is_for_terminals() {
    let mut world = World::new(At::Files).await.unwrap();
    world.log_in("ada", "laptop").await;
    let bold = "\u{1b}[1mKEY";
    assert!(run(&world, &["list"], "", "").1.contains(bold));
    assert!(
        !run(&world, &["list", "--color", "never"], "", "")
            .1
            .contains('\u{1b}')
    );
    assert!(
        !run(&world, &["list", "--json"], "", "")
            .1
            .contains('\u{1b}')
    );
    assert!(!world.tool.run(&["list"]).stdout.contains('\u{1b}'));
    assert!(
        world
            .tool
            .run(&["list", "--color", "always"])
            .stdout
            .contains(bold)
    );
    world.tool.env("NO_COLOR", "1");
    assert!(!run(&world, &["list"], "", "").1.contains('\u{1b}'));
}

#[tokio::test]
async fn a_reader_that_has_enough_is_no_failure() {
    let mut world = World::new(At::Files).await.unwrap();
    world.log_in("ada", "laptop").await;
    let mut command = world.tool.command();
    command
        .arg("list")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn a_cookie_is_pasted_whole_and_not_shown() {
    let mut world = World::new(At::Files).await.unwrap();
    let ada = world.log_in("ada", "laptop").await;
    // A terminal that edits lines would cut this one off.
    let theme = "x".repeat(10_000);
    let pasted = format!("Cookie: theme={theme}; __Host-account={}\r", ada.cookie);
    for command in ["explain", "decode"] {
        let (code, shown) = run(&world, &[command, "-"], "press Enter", &pasted);
        assert!(code == 0 && !shown.contains("xxx"), "{code} {shown}");
    }
    let (code, shown) = run(&world, &["explain", "-"], "press Enter", "\u{3}");
    assert!(
        code == 130 && shown.contains("nothing was done"),
        "{code} {shown}"
    );
}
