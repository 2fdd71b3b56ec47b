//! The stage that detects: in the frames that are worth it, in the part that counts, in the light that serves.

use super::{
    flow::{Detected, Flow},
    roster::Roster,
    slots::Slots,
    stage::{Outlet, Stage, StageError},
    stages::{fatal, map_all, record_shares},
    stats::{Stats, Stretch},
};
use crate::{
    config::plan::FilterPlan,
    detect::{
        Detection, Detector,
        watch::{Look, Sight, Watch, WatchSettings},
    },
    frame::{Frame, StreamId},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

/// Detects in batches as they come from the inbox.
pub(super) struct DetectStage {
    detector: Box<dyn Detector>,
    roster: Roster,
    /// What watches each stream, and the settings it was made from.
    watches: Slots<(WatchSettings, Watch)>,
    stats: Arc<Stats>,
}

impl DetectStage {
    pub fn new(detector: Box<dyn Detector>, roster: Roster, stats: Arc<Stats>) -> Self {
        Self { detector, roster, watches: Slots::default(), stats }
    }

    /// What watches a stream, as its plan is now.
    fn watch(&mut self, stream: StreamId) -> &mut Watch {
        let plan = self.roster.get(stream);
        let slot = self.watches.slot(stream);
        if let (Some(plan), Some((settings, _))) = (&plan, &slot)
            && *settings != plan.watch
        {
            *slot = None;
        }
        let begin = || {
            let settings = plan.map(|plan| plan.watch.clone()).unwrap_or_default();
            let watch = Watch::new(&settings);
            (settings, watch)
        };
        &mut slot.get_or_insert_with(begin).1
    }

    /// Prepares a frame, in the order of its stream.
    fn prepare(&mut self, frame: &mut Frame) -> Sight {
        let stream = frame.meta.stream;
        let sight = self.watch(stream).prepare(frame);
        let spent = self.watch(stream).light_spent().as_nanos();
        let counters = self.stats.stream(stream);
        counters.light_nanos.store(u64::try_from(spent).unwrap_or(u64::MAX), Ordering::Relaxed);
        counters.relit.fetch_add(u64::from(frame.pixels.light().is_some()), Ordering::Relaxed);
        counters.light_changes.fetch_add(u64::from(sight.light.is_some()), Ordering::Relaxed);
        counters.not_looked.fetch_add(u64::from(sight.look != Look::Detected), Ordering::Relaxed);
        sight
    }

    /// What is found in the frames that are to be looked at, in order.
    fn detect(&mut self, batch: &[Flow<(Frame, Sight)>]) -> Result<Vec<Vec<Detection>>, StageError> {
        let looked = batch.iter().filter_map(Flow::data).filter(|(_, sight)| sight.look == Look::Detected);
        let views: Vec<Frame> = looked.map(|(frame, _)| self.watch(frame.meta.stream).view(frame)).collect();
        let mut found = Vec::with_capacity(views.len());
        if !views.is_empty() {
            self.detector.detect(&views, &mut found).map_err(|e| fatal(&views, &e))?;
        }
        Ok(found)
    }

    /// Takes out what the frame's stream does not ask for.
    fn filter(&self, frame: &Frame, found: &mut Vec<Detection>) {
        let Some(plan) = self.roster.get(frame.meta.stream) else { return };
        let FilterPlan { classes, min_score } = &plan.filter;
        let names = self.detector.classes();
        let is_asked_for = |d: &Detection| {
            let name = || names.get(usize::from(d.class.0));
            d.score >= *min_score && (classes.is_empty() || name().is_some_and(|name| classes.contains(name)))
        };
        found.retain(is_asked_for);
    }
}

impl Stage for DetectStage {
    type In = Vec<Flow<Frame>>;
    type Out = Vec<Flow<Detected>>;

    fn process(&mut self, batch: Self::In, out: &Outlet<Self::Out>) -> Result<(), StageError> {
        let began = Instant::now();
        let prepared = batch.into_iter().map(|flow| {
            if let Flow::Epoch { stream, .. } = &flow {
                self.watch(*stream).restart();
            }
            flow.map(|mut frame| {
                let sight = self.prepare(&mut frame);
                (frame, sight)
            })
        });
        let batch: Vec<Flow<(Frame, Sight)>> = prepared.collect();
        let mut found = self.detect(&batch)?.into_iter();
        let batch = map_all(batch, |(frame, sight)| {
            let new = (sight.look == Look::Detected).then(|| found.next().unwrap_or_default());
            let mut detections = self.watch(frame.meta.stream).found(&frame, new, sight.look);
            self.filter(&frame, &mut detections);
            Detected { frame, sight, detections }
        });
        let detected: Vec<&Detected> = batch.iter().filter_map(Flow::data).collect();
        record_shares(&self.stats, Stretch::Detect, detected.into_iter(), began.elapsed());
        for flow in &batch {
            if let Flow::EndOfStream { stream, .. } = flow {
                self.watches.take(*stream);
            }
        }
        out.send(batch)
    }
}
