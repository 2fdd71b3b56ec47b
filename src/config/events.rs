//! The events' part of a plan from that of a file.

use super::{
    plan::{ApiPlan, EventsPlan, LogPlan, OutputPlan, StreamPlan},
    plan_sinks::SinksPlan,
    raw::Span,
    raw_events::{Anchor, Events, Objects, UpdateOn},
    span,
};
use crate::analyze::{self, Rules, UpdateCause, Updates, left::ObjectRule};
use std::{path::PathBuf, time::Duration};

/// The log's name in the output folder, where the file names none.
const LOG_FILE: &str = "events.sqlite";

/// What `events` means; `log` is where the log is if the file does not say it. What is no duration was reported with the
/// schema's other words.
pub(super) fn events(raw: &Events, log: Option<PathBuf>) -> EventsPlan {
    let path = if raw.log.is_empty() { log } else { Some(PathBuf::from(&raw.log)) };
    let cause = match raw.update_on {
        UpdateOn::Time => UpdateCause::Time,
        UpdateOn::Change => UpdateCause::Change,
    };
    let log = |path| LogPlan { path, keep: duration(&raw.keep), max_bytes: u64::from(raw.max_megabytes) << 20 };
    EventsPlan {
        log: path.map(log),
        site: (!raw.site.is_empty()).then(|| raw.site.clone()),
        rules: Rules {
            anchor: match raw.anchor {
                Anchor::Bottom => analyze::Anchor::Bottom,
                Anchor::Center => analyze::Anchor::Center,
                Anchor::Top => analyze::Anchor::Top,
            },
            settle: duration(&raw.settle),
            confirm_frames: raw.confirm_frames,
            updates: unless_zero(&raw.updates).map(|interval| Updates { interval, cause }),
            counts: unless_zero(&raw.counts),
            stopped: unless_zero(&raw.stopped),
            abandoned: objects(&raw.abandoned),
        },
    }
}

/// What objects to be watched mean, if there are any.
pub(super) fn objects(raw: &Objects) -> Option<ObjectRule> {
    let rule = || ObjectRule { classes: raw.classes.clone(), after: duration(&raw.after) };
    (!raw.classes.is_empty()).then(rule)
}

/// Where the log is of a run whose file does not say it. Recordings that nobody follows have none: each run over them is a
/// world of its own.
pub(super) fn default_log(
    streams: &[StreamPlan],
    sinks: &SinksPlan,
    api: Option<&ApiPlan>,
    output: &OutputPlan,
) -> Option<PathBuf> {
    let is_live = streams.iter().any(|stream| stream.live.is_some());
    (is_live || !sinks.sinks.is_empty() || api.is_some()).then(|| output.dir.join(LOG_FILE))
}

fn duration(text: &Span) -> Duration {
    span::parse(&text.0).unwrap_or_default()
}

fn unless_zero(text: &Span) -> Option<Duration> {
    Some(duration(text)).filter(|span| *span > Duration::ZERO)
}
