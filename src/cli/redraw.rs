//! The second pass of `--refine`: plays a recording once more and draws its refined tracks. No network runs.

use crate::{
    config::plan::StreamPlan,
    detect::ClassId,
    frame::{Frame, StreamId},
    pipeline::Faults,
    sink::{overlay::OverlaySettings, refined::RefinedStream, video::AnnotatedVideo},
    source::{OpenSource, Pull, gst::FileOpener},
    time::MediaTime,
    track::{Track, TrackState, replay::TrackPoint},
};
use anyhow::{Context, bail};
use std::{fs, path::Path, time::Duration};

/// Longest wait for a frame before the stop switch is looked at again.
const MAX_PULL_WAIT: Duration = Duration::from_millis(100);

/// Draws `refined` over the video of `stream` and puts the result in the place of `video`, which is left as it is if
/// anything fails or the run is stopped. Gives whether it was replaced.
pub fn redraw(
    stream: &StreamPlan,
    refined: &RefinedStream,
    overlay: OverlaySettings,
    video: &Path,
    faults: &Faults,
) -> anyhow::Result<bool> {
    let unfinished = video.with_extension("mp4.part");
    let drawn = draw(stream, refined, overlay, &unfinished, faults);
    if !matches!(drawn, Ok(true)) {
        // It may not have been made yet; what went wrong before is what matters.
        let _ = fs::remove_file(&unfinished);
        return drawn;
    }
    fs::rename(&unfinished, video).with_context(|| format!("{}: cannot be replaced", video.display()))?;
    Ok(true)
}

/// Gives whether the whole recording was drawn.
fn draw(
    stream: &StreamPlan,
    refined: &RefinedStream,
    overlay: OverlaySettings,
    path: &Path,
    faults: &Faults,
) -> anyhow::Result<bool> {
    let opener = FileOpener { repeat: stream.repeat, ..FileOpener::new(&stream.file, StreamId(0)) };
    let mut source = opener.open(0, 0)?;
    let mut video = AnnotatedVideo::create(path, source.info(), overlay)?;
    let mut rest = refined.points.as_slice();
    loop {
        if faults.is_stopped() {
            return Ok(false);
        }
        match source.pull(MAX_PULL_WAIT) {
            Ok(Pull::Frame(frame)) => {
                let tracks = tracks_of(&frame, &mut rest, refined);
                video.write(&frame, &tracks)?;
            }
            Ok(Pull::Pending) => {}
            Ok(Pull::End { .. }) => break,
            // Damage was reported by the first pass, and its video ended here too.
            Err(_) if rest.is_empty() => break,
            Err(fault) => bail!(fault),
        }
    }
    video.finish()?;
    Ok(true)
}

/// Takes the tracks of a frame off `rest`, which holds those of later frames.
fn tracks_of(frame: &Frame, rest: &mut &[TrackPoint], refined: &RefinedStream) -> Vec<Track> {
    let seq = frame.meta.seq as usize;
    let before = rest.partition_point(|point| point.frame < seq);
    let until = rest.partition_point(|point| point.frame <= seq);
    let points = &rest[before..until];
    *rest = &rest[until..];
    let track = |point: &TrackPoint| Track {
        id: point.id,
        state: if point.seen { TrackState::Confirmed } else { TrackState::Lost },
        bbox: point.bbox,
        class: refined.classes.get(&point.id).copied().unwrap_or(ClassId(0)),
        score: point.score,
        detection: None,
        first_seen: MediaTime::default(),
        last_seen: frame.meta.pts,
        reidentified_from: None,
        shown: true,
    };
    points.iter().map(track).collect()
}
