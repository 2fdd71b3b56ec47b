//! `eyeline eval` gives TrackEval's scores: all metrics, all sequences, to 1e-6.
//!
//! The trackers are rules, applied to the evaluation material here as in
//! `tests/golden/generate/record_trackeval.py`, which recorded the scores. Change a rule here and there together.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod evaluation;

use evaluation::{data, differences, eval_json, noise};
use eyeline::eval::{
    exact_box::ExactBox,
    mot_io::{MotFormat, MotRows},
};
use serde_json::Value;
use std::{collections::HashMap, fmt::Write, fs, path::Path};

/// Left, top, width, height.
type Tlwh = [f64; 4];

/// A row of a file: frame, id, box, confidence.
#[derive(Clone, Copy)]
struct Row {
    frame: u64,
    id: i64,
    tlwh: Tlwh,
    score: f64,
}

/// A made-up tracker: truth and detections in, (frame, id, box) out.
type Rule = fn(truth: &[Row], detections: &[Row]) -> Vec<(u64, i64, Tlwh)>;

const RULES: [(&str, Rule); 4] = [("swapped", swapped), ("twins", twins), ("greedy", greedy), ("ranked", ranked)];

/// Every box of the truth, distractors too, shaken; some dropped, some doubled; neighbours swap ids every 50 frames.
fn swapped(truth: &[Row], _: &[Row]) -> Vec<(u64, i64, Tlwh)> {
    let mut out = Vec::new();
    for &Row { frame, id, tlwh: [left, top, width, height], .. } in truth {
        if noise(frame, id, 0) < 0.1 {
            continue;
        }
        let new = if frame / 50 % 2 == 1 { id ^ 1 } else { id };
        let left = left + (noise(frame, id, 1) - 0.5) * 0.4 * width;
        let top = top + (noise(frame, id, 2) - 0.5) * 0.2 * height;
        let width = width * (0.85 + 0.3 * noise(frame, id, 3));
        out.push((frame, new, [left, top, width, height]));
        if noise(frame, id, 4) < 0.05 {
            out.push((frame, 10000 + new, [left + 0.25 * width, top, width, height]));
        }
    }
    out
}

/// The truth itself, a third of it twice: ties wherever one looks.
fn twins(truth: &[Row], _: &[Row]) -> Vec<(u64, i64, Tlwh)> {
    let mut out = Vec::new();
    for &Row { frame, id, tlwh, .. } in truth {
        out.push((frame, id, tlwh));
        if noise(frame / 10, id, 5) < 0.3 {
            out.push((frame, 5000 + id, tlwh));
        }
    }
    out
}

/// Each detection takes the free track that it overlaps most, seen at most three frames ago.
fn greedy(_: &[Row], detections: &[Row]) -> Vec<(u64, i64, Tlwh)> {
    let mut detections = detections.to_vec();
    detections.sort_by_key(|row| row.frame);
    let mut tracks: Vec<(u64, Tlwh)> = Vec::new();
    let mut out = Vec::new();
    for row in detections.iter().filter(|row| row.score >= 0.5) {
        let (mut best, mut highest) = (tracks.len(), 0.3);
        for (index, (last, seen)) in tracks.iter().enumerate() {
            if row.frame <= last + 3 && *last < row.frame && iou(row.tlwh, *seen) > highest {
                (best, highest) = (index, iou(row.tlwh, *seen));
            }
        }
        tracks.resize(tracks.len().max(best + 1), (0, row.tlwh));
        tracks[best] = (row.frame, row.tlwh);
        out.push((row.frame, best as i64 + 1, row.tlwh));
    }
    out
}

fn iou(a: Tlwh, b: Tlwh) -> f64 {
    let width = (a[0] + a[2]).min(b[0] + b[2]) - a[0].max(b[0]);
    let height = (a[1] + a[3]).min(b[1] + b[3]) - a[1].max(b[1]);
    let shared = width.max(0.0) * height.max(0.0);
    shared / (a[2] * a[3] + b[2] * b[3] - shared)
}

/// The n-th best detection of a frame has id n.
fn ranked(_: &[Row], detections: &[Row]) -> Vec<(u64, i64, Tlwh)> {
    let mut detections = detections.to_vec();
    detections.sort_by(|a, b| a.frame.cmp(&b.frame).then(b.score.total_cmp(&a.score)));
    let mut ranks: HashMap<u64, i64> = HashMap::new();
    let mut out = Vec::new();
    for row in detections {
        let rank = ranks.entry(row.frame).or_default();
        *rank += 1;
        if *rank <= 40 {
            out.push((row.frame, *rank, row.tlwh));
        }
    }
    out
}

/// Rows as the file has them: no arithmetic on the box before the rule's own.
fn rows_of(path: &Path) -> Vec<Row> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let row = |line: &str| {
        let v: Vec<f64> = line.split(',').take(7).map(|value| value.trim().parse().unwrap()).collect();
        Row { frame: v[0] as u64, id: v[1] as i64, tlwh: [v[2], v[3], v[4], v[5]], score: v[6] }
    };
    text.lines().map(row).collect()
}

fn csv(rows: &[(u64, i64, Tlwh)]) -> String {
    rows.iter().fold(String::new(), |mut text, (frame, id, [l, t, w, h])| {
        writeln!(text, "{frame},{id},{l:.3},{t:.3},{w:.3},{h:.3},1,-1,-1,-1").unwrap();
        text
    })
}

/// Writes each rule's results for all sequences of `root` into `out`/RULE/SEQ.txt.
fn write_results(root: &Path, sequences: &[String], out: &Path) {
    for (index, sequence) in sequences.iter().enumerate() {
        let dir = root.join(sequence);
        let (truth, detections) = (rows_of(&dir.join("gt/gt.txt")), rows_of(&dir.join("det/det.txt")));
        let write = |tracker: &str, text: &str| {
            fs::create_dir_all(out.join(tracker)).unwrap();
            fs::write(out.join(tracker).join(format!("{sequence}.txt")), text).unwrap();
        };
        for (name, rule) in RULES {
            write(name, &csv(&rule(&truth, &detections)));
        }
        let first_only = if index == 0 { csv(&ranked(&truth, &detections)) } else { String::new() };
        write("first_only", &first_only);
    }
}

/// Differences between the program's scores and those recorded of one benchmark.
fn check(recorded: &Value, benchmark: &str, folder: &str, format: &[&str]) -> String {
    let root = data().join(folder);
    let trackers: Vec<&String> = recorded[benchmark].as_object().unwrap().keys().collect();
    let of_tracker = recorded[benchmark][trackers[0]].as_object().unwrap();
    let sequences: Vec<String> = of_tracker.keys().filter(|name| *name != "COMBINED_SEQ").cloned().collect();
    let results = tempfile::tempdir().unwrap();
    write_results(&root, &sequences, results.path());

    let mut args = vec!["--truth".to_owned(), root.display().to_string(), "--results".to_owned()];
    args.extend(trackers.iter().map(|tracker| results.path().join(tracker).display().to_string()));
    args.extend(format.iter().map(|arg| (*arg).to_owned()));
    let got = eval_json(&args);
    let mut found = String::new();
    for (tracker, got) in trackers.iter().zip(got["results"].as_array().unwrap()) {
        let mut all = got["sequences"].clone();
        all["COMBINED_SEQ"] = got["combined"].clone();
        found += &differences(&format!("{benchmark} {tracker}"), &recorded[benchmark][*tracker], &all);
    }
    found
}

mod eval_data {
    use super::*;

    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn every_metric_equals_trackevals() {
        let recorded: Value = serde_json::from_str(include_str!("golden/trackeval.json")).unwrap();
        let mut found = check(&recorded, "mot15", "mot15", &[]);
        found += &check(&recorded, "mot17", "mot17_val_half", &[]);
        found += &check(&recorded, "mot20", "mot17_val_half", &["--format", "mot20"]);
        assert!(found.is_empty(), "{} values differ:\n{found}", found.lines().count());
    }

    /// The table in REFERENCE.md.
    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn the_motmetrics_example_scores_as_in_the_reference_table() {
        let (source, layout) = (data().join("golden/motmetrics"), tempfile::tempdir().unwrap());
        for sequence in ["TUD-Campus", "TUD-Stadtmitte"] {
            let gt = layout.path().join("truth").join(sequence).join("gt");
            let results = layout.path().join("results");
            fs::create_dir_all(&gt).unwrap();
            fs::create_dir_all(&results).unwrap();
            fs::copy(source.join(sequence).join("gt.txt"), gt.join("gt.txt")).unwrap();
            fs::copy(source.join(sequence).join("test.txt"), results.join(format!("{sequence}.txt"))).unwrap();
        }
        let path = |name: &str| layout.path().join(name).display().to_string();
        let got = eval_json(["--truth".to_owned(), path("truth"), "--results".to_owned(), path("results")]);
        let got = &got["results"][0];

        // MOTA, IDF1, HOTA, DetA, AssA in percent; IDs, Frag, FP, FN, MT, ML.
        let table = [
            (&got["sequences"]["TUD-Campus"], [52.65, 55.77, 39.14, 41.80, 36.91], [7.0, 7.0, 13.0, 150.0, 1.0, 1.0]),
            (
                &got["sequences"]["TUD-Stadtmitte"],
                [56.40, 64.46, 39.78, 39.23, 40.88],
                [7.0, 6.0, 45.0, 452.0, 5.0, 1.0],
            ),
            (&got["combined"], [55.51, 62.43, 40.00, 39.77, 41.24], [14.0, 13.0, 58.0, 602.0, 6.0, 2.0]),
        ];
        for (scores, percents, counts) in table {
            let (clear, hota) = (&scores["CLEAR"], &scores["HOTA"]);
            let ratios = [&clear["MOTA"], &scores["Identity"]["IDF1"], &hota["HOTA"], &hota["DetA"], &hota["AssA"]];
            for (got, expected) in ratios.into_iter().zip(percents) {
                assert!((100.0 * got.as_f64().unwrap() - expected).abs() < 0.0051, "{got}, expected {expected} %");
            }
            let got = ["IDSW", "Frag", "CLR_FP", "CLR_FN", "MT", "ML"].map(|name| clear[name].as_f64().unwrap());
            assert_eq!(got, counts);
        }
    }

    /// The reader keeps what the file says, so that no match is lost to rounding.
    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn truth_is_read_without_rounding() {
        let path = data().join("mot15/TUD-Stadtmitte/gt/gt.txt");
        let (read, format) = MotRows::read_truth(&path, None, "TUD-Stadtmitte").unwrap();
        assert_eq!(format, MotFormat::Mot15);
        for (row, raw) in read.rows.iter().zip(rows_of(&path)) {
            let [l, t, w, h] = raw.tlwh;
            assert_eq!((row.frame, row.id, row.bbox), (raw.frame, raw.id, ExactBox::from_tlwh(l, t, w, h)));
        }
    }
}
