//! The thread around a source: opens it, pulls frames, hands them to its lane of the inbox.

use super::{
    flow::{EndReason, Flow},
    shutdown::Faults,
    stage::panic_text,
    stats::{Stats, Stretch},
};
use crate::{
    frame::{Frame, StreamId},
    source::{OpenSource, Pull, Source, SourceInfo},
};
use crossbeam_channel::Sender;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// How long a pull may wait before the stop switch is looked at again.
const MAX_PULL_WAIT: Duration = Duration::from_millis(100);

/// One stream to play and how to open it.
pub struct Feed {
    /// The stream.
    pub stream: StreamId,
    /// Opens its source.
    pub opener: Box<dyn OpenSource>,
}

/// Plays `feeds` one after another into `lane`. A fault ends its own stream only.
pub fn play(feeds: Vec<Feed>, lane: &Sender<Flow<Frame>>, faults: &Faults, stats: &Stats) {
    for Feed { stream, opener } in feeds {
        let run = AssertUnwindSafe(|| play_one(stream, &*opener, lane, faults, stats));
        let reason = catch_unwind(run).unwrap_or_else(|panic| {
            faults.fail(stream, format!("source panicked: {}", panic_text(&*panic)));
            EndReason::Failed
        });
        if lane.send(Flow::EndOfStream { stream, reason }).is_err() {
            return;
        }
    }
}

fn play_one(
    stream: StreamId,
    opener: &dyn OpenSource,
    lane: &Sender<Flow<Frame>>,
    faults: &Faults,
    stats: &Stats,
) -> EndReason {
    if faults.is_stopped() {
        return EndReason::Interrupted;
    }
    let mut source = match opener.open(0, 0) {
        Ok(source) => source,
        Err(fault) => {
            faults.fail(stream, fault);
            return EndReason::Failed;
        }
    };
    let counters = stats.stream(stream);
    counters.touch();
    counters.expected.store(source.info().frames.unwrap_or(0), Ordering::Relaxed);
    let mut epoch = None;
    loop {
        if faults.is_failed(stream) {
            return EndReason::Failed;
        }
        if faults.is_stopped() {
            return EndReason::Interrupted;
        }
        let began = Instant::now();
        match source.pull(MAX_PULL_WAIT) {
            Ok(Pull::Frame(frame)) => {
                counters.record(Stretch::Decode, &frame.meta, began.elapsed());
                counters.receive(1);
                if send_frame(frame, &mut epoch, &*source, lane).is_err() {
                    return EndReason::Interrupted;
                }
            }
            Ok(Pull::Pending) => {}
            Ok(Pull::End { damage }) => {
                if let Some(damage) = damage {
                    faults.note(stream, damage);
                }
                counters.played_out.store(true, Ordering::Relaxed);
                return EndReason::EndOfStream;
            }
            Err(fault) => {
                faults.fail(stream, fault);
                return EndReason::Failed;
            }
        }
    }
}

/// Sends a frame, before it the epoch it begins, if it does. Fails when the line is gone.
fn send_frame(
    frame: Frame,
    epoch: &mut Option<u32>,
    source: &dyn Source,
    lane: &Sender<Flow<Frame>>,
) -> Result<(), crossbeam_channel::SendError<Flow<Frame>>> {
    let meta = &frame.meta;
    if *epoch != Some(meta.epoch) {
        *epoch = Some(meta.epoch);
        let info = SourceInfo { size: meta.size, ..source.info().clone() };
        lane.send(Flow::Epoch { stream: meta.stream, epoch: meta.epoch, info: Arc::new(info) })?;
    }
    lane.send(Flow::Data(frame))
}
