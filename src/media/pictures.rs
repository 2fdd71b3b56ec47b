//! One stream's pictures: the best one of each track, the whole one of an event, and which clips are wanted.

use super::{
    clips::Clips,
    privacy::Privacy,
    quality::quality,
    rgb::{PixelRect, Rgb},
    store::{Kind, Store},
};
use crate::{
    config::{plan::StreamPlan, plan_media::MediaPlan},
    event::{Event, What, kind_matches},
    geometry::BBox,
    jpeg,
    pipeline::flow::{Analyzed, Flow, Tracked, Turn},
    sink::{Recorder, SinkError},
    time::MediaTime,
    track::{Track, TrackId, TrackState},
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// A picture must be better by this factor to take the place of another: encoding one costs more than looking at it.
const BETTER: f32 = 1.1;

/// Shortest time between two pictures taken of one track.
const PATIENCE: Duration = Duration::from_millis(300);

/// Room around a track's box in its picture, as a share of the box's sides.
const ROOM: f32 = 0.1;

/// One stream's pictures.
pub struct Pictures {
    stream: String,
    plan: MediaPlan,
    /// Class names by `ClassId`.
    classes: Arc<[String]>,
    privacy: Privacy,
    store: Arc<Store>,
    clips: Option<Clips>,
    best: BTreeMap<TrackId, Best>,
}

/// The frame that events happened in, and the file of it once there is one.
struct Shown<'a> {
    tracked: Option<&'a Tracked>,
    frame: Option<Option<String>>,
}

/// The best picture of a track so far.
struct Best {
    quality: f32,
    epoch: u32,
    at: MediaTime,
    jpeg: Vec<u8>,
}

impl Pictures {
    /// Pictures of `stream` into `store`, where the detector knows `classes`; and clips, if there can be some.
    pub fn new(
        stream: &StreamPlan,
        plan: &MediaPlan,
        classes: Arc<[String]>,
        store: Arc<Store>,
        clips: Option<Clips>,
    ) -> Self {
        let privacy = Privacy::new(&plan.privacy, &classes, &stream.zones);
        let (stream, plan) = (stream.name.clone(), plan.clone());
        Self { stream, plan, classes, privacy, store, clips, best: BTreeMap::new() }
    }

    /// Looks at an item; gives its events with the files that show them, where there are some.
    fn illustrate(&mut self, item: &Analyzed) -> Option<Vec<Event>> {
        match &item.flow {
            Flow::Data(tracked) => self.see(tracked),
            Flow::Turn { turn: Turn::Changed { plan }, .. } => {
                self.privacy = Privacy::new(&self.plan.privacy, &self.classes, &plan.zones);
            }
            Flow::Turn { .. } | Flow::EndOfStream { .. } => self.cut_short(),
            Flow::Epoch { .. } => {}
        }
        let mut shown = Shown { tracked: item.flow.data(), frame: None };
        let events: Vec<Event> = item.events.iter().map(|event| self.shown(event, &mut shown)).collect();
        (events != item.events).then_some(events)
    }

    /// What one more frame means for pictures and clips.
    fn see(&mut self, tracked: &Tracked) {
        if self.plan.snapshots {
            self.look(tracked);
        }
        if let Some(clips) = &mut self.clips {
            clips.pass(tracked.frame.meta.arrived);
        }
    }

    /// The pictures of this connection have ended.
    fn cut_short(&mut self) {
        if let Some(clips) = &mut self.clips {
            clips.close(Instant::now());
        }
    }

    /// An event with its files.
    fn shown(&mut self, event: &Event, shown: &mut Shown<'_>) -> Event {
        let mut event = event.clone();
        if let What::TrackEnded(ended) = &mut event.what {
            ended.snapshot = self.snapshot(ended.last.track, event.sequence);
        }
        let Some(tracked) = shown.tracked else { return event };
        if self.plan.frames.iter().any(|wanted| kind_matches(event.kind(), wanted)) {
            let taken = || self.frame(tracked, event.sequence);
            event.files.frame = shown.frame.get_or_insert_with(taken).clone();
        }
        if let Some(clips) = &mut self.clips {
            let file = |extension: &str| format!("{}.{extension}", event.sequence);
            let named = |extension: &str| self.store.path_of(&self.stream, Kind::Clip, &file(extension));
            event.files.clip = clips.of(&event, tracked.frame.meta.arrived, named);
        }
        event
    }

    /// Takes pictures of the tracks that were never seen better.
    fn look(&mut self, tracked: &Tracked) {
        let meta = &tracked.frame.meta;
        for track in &tracked.tracks {
            if track.state != TrackState::Confirmed || self.privacy.hides(&track.bbox, track.class, meta.size) {
                continue;
            }
            let best = self.best.get(&track.id);
            if best.is_some_and(|best| best.epoch == meta.epoch && meta.pts.since(best.at) < PATIENCE) {
                continue;
            }
            let quality = quality(&tracked.frame, &track.bbox, track.score);
            if quality > best.map_or(0.0, |best| best.quality * BETTER)
                && let Some(jpeg) = self.picture_of(track, tracked)
            {
                self.best.insert(track.id, Best { quality, epoch: meta.epoch, at: meta.pts, jpeg });
            }
        }
    }

    fn picture_of(&self, track: &Track, tracked: &Tracked) -> Option<Vec<u8>> {
        let BBox { left, top, right, bottom } = track.bbox;
        let (across, down) = (ROOM * track.bbox.width(), ROOM * track.bbox.height());
        let wide = BBox::new(left - across, top - down, right + across, bottom + down);
        self.taken(tracked, PixelRect::touched(&wide, tracked.frame.meta.size)?)
    }

    /// A part of the frame as JPEG, without those who must not be seen.
    fn taken(&self, tracked: &Tracked, rect: PixelRect) -> Option<Vec<u8>> {
        let mut picture = Rgb::copied(&tracked.frame, rect);
        self.privacy.apply(&mut picture, rect, tracked);
        let jpeg = jpeg::encode(&picture.data, picture.size);
        (!jpeg.is_empty()).then_some(jpeg)
    }

    /// Keeps the best picture of a track that has ended.
    fn snapshot(&mut self, track: u64, sequence: u64) -> Option<String> {
        let Best { jpeg, .. } = self.best.remove(&TrackId(track))?;
        self.store.put(&self.stream, Kind::Snapshot, &format!("{sequence}-track-{track}.jpg"), &jpeg)
    }

    /// Keeps the whole picture.
    fn frame(&self, tracked: &Tracked, sequence: u64) -> Option<String> {
        let jpeg = self.taken(tracked, PixelRect::whole(tracked.frame.meta.size))?;
        self.store.put(&self.stream, Kind::Frame, &format!("{sequence}.jpg"), &jpeg)
    }
}

/// A stream's recorders, given events that name their pictures.
pub struct Illustrated {
    pictures: Pictures,
    recorders: Vec<Box<dyn Recorder>>,
}

impl Illustrated {
    /// Hands every item on to `recorders`.
    pub fn new(pictures: Pictures, recorders: Vec<Box<dyn Recorder>>) -> Self {
        Self { pictures, recorders }
    }
}

impl Recorder for Illustrated {
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError> {
        let illustrated = self.pictures.illustrate(item).map(|events| Analyzed { flow: item.flow.clone(), events });
        let item = illustrated.as_ref().unwrap_or(item);
        self.recorders.iter_mut().try_for_each(|recorder| recorder.record(item))
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.pictures.cut_short();
        let finished: Vec<_> = self.recorders.iter_mut().map(|recorder| recorder.finish()).collect();
        finished.into_iter().collect()
    }
}
