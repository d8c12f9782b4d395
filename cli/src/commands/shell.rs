//! For packagers: completions and the manual page.

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::{args::Args, failure::Failure, out::Out};

pub(crate) fn completions(shell: Shell, out: &mut Out) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "silverback", &mut text);
    out.bytes(&text)
}

pub(crate) fn man(out: &mut Out) -> Result<(), Failure> {
    let mut text = Vec::new();
    Man::new(Args::command()).render(&mut text)?;
    out.bytes(&text)
}
