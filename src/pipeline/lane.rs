//! A live stream's way into the inbox: room for one frame, the newest, and for the turns between frames, of which none is
//! lost. Neither end ever waits for the other.

use super::flow::Flow;
use crate::frame::Frame;
use crossbeam_channel::{Sender, TrySendError};
use crossbeam_queue::{ArrayQueue, SegQueue};
use std::sync::Arc;

/// What both ends share. Frames are numbered as they are put in; a mark goes before the frame of its number.
#[derive(Debug)]
struct Shared {
    newest: ArrayQueue<(u64, Frame)>,
    /// Epochs, turns and the end: a handful an outage, taken out at every turn of the inbox.
    marks: SegQueue<(u64, Flow<Frame>)>,
}

/// The source's end.
#[derive(Debug)]
pub struct LiveInlet {
    shared: Arc<Shared>,
    doorbell: Doorbell,
    next: u64,
}

/// The inbox's end.
#[derive(Debug)]
pub struct LiveOutlet {
    shared: Arc<Shared>,
    frame: Option<(u64, Frame)>,
    mark: Option<(u64, Flow<Frame>)>,
    ended: bool,
}

/// Wakes the inbox. Rings are not counted: one that waits to be heard is enough.
#[derive(Clone, Debug)]
pub struct Doorbell(pub Sender<()>);

impl Doorbell {
    /// Rings.
    pub fn ring(&self) {
        match self.0.try_send(()) {
            // Rung already, or nobody is at home: the line has ended.
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }
}

/// The two ends of a lane.
pub fn live_lane(doorbell: Doorbell) -> (LiveInlet, LiveOutlet) {
    let shared = Arc::new(Shared { newest: ArrayQueue::new(1), marks: SegQueue::new() });
    let outlet = LiveOutlet { shared: Arc::clone(&shared), frame: None, mark: None, ended: false };
    (LiveInlet { shared, doorbell, next: 0 }, outlet)
}

impl LiveInlet {
    /// Puts in a frame; gives whether one that was not fetched had to go for it.
    pub fn put(&mut self, frame: Frame) -> bool {
        let displaced = self.shared.newest.force_push((self.next, frame));
        self.next += 1;
        self.doorbell.ring();
        displaced.is_some()
    }

    /// Puts in what is no frame; it keeps its place among the frames.
    pub fn mark(&self, mark: Flow<Frame>) {
        self.shared.marks.push((self.next, mark));
        self.doorbell.ring();
    }
}

impl LiveOutlet {
    /// The next item, in the order they were put in; `None` if nothing is there now.
    pub fn next(&mut self) -> Option<Flow<Frame>> {
        // A mark that comes before the held frame was put in before it and is seen here; a frame that comes before the
        // held mark was put in before that one and is seen at the second look.
        self.hold_frame();
        self.mark = self.mark.take().or_else(|| self.shared.marks.pop());
        self.hold_frame();
        let mark_first = match (&self.mark, &self.frame) {
            (Some((mark, _)), Some((frame, _))) => mark <= frame,
            (mark, _) => mark.is_some(),
        };
        if mark_first {
            let (_, mark) = self.mark.take()?;
            self.ended = matches!(mark, Flow::EndOfStream { .. });
            return Some(mark);
        }
        self.frame.take().map(|(_, frame)| Flow::Data(frame))
    }

    /// Whether the end was taken out: nothing follows.
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    fn hold_frame(&mut self) {
        if self.frame.is_none() {
            self.frame = self.shared.newest.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        frame::{FrameMeta, ImageSize, OwnedPixels, StreamId},
        pipeline::flow::{EndReason, Turn},
        time::MediaTime,
    };
    use crossbeam_channel::bounded;
    use std::{thread, time::Instant};

    const STREAM: StreamId = StreamId(3);

    fn frame(seq: u64) -> Frame {
        let size = ImageSize { width: 1, height: 1 };
        let (pts, arrived) = (MediaTime(seq as i64), Instant::now());
        let meta = FrameMeta { stream: STREAM, epoch: 0, seq, pts, captured: None, arrived, size };
        Frame { meta, pixels: Arc::new(OwnedPixels { data: vec![0; 3], stride: 3 }) }
    }

    fn turn(cause: &str) -> Flow<Frame> {
        Flow::Turn { stream: STREAM, turn: Turn::Lost { cause: cause.into() } }
    }

    fn shown(flow: &Flow<Frame>) -> String {
        match flow {
            Flow::Data(frame) => frame.meta.seq.to_string(),
            Flow::Turn { turn: Turn::Lost { cause }, .. } => cause.to_string(),
            Flow::EndOfStream { .. } => "end".into(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn live_lane_keeps_the_newest_and_every_mark() {
        let (bell, heard) = bounded(1);
        let (mut inlet, mut outlet) = live_lane(Doorbell(bell));
        assert!(outlet.next().is_none());
        inlet.mark(turn("a"));
        assert!(!inlet.put(frame(0)));
        assert!(inlet.put(frame(1)));
        inlet.mark(turn("b"));
        inlet.mark(turn("c"));
        assert!(inlet.put(frame(2)));
        inlet.mark(Flow::EndOfStream { stream: STREAM, reason: EndReason::Interrupted });
        assert_eq!(heard.try_iter().count(), 1);
        let mut all = Vec::new();
        while let Some(flow) = outlet.next() {
            assert!(!outlet.is_ended() || shown(&flow) == "end");
            all.push(shown(&flow));
        }
        assert_eq!(all, ["a", "b", "c", "2", "end"]);
        assert!(outlet.is_ended());
    }

    #[test]
    fn order_and_count_hold_while_both_ends_work() {
        const FRAMES: u64 = 20_000;
        let (bell, heard) = bounded(1);
        let (mut inlet, mut outlet) = live_lane(Doorbell(bell));
        let source = thread::spawn(move || {
            let mut dropped = 0;
            for seq in 0..FRAMES {
                if seq % 7 == 0 {
                    inlet.mark(turn(&format!("before {seq}")));
                }
                dropped += u64::from(inlet.put(frame(seq)));
            }
            inlet.mark(Flow::EndOfStream { stream: STREAM, reason: EndReason::Interrupted });
            dropped
        });
        let (mut taken, mut marks, mut reached) = (0, 0, 0);
        while !outlet.is_ended() {
            match outlet.next() {
                Some(Flow::Data(frame)) => {
                    assert!(frame.meta.seq >= reached, "frame {} after mark or frame {reached}", frame.meta.seq);
                    // Every mark before this frame was given before it.
                    assert_eq!(marks, frame.meta.seq / 7 + 1);
                    (taken, reached) = (taken + 1, frame.meta.seq + 1);
                }
                Some(Flow::Turn { .. }) => {
                    assert!(marks * 7 >= reached);
                    (marks, reached) = (marks + 1, marks * 7);
                }
                Some(_) => {}
                None => drop(heard.recv()),
            }
        }
        assert_eq!(taken + source.join().unwrap(), FRAMES);
    }
}
