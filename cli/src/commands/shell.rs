//! Completions and manual pages, made from the arguments.

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::{
    args::{Args, Manual},
    failure::Failure,
    out::Out,
};

pub(crate) fn completions(shell: Shell, out: &mut Out) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "silverback", &mut text);
    out.bytes(&text)
}

pub(crate) fn man(manual: &Manual, out: &mut Out) -> Result<(), Failure> {
    let Some(folder) = &manual.out else {
        let mut text = Vec::new();
        Man::new(Args::command()).render(&mut text)?;
        return out.bytes(&text);
    };
    clap_mangen::generate_to(Args::command(), folder)
        .map_err(|error| Failure::failed(format!("{} cannot be written", folder.display()), &error))
}
