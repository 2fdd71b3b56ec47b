//! Arguments -> plan -> run -> exit code; one file a subcommand.

mod check;
mod schema;

use clap::{Parser, Subcommand};
use std::{io, process::ExitCode};

/// Real-time video analytics: detect, track and report objects in cameras and recordings.
#[derive(Parser)]
#[command(name = "eyeline", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::CheckArgs),
    Schema(schema::SchemaArgs),
}

/// Runs the program and gives its exit code: 0 all well, 1 some input failed, 2 wrong usage or configuration.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Check(args) => check::run(&args),
        Command::Schema(args) => schema::run(&args),
    };
    result.unwrap_or_else(|error| {
        // A reader that has seen enough (`eyeline schema | head`) is no failure.
        let closed = error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        if closed {
            return ExitCode::SUCCESS;
        }
        eprintln!("eyeline: {error:#}");
        ExitCode::FAILURE
    })
}
