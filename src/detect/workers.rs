//! Pictures of a batch side by side: a few threads that run the same network, each on a picture of its own.
//!
//! One picture on all cores waits at the end of every layer for the slowest of its threads, and decoding and drawing take
//! cores away at any time. Whole pictures on single threads have nothing to wait for. Which worker takes a picture does
//! not change what is found in it.

use super::{Detection, InferError};
use crate::{
    frame::Frame,
    torch::runtime::{self, Inference},
};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    thread,
};

/// What became of a picture: its place in the batch, and what was found or the panic.
type Done = (usize, Result<Result<Vec<Detection>, InferError>, Box<dyn Any + Send>>);

/// The threads; they end when this is dropped.
pub(super) struct Workers {
    jobs: Sender<(usize, Frame)>,
    done: Receiver<Done>,
}

impl Workers {
    /// Starts as many workers as there are threads for libtorch, and pictures in a batch, to share the former. `make`
    /// gives each its own detecting function. `None` where pictures run better together: on a GPU, or alone.
    pub fn start<F>(
        max_batch: usize,
        device: tch::Device,
        make: impl Fn() -> Result<F, InferError>,
    ) -> Result<Option<Self>, InferError>
    where
        F: FnMut(&Frame) -> Result<Vec<Detection>, InferError> + Send + 'static,
    {
        let threads = runtime::threads();
        let count = threads.min(max_batch);
        if count < 2 || device != tch::Device::Cpu {
            return Ok(None);
        }
        // Room for a whole batch in both directions, so that neither side ever waits for the other to listen.
        let (jobs, queue) = bounded(max_batch);
        let (finished, done) = bounded(max_batch);
        for index in 0..count {
            let (queue, finished, detect) = (Receiver::clone(&queue), Sender::clone(&finished), make()?);
            let worker = thread::Builder::new().name(format!("detect-{index}"));
            let started = worker.spawn(move || work(&queue, &finished, detect, threads / count));
            started.map_err(|error| InferError::Thread { problem: error.to_string() })?;
        }
        Ok(Some(Self { jobs, done }))
    }

    /// What is found in each frame, in order; at most as many frames as a batch has. The first error by place in the
    /// batch is the one returned.
    pub fn map(&self, frames: &[Frame]) -> Result<Vec<Vec<Detection>>, InferError> {
        for job in frames.iter().cloned().enumerate() {
            self.jobs.send(job).expect("workers listen as long as the detector lives");
        }
        let mut found: Vec<_> = frames.iter().map(|_| Ok(Vec::new())).collect();
        let mut panicked = None;
        for (place, result) in self.done.iter().take(frames.len()) {
            match result {
                Ok(result) => found[place] = result,
                Err(panic) => panicked = Some(panic),
            }
        }
        if let Some(panic) = panicked {
            resume_unwind(panic);
        }
        found.into_iter().collect()
    }
}

fn work(
    queue: &Receiver<(usize, Frame)>,
    finished: &Sender<Done>,
    mut detect: impl FnMut(&Frame) -> Result<Vec<Detection>, InferError>,
    threads: usize,
) {
    let _inference = Inference::begin();
    runtime::limit_this_thread(threads);
    for (place, frame) in queue {
        let result = catch_unwind(AssertUnwindSafe(|| detect(&frame)));
        // The picture goes back to the decoder's pool before anybody may count it.
        drop(frame);
        if finished.send((place, result)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        detect::ClassId,
        frame::{FrameMeta, ImageSize, OwnedPixels, StreamId},
        geometry::BBox,
        time::MediaTime,
    };
    use std::{sync::Arc, time::Instant};

    fn frame(seq: u64) -> Frame {
        let meta = FrameMeta {
            stream: StreamId(0),
            epoch: 0,
            seq,
            pts: MediaTime(0),
            captured: None,
            arrived: Instant::now(),
            size: ImageSize { width: 1, height: 1 },
        };
        Frame { meta, pixels: Arc::new(OwnedPixels { data: vec![0; 3], stride: 3 }) }
    }

    /// Finds as many objects as the frame's number says; fails on the 7th, panics on the 9th.
    fn count(frame: &Frame) -> Result<Vec<Detection>, InferError> {
        let found = Detection { bbox: BBox::from_tlwh(0.0, 0.0, 1.0, 1.0), class: ClassId(0), score: 1.0 };
        match frame.meta.seq {
            7 => Err(InferError::Thread { problem: "seventh".into() }),
            9 => panic!("ninth"),
            seq => Ok(vec![found; seq as usize]),
        }
    }

    #[test]
    fn a_batch_comes_back_in_its_order_and_with_its_faults() {
        runtime::set_threads(2);
        let workers = Workers::start(4, tch::Device::Cpu, || Ok(count)).unwrap();
        let Some(workers) = workers else { return assert!(runtime::threads() < 2) };
        let counts = |seqs: &[u64]| -> Result<Vec<usize>, InferError> {
            let frames: Vec<_> = seqs.iter().map(|seq| frame(*seq)).collect();
            Ok(workers.map(&frames)?.iter().map(Vec::len).collect())
        };
        for _ in 0..50 {
            assert_eq!(counts(&[3, 0, 2, 1]).unwrap(), [3, 0, 2, 1]);
        }
        assert!(counts(&[1, 7, 2]).unwrap_err().to_string().contains("seventh"));
        assert_eq!(counts(&[1, 2]).unwrap(), [1, 2]);
        let panic = catch_unwind(AssertUnwindSafe(|| counts(&[9, 1]))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"ninth"));
        assert_eq!(counts(&[]).unwrap(), [0usize; 0]);
    }
}
