//! Clips out of what a camera sent: one thread writes those of all streams, one after the other.

use super::{
    clips::{ClipSpan, Footage},
    store::Store,
};
use crate::source::gst_packets::{self, PacketRing};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::{io, sync::Arc, thread, time::Duration};

/// Clips waiting to be written. Each holds some seconds of a stream, a few MB; writing one takes milliseconds.
const WAITING: usize = 16;

struct Job {
    file: String,
    footage: gst_packets::Footage,
}

/// The thread that writes clips. What is waiting is written before it ends.
pub struct ClipWriter {
    jobs: Option<Sender<Job>>,
    store: Arc<Store>,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
}

impl ClipWriter {
    /// Starts the thread; files go into `store`.
    pub fn start(store: Arc<Store>) -> io::Result<Self> {
        let (jobs, waiting) = bounded::<Job>(WAITING);
        let (ends, ended) = bounded(0);
        let to = Arc::clone(&store);
        thread::Builder::new().name("clips".into()).spawn(move || {
            let _ends = ends;
            for Job { file, footage } in waiting {
                to.write_with(&file, |path| footage.write(path));
            }
        })?;
        Ok(Self { jobs: Some(jobs), store, ended })
    }

    /// Clips of the stream whose packets `ring` keeps.
    pub fn of(&self, ring: Arc<PacketRing>) -> Box<dyn Footage> {
        Box::new(CameraFootage { ring, jobs: self.jobs.clone(), store: Arc::clone(&self.store) })
    }

    /// Waits until every clip is written, at most `deadline`. Those who make clips must be gone.
    pub fn finish(mut self, deadline: Duration) {
        self.jobs = None;
        // Closed or late: either way there is nothing more to do.
        let _ = self.ended.recv_timeout(deadline);
    }
}

struct CameraFootage {
    ring: Arc<PacketRing>,
    jobs: Option<Sender<Job>>,
    store: Arc<Store>,
}

impl Footage for CameraFootage {
    fn extension(&self) -> Option<&'static str> {
        self.ring.extension()
    }

    fn make(&mut self, file: String, span: ClipSpan) {
        let Some(footage) = self.ring.cut(span.from, span.at, span.until) else {
            self.store.failed(&file, &"the camera sent nothing that a clip could begin with");
            return;
        };
        if let Some(Err(TrySendError::Full(job) | TrySendError::Disconnected(job))) =
            self.jobs.as_ref().map(|jobs| jobs.try_send(Job { file, footage }))
        {
            self.store.failed(&job.file, &"too many clips are waiting to be written");
        }
    }
}
