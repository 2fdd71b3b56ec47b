//! The event log of a run and those who follow it.

use super::analysis;
use crate::{
    config::plan::Plan,
    event::log::{EventLog, LogFigures},
    serve::operate::{LogStatus, SinkStatus},
    sink::{
        followers::{Followers, SinkReports},
        status::SinkReport,
    },
};
use anyhow::Context;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Longest wait for the log to count what it cannot keep: a pause between two tries and one more try.
const GIVE_UP: Duration = Duration::from_secs(3);

/// How log and sinks stand, for those who operate the line. Clones read the same.
#[derive(Clone)]
pub struct DeliveryReports {
    log: EventLog,
    sinks: SinkReports,
}

impl DeliveryReports {
    /// Sinks in the order of the pipeline file, and the log.
    pub fn read(&self) -> (Vec<SinkStatus>, Option<LogStatus>) {
        let LogFigures { committed, lost, discarded, bytes, .. } = self.log.figures();
        let sinks = self.sinks.read().into_iter().map(told).collect();
        (sinks, Some(LogStatus { kept: committed, lost, discarded, bytes }))
    }
}

fn told(report: SinkReport) -> SinkStatus {
    let SinkReport { name, kind, delivered, retried, skipped, lag_events, lag_seconds, trouble, .. } = report;
    let dropped = BTreeMap::from([("refused".to_owned(), skipped)]);
    let (lag, errors) = (lag_events, retried);
    SinkStatus { sink: name, kind: kind.to_owned(), delivered, lag, lag_seconds, trouble, errors, dropped }
}

/// A log and its followers.
pub struct Delivery {
    log: EventLog,
    followers: Followers,
}

impl Delivery {
    /// Opens the log and starts the followers; none where the plan keeps no log.
    ///
    /// Errors: the log cannot be opened, a thread cannot be started.
    pub fn start(plan: &Plan) -> anyhow::Result<Option<Self>> {
        let Some(log) = analysis::open_log(plan)? else { return Ok(None) };
        let followers =
            Followers::start(&plan.sinks, Arc::new(log.clone())).context("cannot start the threads of the sinks")?;
        Ok(Some(Self { log, followers }))
    }

    /// The log.
    pub fn log(&self) -> EventLog {
        self.log.clone()
    }

    /// How it goes, for those who operate the line.
    pub fn reports(&self) -> DeliveryReports {
        DeliveryReports { log: self.log.clone(), sinks: self.followers.reports() }
    }

    /// Delivers what the log still has within `deadline` and says what is left for the next run, and what was lost.
    pub fn finish(self, deadline: Duration) {
        let began = Instant::now();
        if !self.log.flush(deadline) {
            // The disk had all the time there is; what it does not take now is counted below.
            self.log.give_up();
            self.log.flush(GIVE_UP);
        }
        for SinkReport { name, lag_events, skipped, trouble, .. } in
            self.followers.finish(deadline.saturating_sub(began.elapsed()))
        {
            if lag_events > 0 {
                let why = trouble.map_or(String::new(), |trouble| format!(": {trouble}"));
                eprintln!("eyeline: sink {name}: {lag_events} events wait in the log for the next run{why}");
            }
            if skipped > 0 {
                eprintln!("eyeline: sink {name}: {skipped} events were refused for good and skipped");
            }
        }
        let lost = self.log.figures().lost;
        if lost > 0 {
            eprintln!("eyeline: event log: {lost} events were not kept, its disk was full or too slow");
        }
    }
}
