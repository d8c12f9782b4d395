//! Questions before something is destroyed.

use std::io::{self, IsTerminal as _, Write as _};

use crate::{args::Sure, failure::Failure, out};

/// Asks on a terminal whether to continue. Refuses without one.
pub(crate) fn whether(question: &str, sure: Sure) -> Result<(), Failure> {
    if sure.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Refused(format!("{question} Say so by --yes.")));
    }
    write!(io::stderr(), "{} [y/N] ", out::one_line(question))?;
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::Refused("nothing was done".to_owned())),
    }
}
