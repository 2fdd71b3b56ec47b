//! A stream's events into the event log, which the followers read.

use super::{Recorder, SinkError};
use crate::{
    event::{Event, log::EventLog},
    pipeline::flow::Analyzed,
};

/// Appends a stream's events to the log. A recording played again goes on with the numbers of the last time, so that ids
/// stay unique in the log's whole life.
#[derive(Debug)]
pub struct LoggedEvents {
    log: EventLog,
    /// Number of this run's first event.
    first: u64,
}

impl LoggedEvents {
    /// The events of the stream named `stream`.
    pub fn new(log: EventLog, stream: &str) -> Self {
        let first = log.next_sequence(stream);
        Self { log, first }
    }
}

impl Recorder for LoggedEvents {
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError> {
        let numbered = |event: &Event| {
            let sequence = self.first + event.sequence;
            Event { id: Event::id_of(&event.stream, sequence), sequence, ..event.clone() }
        };
        let events: Vec<Event> = item.events.iter().map(numbered).collect();
        self.log.append(&events);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}
