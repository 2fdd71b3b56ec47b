//! A stream's events into the event log, which the followers read.

use super::{Recorder, SinkError};
use crate::{event::log::EventLog, pipeline::flow::Analyzed};

/// Appends a stream's events to the log. Analysis numbers them on from where the log stands, so that ids stay unique in the
/// log's whole life.
#[derive(Debug)]
pub struct LoggedEvents {
    log: EventLog,
}

impl LoggedEvents {
    /// Events for `log`.
    pub const fn new(log: EventLog) -> Self {
        Self { log }
    }
}

impl Recorder for LoggedEvents {
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError> {
        self.log.append(&item.events);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}
