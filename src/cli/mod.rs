//! Arguments -> plan -> run -> exit code; one file a subcommand.

mod eval;

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
    Eval(eval::EvalArgs),
}

/// Runs the program and gives its exit code: 0 all well, 1 some input failed, 2 wrong usage or configuration.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let ran = match &cli.command {
        Command::Eval(args) => eval::run(args),
    };
    ran.unwrap_or_else(|e| {
        eprintln!("error: {e:#}");
        ExitCode::FAILURE
    })
}
