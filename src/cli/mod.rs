//! Arguments -> plan -> run -> exit code; one file a subcommand.

mod logging;
mod shell;

#[cfg(all(feature = "gst", feature = "torch", feature = "opencv"))]
pub mod execute;
#[cfg(all(feature = "gst", feature = "torch", feature = "opencv"))]
mod process;
#[cfg(all(feature = "gst", feature = "torch", feature = "opencv"))]
mod progress;
#[cfg(all(feature = "gst", feature = "torch", feature = "opencv"))]
mod run;
#[cfg(all(feature = "gst", feature = "torch", feature = "opencv"))]
mod signals;
#[cfg(all(feature = "gst", feature = "torch", feature = "opencv"))]
mod table;

use clap::{CommandFactory, Parser, Subcommand};
use indicatif::MultiProgress;
use logging::LogArgs;
use std::process::ExitCode;

/// Real-time video analytics: detects objects in recordings, keeps each one's identity, and tells what happened.
#[derive(Parser)]
#[command(name = "eyeline", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Examples:
  eyeline process gate.mp4                 people, cars, … of one video; results under out/gate/
  eyeline run pipelines/demo.yml           what a pipeline file describes
  eyeline process --help                   more of each")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Subcommand)]
enum Command {
    #[cfg(all(feature = "gst", feature = "torch", feature = "opencv"))]
    Run(run::RunArgs),
    #[cfg(all(feature = "gst", feature = "torch", feature = "opencv"))]
    Process(process::ProcessArgs),
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
}

/// How this run of the program speaks.
pub struct Session {
    /// How much is said.
    pub log: LogArgs,
    /// The progress bars, which log lines must step around.
    pub bars: MultiProgress,
}

/// Runs the program and gives its exit code: 0 all well, 1 some input failed, 2 wrong usage or configuration.
pub fn main() -> ExitCode {
    let Cli { command, log } = Cli::parse();
    let session = Session { bars: MultiProgress::new(), log };
    logging::start(&session.log, &session.bars);
    let done = match command {
        #[cfg(all(feature = "gst", feature = "torch", feature = "opencv"))]
        Command::Run(args) => run::run(&args, &session),
        #[cfg(all(feature = "gst", feature = "torch", feature = "opencv"))]
        Command::Process(args) => process::run(&args, &session),
        Command::Completions(args) => Ok(shell::completions(&args, Cli::command())),
        Command::Man(args) => shell::man(&args, Cli::command()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("eyeline: {error:#}");
        ExitCode::FAILURE
    })
}
