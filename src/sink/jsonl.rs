//! Events as JSON, one a line.

use super::{Recorder, SinkError, lines::LineFile};
use crate::{event::Event, pipeline::flow::Analyzed};
use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// Writes a stream's events to `events.jsonl`.
#[derive(Debug)]
pub struct JsonlEvents {
    file: LineFile,
    /// Number that this run's first event has at least.
    least: u64,
    /// What is added to the numbers of this run, once there is an event.
    shift: Option<u64>,
}

impl JsonlEvents {
    /// Creates the file, for a recording.
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        Ok(Self { file: LineFile::create(path)?, least: 0, shift: None })
    }

    /// Goes on behind what the file holds, for a camera: what it told before is kept, and numbers and ids go on. Where an
    /// event log numbers them on already, they stay as they are.
    pub fn resume(path: &Path) -> Result<Self, SinkError> {
        let (file, last) = LineFile::resume(path)?;
        let told = last.and_then(|line| serde_json::from_slice::<Event>(&line).ok());
        Ok(Self { file, least: told.map_or(0, |event| event.sequence + 1), shift: None })
    }

    fn write(&mut self, events: &[Event], shift: u64) -> Result<(), SinkError> {
        for event in events {
            self.file.line(|line| serde_json::to_writer(line, &renumbered(event, shift)).map_err(Into::into))?;
        }
        self.file.flush()
    }
}

impl Recorder for JsonlEvents {
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError> {
        let Some(first) = item.events.first() else { return Ok(()) };
        let shift = *self.shift.get_or_insert(self.least.saturating_sub(first.sequence));
        self.write(&item.events, shift)
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.file.flush()
    }
}

/// An event numbered on by `shift`.
fn renumbered(event: &Event, shift: u64) -> Event {
    let sequence = shift + event.sequence;
    Event { id: Event::id_at(event.site(), &event.stream, sequence), sequence, ..event.clone() }
}

/// The events of several streams in one file. Clones share it; each is for one life of one stream: a stream that was removed
/// and comes back goes on with its numbers.
#[derive(Debug)]
pub struct SharedEvents {
    shared: Arc<Mutex<Shared>>,
    /// What is added to the numbers of this life, once there is an event.
    shift: Option<u64>,
}

#[derive(Debug)]
struct Shared {
    events: JsonlEvents,
    /// Number of each stream's next event.
    next: HashMap<String, u64>,
}

impl Clone for SharedEvents {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), shift: None }
    }
}

impl SharedEvents {
    /// Creates the file.
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        let shared = Shared { events: JsonlEvents::create(path)?, next: HashMap::new() };
        Ok(Self { shared: Arc::new(Mutex::new(shared)), shift: None })
    }
}

impl Recorder for SharedEvents {
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError> {
        let (Some(first), Some(last)) = (item.events.first(), item.events.last()) else { return Ok(()) };
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let Shared { events, next } = &mut *shared;
        let next = next.entry(last.stream.clone()).or_default();
        let shift = *self.shift.get_or_insert(next.saturating_sub(first.sequence));
        *next = shift + last.sequence + 1;
        events.write(&item.events, shift)
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).events.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Clock, What},
        frame::StreamId,
        pipeline::flow::{EndReason, Flow},
    };
    use std::fs;

    fn told(sequence: u64) -> Analyzed {
        let what = What::StreamStarted { width: 2, height: 2, fps: None, models: Vec::new() };
        let event = Event {
            id: Event::id_of("gate", sequence),
            stream: "gate".into(),
            sequence,
            frame: 0,
            time_seconds: 0.0,
            captured_at: None,
            clock: Clock::Arrival,
            files: Default::default(),
            what,
        };
        let flow = Flow::EndOfStream { stream: StreamId(0), reason: EndReason::Interrupted };
        Analyzed { flow, events: vec![event] }
    }

    fn ids(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        let id = |line: &str| serde_json::from_str::<Event>(line).unwrap().id;
        text.lines().map(id).collect()
    }

    #[test]
    fn a_camera_that_comes_back_loses_no_event_and_repeats_no_id() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gate/events.jsonl");
        for _ in 0..2 {
            let mut life = JsonlEvents::resume(&path).unwrap();
            (0..2).for_each(|sequence| life.record(&told(sequence)).unwrap());
            life.finish().unwrap();
        }
        // Power fails within a line: it is cut off, as nobody can read it.
        let torn = fs::read_to_string(&path).unwrap() + "{\"id\": \"gate";
        fs::write(&path, torn).unwrap();
        JsonlEvents::resume(&path).unwrap().record(&told(0)).unwrap();
        assert_eq!(ids(&path), ["gate/0", "gate/1", "gate/2", "gate/3", "gate/4"]);
        // A log numbers on, perhaps with events between that are in no file.
        JsonlEvents::resume(&path).unwrap().record(&told(7)).unwrap();
        assert_eq!(ids(&path).last().map(String::as_str), Some("gate/7"));

        let path = dir.path().join("all.jsonl");
        let shared = SharedEvents::create(&path).unwrap();
        for _ in 0..2 {
            let mut life = shared.clone();
            (0..2).for_each(|sequence| life.record(&told(sequence)).unwrap());
        }
        assert_eq!(ids(&path), ["gate/0", "gate/1", "gate/2", "gate/3"]);
    }
}
