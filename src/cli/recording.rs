//! Reads what `track` and `tune` replay: detections, embeddings and camera motion from files.

use crate::{
    embed::Embedding,
    eval::detections::MotDetections,
    track::replay::{RecordedFrame, Recording},
};
use anyhow::{Context, bail, ensure};
use std::{fs, fs::File, io::BufReader, path::Path};

/// Most frames a file may have: ten days at 30 Hz. A frame number beyond is a fault in the file, not a reason to take
/// all memory.
const MAX_FRAMES: u64 = 26_000_000;

/// The files of one sequence.
#[derive(Clone, Copy, Debug)]
pub struct RecordingFiles<'a> {
    /// MOTChallenge detections.
    pub detections: &'a Path,
    /// `.npy` of float32 (detections, D).
    pub embeddings: Option<&'a Path>,
    /// `frame,a,b,c,d,e,f`.
    pub gmc: Option<&'a Path>,
}

/// Reads a sequence of `fps` frames a second.
pub fn read(files: &RecordingFiles<'_>, fps: f64) -> anyhow::Result<Recording> {
    ensure!(fps.is_finite() && fps > 0.0, "{fps} frames a second: expected a number above 0");
    let detections = MotDetections::read(files.detections)?;
    let last = detections.last_frame();
    ensure!(last <= MAX_FRAMES, "{}: frame {last}, expected 1 to {MAX_FRAMES}", files.detections.display());
    let embeddings = files.embeddings.map(|path| read_embeddings(path, detections.len())).transpose()?;
    let frames = (1..=last).map(|number| RecordedFrame {
        detections: detections.frame(number).to_vec(),
        embeddings: embeddings
            .as_ref()
            .map_or_else(Vec::new, |all| detections.rows(number).iter().map(|&row| Some(all[row].clone())).collect()),
        camera: None,
    });
    let mut recording = Recording { fps, frames: frames.collect() };
    if let Some(path) = files.gmc {
        read_gmc(path, &mut recording.frames)?;
    }
    Ok(recording)
}

/// Gives each frame its camera motion; rows for frames beyond the last detection say nothing that matters.
fn read_gmc(path: &Path, frames: &mut [RecordedFrame]) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let values: Vec<f64> = line.split(',').map_while(|field| field.trim().parse().ok()).collect();
        let [number, a, b, c, d, e, f] = values[..] else {
            bail!("{} line {}: expected frame,a,b,c,d,e,f, got {line:?}", path.display(), index + 1);
        };
        if let Some(frame) = frames.get_mut((number as usize).wrapping_sub(1)) {
            frame.camera = Some([a, b, c, d, e, f].map(|value| value as f32));
        }
    }
    Ok(())
}

/// One embedding a row of an array that must have `expected` of them.
fn read_embeddings(path: &Path, expected: usize) -> anyhow::Result<Vec<Embedding>> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("{shown}: cannot be read"))?;
    let npy = npyz::NpyFile::new(BufReader::new(file)).with_context(|| format!("{shown}: no .npy file"))?;
    let &[rows, dim] = npy.shape() else {
        bail!("{shown}: shape {:?}, expected (detections, D)", npy.shape());
    };
    ensure!(rows == expected as u64, "{shown}: {rows} embeddings for {expected} detections, expected as many");
    ensure!(dim > 0 || rows == 0, "{shown}: embeddings without values");
    ensure!(npy.order() == npyz::Order::C, "{shown}: columns before rows, expected C order");
    let values: Vec<f32> = npy.into_vec().with_context(|| format!("{shown}: expected float32 values"))?;
    Ok(values.chunks_exact((dim as usize).max(1)).map(|row| Embedding(row.into())).collect())
}
