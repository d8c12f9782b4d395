//! Clients that are stricter about cookies than browsers.

use std::{path::Path, process::Command};

use crate::{require, site::Site};

/// Java treats a cookie that has `Max-Age` but no `Expires` as one of RFC 2965 and sends its value
/// back in quotes.
#[test]
fn javas_cookie_manager_keeps_a_session() {
    if !require("java") {
        return;
    }
    let site = Site::start();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/Visits.java");
    let output = Command::new("java")
        .arg(program)
        .arg(format!("http://{}/visits", site.address))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "1 2 3 ",
        "{errors}"
    );
}
