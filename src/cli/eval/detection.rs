//! `eyeline eval --task detection`: average precision of each class.

use super::{
    COMBINED, EvalArgs, Inputs, Report, ResultSet,
    table::{Table, percent},
};
use crate::eval::{
    average_precision::{DetectionFrame, DetectionScores, OperatingPoint, evaluate, frames_by_class},
    mot_io::{MotError, PEDESTRIAN},
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Where recall and precision are read off, unless asked otherwise.
const DEFAULT_MIN_SCORE: f64 = 0.5;

/// Classes of MOT17 and MOT20, from 1.
const CLASS_NAMES: [&str; 13] = [
    "pedestrian",
    "person_on_vehicle",
    "car",
    "bicycle",
    "motorbike",
    "non_mot_vehicle",
    "static_person",
    "distractor",
    "occluder",
    "occluder_on_ground",
    "occluder_full",
    "reflection",
    "crowd",
];

/// Frames of one sequence for each class.
type Classes = BTreeMap<i64, Vec<DetectionFrame>>;

/// Scores of one result set on one sequence, or on all.
struct Row<'a> {
    sequence: &'a str,
    set: &'a ResultSet,
    classes: BTreeMap<i64, DetectionScores>,
}

/// Scores every result set.
pub fn report(args: &EvalArgs, inputs: &Inputs) -> anyhow::Result<Report> {
    let at = OperatingPoint { min_score: args.min_score.unwrap_or(DEFAULT_MIN_SCORE), min_iou: args.min_iou };
    let frames: Vec<Vec<Classes>> = inputs.sets.iter().map(|set| frames_of(set, inputs)).collect::<Result<_, _>>()?;
    let mut rows = Vec::new();
    for (index, sequence) in inputs.sequences.iter().enumerate() {
        for (set, frames) in inputs.sets.iter().zip(&frames) {
            rows.push(Row { sequence: &sequence.name, set, classes: score(&frames[index..=index], at) });
        }
    }
    for (set, frames) in inputs.sets.iter().zip(&frames) {
        rows.push(Row { sequence: COMBINED, set, classes: score(frames, at) });
    }
    Ok(Report { table: table(&rows, inputs.sets.len()), json: json_report(&rows, inputs, at) })
}

fn frames_of(set: &ResultSet, inputs: &Inputs) -> Result<Vec<Classes>, MotError> {
    let pairs = inputs.sequences.iter().zip(&set.files);
    pairs.map(|(truth, results)| frames_by_class(&truth.truth, results, truth.format, truth.length)).collect()
}

/// Scores each class over all frames of the sequences together.
fn score(sequences: &[Classes], at: OperatingPoint) -> BTreeMap<i64, DetectionScores> {
    let classes: BTreeSet<i64> = sequences.iter().flat_map(BTreeMap::keys).copied().collect();
    let frames = |class| sequences.iter().filter_map(move |frames| frames.get(&class)).flatten();
    classes.into_iter().map(|class| (class, evaluate(frames(class), at))).collect()
}

fn table(rows: &[Row<'_>], sets: usize) -> Table {
    let is_single_class = rows.iter().flat_map(|row| row.classes.keys()).all(|&class| class == PEDESTRIAN);
    let names: Vec<&str> = [("sequence", true), ("results", sets > 1), ("class", !is_single_class)]
        .into_iter()
        .filter_map(|(name, is_wanted)| is_wanted.then_some(name))
        .collect();
    let mut table = Table::new(&names, &["AP", "AP50", "AP75", "recall", "precision", "truth", "detections"]);
    for row in rows {
        for (&class, scores) in &row.classes {
            let mut cells = vec![row.sequence.to_owned()];
            cells.extend((sets > 1).then(|| row.set.name.clone()));
            cells.extend((!is_single_class).then(|| class_name(class)));
            cells.extend([scores.ap, scores.ap50, scores.ap75, scores.recall, scores.precision].map(percent));
            cells.extend([scores.truth, scores.detections].map(|count| count.to_string()));
            table.push(cells);
        }
    }
    table
}

fn json_report(rows: &[Row<'_>], inputs: &Inputs, at: OperatingPoint) -> Value {
    let classes = |row: &Row<'_>| -> Map<String, Value> {
        row.classes.iter().map(|(&class, scores)| (class_name(class), json!(scores))).collect()
    };
    let set = |set: &ResultSet| {
        let of_set = rows.iter().filter(|row| row.set.path == set.path);
        let (combined, single): (Vec<_>, Vec<_>) = of_set.partition(|row| row.sequence == COMBINED);
        let sequences: Map<String, Value> =
            single.iter().map(|row| (row.sequence.to_owned(), classes(row).into())).collect();
        let combined = combined.first().map(|row| classes(row));
        json!({ "name": set.name, "path": set.path, "sequences": sequences, "combined": combined })
    };
    json!({
        "task": "detection",
        "min_iou": at.min_iou,
        "min_score": at.min_score,
        "results": inputs.sets.iter().map(set).collect::<Vec<_>>(),
    })
}

fn class_name(class: i64) -> String {
    let known = usize::try_from(class - 1).ok().and_then(|index| CLASS_NAMES.get(index));
    known.map_or_else(|| class.to_string(), |&name| name.to_owned())
}
