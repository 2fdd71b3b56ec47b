//! The event log and the followers of a run that has sinks.

use crate::{
    config::plan::Plan,
    event::log::{EventLog, LogSettings},
    sink::{Recorder, followers::Followers, logged::LoggedEvents, status::SinkReport},
};
use anyhow::Context;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Name of the log in the output folder.
const LOG_FILE: &str = "events.sqlite";

/// A log and its followers.
pub struct Delivery {
    log: EventLog,
    followers: Followers,
}

impl Delivery {
    /// Opens the log and starts the followers; none where the plan has no sinks.
    ///
    /// Errors: the log cannot be opened, a thread cannot be started.
    pub fn start(plan: &Plan) -> anyhow::Result<Option<Self>> {
        if plan.sinks.sinks.is_empty() {
            return Ok(None);
        }
        let log = EventLog::open(LogSettings::at(&plan.output.dir.join(LOG_FILE)))?;
        let followers =
            Followers::start(&plan.sinks, Arc::new(log.clone())).context("cannot start the threads of the sinks")?;
        Ok(Some(Self { log, followers }))
    }

    /// What puts a stream's events into the log.
    pub fn recorder(log: &EventLog, stream: &str) -> Box<dyn Recorder> {
        Box::new(LoggedEvents::new(log.clone(), stream))
    }

    /// The log.
    pub fn log(&self) -> EventLog {
        self.log.clone()
    }

    /// Delivers what the log still has within `deadline` and says what is left for the next run.
    pub fn finish(self, deadline: Duration) {
        let began = Instant::now();
        self.log.flush(deadline);
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
    }
}
