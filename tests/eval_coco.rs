//! `eyeline eval --task detection` gives COCO's average precision, as pycocotools computes it, to 1e-6.
//!
//! Recorded by `tests/golden/generate/record_coco_ap.py`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod evaluation;

use evaluation::{data, differences, eval_json};
use serde_json::{Map, Value};

/// Scores of pedestrians by sequence, COMBINED included.
fn scores(args: &[&str]) -> Value {
    let got = eval_json(["--task", "detection"].iter().chain(args));
    let got = &got["results"][0];
    let sequences = got["sequences"].as_object().unwrap().iter();
    let all = sequences.map(|(name, classes)| (name.clone(), classes["pedestrian"].clone()));
    let combined = ("COMBINED".to_owned(), got["combined"]["pedestrian"].clone());
    Value::Object(all.chain([combined]).collect::<Map<_, _>>())
}

mod eval_data {
    use super::*;

    fn path(name: &str) -> String {
        data().join(name).display().to_string()
    }

    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn average_precision_equals_pycocotools() {
        let recorded: Value = serde_json::from_str(include_str!("golden/coco_ap.json")).unwrap();
        let (mot15, mot17) = (path("mot15"), path("mot17_val_half"));
        let mut found = differences("mot15", &recorded["mot15"], &scores(&["--truth", &mot15, "--results", &mot15]));
        found += &differences("mot17", &recorded["mot17"], &scores(&["--truth", &mot17, "--results", &mot17]));
        for sequence in ["PETS09-S2L1", "TUD-Stadtmitte"] {
            let (truth, results) =
                (path(&format!("mot15/{sequence}")), path(&format!("mot15/{sequence}/det_yolox_nano/det.txt")));
            let got = scores(&["--truth", &truth, "--results", &results]);
            let name = format!("yolox_nano {sequence}");
            found += &differences(&name, &recorded["mot15_yolox_nano"][sequence], &got[sequence]);
        }
        assert!(found.is_empty(), "{found}");
    }

    /// REFERENCE.md: AP 0.889, and 0.910/0.783 at score 0.3, 0.883/0.935 at 0.6.
    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn yolox_nano_on_pets_scores_as_in_the_reference() {
        let (truth, results) = (path("mot15/PETS09-S2L1"), path("mot15/PETS09-S2L1/det_yolox_nano/det.txt"));
        for (min_score, recall, precision) in [("0.3", 0.910, 0.783), ("0.6", 0.883, 0.935)] {
            let got = scores(&["--truth", &truth, "--results", &results, "--min-score", min_score]);
            let got = &got["COMBINED"];
            for (name, expected) in [("AP50", 0.889), ("AP75", 0.254), ("recall", recall), ("precision", precision)] {
                let value = got[name].as_f64().unwrap();
                assert!((value - expected).abs() < 0.00051, "{name} at {min_score}: {value}, expected {expected}");
            }
        }
    }
}
