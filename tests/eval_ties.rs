//! Where matchings tie, `eyeline eval` takes the one that TrackEval takes: crowds on a coarse grid, most boxes equal.
//!
//! Recorded by `tests/golden/generate/record_trackeval_ties.py`; the rules here are the rules there. Another order of
//! visits in the assignment, or of additions in HOTA's alignment, fails this test.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod evaluation;

use evaluation::{differences, eval_json, noise};
use serde_json::Value;
use std::{fmt::Write, fs, path::Path};

const SCENES: u64 = 90;

type Tlwh = [i64; 4];

/// One of `choices`, by scene, purpose and index alone. Salt 59: crowd 8 tells NumPy's order of additions from others.
fn draw<T: Copy>(scene: u64, what: u64, index: i64, choices: &[T]) -> T {
    choices[(noise(1000 * scene + what, index, 59) * choices.len() as f64) as usize]
}

/// A whole number below `end`.
fn below(scene: u64, what: u64, index: i64, end: i64) -> i64 {
    draw(scene, what, index, &(0..end).collect::<Vec<_>>())
}

fn tlwh(scene: u64, what: u64, index: i64) -> Tlwh {
    let grid = 1 + draw(scene, 0, 0, &[6, 12, 30]);
    let (left, top) = (below(scene, what, 4 * index, grid), below(scene, what, 4 * index + 1, grid));
    [left, top, draw(scene, what, 4 * index + 2, &[4, 6, 8]), draw(scene, what, 4 * index + 3, &[4, 8])]
}

/// Length, truth and results of a crowd: standing, shuffled, or anywhere.
fn crowd(scene: u64) -> (i64, String, String) {
    let length = 1 + below(scene, 1, 0, 6);
    let (objects, tracks) = (draw(scene, 2, 0, &[5, 9, 12, 25, 40]), draw(scene, 3, 0, &[0, 9, 12, 25, 40]));
    let standing: Vec<Tlwh> = (0..objects + tracks).map(|index| tlwh(scene, 4, index)).collect();
    let (mut truth, mut results) = (String::new(), String::new());
    for frame in 1..=length {
        for who in 0..objects {
            let at = 100 * frame + who;
            if below(scene, 5, at, 10) < 8 {
                let [l, t, w, h] = if scene.is_multiple_of(3) { tlwh(scene, 6, at) } else { standing[who as usize] };
                let considered = i64::from(who % 7 != 0);
                let class = draw(scene, 7, who, &[1, 1, 1, 1, 2, 3, 6, 8]);
                writeln!(truth, "{frame},{},{l},{t},{w},{h},{considered},{class},1", who + 1).unwrap();
            }
        }
        for who in 0..tracks {
            let at = 100 * frame + who;
            if below(scene, 8, at, 10) < 8 {
                let [l, t, w, h] = match scene % 3 {
                    0 => tlwh(scene, 9, at),
                    1 => draw(scene, 10, at, &standing),
                    _ => standing[(objects + who) as usize],
                };
                writeln!(results, "{frame},{},{l},{t},{w},{h},1,-1,-1,-1", who + 1).unwrap();
            }
        }
    }
    (length, truth, results)
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn ties_fall_as_in_trackeval() {
    let folder = tempfile::tempdir().unwrap();
    let (truth, results) = (folder.path().join("truth"), folder.path().join("results"));
    for scene in 0..SCENES {
        let name = format!("crowd-{scene:02}");
        let (length, truth_rows, result_rows) = crowd(scene);
        write(&truth.join(&name).join("gt/gt.txt"), &truth_rows);
        write(&truth.join(&name).join("seqinfo.ini"), &format!("[Sequence]\nseqLength={length}\n"));
        write(&results.join(format!("{name}.txt")), &result_rows);
    }
    let recorded: Value = serde_json::from_str(include_str!("golden/trackeval_ties.json")).unwrap();
    let (truth, results) = (truth.display().to_string(), results.display().to_string());
    let got = eval_json(["--truth", &truth, "--results", &results, "--format", "mot20"]);
    let mut all = got["results"][0]["sequences"].clone();
    all["COMBINED_SEQ"] = got["results"][0]["combined"].clone();
    let found = differences("", &recorded, &all);
    assert!(found.is_empty(), "{} values differ:\n{found}", found.lines().count());
}
