//! A group of sequences that is scored as one.

use crate::{
    cli::recording::{self, RecordingFiles},
    eval::{
        clear, hota, identity,
        mot_io::{MotFormat, MotRows, PEDESTRIAN, ResultRow, TruthRow},
        seqinfo::SeqInfo,
        sequence::Sequence,
        tracking::DEFAULT_MIN_IOU,
    },
    track::{
        refine::refine,
        replay::{Recording, TrackPoint, replay},
        settings::TrackSettings,
    },
};
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};

/// Percent, as the field writes them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score {
    pub hota: f64,
    pub idf1: f64,
    pub mota: f64,
    pub switches: u64,
}

impl Score {
    /// What the search raises: the mean of the three.
    pub fn objective(&self) -> f64 {
        (self.hota + self.idf1 + self.mota) / 3.0
    }
}

/// One sequence with its truth.
struct Take {
    recording: Recording,
    truth: MotRows<TruthRow>,
    format: MotFormat,
    length: Option<u64>,
}

impl Take {
    /// The sequence from its end to its start.
    fn backwards(&self) -> Self {
        let last = self.truth.rows.iter().map(|row| row.frame).max().unwrap_or(0);
        let length = self.length.unwrap_or(last).max(self.recording.frames.len() as u64);
        let mut frames = self.recording.frames.clone();
        frames.resize_with(length as usize, Default::default);
        // The motion into a frame from the one before it becomes, undone, the motion into that one from this.
        let undone: Vec<_> = frames.iter().map(|frame| frame.camera.and_then(inverse)).collect();
        frames.reverse();
        for (frame, camera) in frames.iter_mut().skip(1).zip(undone.into_iter().rev()) {
            frame.camera = camera;
        }
        if let Some(first) = frames.first_mut() {
            first.camera = None;
        }
        let mut truth = self.truth.clone();
        truth.rows.iter_mut().for_each(|row| row.frame = length + 1 - row.frame);
        let recording = Recording { fps: self.recording.fps, frames };
        Self { recording, truth, format: self.format, length: self.length }
    }
}

/// The map that undoes an affine one; none where that one flattens the picture.
fn inverse([a, b, c, d, e, f]: [f32; 6]) -> Option<[f32; 6]> {
    let det = a * e - b * d;
    let undone = [e / det, -b / det, (b * f - e * c) / det, -d / det, a / det, (d * c - a * f) / det];
    undone.iter().all(|value| value.is_finite()).then_some(undone)
}

/// Sequences that are scored as one.
pub struct Scene {
    /// Shown in tables.
    pub name: String,
    takes: Vec<Take>,
    mode: Mode,
}

/// Which way sequences are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Play {
    /// As they were recorded.
    Forwards,
    /// That, and once more from end to start: other births, occlusions and ties with the same statistics, so that a
    /// search cannot learn a sequence's accidents so easily.
    BothWays,
}

/// What is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What the tracker says as frames come.
    Online,
    /// What the offline refinement makes of it.
    Refined,
}

impl Scene {
    /// Reads `FILE` or `NAME=FILE,FILE…`.
    pub fn read(group: &str, mode: Mode, play: Play) -> anyhow::Result<Self> {
        let (name, files) = match group.split_once('=') {
            Some((name, files)) => (name.to_owned(), files.split(',').map(PathBuf::from).collect()),
            None => (sequence_name(Path::new(group)), vec![PathBuf::from(group)]),
        };
        let mut takes = files.iter().map(|file| read_take(file)).collect::<anyhow::Result<Vec<_>>>()?;
        if play == Play::BothWays {
            let backwards: Vec<Take> = takes.iter().map(Take::backwards).collect();
            takes.extend(backwards);
        }
        Ok(Self { name, takes, mode })
    }

    /// Tracks every sequence with `settings` and scores them together.
    pub fn score(&self, settings: &TrackSettings) -> anyhow::Result<Score> {
        let (mut hotas, mut clears, mut identities) = (Vec::new(), Vec::new(), Vec::new());
        for take in &self.takes {
            let mut points = replay(settings, &take.recording).points;
            if self.mode == Mode::Refined {
                points = refine(&points, take.recording.fps, settings);
            }
            let results = result_file(&points);
            let sequence = Sequence::new(&take.truth, &results, take.format, take.length)?;
            hotas.push(hota::evaluate(&sequence));
            clears.push(clear::evaluate(&sequence, DEFAULT_MIN_IOU, &mut |_, _, _| ()));
            identities.push(identity::evaluate(&sequence, DEFAULT_MIN_IOU));
        }
        let clear = clear::combine(&clears.iter().collect::<Vec<_>>());
        Ok(Score {
            hota: 100.0 * hota::mean(&hota::combine(&hotas.iter().collect::<Vec<_>>()).hota),
            idf1: 100.0 * identity::combine(&identities.iter().collect::<Vec<_>>()).idf1,
            mota: 100.0 * clear.mota,
            switches: clear.counts.switches,
        })
    }
}

fn sequence_folder(detections: &Path) -> &Path {
    detections.parent().and_then(Path::parent).unwrap_or(Path::new("."))
}

fn sequence_name(detections: &Path) -> String {
    sequence_folder(detections).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn read_take(detections: &Path) -> anyhow::Result<Take> {
    let folder = sequence_folder(detections);
    let info_file = folder.join("seqinfo.ini");
    let info = SeqInfo::read(&info_file)?;
    let fps = info.frame_rate.with_context(|| format!("{}: no frameRate", info_file.display()))?;
    let gmc = Some(folder.join("gmc/gmc.txt")).filter(|path| path.exists());
    let embeddings = Some(detections.with_file_name("embeddings.npy")).filter(|path| path.exists());
    let files = RecordingFiles { detections, embeddings: embeddings.as_deref(), gmc: gmc.as_deref() };
    let recording = recording::read(&files, fps)?;
    let (truth, format) = MotRows::read_truth(&folder.join("gt/gt.txt"), None, &sequence_name(detections))?;
    ensure!(!truth.rows.is_empty(), "{}: no truth", folder.display());
    Ok(Take { recording, truth, format, length: info.length })
}

fn result_file(points: &[TrackPoint]) -> MotRows<ResultRow> {
    let row = |point: &TrackPoint| ResultRow {
        line: 0,
        frame: point.frame as u64 + 1,
        id: point.id.0 as i64,
        bbox: point.bbox.into(),
        score: f64::from(point.score),
        class: PEDESTRIAN,
    };
    MotRows { path: PathBuf::from("tracks"), rows: points.iter().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::replay::RecordedFrame;

    #[test]
    fn twice_backwards_is_forwards() {
        let camera = |shift: f32| Some([1.0, 0.0, shift, 0.0, 1.0, -shift]);
        let frame = |shift| RecordedFrame { camera: camera(shift), ..RecordedFrame::default() };
        let (truth, format) =
            MotRows::parse_truth(Path::new("gt.txt"), b"1,1,0,0,9,9,1,-1,-1,-1\n4,2,0,0,9,9,1,-1,-1,-1\n", None, "s")
                .unwrap();
        let frames = vec![RecordedFrame::default(), frame(1.0), frame(2.0), frame(3.0)];
        let take = Take { recording: Recording { fps: 10.0, frames }, truth, format, length: Some(4) };
        let back = take.backwards();
        let cameras = |take: &Take| take.recording.frames.iter().map(|f| f.camera.map(|c| c[2])).collect::<Vec<_>>();
        assert_eq!(cameras(&back), [None, Some(-3.0), Some(-2.0), Some(-1.0)]);
        assert_eq!(back.truth.rows.iter().map(|row| row.frame).collect::<Vec<_>>(), [4, 1]);
        assert_eq!(cameras(&back.backwards()), cameras(&take));
    }
}
