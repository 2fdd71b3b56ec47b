//! `eyeline eval` as its users meet it: where it finds files, what it prints, how it refuses.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod evaluation;

use evaluation::{eval, eval_json};
use std::{fs, path::Path, process::Output};

/// Writes `files` (path, content) under a new folder.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    dir
}

/// Two sequences; `good` finds all, `lossy` loses the person of `yard` in frame 2 and renames it.
fn two_sequences() -> tempfile::TempDir {
    folder(&[
        ("truth/gate/gt/gt.txt", "1,1,0,0,10,20,1,-1,-1,-1\n2,1,1,0,10,20,1,-1,-1,-1\n"),
        ("truth/gate/seqinfo.ini", "[Sequence]\nname=gate\nframeRate=25\nseqLength=2\n"),
        ("truth/yard/gt/gt.txt", "1,1,0,0,10,20,1,-1,-1,-1\n2,1,1,0,10,20,1,-1,-1,-1\n3,1,2,0,10,20,1,-1,-1,-1\n"),
        ("good/gate.txt", "1,4,0,0,10,20,1,-1,-1,-1\n2,4,1,0,10,20,1,-1,-1,-1\n"),
        ("good/yard.txt", "1,5,0,0,10,20,1,-1,-1,-1\n2,5,1,0,10,20,1,-1,-1,-1\n3,5,2,0,10,20,1,-1,-1,-1\n"),
        ("lossy/gate.txt", "1,4,0,0,10,20,1,-1,-1,-1\n2,4,1,0,10,20,1,-1,-1,-1\n"),
        ("lossy/yard.txt", "1,5,0,0,10,20,1\n2,5,90,0,10,20,1\n3,6,2,0,10,20,1\n"),
        ("lossy/notes.txt", "not rows at all\n"),
    ])
}

fn in_dir(dir: &Path, args: &[&str]) -> Output {
    let is_path = |arg: &str| dir.join(arg).exists() || arg.starts_with("missing") || arg.ends_with(".csv");
    eval(args.iter().map(|arg| if is_path(arg) { dir.join(arg).display().to_string() } else { (*arg).to_owned() }))
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

// yard, lossy: of three boxes id 5 has one of its two right, id 6 its only one: AssA = (1/4 + 1/3) / 2, DetA = 2/4.
#[test]
fn result_sets_stand_side_by_side() {
    let dir = two_sequences();
    let output = in_dir(dir.path(), &["--truth", "truth", "--results", "good", "lossy"]);
    let expected = "\
sequence  results    HOTA    DetA    AssA    LocA    MOTA    MOTP    IDF1     IDP     IDR  IDSW  Frag  MT  ML  FP  FN
gate      good     100.00  100.00  100.00  100.00  100.00  100.00  100.00  100.00  100.00     0     0   1   0   0   0
gate      lossy    100.00  100.00  100.00  100.00  100.00  100.00  100.00  100.00  100.00     0     0   1   0   0   0
yard      good     100.00  100.00  100.00  100.00  100.00  100.00  100.00  100.00  100.00     0     0   1   0   0   0
yard      lossy     38.19   50.00   29.17  100.00    0.00  100.00   33.33   33.33   33.33     1     1   0   0   1   1
COMBINED  good     100.00  100.00  100.00  100.00  100.00  100.00  100.00  100.00  100.00     0     0   2   0   0   0
COMBINED  lossy     65.62   66.67   64.58  100.00   40.00  100.00   60.00   60.00   60.00     1     1   1   0   1   1
";
    assert_eq!(stdout(&output), expected);
    assert!(stderr(&output).contains("notes.txt: not scored, there is no truth for it"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn every_mistake_is_listed_with_its_frames_ids_and_box() {
    let dir = two_sequences();
    let output = in_dir(dir.path(), &["--truth", "truth", "--results", "lossy", "--errors", "mistakes.csv"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let expected = "\
results,sequence,kind,first_frame,last_frame,truth_id,result_id,previous_id,left,top,width,height
lossy,yard,miss,2,2,1,,,1.00,0.00,10.00,20.00
lossy,yard,false_positive,2,2,,5,,90.00,0.00,10.00,20.00
lossy,yard,id_switch,3,3,1,6,5,2.00,0.00,10.00,20.00
lossy,yard,fragmentation,3,3,1,6,,2.00,0.00,10.00,20.00
";
    assert_eq!(fs::read_to_string(dir.path().join("mistakes.csv")).unwrap(), expected);
}

#[test]
fn truth_and_results_are_found_in_every_layout() {
    let dir = two_sequences();
    let cases = [
        ("folder and folder", vec!["--truth", "truth", "--results", "good"], vec!["gate", "yard"]),
        ("chosen by name", vec!["--truth", "truth", "--results", "good", "--sequences", "yard"], vec!["yard"]),
        ("chosen by the result's name", vec!["--truth", "truth", "--results", "good/yard.txt"], vec!["yard"]),
        ("one sequence's folder", vec!["--truth", "truth/gate", "--results", "good"], vec!["gate"]),
        (
            "file and file of any name",
            vec!["--truth", "truth/yard/gt/gt.txt", "--results", "lossy/yard.txt"],
            vec!["yard"],
        ),
        ("file and folder", vec!["--truth", "truth/gate/gt/gt.txt", "--results", "good"], vec!["gate"]),
    ];
    for (name, args, expected) in cases {
        let output = in_dir(dir.path(), &[args, vec!["--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let sequences: Vec<&String> = json["results"][0]["sequences"].as_object().unwrap().keys().collect();
        assert_eq!(sequences, expected, "{name}");
    }
}

#[test]
fn detections_are_found_beside_the_truth() {
    let dir = folder(&[
        ("s/a/gt/gt.txt", "1,1,0,0,10,20,1,-1,-1,-1\n2,1,0,0,10,20,1,-1,-1,-1\n"),
        ("s/a/det/det.txt", "1,-1,0,0,10,20,0.9,-1,-1,-1\n2,-1,90,0,10,20,0.4,-1,-1,-1\n"),
    ]);
    let output = in_dir(dir.path(), &["--task", "detection", "--truth", "s", "--results", "s"]);
    let expected = "\
sequence     AP   AP50   AP75  recall  precision  truth  detections
a         50.50  50.50  50.50   50.00     100.00      2           2
COMBINED  50.50  50.50  50.50   50.00     100.00      2           2
";
    assert_eq!(stdout(&output), expected, "{}", stderr(&output));
}

#[test]
fn two_sets_of_one_name_are_told_apart_by_path() {
    let dir = two_sequences();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let json =
        eval_json(["--truth".into(), path("truth"), "--results".into(), path("good/yard.txt"), path("lossy/yard.txt")]);
    let names: Vec<&str> = (0..2).map(|index| json["results"][index]["name"].as_str().unwrap()).collect();
    assert_eq!(names, [path("good/yard.txt"), path("lossy/yard.txt")]);
}

#[test]
fn a_refusal_says_what_is_wrong_and_ends_with_its_code() {
    let dir = two_sequences();
    fs::write(dir.path().join("lossy/gate.txt"), "1,4,0,0,10,20,1\n2,4,1,zero,10,20,1\n").unwrap();
    fs::write(dir.path().join("good/gate.txt"), "3,4,0,0,10,20,1\n").unwrap();
    fs::remove_file(dir.path().join("good/yard.txt")).unwrap();
    let truth = ["--truth", "truth", "--results"];
    let cases: [(&[&str], i32, &str); 11] = [
        (&["lossy"], 1, "gate.txt line 2, top: expected a number of at most 1e9 either way, got \"zero\""),
        (&["good"], 1, "no results for yard: expected"),
        (
            &["good", "--sequences", "gate"],
            1,
            "gate.txt line 1, frame: expected 1 to 2, the sequence's length, got \"3\"",
        ),
        (&["good", "--sequences", "gat"], 1, "--sequences gat: no such truth"),
        (&["missing"], 1, "missing: no such file or folder"),
        (&["lossy/notes.txt"], 1, "notes.txt: of which sequence? Name it SEQ.txt after one of gate, yard"),
        (
            &["lossy", "--task", "detection", "--errors", "e.csv"],
            2,
            "--errors lists the mistakes of --task tracking only",
        ),
        (&["lossy", "--min-score", "0.3"], 2, "--min-score belongs to --task detection"),
        (&["lossy", "--threshold", "1.5"], 2, "expected 0 to 1"),
        (&["lossy", "--format", "coco"], 2, "possible values: mot15, mot17, mot20"),
        (&[], 2, "--results"),
    ];
    for (args, code, message) in cases {
        let output = in_dir(dir.path(), &[&truth, args].concat());
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(message), "{args:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_folder_without_truth_is_refused() {
    let dir = two_sequences();
    let output = in_dir(dir.path(), &["--truth", "good", "--results", "good"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no truth there; expected"), "{}", stderr(&output));
}
