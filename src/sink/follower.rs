//! Follows the event log for one sink: reads behind its cursor, filters, writes, hands over, moves the cursor once that is
//! acknowledged. Knows neither threads nor time: `step` says what to wait for.

use super::{
    backoff::Backoff,
    deliver::{Cause, Deliver, Log, Message},
    filter::Filter,
    status::SinkStatus,
};
use crate::config::{plan_sinks::DeliveryPlan, raw_sinks::Format};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How often a cursor that only passed over filtered events is kept: each time is a write to the log.
const PASSED_INTERVAL: Duration = Duration::from_secs(1);

/// What to do after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next step at once.
    Go,
    /// Wait for an event behind this position.
    Wait(u64),
    /// Wait this long: the server is not there for us.
    Pause(Duration),
}

/// Makes a client of a server. Opens no connection yet, so that it cannot fail on one.
pub type OpenSink = Box<dyn Fn() -> Box<dyn Deliver> + Send>;

/// One sink's way through the log.
pub struct Follower {
    name: String,
    log: Arc<dyn Log>,
    open: OpenSink,
    sink: Box<dyn Deliver>,
    filter: Filter,
    format: Format,
    plan: DeliveryPlan,
    status: Arc<SinkStatus>,
    backoff: Backoff,
    /// Written and not yet acknowledged, from `done` on.
    pending: Vec<Message>,
    done: usize,
    /// Up to where the log was read, and up to where it knows that all is delivered.
    read: u64,
    kept: u64,
    kept_at: Instant,
    /// Most messages handed over at once just now: halved by failures, so that a slow server makes progress, doubled by
    /// successes.
    batch: usize,
    /// How often the first pending message was refused, or broke the connection.
    refused: u32,
}

impl Follower {
    /// A follower that begins where the log's cursor of this name stands.
    pub fn new(
        name: &str,
        log: Arc<dyn Log>,
        open: OpenSink,
        filter: Filter,
        format: Format,
        plan: &DeliveryPlan,
        status: Arc<SinkStatus>,
    ) -> Self {
        let cursor = log.cursor(name);
        status.reached(cursor);
        Self {
            name: name.to_owned(),
            sink: open(),
            open,
            log,
            filter,
            format,
            backoff: Backoff::new(plan.retry_first, plan.retry_max),
            batch: plan.max_batch,
            plan: plan.clone(),
            status,
            pending: Vec::new(),
            done: 0,
            read: cursor,
            kept: cursor,
            kept_at: Instant::now(),
            refused: 0,
        }
    }

    /// Whether the last try failed.
    pub fn is_failing(&self) -> bool {
        self.backoff.failures() > 0
    }

    /// Delivers one batch, if there is one.
    pub fn step(&mut self) -> Next {
        if self.done == self.pending.len() {
            match self.fill() {
                Ok(0) => {
                    self.keep(self.read, Instant::now());
                    return Next::Wait(self.read);
                }
                Ok(_) if self.pending.is_empty() => {
                    if self.kept_at.elapsed() >= PASSED_INTERVAL {
                        self.keep(self.read, Instant::now());
                    }
                    self.status.reached(self.read);
                    return Next::Go;
                }
                Ok(_) => {}
                Err(problem) => {
                    self.status.failing(&problem);
                    return Next::Pause(self.backoff.next_wait());
                }
            }
        }
        let end = self.pending.len().min(self.done + self.batch);
        match self.sink.deliver(&self.pending[self.done..end]) {
            Ok(()) => {
                self.accept(end - self.done);
                self.batch = (self.batch * 2).min(self.plan.max_batch);
                self.recovered();
                Next::Go
            }
            Err(refusal) => {
                let accepted = refusal.accepted.min(end - self.done);
                self.accept(accepted);
                self.fail(refusal.cause, &refusal.problem, accepted)
            }
        }
    }

    /// Drops the client and makes a new one: after a panic of the old.
    pub fn reopen(&mut self, problem: &str) -> Next {
        self.sink = (self.open)();
        self.fail(Cause::Server, problem, 0)
    }

    /// Says goodbye to the server and keeps the cursor.
    pub fn close(&mut self) {
        self.sink.close();
        if self.done == self.pending.len() {
            self.keep(self.read, Instant::now());
        }
    }

    /// Reads the next batch of the log. Gives how many events it had, filtered ones included.
    fn fill(&mut self) -> Result<usize, String> {
        self.pending.clear();
        self.done = 0;
        let entries = self.log.read_after(self.read, self.plan.max_batch)?;
        let count = entries.len();
        for entry in entries {
            self.read = entry.position;
            match self.filter.message(entry, self.format) {
                Some(message) => self.pending.push(message),
                None => self.status.filtered(),
            }
        }
        self.status.waiting(self.pending.first().map(|_| Instant::now()));
        Ok(count)
    }

    /// Notes that the next `count` messages are acknowledged.
    fn accept(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        self.done += count;
        self.refused = 0;
        self.status.delivered(count as u64);
        self.move_on();
    }

    /// Keeps the cursor behind what is done.
    fn move_on(&mut self) {
        let all = self.done == self.pending.len();
        let position = if all { self.read } else { self.pending[self.done - 1].position };
        if all {
            self.status.waiting(None);
        }
        self.keep(position, Instant::now());
    }

    fn keep(&mut self, position: u64, now: Instant) {
        self.status.reached(position);
        if position > self.kept {
            self.log.advance(&self.name, position);
            (self.kept, self.kept_at) = (position, now);
        }
    }

    fn recovered(&mut self) {
        if self.is_failing() {
            tracing::info!(sink = self.name, "delivers again");
        }
        self.backoff.reset();
        self.status.well();
    }

    /// What follows from a failure after `accepted` messages.
    fn fail(&mut self, cause: Cause, problem: &str, accepted: usize) -> Next {
        self.status.failing(problem);
        if accepted > 0 {
            self.backoff.reset();
        }
        let was_single = self.batch == 1 || self.pending.len() - self.done == 1;
        // Once the culprit is to be found, messages go one by one.
        self.batch = if cause == Cause::Server { (self.batch / 2).max(1) } else { 1 };
        let blames = match cause {
            Cause::Server => false,
            Cause::Broken => was_single && accepted == 0,
            Cause::Message => true,
        };
        if blames {
            self.refused += 1;
            if self.plan.skip_after.is_some_and(|most| self.refused >= most) {
                self.skip(problem);
                return Next::Go;
            }
        }
        let failures = self.backoff.failures();
        let wait = self.backoff.next_wait();
        let next_try_millis = wait.as_millis() as u64;
        if failures == 0 {
            tracing::warn!(sink = self.name, problem, next_try_millis, "cannot deliver, the log keeps the events");
        } else {
            tracing::debug!(sink = self.name, problem, next_try_millis, failures, "still cannot deliver");
        }
        Next::Pause(wait)
    }

    /// Gives the first pending message up.
    fn skip(&mut self, problem: &str) {
        let event = &self.pending[self.done].event.id;
        tracing::warn!(sink = self.name, event, problem, tries = self.refused, "event skipped: it is refused for good");
        self.done += 1;
        self.refused = 0;
        self.status.skipped();
        self.backoff.reset();
        self.move_on();
    }
}

#[cfg(test)]
pub(super) mod tests;
