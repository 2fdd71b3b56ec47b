//! Tracks and detections as MOTChallenge rows, so that the field's scorers read them.

use super::{Recorder, SinkError, lines::LineFile};
use crate::{
    eval::mot_io::MotRow,
    pipeline::flow::{Analyzed, Flow},
};
use std::{io::Write, path::Path};

/// What the rows are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    Tracks,
    Detections,
}

/// Writes rows, frames from 1, counted over the whole stream.
#[derive(Debug)]
pub struct MotFile {
    lines: LineFile,
    rows: Rows,
}

impl MotFile {
    /// A file of confirmed tracks as they are seen.
    pub fn tracks(path: &Path) -> Result<Self, SinkError> {
        Ok(Self { lines: LineFile::create(path)?, rows: Rows::Tracks })
    }

    /// A file of every detection, id -1.
    pub fn detections(path: &Path) -> Result<Self, SinkError> {
        Ok(Self { lines: LineFile::create(path)?, rows: Rows::Detections })
    }
}

impl Recorder for MotFile {
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError> {
        let Flow::Data(tracked) = &item.flow else { return Ok(()) };
        let frame = tracked.frame.meta.seq + 1;
        match self.rows {
            Rows::Tracks => {
                for track in tracked.tracks.iter().filter(|track| track.shown) {
                    let row = MotRow { frame, id: track.id.0 as i64, bbox: track.bbox, score: track.score };
                    self.lines.line(|line| write!(line, "{row}"))?;
                }
            }
            Rows::Detections => {
                for found in &tracked.detections {
                    let row = MotRow { frame, id: -1, bbox: found.bbox, score: found.score };
                    self.lines.line(|line| write!(line, "{row}"))?;
                }
            }
        }
        self.lines.flush()
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.lines.flush()
    }
}
