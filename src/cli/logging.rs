//! Where log lines go: to stderr, as text or JSON, above the progress bars.

use crate::source::redact::redacted;
use indicatif::MultiProgress;
use std::io::{self, Write};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// How much is said, and in what form.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct LogArgs {
    /// Say nothing but errors: no progress, no table
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more: -v what is chosen and why, -vv every stage, -vvv everything
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Log as JSON, one object a line on stderr, in place of text and progress bars
    #[arg(long, global = true)]
    pub json_log: bool,
}

/// Starts logging. `EYELINE_LOG` (such as `eyeline=debug`) overrides the flags.
pub fn start(args: &LogArgs, bars: &MultiProgress) {
    let level = match (args.quiet, args.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        // The HTTP client tells addresses, and a webhook's may be its only secret.
        (false, 2) => "debug,ureq=warn,ureq_proto=warn",
        (false, _) => "trace,ureq=warn,ureq_proto=warn",
    };
    let filter = EnvFilter::try_from_env("EYELINE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(AboveBars(bars.clone()));
    // A second start (tests) keeps the first.
    let _ = if args.json_log { log.json().try_init() } else { log.without_time().with_target(false).try_init() };
}

/// Writes to stderr while the bars step aside. Secrets in use are taken out, whoever wrote the line.
#[derive(Clone)]
struct AboveBars(MultiProgress);

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.0.suspend(|| io::stderr().write_all(redacted(&text).as_bytes()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
