//! What a follower and its server's client agree on.

use crate::event::{
    Event,
    log::{EventLog, Logged},
};
use std::time::Duration;

/// An event written in the form its sink asks for.
#[derive(Clone, Debug)]
pub struct Message {
    /// Where the event stands in the log.
    pub position: u64,
    /// The event.
    pub event: Event,
    /// UTF-8 JSON.
    pub payload: Vec<u8>,
}

/// A client of a server, or a file, that takes events.
///
/// It keeps its own connection, makes it anew when it is lost, and lives on one thread.
pub trait Deliver: Send {
    /// Hands `messages` over in order; returns once all of them are acknowledged.
    ///
    /// Errors: why not all, and how many of the first are. What is not is handed over again, perhaps some of it twice.
    fn deliver(&mut self, messages: &[Message]) -> Result<(), Refusal>;

    /// Says goodbye where that is customary. Must not take long.
    fn close(&mut self) {}
}

/// Why a server did not take all messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Refusal {
    /// How many of the first it did take.
    pub accepted: usize,
    /// Whose fault it is.
    pub cause: Cause,
    /// What happened, without credentials.
    pub problem: String,
}

/// Whose fault it is that a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The server is away, hangs, is overloaded or does not let this client in: later everything may go through.
    Server,
    /// The connection stood and broke while the first message not accepted was handed over. Perhaps the message broke it.
    Broken,
    /// The server refused the first message not accepted, and that message alone.
    Message,
}

impl Refusal {
    /// Nothing went through since the server is not there for us.
    pub fn server(problem: impl ToString) -> Self {
        Self { accepted: 0, cause: Cause::Server, problem: problem.to_string() }
    }

    /// The first message was refused for what it is.
    pub fn message(problem: impl ToString) -> Self {
        Self { accepted: 0, cause: Cause::Message, problem: problem.to_string() }
    }

    /// The connection broke.
    pub fn broken(problem: impl ToString) -> Self {
        Self { accepted: 0, cause: Cause::Broken, problem: problem.to_string() }
    }

    /// The same after `accepted` messages went through.
    pub fn after(self, accepted: usize) -> Self {
        Self { accepted, ..self }
    }
}

/// The event log as a follower sees it.
pub trait Log: Send + Sync {
    /// The events behind `position`, oldest first, at most `limit`.
    ///
    /// Errors: the log cannot be read just now.
    fn read_after(&self, position: u64, limit: usize) -> Result<Vec<Logged>, String>;
    /// Up to where a sink has had every event; 0 for a new one.
    fn cursor(&self, sink: &str) -> u64;
    /// Notes that a sink has had everything up to `position`.
    fn advance(&self, sink: &str, position: u64);
    /// Waits until there is an event behind `position`, at most `timeout`.
    fn wait_beyond(&self, position: u64, timeout: Duration);
    /// Position of the newest event; 0 before the first.
    fn head(&self) -> u64;
}

impl Log for EventLog {
    fn read_after(&self, position: u64, limit: usize) -> Result<Vec<Logged>, String> {
        Self::read_after(self, position, limit).map_err(|error| error.to_string())
    }

    fn cursor(&self, sink: &str) -> u64 {
        Self::cursor(self, sink)
    }

    fn advance(&self, sink: &str, position: u64) {
        Self::advance(self, sink, position);
    }

    fn wait_beyond(&self, position: u64, timeout: Duration) {
        Self::wait_beyond(self, position, timeout);
    }

    fn head(&self) -> u64 {
        Self::head(self)
    }
}
