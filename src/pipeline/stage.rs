//! A stage: one named thread that takes items from an inlet, works on them and hands the results on.

use super::{counters::LineCounters, flow::Frames, shutdown::Faults, stats::Stretch};
use crossbeam_channel::Sender;
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    thread::{Builder, JoinHandle},
};

/// Why a stage stops.
#[derive(Debug)]
pub enum StageError {
    /// Nobody takes its output any more: it ends quietly, and so does whoever feeds it.
    Closed,
    /// It cannot go on: the line ends, this is the cause reported.
    Fatal(String),
}

/// Work on items, one at a time, on a thread of its own.
pub trait Stage: Send + 'static {
    /// What it takes.
    type In: Frames + Send + 'static;
    /// What it gives.
    type Out: Frames + Send + 'static;
    /// Works on one item.
    fn process(&mut self, item: Self::In, out: &Outlet<Self::Out>) -> Result<(), StageError>;
    /// Called once when nothing follows.
    fn finish(&mut self, _out: &Outlet<Self::Out>) -> Result<(), StageError> {
        Ok(())
    }
}

/// Where a stage's results go.
#[derive(Debug)]
pub struct Outlet<T> {
    /// `None` after the last stage.
    next: Option<Sender<T>>,
    stretch: Stretch,
    counters: LineCounters,
}

impl<T: Frames> Outlet<T> {
    /// Hands one result on; blocks while the next stage is busy.
    pub fn send(&self, item: T) -> Result<(), StageError> {
        let frames = item.frames();
        if let Some(next) = &self.next {
            next.send(item).map_err(|_| StageError::Closed)?;
        }
        self.counters.stage(self.stretch).send(frames);
        Ok(())
    }
}

/// Starts a stage on a thread of its stretch's name. It ends when the inlet does, and with it both of its ends, so that the line
/// unwinds whatever the reason; a fault or panic is noted in `faults`.
pub fn spawn<S, I>(
    stretch: Stretch,
    mut stage: S,
    inlet: I,
    next: Option<Sender<S::Out>>,
    (faults, counters): (&Faults, &LineCounters),
) -> std::io::Result<JoinHandle<()>>
where
    S: Stage,
    I: Iterator<Item = S::In> + Send + 'static,
{
    let (name, faults, counters) = (stretch.name(), faults.clone(), counters.clone());
    let outlet = Outlet { next, stretch, counters: counters.clone() };
    Builder::new().name(name.to_owned()).spawn(move || {
        let run = AssertUnwindSafe(|| -> Result<(), StageError> {
            for item in inlet {
                counters.stage(stretch).receive(item.frames());
                stage.process(item, &outlet)?;
            }
            stage.finish(&outlet)
        });
        match catch_unwind(run) {
            Ok(Ok(()) | Err(StageError::Closed)) => {}
            Ok(Err(StageError::Fatal(cause))) => faults.break_line(cause),
            Err(panic) => faults.break_line(format!("stage {name} panicked: {}", panic_text(&*panic))),
        }
    })
}

/// What a panic said.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
