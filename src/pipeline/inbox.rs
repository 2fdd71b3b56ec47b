//! Where streams meet and batches form; the only place where frames may be dropped. The detector takes a batch when it is
//! free.

use super::{flow::Flow, lane::LiveOutlet, shutdown::Faults};
use crate::frame::Frame;
use crossbeam_channel::{Receiver, Select, TryRecvError};
use std::time::{Duration, Instant};

/// Forms batches from the lanes of recordings: one frame a lane a turn, the turn remembered, so that no stream starves.
///
/// A lane is waited for when its turn comes, so which frames share a batch depends on the files alone and never on which
/// thread was faster: two runs give the same batches. The price is that files keep pace with one another.
#[derive(Debug)]
pub struct FileInbox {
    lanes: Vec<Receiver<Flow<Frame>>>,
    turn: usize,
    max_batch: usize,
}

impl FileInbox {
    /// An inbox over `lanes` that forms batches of at most `max_batch` (>= 1) frames.
    pub fn new(lanes: Vec<Receiver<Flow<Frame>>>, max_batch: usize) -> Self {
        Self { lanes, turn: 0, max_batch: max_batch.max(1) }
    }
}

impl Iterator for FileInbox {
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

/// A lane of a line that has live streams.
#[derive(Debug)]
pub enum Lane {
    /// The newest frame, waiting for nobody.
    Live(LiveOutlet),
    /// Every frame of a recording, its decoder held back.
    File(Receiver<Flow<Frame>>),
}

/// A lane and its share.
#[derive(Debug)]
pub struct Entry {
    /// The lane.
    pub lane: Lane,
    /// Weight of its share when there are more frames than can be worked on, >= 1.
    pub priority: u32,
}

/// Forms batches from whatever frames are there: at most one of each lane, the lane first that has had the least of its
/// share. Lanes come and go.
///
/// An incomplete batch waits for more until its oldest frame has been here for `max_wait`, never longer; a frame that
/// waited in its lane while the detector was busy has had its wait already.
#[derive(Debug)]
pub struct LiveInbox {
    lanes: Vec<Seat>,
    /// Lanes to come; without a sender no more do.
    entries: Receiver<Entry>,
    is_closed: bool,
    doorbell: Receiver<()>,
    max_batch: usize,
    max_wait: Duration,
    faults: Faults,
    /// Share of the lane that was served last: who comes back from a pause begins here and has nothing to make up for.
    level: f64,
    /// Counts the frames given, to break ties by who has waited longest.
    served: u64,
    /// Lanes that ever came.
    admitted: u64,
}

#[derive(Debug)]
struct Seat {
    id: u64,
    entry: Entry,
    /// Frames had, each counted 1 / priority.
    share: f64,
    last_served: u64,
    has_ended: bool,
}

/// How much of its share a lane may make up for that had nothing to give for a while, frames.
const MAX_BEHIND: f64 = 1.0;

/// How often an idle inbox looks at the stop switch.
const LOOK_AROUND: Duration = Duration::from_millis(100);

/// How a `LiveInbox` forms batches.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    /// Most frames in a batch, >= 1.
    pub max_batch: usize,
    /// Longest wait for a batch to fill, from the arrival of its oldest frame.
    pub max_wait: Duration,
}

impl LiveInbox {
    /// An inbox over `lanes` and those that come through `entries`, woken by `doorbell`.
    pub fn new(
        lanes: Vec<Entry>,
        entries: Receiver<Entry>,
        doorbell: Receiver<()>,
        batching: Batching,
        faults: Faults,
    ) -> Self {
        let Batching { max_batch, max_wait } = batching;
        let mut inbox = Self {
            lanes: Vec::new(),
            entries,
            is_closed: false,
            doorbell,
            max_batch: max_batch.max(1),
            max_wait,
            faults,
            level: 0.0,
            served: 0,
            admitted: 0,
        };
        lanes.into_iter().for_each(|entry| inbox.seat(entry));
        inbox
    }

    fn seat(&mut self, entry: Entry) {
        let (id, share, last_served) = (self.admitted, self.level, self.served);
        self.lanes.push(Seat { id, entry, share, last_served, has_ended: false });
        self.admitted += 1;
    }

    fn admit(&mut self) {
        loop {
            match self.entries.try_recv() {
                Ok(entry) => self.seat(entry),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.is_closed = true;
                    return;
                }
            }
        }
    }

    /// Adds what is there to a batch, of no lane a second frame.
    fn collect(&mut self, batch: &mut Batch) {
        self.lanes.retain(|seat| !seat.has_ended);
        let mut order: Vec<usize> = (0..self.lanes.len()).collect();
        order.sort_by(|&a, &b| {
            let (a, b) = (&self.lanes[a], &self.lanes[b]);
            a.share.total_cmp(&b.share).then(a.last_served.cmp(&b.last_served))
        });
        for index in order {
            if batch.frames == self.max_batch {
                return;
            }
            if !batch.served.contains(&self.lanes[index].id) {
                self.take(index, batch);
            }
        }
    }

    /// Takes what a lane has, up to and with one frame.
    fn take(&mut self, index: usize, batch: &mut Batch) {
        let seat = &mut self.lanes[index];
        while let Some(flow) = seat.next() {
            let arrived = flow.data().map(|frame| frame.meta.arrived);
            batch.flows.push(flow);
            let Some(arrived) = arrived else { continue };
            self.level = self.level.max(seat.share);
            seat.share = seat.share.max(self.level - MAX_BEHIND) + 1.0 / f64::from(seat.entry.priority.max(1));
            self.served += 1;
            seat.last_served = self.served;
            batch.frames += 1;
            batch.served.push(seat.id);
            batch.oldest = Some(batch.oldest.map_or(arrived, |oldest| oldest.min(arrived)));
            return;
        }
    }

    /// Waits for a ring or a recording's frame, at most `wait`.
    fn wait(&self, wait: Duration, batch: &Batch) {
        let mut select = Select::new();
        select.recv(&self.doorbell);
        for seat in self.lanes.iter().filter(|seat| !seat.has_ended && !batch.served.contains(&seat.id)) {
            if let Lane::File(lane) = &seat.entry.lane {
                select.recv(lane);
            }
        }
        if select.ready_timeout(wait).is_ok() {
            // The bell may be what was ready; a recording's frame is taken by `collect`.
            let _ = self.doorbell.try_recv();
        }
    }
}

impl Iterator for LiveInbox {
    type Item = Vec<Flow<Frame>>;

    /// The next batch; `None` once every lane has ended and none will come.
    fn next(&mut self) -> Option<Self::Item> {
        let mut batch = Batch::default();
        loop {
            self.admit();
            self.collect(&mut batch);
            match batch.oldest {
                Some(oldest) => {
                    let is_full = batch.frames == self.max_batch || batch.served.len() == self.lanes.len();
                    let left = self.max_wait.saturating_sub(oldest.elapsed());
                    if is_full || left.is_zero() {
                        return Some(batch.flows);
                    }
                    self.wait(left, &batch);
                }
                // Turns in a stream's life wait for no frame.
                None if !batch.flows.is_empty() => return Some(batch.flows),
                None => {
                    let no_more = self.is_closed || self.faults.is_stopped();
                    if no_more && self.lanes.iter().all(|seat| seat.has_ended) {
                        return None;
                    }
                    self.wait(LOOK_AROUND, &batch);
                }
            }
        }
    }
}

/// A batch as it fills.
#[derive(Debug, Default)]
struct Batch {
    flows: Vec<Flow<Frame>>,
    frames: usize,
    /// Lanes with a frame in it.
    served: Vec<u64>,
    oldest: Option<Instant>,
}

impl Seat {
    fn next(&mut self) -> Option<Flow<Frame>> {
        match &mut self.entry.lane {
            Lane::Live(lane) => {
                let next = lane.next();
                self.has_ended = lane.is_ended();
                next
            }
            Lane::File(lane) => match lane.try_recv() {
                Ok(flow) => Some(flow),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => {
                    self.has_ended = true;
                    None
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        frame::{FrameMeta, ImageSize, OwnedPixels, StreamId},
        pipeline::{
            flow::EndReason,
            lane::{Doorbell, LiveInlet, live_lane},
        },
        time::MediaTime,
    };
    use crossbeam_channel::{Sender, bounded};
    use std::{collections::BTreeMap, sync::Arc, thread};

    fn frame(stream: u16, seq: u64) -> Frame {
        let size = ImageSize { width: 1, height: 1 };
        let (pts, arrived) = (MediaTime(seq as i64), Instant::now());
        let meta = FrameMeta { stream: StreamId(stream), epoch: 0, seq, pts, captured: None, arrived, size };
        Frame { meta, pixels: Arc::new(OwnedPixels { data: vec![0; 3], stride: 3 }) }
    }

    struct Bench {
        inbox: LiveInbox,
        inlets: Vec<LiveInlet>,
        entries: Sender<Entry>,
        bell: Doorbell,
        faults: Faults,
    }

    fn bench(priorities: &[u32], max_batch: usize, max_wait: Duration) -> Bench {
        let ((entries, admitted), (bell, heard)) = (bounded(64), bounded(1));
        let (bell, faults) = (Doorbell(bell), Faults::new(0));
        let inbox = LiveInbox::new(Vec::new(), admitted, heard, Batching { max_batch, max_wait }, faults.clone());
        let mut bench = Bench { inbox, inlets: Vec::new(), entries, bell, faults };
        priorities.iter().for_each(|&priority| bench.enter(priority));
        bench
    }

    impl Bench {
        fn enter(&mut self, priority: u32) {
            let (inlet, outlet) = live_lane(self.bell.clone());
            self.entries.send(Entry { lane: Lane::Live(outlet), priority }).unwrap();
            self.inlets.push(inlet);
        }

        /// Frames each stream gets when all always have one.
        fn overload(&mut self, rounds: u64) -> Vec<u64> {
            let mut served: BTreeMap<u16, u64> = BTreeMap::new();
            for seq in 0..rounds {
                for (stream, inlet) in self.inlets.iter_mut().enumerate() {
                    inlet.put(frame(stream as u16, seq));
                }
                for flow in self.inbox.next().unwrap() {
                    *served.entry(flow.stream().0).or_default() += 1;
                }
            }
            served.into_values().collect()
        }
    }

    #[test]
    fn overload_is_shared_evenly_and_by_priority() {
        assert_eq!(bench(&[1; 8], 2, Duration::ZERO).overload(400), [100; 8]);
        assert_eq!(bench(&[1; 3], 1, Duration::ZERO).overload(300), [100; 3]);
        let shares = bench(&[1, 2, 1], 1, Duration::ZERO).overload(400);
        assert!(shares[1].abs_diff(200) <= 2 && shares[0].abs_diff(100) <= 2, "{shares:?}");
    }

    #[test]
    fn who_was_away_has_nothing_to_make_up_for() {
        let mut bench = bench(&[1, 1], 1, Duration::ZERO);
        for seq in 0..100 {
            bench.inlets[0].put(frame(0, seq));
            bench.inbox.next().unwrap();
        }
        let shares = bench.overload(100);
        assert!(shares.iter().all(|share| share.abs_diff(50) <= 2), "{shares:?}");
    }

    #[test]
    fn a_batch_waits_for_others_no_longer_than_it_may_and_not_for_nobody() {
        let mut bench = bench(&[1, 1], 2, Duration::from_secs(3600));
        bench.inlets[0].put(frame(0, 0));
        let mut other = bench.inlets.pop().unwrap();
        let later = thread::spawn(move || {
            other.put(frame(1, 0));
            other
        });
        assert_eq!(bench.inbox.next().unwrap().len(), 2);
        let other = later.join().unwrap();
        other.mark(Flow::EndOfStream { stream: StreamId(1), reason: EndReason::Interrupted });
        assert_eq!(bench.inbox.next().unwrap().len(), 1, "an end waits for no frame");
        bench.inlets[0].put(frame(0, 1));
        assert_eq!(bench.inbox.next().unwrap().len(), 1, "one lane is left: it waits for nobody");
        bench.enter(1);
        bench.inbox.max_wait = Duration::from_millis(1);
        bench.inlets[0].put(frame(0, 2));
        assert_eq!(bench.inbox.next().unwrap().len(), 1, "the other lane gave nothing in time");
    }

    #[test]
    fn it_ends_when_stopped_and_every_lane_has_ended() {
        let mut bench = bench(&[1], 2, Duration::ZERO);
        bench.inlets[0].put(frame(0, 0));
        bench.inlets[0].mark(Flow::EndOfStream { stream: StreamId(0), reason: EndReason::Interrupted });
        assert_eq!(bench.inbox.next().unwrap().len(), 1);
        assert_eq!(bench.inbox.next().unwrap().len(), 1);
        bench.enter(1);
        bench.faults.stop();
        let inlet = bench.inlets.pop().unwrap();
        let ends = thread::spawn(move || {
            inlet.mark(Flow::EndOfStream { stream: StreamId(1), reason: EndReason::Interrupted });
        });
        assert_eq!(bench.inbox.next().unwrap().len(), 1);
        assert!(bench.inbox.next().is_none());
        ends.join().unwrap();
    }
}
