//! What went through each stretch of the line, all streams together, those gone included: these only grow.

use super::stats::{DropReason, Stretch};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Frames in and out of a stretch, and what failed in it.
#[derive(Debug, Default)]
pub struct StageCounters {
    received: AtomicU64,
    sent: AtomicU64,
    errors: Mutex<BTreeMap<&'static str, u64>>,
}

impl StageCounters {
    /// Frames came in.
    pub fn receive(&self, frames: u64) {
        self.received.fetch_add(frames, Ordering::Relaxed);
    }

    /// Frames were handed on.
    pub fn send(&self, frames: u64) {
        self.sent.fetch_add(frames, Ordering::Relaxed);
    }

    /// Something failed.
    pub fn fail(&self, kind: &'static str) {
        *self.errors.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
    }

    /// Frames that came in.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Frames that were handed on.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// What failed, by kind.
    pub fn errors(&self) -> BTreeMap<&'static str, u64> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The counters of every stretch. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct LineCounters(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    stages: [StageCounters; Stretch::ALL.len()],
    dropped: [AtomicU64; DropReason::ALL.len()],
}

impl LineCounters {
    /// One stretch.
    pub fn stage(&self, stretch: Stretch) -> &StageCounters {
        &self.0.stages[stretch as usize]
    }

    /// Frames were dropped on their way to the detector.
    pub fn drop_frames(&self, reason: DropReason, frames: u64) {
        self.0.dropped[reason as usize].fetch_add(frames, Ordering::Relaxed);
    }

    /// Frames dropped for this reason.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.0.dropped[reason as usize].load(Ordering::Relaxed)
    }

    /// Frames decoded, neither dropped nor fetched by the detector yet.
    pub fn in_inbox(&self) -> u64 {
        let dropped: u64 = DropReason::ALL.into_iter().map(|reason| self.dropped_for(reason)).sum();
        let fetched = self.stage(Stretch::Detect).received();
        self.stage(Stretch::Decode).sent().saturating_sub(dropped).saturating_sub(fetched)
    }
}
