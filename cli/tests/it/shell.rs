//! Completions and manual pages, read by the programs that use them.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output},
};

use silverback_test_servers::find;

use crate::support::Tool;

/// Runs a program, if it is installed, and returns what it printed.
fn read_by(program: &str, args: &[&str], file: &Path) -> Option<String> {
    let output = Command::new(find(program)?).args(args).arg(file).output();
    let Output {
        status,
        stdout,
        stderr,
    } = output.unwrap();
    let said = String::from_utf8(stdout).unwrap() + &String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{program} {}: {said}", file.display());
    Some(said)
}

/// The commands that `--help` lists.
fn commands(tool: &Tool) -> BTreeSet<String> {
    let help = tool.run(&["--help"]).stdout;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

#[test]
fn shells_read_their_completions() {
    let (tool, dir) = (Tool::default(), tempfile::tempdir().unwrap());
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = tool.run(&["completions", shell]);
        let path = dir.path().join(shell);
        fs::write(&path, &script.stdout).unwrap();
        if let Some(said) = read_by(shell, &[check], &path) {
            assert_eq!(said, "", "{shell}");
        }
        for name in commands(&tool) {
            assert!(script.stdout.contains(&name), "{shell}: {name}");
        }
    }
    tool.run(&["completions", "cmd"])
        .says(2, "possible values: bash");
}

/// What follows one dash or two has another origin in the script than commands have.
#[test]
fn bash_completes_commands_options_and_their_values() {
    const COMPLETE: &str = r#"
        source "$1" && shift
        COMP_WORDS=(silverback "$@") COMP_CWORD=$#
        _silverback silverback "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let Some(bash) = find("bash") else { return };
    let (tool, dir) = (Tool::default(), tempfile::tempdir().unwrap());
    let path = dir.path().join("bash");
    fs::write(&path, tool.run(&["completions", "bash"]).stdout).unwrap();
    for (typed, completed) in [
        (&["en"][..], "end\nend-user\n"),
        (&["end", "--us"], "--user\n"),
        (&["list", "--kind", "ro"], "roster\n"),
    ] {
        let mut command = Command::new(&bash);
        command
            .args(["-c", COMPLETE, "bash"])
            .arg(&path)
            .args(typed);
        let output = command.output().unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            completed,
            "{typed:?}"
        );
    }
}

#[test]
fn each_command_has_a_manual_page() {
    let (tool, dir) = (Tool::default(), tempfile::tempdir().unwrap());
    let folder = dir.path().to_str().unwrap();
    tool.run(&["man", "--out", folder]).says(0, "");
    let mut missing = commands(&tool);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        missing.remove(name.strip_prefix("silverback-").unwrap_or_default());
        if let Some(said) = read_by("mandoc", &["-T", "lint", "-W", "error"], &path) {
            assert_eq!(said, "");
        }
    }
    assert!(missing.is_empty(), "{missing:?}");

    let page = dir.path().join("silverback.1");
    assert_eq!(
        fs::read_to_string(&page).unwrap(),
        tool.run(&["man"]).stdout
    );
    if let Some(shown) = read_by("mandoc", &["-T", "ascii"], &page) {
        for text in ["silverback-list(1)", "Exit codes:", "SILVERBACK_STORE"] {
            assert!(shown.contains(text), "{text}: {shown}");
        }
    }
    tool.run(&["man", "--out", "/no/such/folder"])
        .says(1, "cannot be written");
}
