//! What the tests of `eyeline eval` share: the program, the evaluation material, comparison with recorded scores.

#![allow(dead_code, reason = "each test program uses its part")]

use serde_json::Value;
use std::{
    ffi::OsStr,
    path::PathBuf,
    process::{Command, Output},
};

/// Largest difference to a recorded score.
const TOLERANCE: f64 = 1e-6;

/// Runs `eyeline eval` with these arguments.
pub fn eval<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eyeline")).arg("eval").args(args).output().expect("the program starts")
}

/// As [`eval`] with `--json`, which must succeed.
pub fn eval_json<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Value {
    let args = args.into_iter().map(|arg| arg.as_ref().to_owned()).chain(["--json".into()]);
    let output = eval(args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON on stdout")
}

/// A number in 0..1 that only depends on its arguments; the generators under `golden/generate` have the same.
pub fn noise(frame: u64, id: i64, salt: u64) -> f64 {
    let mut h = frame
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add((id as u64).wrapping_mul(1_442_695_040_888_963_407))
        .wrapping_add(salt.wrapping_mul(3_935_559_000_370_003_845));
    h ^= h >> 33;
    h = h.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    h ^= h >> 33;
    (h >> 11) as f64 / 9_007_199_254_740_992.0
}

/// The evaluation material.
pub fn data() -> PathBuf {
    PathBuf::from(std::env::var_os("EYELINE_EVAL_DATA").expect("EYELINE_EVAL_DATA names the evaluation material"))
}

/// Every recorded number that the program does not give within the tolerance, one a line.
pub fn differences(name: &str, recorded: &Value, got: &Value) -> String {
    match recorded {
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| differences(&format!("{name} {key}"), value, &got[key])).collect()
        }
        Value::Array(values) => {
            let pairs = values.iter().enumerate();
            pairs.map(|(index, value)| differences(&format!("{name}[{index}]"), value, &got[index])).collect()
        }
        _ => match (recorded.as_f64(), got.as_f64()) {
            (Some(a), Some(b)) if (a - b).abs() <= TOLERANCE => String::new(),
            _ => format!("{name}: {got}, recorded {recorded}\n"),
        },
    }
}
