//! `summary.json`: what a run did to one input, for people and scripts.

use super::SinkError;
pub use crate::config::zoo::ModelCard;
use crate::{
    frame::StreamId,
    pipeline::stats::{Percentiles, Stats, Stretch},
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

/// Everything `summary.json` says.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Stream name.
    pub stream: String,
    /// The input.
    pub input: PathBuf,
    /// `end_of_stream`, `interrupted` or `failed`.
    pub result: &'static str,
    /// What went wrong, in one line.
    pub fault: Option<String>,
    /// Frames decoded.
    pub frames: u64,
    /// Frames decoded whose results were not written; 0 unless the run was cut short.
    pub drops: u64,
    /// Wall-clock seconds from opening the input to its last result.
    pub seconds: f64,
    /// Frames a second over that time.
    pub fps: f64,
    /// Tracks confirmed.
    pub tracks: u64,
    /// Events written.
    pub events: u64,
    /// Time per frame in each stage, and the frame's age when it left it.
    pub stages: BTreeMap<&'static str, StageTimes>,
    /// Models that ran.
    pub models: Vec<ModelCard>,
    /// What ran them.
    pub versions: BTreeMap<&'static str, String>,
}

/// Times of one stage.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StageTimes {
    /// Spent in the stage.
    pub busy: Percentiles,
    /// Since the decoder gave the frame.
    pub age: Percentiles,
}

impl Summary {
    /// What the counters of one stream say; models, versions and result are the caller's.
    pub fn measured(stats: &Stats, stream: StreamId, name: &str, input: &Path) -> Self {
        let counters = stats.stream(stream);
        let frames = counters.decoded.load(Ordering::Relaxed);
        let seconds = counters.elapsed().as_secs_f64();
        let times = |stretch: Stretch| Some(StageTimes { busy: counters.busy(stretch)?, age: counters.age(stretch)? });
        Self {
            stream: name.to_owned(),
            input: input.to_owned(),
            result: "end_of_stream",
            fault: None,
            frames,
            drops: counters.dropped(),
            seconds,
            fps: if seconds > 0.0 { frames as f64 / seconds } else { 0.0 },
            tracks: counters.tracks.load(Ordering::Relaxed),
            events: counters.events.load(Ordering::Relaxed),
            stages: Stretch::ALL.into_iter().filter_map(|stretch| Some((stretch.name(), times(stretch)?))).collect(),
            models: Vec::new(),
            versions: BTreeMap::new(),
        }
    }

    /// Writes it, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), SinkError> {
        let fault = |source| SinkError::File { path: path.to_owned(), source };
        let mut text = serde_json::to_vec_pretty(self).map_err(|e| fault(e.into()))?;
        text.push(b'\n');
        let beside = path.with_extension("json.part");
        let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
        written.inspect_err(|_| drop(fs::remove_file(&beside))).map_err(fault)
    }
}
