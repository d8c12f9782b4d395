//! The session's settings, from the file that the application reads.

use std::{fs, path::Path, time::Duration};

use serde::Deserialize as _;
use serde_json::{Value, json};
use silverback::SessionSettings;

use crate::failure::Failure;

/// Reads the settings from a file, or from a table in it such as `sessions.account`.
pub(crate) fn read(path: &Path, table: Option<&str>) -> Result<SessionSettings, Failure> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::failed(format!("{shown} cannot be read"), &error))?;
    // The line that parsers quote may contain a password of the application.
    let first = |error: &dyn std::error::Error| -> String {
        error.to_string().lines().next().unwrap_or_default().into()
    };
    let refused = |why: String| Failure::Refused(format!("{shown}: {why}"));
    let extension = path.extension().and_then(|extension| extension.to_str());
    let mut all: Value = match extension.unwrap_or_default() {
        "toml" => toml::from_str(&text)
            .map_err(|error| refused(format!("{}: {}", first(&error), error.message())))?,
        "json" => serde_json::from_str(&text).map_err(|error| refused(first(&error)))?,
        "yaml" | "yml" => serde_norway::from_str(&text).map_err(|error| refused(first(&error)))?,
        _ => {
            let known = "the file's name has to end with .toml, .json, .yaml or .yml";
            return Err(refused(known.to_owned()));
        }
    };
    let mut within = String::new();
    for part in table
        .unwrap_or_default()
        .split('.')
        .filter(|part| !part.is_empty())
    {
        all = match all.get_mut(part) {
            Some(inner) => inner.take(),
            None => {
                let table = table.unwrap_or_default();
                let there = sections(&all, &within);
                return Err(refused(format!("there is no section `{table}`{there}")));
            }
        };
        within = format!("{within}{part}.");
    }
    SessionSettings::deserialize(all).map_err(|error| {
        let hint = if table.is_none() {
            " (is it in a section? name that by --section)"
        } else {
            ""
        };
        refused(format!("{error}{hint}"))
    })
}

/// Lists the tables of a file, or of a table in it.
fn sections(all: &Value, within: &str) -> String {
    let tables = all.as_object().into_iter().flatten();
    let names: Vec<_> = tables
        .filter(|(_, inner)| inner.is_object())
        .map(|(name, _)| format!("`{within}{name}`"))
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(", but {}", names.join(", "))
    }
}

/// Parses a length of time as in settings: `90m`, `2 days` or `200ms`.
pub(crate) fn length(text: &str) -> Result<Duration, &'static str> {
    let read = SessionSettings::deserialize(json!({ "idle_timeout": text }));
    let length = read.ok().and_then(|settings| settings.idle_timeout);
    length.ok_or("expected a length of time such as 200ms, 30s, 90m or \"2 days\"")
}

#[cfg(test)]
mod tests {
    use silverback::{SameSite, Timestamp};

    use super::*;

    #[test]
    fn a_file_is_read_by_its_extension_and_table() {
        let dir = tempfile::tempdir().unwrap();
        let time = "2027-01-15T08:00:00Z";
        for (name, text) in [
            (
                "s.toml",
                format!(
                    "[a.b]\nidle_timeout = \"30m\"\nsame_site = \"strict\"\nnot_before = {time}"
                ),
            ),
            (
                "s.json",
                format!(
                    r#"{{"a": {{"b": {{"idle_timeout": 1800, "same_site": "Strict", "not_before": "{time}"}}}}}}"#
                ),
            ),
            (
                "s.yaml",
                format!(
                    "a:\n  b:\n    idle_timeout: 30m\n    same_site: Strict\n    not_before: {time}\n"
                ),
            ),
        ] {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            let settings = read(&path, Some("a.b")).unwrap();
            assert_eq!(
                settings.idle_timeout,
                Some(Duration::from_secs(1_800)),
                "{name}"
            );
            assert_eq!(settings.same_site, Some(SameSite::Strict), "{name}");
            assert_eq!(
                settings.not_before,
                Some(Timestamp::from_secs(1_800_000_000))
            );
            for (table, says) in [
                (Some("a.c"), "no section `a.c`, but `a.b`"),
                (Some("b"), "no section `b`, but `a`"),
                (Some("a.b.c"), "no section `a.b.c`"),
                (None, "--section"),
            ] {
                let Err(Failure::Refused(message)) = read(&path, table) else {
                    panic!("{name}")
                };
                assert!(message.contains(says), "{message}");
            }
        }
    }

    #[test]
    fn an_error_of_toml_says_where_and_what() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.toml");
        fs::write(&path, "[account]\nidle_timeout = 30m\n").unwrap();
        let Err(Failure::Refused(message)) = read(&path, Some("account")) else {
            panic!()
        };
        let (_, what) = message.split_once("line 2, column 16: ").unwrap();
        assert!(!what.is_empty() && !what.contains('\n'), "{message}");
    }

    #[test]
    fn an_error_shows_no_line_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["s.toml", "s.json", "s.yaml", "s.ini"] {
            let path = dir.path().join(name);
            fs::write(&path, "password = \"hunter2\" {\n: ]").unwrap();
            let Err(Failure::Refused(message)) = read(&path, None) else {
                panic!("{name}")
            };
            assert!(!message.contains("hunter2"), "{message}");
        }
        assert!(matches!(
            read(&dir.path().join("none.toml"), None),
            Err(Failure::Failed(_))
        ));
    }

    #[test]
    fn a_length_of_time_is_written_as_in_settings() {
        for (text, millis) in [
            ("2 days", 172_800_000),
            ("1h 30m", 5_400_000),
            ("90", 90_000),
            ("200ms", 200),
            (" 200 ms ", 200),
            ("1s 200ms", 1_200),
        ] {
            assert_eq!(length(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "soon",
            "ms",
            "-1ms",
            "+1ms",
            "1.5ms",
            "1ms 1s",
            "18446744073709551616ms",
        ] {
            assert!(length(text).is_err(), "{text}");
        }
    }
}
