//! The page for operators matches the tool.

use std::{fs, path::Path};

use crate::support::Tool;

fn read(page: &str) -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    fs::read_to_string(docs.join(page)).unwrap()
}

/// Returns the commands in the page's shell blocks.
fn commands(page: &str) -> Vec<String> {
    let (mut is_shell, mut found) = (false, Vec::new());
    for line in page.lines() {
        if line.starts_with("```") {
            is_shell = line == "```sh";
        } else if is_shell && let Some(command) = line.trim().strip_prefix("silverback ") {
            let command = command.split('#').next().unwrap_or_default();
            found.push(command.trim().to_owned());
        }
    }
    found
}

/// With `--help` at the end, a command is parsed and not run.
#[test]
fn each_command_is_one_of_the_tool() {
    let commands = commands(&read("guides/drills.md"));
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        let words: Vec<_> = command.split_whitespace().chain(["--help"]).collect();
        let output = Tool::default().run(&words);
        assert_eq!(output.code, 0, "{command}: {output:?}");
    }
}

#[test]
fn each_event_is_one_of_the_schema() {
    let (page, events) = (read("guides/drills.md"), read("events.md"));
    let words = page.split('`').skip(1).step_by(2);
    let is_event = |word: &&str| {
        let is_word = word
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter == '_');
        is_word
            && (word.starts_with("session_")
                || word.starts_with("store_a")
                || word.starts_with("store_u"))
    };
    let mut count = 0;
    for word in words.filter(is_event) {
        assert!(events.contains(&format!("`{word}`")), "{word}");
        count += 1;
    }
    assert!(count > 5, "{count}");
}
