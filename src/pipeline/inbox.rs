//! Where streams meet and batches form. One lane plays one file after another; the detector takes a batch when it is
//! free.

use super::flow::Flow;
use crate::frame::Frame;
use crossbeam_channel::Receiver;

/// Forms batches from lanes: one frame a lane a turn, the turn remembered, so that no stream starves.
///
/// A lane is waited for when its turn comes, so which frames share a batch depends on the files alone and never on which
/// thread was faster: two runs give the same batches. The price is that files keep pace with one another.
#[derive(Debug)]
pub struct Inbox {
    lanes: Vec<Receiver<Flow<Frame>>>,
    turn: usize,
    max_batch: usize,
}

impl Inbox {
    /// An inbox over `lanes` that forms batches of at most `max_batch` (>= 1) frames.
    pub fn new(lanes: Vec<Receiver<Flow<Frame>>>, max_batch: usize) -> Self {
        Self { lanes, turn: 0, max_batch: max_batch.max(1) }
    }
}

impl Iterator for Inbox {
    type Item = Vec<Flow<Frame>>;

    /// The next batch: full, or what was left when every lane had ended. Ends of streams and epochs travel in it at
    /// their place.
    fn next(&mut self) -> Option<Self::Item> {
        let mut batch = Vec::with_capacity(self.max_batch);
        let mut frames = 0;
        while frames < self.max_batch && !self.lanes.is_empty() {
            self.turn %= self.lanes.len();
            match self.lanes[self.turn].recv() {
                Ok(flow) => {
                    let is_frame = flow.data().is_some();
                    frames += usize::from(is_frame);
                    self.turn += usize::from(is_frame);
                    batch.push(flow);
                }
                Err(_) => {
                    self.lanes.remove(self.turn);
                }
            }
        }
        (!batch.is_empty()).then_some(batch)
    }
}
