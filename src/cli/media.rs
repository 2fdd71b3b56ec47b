//! The pictures and clips of a run: where they are kept, and what each stream needs for them.

use crate::{
    config::{
        plan::{Plan, StreamPlan},
        plan_media::MediaPlan,
    },
    frame::StreamId,
    media::{Illustrated, Pictures, Store, clips::Clips, footage::ClipWriter},
    sink::Recorder,
    source::gst_packets::PacketRing,
};
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What keeps pictures and clips. Clones are the same.
#[derive(Clone)]
pub struct Media(Arc<Shared>);

struct Shared {
    plan: MediaPlan,
    /// `None` where nothing is kept.
    store: Option<Arc<Store>>,
    writer: Mutex<Option<ClipWriter>>,
    rings: Mutex<HashMap<StreamId, Arc<PacketRing>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Media {
    /// Starts what a plan asks for.
    ///
    /// Errors: a thread cannot be started.
    pub fn start(plan: &Plan) -> io::Result<Self> {
        let media = plan.media.clone();
        let store = (!media.is_off()).then(|| Store::open(&plan.output.dir, &media.keep)).transpose()?;
        let clips = store.as_ref().filter(|_| !media.clips.types.is_empty());
        let writer = clips.map(|store| ClipWriter::start(Arc::clone(store))).transpose()?;
        Ok(Self(Arc::new(Shared { plan: media, store, writer: Mutex::new(writer), rings: Mutex::default() })))
    }

    /// Where the source of a live stream puts what it gets from the camera; `None` where no clips are wanted.
    pub fn packets(&self, stream: StreamId) -> Option<Arc<PacketRing>> {
        let clips = &self.0.plan.clips;
        if clips.types.is_empty() {
            return None;
        }
        let fresh = || Arc::new(PacketRing::new(clips.before + clips.after));
        Some(Arc::clone(lock(&self.0.rings).entry(stream).or_insert_with(fresh)))
    }

    /// A stream's recorders, behind what takes its pictures, if any are wanted.
    pub fn before(
        &self,
        recorders: Vec<Box<dyn Recorder>>,
        stream: StreamId,
        plan: &StreamPlan,
        classes: &Arc<[String]>,
    ) -> Vec<Box<dyn Recorder>> {
        let Some(store) = &self.0.store else { return recorders };
        let ring = self.packets(stream).filter(|_| plan.live.is_some());
        let footage = ring.zip(lock(&self.0.writer).as_ref()).map(|(ring, writer)| writer.of(ring));
        let clips = footage.map(|footage| Clips::new(self.0.plan.clips.clone(), footage));
        let pictures = Pictures::new(plan, &self.0.plan, Arc::clone(classes), Arc::clone(store), clips);
        vec![Box::new(Illustrated::new(pictures, recorders))]
    }

    /// Writes the clips that are left, once the line has ended; at most until `deadline` has passed.
    pub fn finish(&self, deadline: Duration) {
        let writer = lock(&self.0.writer).take();
        if let Some(writer) = writer {
            writer.finish(deadline);
        }
        let lost = self.0.store.as_ref().map_or(0, |store| store.lost());
        if lost > 0 {
            eprintln!("eyeline: {lost} pictures or clips could not be kept");
        }
    }
}
