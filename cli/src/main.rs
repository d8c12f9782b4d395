//! `silverback`, the operators' tool for sessions: what is in the store, who is logged in, why a
//! cookie was refused, and whether keys and stores are in order.

mod args;
mod ask;
mod browsed;
mod commands;
mod cookies;
mod doctor;
mod dsn;
mod failure;
mod keyring;
mod out;
mod settings;
mod site;
mod stores;
mod terminal;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;

use self::{
    args::{Args, Command},
    failure::Failure,
    out::Out,
};

fn main() -> ExitCode {
    let args = Args::parse();
    let result = run(&args);
    let failure = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(failure) => failure,
    };
    if let Some(message) = failure.message() {
        // Whoever has closed stderr does not want the message.
        let _ = writeln!(io::stderr(), "silverback: {}", out::one_line(&message));
    }
    failure.code()
}

fn run(args: &Args) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed("the runtime does not start", &error))?;
    let mut out = Out::new(args.common.json, args.common.color);
    let done = runtime.block_on(perform(args, &mut out));
    done.and(out.flush())
}

async fn perform(args: &Args, out: &mut Out) -> Result<(), Failure> {
    let common = &args.common;
    match &args.command {
        Command::List(list) => commands::list(common, list, out).await,
        Command::Inspect(inspect) => commands::inspect(common, inspect, out).await,
        Command::End(end) => commands::end(common, end, out).await,
        Command::EndUser(end) => commands::end_user(common, end, out).await,
        Command::Sweep(sweep) => commands::sweep(common, sweep, out).await,
        Command::Migrate(migrate) => commands::migrate(migrate, out).await,
        Command::Import(import) => commands::import(common, import, out).await,
        Command::Keygen(keygen) => commands::keygen(keygen, out),
        Command::Rotate(rotate) => commands::rotate(common, rotate, out),
        Command::Revoke(revoke) => commands::revoke(common, revoke, out),
        Command::Decode(decode) => commands::decode(common, decode, out),
        Command::Explain(explain) => commands::explain(common, explain, out).await,
        Command::Doctor(doctor) => doctor::run(common, doctor, out).await,
        Command::Completions { shell } => commands::completions(*shell, out),
        Command::Man(manual) => commands::man(manual, out),
    }
}
