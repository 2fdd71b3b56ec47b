//! Events as JSON, one a line.

use super::{Recorder, SinkError, lines::LineFile};
use crate::pipeline::flow::Analyzed;
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

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

/// The events of several streams in one file; clones share it.
#[derive(Clone, Debug)]
pub struct SharedEvents(Arc<Mutex<JsonlEvents>>);

impl SharedEvents {
    /// Creates the file.
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        Ok(Self(Arc::new(Mutex::new(JsonlEvents::create(path)?))))
    }
}

impl Recorder for SharedEvents {
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).record(item)
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).finish()
    }
}
