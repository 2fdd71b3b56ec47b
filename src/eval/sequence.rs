//! Truth and results of one sequence, brought together frame by frame and cleared of what the benchmark does not score.
//!
//! All tracking metrics read a [`Sequence`]; only this module knows of classes, distractors and zero marks. The rules are
//! those of TrackEval's MotChallenge2DBox, its numbers the yardstick:
//! * MOT15: truth with a zero mark is dropped, nothing else; classes do not exist.
//! * MOT17, MOT20: results and truth of all classes are matched at IoU 0.5; results matched to a distractor are dropped,
//!   then truth that is no pedestrian or has a zero mark.

use super::{
    assignment::minimum_cost_pairs,
    exact_box::{ExactBox, iou_matrix},
    mot_io::{MotError, MotFormat, MotRows, PEDESTRIAN, ResultRow, TruthRow},
};
use ndarray::{Array2, Axis};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

/// person on vehicle, static person, distractor, reflection.
const DISTRACTORS: [i64; 4] = [2, 7, 8, 12];
/// A distractor in MOT20 only.
const NON_MOT_VEHICLE: i64 = 6;
/// MOT17 and MOT20 number their classes 1..=13.
const LAST_CLASS: i64 = 13;
/// IoU from which a result counts as lying on a distractor.
const DISTRACTOR_MIN_IOU: f64 = 0.5;

/// One scored box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item {
    /// Index into [`Sequence::truth_ids`] or [`Sequence::result_ids`].
    pub track: usize,
    /// Where.
    pub bbox: ExactBox,
}

/// A frame that has a scored box.
#[derive(Clone, Debug)]
pub struct SequenceFrame {
    /// Frame number, from 1.
    pub number: u64,
    /// Scored truth, in the file's order.
    pub truth: Vec<Item>,
    /// Scored results, in the file's order.
    pub results: Vec<Item>,
    /// IoU of each truth (rows) with each result (columns).
    pub similarity: Array2<f64>,
}

/// One sequence, ready to be scored.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// Number of frames, those without boxes included.
    pub length: u64,
    /// Frames that have a scored box, ascending.
    pub frames: Vec<SequenceFrame>,
    /// Identities of the truth, ascending.
    pub truth_ids: Vec<i64>,
    /// Identities of the results, ascending.
    pub result_ids: Vec<i64>,
}

impl Sequence {
    /// Brings truth and results together.
    ///
    /// `length`: number of frames; where unknown, up to the last row of either file. Fails where a row lies beyond the
    /// length, an id stands twice in a frame, a result has no id, or a class is unknown to the format.
    pub fn new(
        truth: &MotRows<TruthRow>,
        results: &MotRows<ResultRow>,
        format: MotFormat,
        length: Option<u64>,
    ) -> Result<Self, MotError> {
        check_truth(truth, format, length)?;
        check_results(results, format, length)?;
        let (truth, results) = (by_frame(&truth.rows, |row| row.frame), by_frame(&results.rows, |row| row.frame));
        let numbers: BTreeSet<u64> = truth.keys().chain(results.keys()).copied().collect();
        let rows_of = |number: &u64| {
            let truth = truth.get(number).map_or(&[][..], Vec::as_slice);
            let results = results.get(number).map_or(&[][..], Vec::as_slice);
            RawFrame { number: *number, truth, results }
        };
        let scored: Vec<ScoredFrame<'_>> = numbers.iter().map(|number| rows_of(number).scored(format)).collect();
        let length = length.or(numbers.last().copied()).unwrap_or(0);
        Ok(Self::from_scored(scored, length))
    }

    fn from_scored(frames: Vec<ScoredFrame<'_>>, length: u64) -> Self {
        let truth_ids = ascending(frames.iter().flat_map(|frame| frame.truth.iter().map(|row| row.id)));
        let result_ids = ascending(frames.iter().flat_map(|frame| frame.results.iter().map(|row| row.id)));
        let item = |ids: &[i64], id: i64, bbox| {
            let track = ids.binary_search(&id).expect("every id of every frame is in the list");
            Item { track, bbox }
        };
        let frames = frames.into_iter().filter(|frame| !frame.truth.is_empty() || !frame.results.is_empty());
        let frames = frames
            .map(|frame| SequenceFrame {
                number: frame.number,
                truth: frame.truth.iter().map(|row| item(&truth_ids, row.id, row.bbox)).collect(),
                results: frame.results.iter().map(|row| item(&result_ids, row.id, row.bbox)).collect(),
                similarity: frame.similarity,
            })
            .collect();
        Self { length, frames, truth_ids, result_ids }
    }

    /// Number of scored truth boxes.
    pub fn truth_boxes(&self) -> usize {
        self.frames.iter().map(|frame| frame.truth.len()).sum()
    }

    /// Number of scored result boxes.
    pub fn result_boxes(&self) -> usize {
        self.frames.iter().map(|frame| frame.results.len()).sum()
    }
}

struct RawFrame<'a> {
    number: u64,
    truth: &'a [&'a TruthRow],
    results: &'a [&'a ResultRow],
}

struct ScoredFrame<'a> {
    number: u64,
    truth: Vec<&'a TruthRow>,
    results: Vec<&'a ResultRow>,
    similarity: Array2<f64>,
}

impl<'a> RawFrame<'a> {
    fn scored(self, format: MotFormat) -> ScoredFrame<'a> {
        let similarity = iou_matrix(self.truth.iter().map(|row| &row.bbox), self.results.iter().map(|row| &row.bbox));
        let has_classes = format != MotFormat::Mot15;
        let on_distractor = if has_classes { self.on_distractor(&similarity, format) } else { BTreeSet::new() };
        let counts = |row: &TruthRow| row.considered && (!has_classes || row.class == PEDESTRIAN);
        let truth: Vec<usize> = (0..self.truth.len()).filter(|&row| counts(self.truth[row])).collect();
        let results: Vec<usize> = (0..self.results.len()).filter(|row| !on_distractor.contains(row)).collect();
        ScoredFrame {
            number: self.number,
            truth: truth.iter().map(|&row| self.truth[row]).collect(),
            results: results.iter().map(|&row| self.results[row]).collect(),
            similarity: similarity.select(Axis(0), &truth).select(Axis(1), &results),
        }
    }

    /// Results whose best partner among all truth, every class included, is a distractor.
    fn on_distractor(&self, similarity: &Array2<f64>, format: MotFormat) -> BTreeSet<usize> {
        let cost = similarity.mapv(|iou| if iou < DISTRACTOR_MIN_IOU - f64::EPSILON { -0.0 } else { -iou });
        let pairs = minimum_cost_pairs(cost.view()).into_iter();
        let matched = pairs.filter(|&pair| cost[pair] < -f64::EPSILON);
        matched.filter(|&(truth, _)| is_distractor(self.truth[truth].class, format)).map(|(_, result)| result).collect()
    }
}

/// Whether results that lie on truth of `class` are neither right nor wrong.
pub(super) fn is_distractor(class: i64, format: MotFormat) -> bool {
    match format {
        MotFormat::Mot15 => false,
        MotFormat::Mot17 => DISTRACTORS.contains(&class),
        MotFormat::Mot20 => DISTRACTORS.contains(&class) || class == NON_MOT_VEHICLE,
    }
}

fn check_truth(file: &MotRows<TruthRow>, format: MotFormat, length: Option<u64>) -> Result<(), MotError> {
    check_frames(&file.path, file.rows.iter().map(|row| (row.line, row.frame)), length)?;
    check_ids(&file.path, file.rows.iter().map(|row| (row.line, row.frame, row.id)))?;
    let unknown = file.rows.iter().find(|row| !(1..=LAST_CLASS).contains(&row.class));
    match unknown.filter(|_| format != MotFormat::Mot15) {
        Some(row) => Err(wrong(&file.path, row.line, "class", "1 to 13", row.class)),
        None => Ok(()),
    }
}

fn check_results(file: &MotRows<ResultRow>, format: MotFormat, length: Option<u64>) -> Result<(), MotError> {
    if let Some(row) = file.rows.iter().find(|row| row.id < 0) {
        let expected = "a track's id, 0 or more (a file of detections is scored as such, not as tracks)";
        return Err(wrong(&file.path, row.line, "id", expected, row.id));
    }
    check_frames(&file.path, file.rows.iter().map(|row| (row.line, row.frame)), length)?;
    check_ids(&file.path, file.rows.iter().map(|row| (row.line, row.frame, row.id)))?;
    let other = file.rows.iter().find(|row| row.class != PEDESTRIAN);
    match other.filter(|_| format != MotFormat::Mot15) {
        Some(row) => Err(wrong(&file.path, row.line, "class", "1 or -1: only pedestrians are scored", row.class)),
        None => Ok(()),
    }
}

/// No id twice in a frame.
fn check_ids(path: &Path, rows: impl Iterator<Item = (usize, u64, i64)>) -> Result<(), MotError> {
    let mut line_of = HashMap::new();
    for (line, frame, id) in rows {
        if let Some(first_line) = line_of.insert((frame, id), line) {
            return Err(MotError::RepeatedId { path: path.to_owned(), line, first_line, frame, id });
        }
    }
    Ok(())
}

/// Every frame within the length, where that is known. `rows`: line and frame.
pub(super) fn check_frames(
    path: &Path,
    mut rows: impl Iterator<Item = (usize, u64)>,
    length: Option<u64>,
) -> Result<(), MotError> {
    let Some(length) = length else { return Ok(()) };
    match rows.find(|&(_, frame)| frame > length) {
        Some((line, frame)) => Err(wrong(path, line, "frame", &format!("1 to {length}, the sequence's length"), frame)),
        None => Ok(()),
    }
}

fn wrong(path: &Path, line: usize, column: &'static str, expected: &str, got: impl ToString) -> MotError {
    MotError::Value { path: path.to_owned(), line, column, expected: expected.to_owned(), got: got.to_string() }
}

/// Rows of each frame, in their order.
pub(super) fn by_frame<R>(rows: &[R], frame: impl Fn(&R) -> u64) -> BTreeMap<u64, Vec<&R>> {
    let mut frames: BTreeMap<u64, Vec<&R>> = BTreeMap::new();
    for row in rows {
        frames.entry(frame(row)).or_default().push(row);
    }
    frames
}

fn ascending(ids: impl Iterator<Item = i64>) -> Vec<i64> {
    ids.collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(truth: &str, results: &str, format: MotFormat, length: Option<u64>) -> Result<Sequence, String> {
        let parse = || {
            let (truth, _) = MotRows::parse_truth(Path::new("gt.txt"), truth.as_bytes(), Some(format), "s")?;
            let results = MotRows::parse_results(Path::new("res.txt"), results.as_bytes())?;
            Sequence::new(&truth, &results, format, length)
        };
        parse().map_err(|e: MotError| e.to_string())
    }

    /// A pedestrian, one with a zero mark, a static person, a car, a non-MOT vehicle; a result on each of them.
    const STREET: &str = "1,1,0,0,10,10,1,1,1\n1,2,50,0,10,10,0,1,1\n1,3,100,0,10,10,0,7,1\n1,4,150,0,10,10,0,3,1\n1,5,200,0,10,10,0,6,1\n";
    const FOUND: &str =
        "1,11,0,0,10,10,1\n1,12,50,0,10,10,1\n1,13,100,0,10,10,1\n1,14,150,0,10,10,1\n1,15,200,0,10,10,1\n";

    #[test]
    fn each_format_leaves_out_its_own() {
        let cases = [
            (MotFormat::Mot15, vec![1], vec![11, 12, 13, 14, 15]),
            (MotFormat::Mot17, vec![1], vec![11, 12, 14, 15]),
            (MotFormat::Mot20, vec![1], vec![11, 12, 14]),
        ];
        for (format, truth, results) in cases {
            let sequence = build(STREET, FOUND, format, None).unwrap();
            assert_eq!((&sequence.truth_ids, &sequence.result_ids), (&truth, &results), "{format:?}");
            let frame = &sequence.frames[0];
            assert_eq!(frame.similarity.dim(), (truth.len(), results.len()));
            assert_eq!((frame.similarity[(0, 0)], frame.results[0].track), (1.0, 0));
        }
    }

    #[test]
    fn a_result_nearer_to_a_pedestrian_stays_though_a_distractor_overlaps() {
        let truth = "1,1,0,0,10,10,1,1,1\n1,2,0,1,10,10,0,8,1\n";
        let sequence = build(truth, "1,5,0,0,10,10,1\n", MotFormat::Mot17, None).unwrap();
        assert_eq!(sequence.result_boxes(), 1);
        // With a second result, one of the two has to take the distractor, and goes with it.
        let sequence = build(truth, "1,5,0,0,10,10,1\n1,6,0,2,10,10,1\n", MotFormat::Mot17, None).unwrap();
        assert_eq!(sequence.result_ids, [5]);
    }

    #[test]
    fn length_is_given_or_up_to_the_last_row() {
        let truth = "3,1,0,0,10,10,1\n";
        let length = |results, given| build(truth, results, MotFormat::Mot15, given).unwrap().length;
        assert_eq!(length("", None), 3);
        assert_eq!(length("7,1,0,0,10,10,1", None), 7);
        assert_eq!(length("", Some(20)), 20);
        let sequence = build(truth, "7,1,0,0,10,10,1", MotFormat::Mot15, None).unwrap();
        assert_eq!(sequence.frames.iter().map(|frame| frame.number).collect::<Vec<_>>(), [3, 7]);
    }

    #[test]
    fn faults_name_file_and_line() {
        let good = "1,1,0,0,10,10,1,1,1\n";
        let cases = [
            (
                good,
                "1,4,0,0,1,1,1\n2,4,0,0,1,1,1\n1,4,0,0,1,1,1",
                "res.txt line 3: id 4 is in frame 1 already (line 1)",
            ),
            (good, "10,4,0,0,1,1,1", "res.txt line 1, frame: expected 1 to 9, the sequence's length, got \"10\""),
            (
                good,
                "1,4,0,0,1,1,1,3",
                "res.txt line 1, class: expected 1 or -1: only pedestrians are scored, got \"3\"",
            ),
            (
                good,
                "1,-1,0,0,1,1,1",
                "res.txt line 1, id: expected a track's id, 0 or more (a file of detections is scored as such, not as tracks), got \"-1\"",
            ),
            ("1,1,0,0,10,10,1,14,1", "", "gt.txt line 1, class: expected 1 to 13, got \"14\""),
            ("1,1,0,0,1,1,1,1,1\n1,1,0,0,1,1,1,1,1", "", "gt.txt line 2: id 1 is in frame 1 already (line 1)"),
        ];
        for (truth, results, expected) in cases {
            assert_eq!(build(truth, results, MotFormat::Mot17, Some(9)).unwrap_err(), expected);
        }
    }
}
