//! Small scenes that the tests of this module share.

use super::{
    mot_io::{MotFormat, MotRows},
    sequence::Sequence,
};
use proptest::prelude::*;
use std::{fmt::Write, path::Path};

/// Frame, id, [left, top, width, height].
pub type Row = (u64, i64, [f64; 4]);

/// A MOT15 sequence of these boxes.
pub fn scene(truth: &[Row], results: &[Row]) -> Sequence {
    let (truth, format) = MotRows::parse_truth(Path::new("gt.txt"), csv(truth).as_bytes(), None, "scene").unwrap();
    assert_eq!(format, MotFormat::Mot15);
    let results = MotRows::parse_results(Path::new("res.txt"), csv(results).as_bytes()).unwrap();
    Sequence::new(&truth, &results, format, None).unwrap()
}

fn csv(rows: &[Row]) -> String {
    rows.iter().fold(String::new(), |mut text, (frame, id, [l, t, w, h])| {
        writeln!(text, "{frame},{id},{l},{t},{w},{h},1,-1,-1,-1").unwrap();
        text
    })
}

/// Two people (ids 1 and 2) far apart, each in every frame; the results are the truth where `seen`, named by `id`.
pub fn two_walkers(frames: u64, seen: impl Fn(u64) -> bool, id: impl Fn(u64, i64) -> i64) -> Sequence {
    let truth: Vec<Row> = (1..=frames)
        .flat_map(|frame| [1, 2].map(|who| (frame, who, [frame as f64, 500.0 * who as f64, 40.0, 100.0])))
        .collect();
    let found = truth.iter().filter(|row| seen(row.0));
    let results: Vec<Row> = found.map(|&(frame, who, bbox)| (frame, id(frame, who), bbox)).collect();
    scene(&truth, &results)
}

/// Truth and results that overlap here and there.
pub fn any_scene() -> impl Strategy<Value = (Vec<Row>, Vec<Row>)> {
    let side = || {
        let bbox = (0f64..60.0, 0f64..60.0, 5f64..40.0, 5f64..40.0);
        prop::collection::btree_map((1u64..6, 1i64..5), bbox, 0..16)
            .prop_map(|rows| rows.into_iter().map(|((frame, id), (l, t, w, h))| (frame, id, [l, t, w, h])).collect())
    };
    (side(), side())
}

/// The same rows in another order under other ids.
pub fn permuted(rows: &[Row]) -> Vec<Row> {
    rows.iter().rev().map(|&(frame, id, bbox)| (frame, 1000 - 7 * id, bbox)).collect()
}
