//! Tracks as they look once a whole stream was seen: gathered while it plays, refined and written when it ends.

use super::{Recorder, SinkError, lines::LineFile};
use crate::{
    detect::ClassId,
    eval::mot_io::MotRow,
    frame::{FrameMeta, StreamId},
    pipeline::flow::{Analyzed, Flow},
    track::{Track, TrackId, TrackState, refine::refine, replay::TrackPoint, settings::TrackSettings},
};
use std::{
    collections::BTreeMap,
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// What came of one stream.
#[derive(Clone, Debug, Default)]
pub struct RefinedStream {
    /// Every box, by frame (counted over the whole stream, from 0), then id.
    pub points: Vec<TrackPoint>,
    /// What each track is.
    pub classes: BTreeMap<TrackId, ClassId>,
}

/// Where refined streams are left for whoever draws them. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct RefinedShelf(Arc<Mutex<BTreeMap<u16, RefinedStream>>>);

impl RefinedShelf {
    /// Takes a stream's refined tracks away, if they are there.
    pub fn take(&self, stream: StreamId) -> Option<RefinedStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&stream.0)
    }

    fn put(&self, stream: StreamId, refined: RefinedStream) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(stream.0, refined);
    }
}

/// Writes a stream's refined tracks to a file when the stream ends. Until then they are in memory, 64 bytes a box.
///
/// Each epoch is refined by itself: between two of them neither time nor place goes on.
#[derive(Debug)]
pub struct RefinedTracks {
    path: PathBuf,
    stream: StreamId,
    fps: f64,
    settings: TrackSettings,
    shelf: RefinedShelf,
    epochs: Vec<Vec<TrackPoint>>,
    /// First frame of the epoch that lasts.
    epoch_began: Option<usize>,
    classes: BTreeMap<TrackId, ClassId>,
}

impl RefinedTracks {
    /// For a stream of `fps` frames a second. An old file is removed, so that nothing stands there before its time.
    pub fn create(
        path: &Path,
        stream: StreamId,
        fps: f64,
        settings: &TrackSettings,
        shelf: &RefinedShelf,
    ) -> Result<Self, SinkError> {
        match fs::remove_file(path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(SinkError::File { path: path.to_owned(), source });
            }
            _ => {}
        }
        let (settings, shelf) = (settings.clone(), shelf.clone());
        Ok(Self {
            path: path.to_owned(),
            stream,
            fps,
            settings,
            shelf,
            epochs: Vec::new(),
            epoch_began: None,
            classes: BTreeMap::new(),
        })
    }

    fn gather(&mut self, meta: &FrameMeta, tracks: &[Track]) {
        if self.epochs.is_empty() {
            self.epochs.push(Vec::new());
        }
        let Some(epoch) = self.epochs.last_mut() else { return };
        let frame = meta.seq as usize;
        let earliest = *self.epoch_began.get_or_insert(frame);
        for track in tracks.iter().filter(|track| track.shown) {
            let unbelieved = (meta.pts.since(track.first_seen).as_secs_f64() * self.fps).round() as usize;
            epoch.push(TrackPoint {
                frame,
                id: track.id,
                bbox: track.bbox,
                score: track.score,
                seen: track.state == TrackState::Confirmed,
                began: frame.saturating_sub(unbelieved).max(earliest),
            });
            self.classes.insert(track.id, track.class);
        }
    }

    fn write(&self, points: &[TrackPoint]) -> Result<(), SinkError> {
        // Under another name until it is whole.
        let unfinished = self.path.with_extension("txt.part");
        let mut lines = LineFile::create(&unfinished)?;
        for &TrackPoint { frame, id, bbox, score, .. } in points {
            let row = MotRow { frame: frame as u64 + 1, id: id.0 as i64, bbox, score };
            lines.line(|line| write!(line, "{row}"))?;
        }
        lines.flush()?;
        fs::rename(&unfinished, &self.path).map_err(|source| SinkError::File { path: self.path.clone(), source })
    }
}

impl Recorder for RefinedTracks {
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError> {
        match &item.flow {
            Flow::Data(tracked) => self.gather(&tracked.frame.meta, &tracked.tracks),
            Flow::Epoch { .. } => {
                self.epochs.push(Vec::new());
                self.epoch_began = None;
            }
            Flow::Turn { .. } | Flow::EndOfStream { .. } => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        let epochs = std::mem::take(&mut self.epochs);
        let points: Vec<TrackPoint> = epochs.iter().flat_map(|epoch| refine(epoch, self.fps, &self.settings)).collect();
        let written = self.write(&points);
        self.shelf.put(self.stream, RefinedStream { points, classes: std::mem::take(&mut self.classes) });
        written
    }
}
