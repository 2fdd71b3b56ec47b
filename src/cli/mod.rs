//! Arguments -> plan -> run -> exit code; one file a subcommand.

#[cfg(feature = "line")]
mod analysis;
mod check;
mod eval;
#[cfg(feature = "delivery")]
mod events;
mod logging;
mod recording;
mod schema;
mod shell;
mod track;
mod tune;

#[cfg(feature = "line")]
mod delivery;
#[cfg(feature = "line")]
pub mod execute;
#[cfg(feature = "line")]
mod find_args;
#[cfg(feature = "line")]
mod media;
#[cfg(feature = "line")]
mod models;
#[cfg(feature = "line")]
mod operate;
#[cfg(feature = "line")]
mod outcome;
#[cfg(feature = "line")]
mod process;
#[cfg(feature = "line")]
mod progress;
#[cfg(feature = "line")]
mod redraw;
#[cfg(feature = "line")]
mod reload;
#[cfg(feature = "line")]
mod run;
#[cfg(feature = "line")]
mod signals;
#[cfg(feature = "delivery")]
mod sinks;
#[cfg(feature = "line")]
mod stage_status;
#[cfg(feature = "line")]
mod table;
#[cfg(feature = "line")]
mod watch;

use clap::{CommandFactory, Parser, Subcommand};
use indicatif::MultiProgress;
use logging::LogArgs;
use std::{io, process::ExitCode};

/// Real-time video analytics: detects objects in cameras and recordings, keeps each one's identity, and tells what happened.
#[derive(Parser)]
#[command(name = "eyeline", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Examples:
  eyeline process gate.mp4                 people, cars, … of one video; results under out/gate/
  eyeline watch rtsp://10.0.0.5/stream1    a camera; it is connected again whenever it is lost
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
    #[cfg(feature = "line")]
    Process(process::ProcessArgs),
    #[cfg(feature = "line")]
    Watch(watch::WatchArgs),
    #[cfg(feature = "line")]
    Run(run::RunArgs),
    #[cfg(feature = "line")]
    Models(models::ModelsArgs),
    #[cfg(feature = "delivery")]
    Sinks(sinks::SinksArgs),
    Check(check::CheckArgs),
    Schema(schema::SchemaArgs),
    Track(track::TrackArgs),
    Eval(eval::EvalArgs),
    #[cfg(feature = "delivery")]
    Events(events::EventsArgs),
    Tune(tune::TuneArgs),
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
        #[cfg(feature = "line")]
        Command::Process(args) => process::run(&args, &session),
        #[cfg(feature = "line")]
        Command::Watch(args) => watch::run(&args, &session),
        #[cfg(feature = "line")]
        Command::Run(args) => run::run(&args, &session),
        #[cfg(feature = "line")]
        Command::Models(args) => models::run(&args, &session),
        #[cfg(feature = "delivery")]
        Command::Sinks(args) => sinks::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Track(args) => track::run(&args),
        Command::Eval(args) => eval::run(&args),
        #[cfg(feature = "delivery")]
        Command::Events(args) => events::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Completions(args) => shell::completions(&args, Cli::command()),
        Command::Man(args) => shell::man(&args, Cli::command()),
    };
    done.unwrap_or_else(|error| {
        // A reader that has seen enough (`eyeline schema | head`) is no failure.
        let closed = error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        if closed {
            return ExitCode::SUCCESS;
        }
        eprintln!("eyeline: {error:#}");
        ExitCode::FAILURE
    })
}
