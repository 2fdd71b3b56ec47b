//! Arguments -> plan -> run -> exit code; one file a subcommand.

mod track;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Real-time video analytics: detect, track and report objects in cameras and recordings.
#[derive(Parser)]
#[command(name = "eyeline", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Track(track::TrackArgs),
}

/// Runs the program and gives its exit code: 0 all well, 1 some input failed, 2 wrong usage or configuration.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Track(args) => track::run(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("eyeline: {error:#}");
        ExitCode::FAILURE
    })
}
