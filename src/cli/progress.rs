//! Shows a run going on: bars on a terminal, a line now and then without one.

use crate::{frame::StreamId, pipeline::stats::Stats};
use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use std::{
    io::IsTerminal,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// How often a run without a terminal says where it is.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// How a run is shown.
pub enum Progress {
    /// Not at all.
    Silent,
    /// A bar for each input that is being worked on.
    Bars {
        /// All bars.
        bars: MultiProgress,
        /// The bar of each input, once it has begun.
        shown: Vec<Option<ProgressBar>>,
        /// Name of each input.
        names: Vec<String>,
    },
    /// A line for each input, now and then.
    Lines {
        /// When the last lines were printed.
        last: Instant,
        /// Name of each input.
        names: Vec<String>,
    },
}

impl Progress {
    /// Bars on a terminal, lines elsewhere, nothing if `quiet`.
    pub fn new(names: Vec<String>, bars: MultiProgress, args: &super::logging::LogArgs) -> Self {
        if args.quiet {
            Self::Silent
        } else if std::io::stderr().is_terminal() && !args.json_log {
            Self::Bars { bars, shown: vec![None; names.len()], names }
        } else {
            Self::Lines { last: Instant::now(), names }
        }
    }

    /// Brings what is shown up to date.
    pub fn look(&mut self, stats: &Stats) {
        match self {
            Self::Silent => {}
            Self::Bars { bars, shown, names } => {
                for (index, (bar, name)) in shown.iter_mut().zip(names).enumerate() {
                    update_bar(bars, bar, name, stats, StreamId(index as u16));
                }
            }
            Self::Lines { last, names } => {
                if last.elapsed() >= LINE_INTERVAL {
                    *last = Instant::now();
                    for (index, name) in names.iter().enumerate() {
                        print_line(name, stats, StreamId(index as u16));
                    }
                }
            }
        }
    }

    /// Leaves the terminal as it should be when the run is over.
    pub fn finish(&mut self) {
        if let Self::Bars { shown, .. } = self {
            shown.iter().flatten().for_each(ProgressBar::abandon);
        }
    }
}

fn update_bar(bars: &MultiProgress, slot: &mut Option<ProgressBar>, name: &str, stats: &Stats, stream: StreamId) {
    let counters = stats.stream(stream);
    let done = counters.done.load(Ordering::Relaxed);
    if counters.decoded.load(Ordering::Relaxed) == 0 || slot.as_ref().is_some_and(ProgressBar::is_finished) {
        return;
    }
    let bar = slot.get_or_insert_with(|| {
        let expected = counters.expected.load(Ordering::Relaxed);
        let bar = if expected > 0 { ProgressBar::new(expected) } else { ProgressBar::new_spinner() };
        let template = if expected > 0 {
            "{prefix:20!} {bar:30} {pos}/{len} frames  {per_sec:>10}  {eta} left"
        } else {
            "{prefix:20!} {spinner} {pos} frames  {per_sec:>10}  {elapsed}"
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.with_key("per_sec", |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
            // A terminal that cannot be written to is nobody's loss here.
            let _ = write!(out, "{:.1} fps", state.per_sec());
        }));
        bar.set_prefix(name.to_owned());
        bars.add(bar)
    });
    bar.set_position(done);
    if counters.ended.load(Ordering::Relaxed) {
        bar.abandon();
    }
}

fn print_line(name: &str, stats: &Stats, stream: StreamId) {
    let counters = stats.stream(stream);
    let done = counters.done.load(Ordering::Relaxed);
    if done == 0 || counters.ended.load(Ordering::Relaxed) {
        return;
    }
    let fps = done as f64 / counters.elapsed().as_secs_f64().max(1e-3);
    let expected = counters.expected.load(Ordering::Relaxed);
    if expected >= done {
        let left = HumanDuration(Duration::from_secs_f64((expected - done) as f64 / fps));
        eprintln!("{name}: {done}/{expected} frames, {fps:.1} fps, {left} left");
    } else {
        eprintln!("{name}: {done} frames, {fps:.1} fps");
    }
}
