//! `eyeline eval --overlay`: truth, results and their mistakes drawn on the video they were made of.

use super::{Inputs, tracking::Scored};
use crate::{
    eval::{exact_box::ExactBox, mistakes::Mistake, sequence::Sequence, tracking},
    frame::StreamId,
    geometry::BBox,
    sink::{
        overlay::{Mark, MarkLine, draw_marks},
        palette::{Rgb, colour_of},
        picture_video::PictureVideo,
    },
    source::{OpenSource, Pull, gst::FileOpener},
};
use anyhow::{Context, ensure};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

const TRUTH: Rgb = [235, 235, 235];
const MISS: Rgb = [255, 64, 64];
const SWITCH: Rgb = [255, 220, 0];
/// How long a switch stays marked, frames: a second or so, long enough to be noticed and found again in a player.
const SWITCH_FRAMES: u64 = 25;
/// Longest wait for a frame.
const PATIENCE: Duration = Duration::from_secs(30);

/// Draws the only sequence of the only result set over `video`; frame 1 of the files is the first frame of the video.
///
/// Truth is dashed and light, or red where it was missed; results have the colour of their identity, red and a question
/// mark where they match nothing; a switch is a bold yellow box, for a second.
pub fn draw(inputs: &Inputs, scored: &[Scored<'_>], min_iou: f64, video: &Path, out: &Path) -> anyhow::Result<()> {
    let names: Vec<&str> = inputs.sequences.iter().map(|sequence| sequence.name.as_str()).collect();
    ensure!(names.len() == 1, "--overlay draws one sequence; choose with --sequences one of {}", names.join(", "));
    ensure!(scored.len() == 1, "--overlay draws one result set, got {}", scored.len());
    let truth = &inputs.sequences[0];
    let sequence = Sequence::new(&truth.truth, &scored[0].set.files[0], truth.format, truth.length)?;
    let pages = Pages::new(&sequence, min_iou);

    let mut source = FileOpener::new(video, StreamId(0)).open(0, 0)?;
    let mut drawn = PictureVideo::create(out, source.info())?;
    let mut frames = 0;
    loop {
        match source.pull(PATIENCE)? {
            Pull::Frame(frame) => {
                frames = frame.meta.seq + 1;
                let (marks, caption) = pages.page(frames);
                drawn.write(&frame, |canvas, placement| draw_marks(canvas, placement, &marks, &caption))?;
            }
            Pull::Pending => {}
            Pull::End { .. } => break,
        }
    }
    drawn.finish().with_context(|| format!("{}: cannot be completed", out.display()))?;
    if frames != sequence.length {
        eprintln!("note: {}: {frames} frames, the sequence has {}", video.display(), sequence.length);
    }
    Ok(())
}

/// What is drawn on each frame.
struct Pages<'a> {
    sequence: &'a Sequence,
    mistakes: BTreeMap<u64, Vec<Mistake>>,
}

impl<'a> Pages<'a> {
    fn new(sequence: &'a Sequence, min_iou: f64) -> Self {
        let mut mistakes: BTreeMap<u64, Vec<Mistake>> = BTreeMap::new();
        tracking::evaluate(sequence, min_iou, &mut |frame, _, mistake| {
            mistakes.entry(frame).or_default().push(mistake);
        });
        Self { sequence, mistakes }
    }

    /// The marks of a frame, from 1, and its caption.
    fn page(&self, number: u64) -> (Vec<Mark>, String) {
        let here = self.mistakes.get(&number).map_or(&[][..], Vec::as_slice);
        let missed: BTreeSet<i64> = here.iter().filter_map(|m| truth_of(m, "miss")).collect();
        let wrong: BTreeSet<i64> = here
            .iter()
            .filter_map(|mistake| match mistake {
                Mistake::FalsePositive { result } => Some(*result),
                _ => None,
            })
            .collect();
        let at = self.sequence.frames.binary_search_by_key(&number, |frame| frame.number);
        let (mut marks, mut truth_boxes) = (Vec::new(), BTreeMap::new());
        if let Ok(at) = at {
            let frame = &self.sequence.frames[at];
            for item in &frame.truth {
                let id = self.sequence.truth_ids[item.track];
                truth_boxes.insert(id, item.bbox);
                let (colour, label) =
                    if missed.contains(&id) { (MISS, format!("miss T{id}")) } else { (TRUTH, format!("T{id}")) };
                marks.push(Mark { bbox: plain(&item.bbox), colour, line: MarkLine::Dashed, label });
            }
            for item in &frame.results {
                let id = self.sequence.result_ids[item.track];
                let colour = if wrong.contains(&id) { MISS } else { colour_of(id.unsigned_abs()) };
                let label = if wrong.contains(&id) { format!("#{id} ?") } else { format!("#{id}") };
                marks.push(Mark { bbox: plain(&item.bbox), colour, line: MarkLine::Solid, label });
            }
        }
        marks.extend(self.switches(number, &truth_boxes));
        let so_far = self.mistakes.range(..=number).flat_map(|(_, mistakes)| mistakes);
        let switches = so_far.filter(|mistake| matches!(mistake, Mistake::Switch { .. })).count();
        let caption =
            format!("frame {number}  misses {}  false {}  switches so far {switches}", missed.len(), wrong.len());
        (marks, caption)
    }

    /// Switches of the last second, around the objects that suffered them.
    fn switches(&self, number: u64, truth_boxes: &BTreeMap<i64, ExactBox>) -> Vec<Mark> {
        let recent = self.mistakes.range(number.saturating_sub(SWITCH_FRAMES - 1)..=number);
        let mark = |mistake: &Mistake| {
            let Mistake::Switch { truth, result, previous } = *mistake else { return None };
            let bbox = plain(truth_boxes.get(&truth)?);
            let label = format!("T{truth}: #{previous} to #{result}");
            Some(Mark { bbox, colour: SWITCH, line: MarkLine::Bold, label })
        };
        recent.flat_map(|(_, mistakes)| mistakes.iter().filter_map(mark)).collect()
    }
}

/// Whose mistake of that kind it is.
fn truth_of(mistake: &Mistake, kind: &str) -> Option<i64> {
    if mistake.kind() == kind { mistake.ids()[0] } else { None }
}

fn plain(bbox: &ExactBox) -> BBox {
    let [left, top, width, height] = bbox.tlwh();
    BBox::from_tlwh(left as f32, top as f32, width as f32, height as f32)
}
