//! Events as JSON, one a line.

use super::{Recorder, SinkError, lines::LineFile};
use crate::pipeline::flow::Analyzed;
use std::path::Path;

/// Writes a stream's events to `events.jsonl`.
#[derive(Debug)]
pub struct JsonlEvents(LineFile);

impl JsonlEvents {
    /// Creates the file.
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        Ok(Self(LineFile::create(path)?))
    }
}

impl Recorder for JsonlEvents {
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError> {
        for event in &item.events {
            self.0.line(|line| serde_json::to_writer(line, event).map_err(Into::into))?;
        }
        self.0.flush()
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.0.flush()
    }
}
