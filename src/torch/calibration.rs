//! Ranges of the values a network computes, found by running it on frames of the user's own video, and the file that keeps
//! them beside the model. Knows nothing of libtorch.

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Values from `low` to `high`; what lies outside is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f32; 2]", into = "[f32; 2]")]
pub struct Range {
    /// The least.
    pub low: f32,
    /// The largest.
    pub high: f32,
}

impl From<[f32; 2]> for Range {
    fn from([low, high]: [f32; 2]) -> Self {
        Self { low, high }
    }
}

impl From<Range> for [f32; 2] {
    fn from(range: Range) -> Self {
        [range.low, range.high]
    }
}

impl Range {
    /// The range that holds both.
    pub fn joined(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }
}

/// What `eyeline models quantize` writes beside a model, `NAME.int8.yml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Version of the program that made it.
    pub eyeline: String,
    /// sha256 of the model it belongs to.
    pub sha256: String,
    /// Size of the network's input when it was made.
    pub input: String,
    /// How many frames were looked at.
    pub frames: usize,
    /// By the name of the value or, for Darknet, the number of the layer: what each convolution in bytes reads.
    pub ranges: BTreeMap<String, Range>,
}

/// No network has more convolutions.
const MAX_BYTES: u64 = 16 << 20;

impl Calibration {
    /// Where the calibration of a model lies.
    pub fn beside(model: &Path) -> PathBuf {
        model.with_extension("int8.yml")
    }

    /// Reads the calibration of a model and makes sure that it belongs to this very file. Errors are sentences that say what
    /// to run.
    pub fn read(model: &Path, sha256: &str) -> Result<Self, String> {
        let path = Self::beside(model);
        let (name, remedy) = (path.display(), format!("eyeline models quantize {} --video FILE", model.display()));
        if !path.is_file() {
            return Err(format!("precision int8 needs {name}; make it with `{remedy}`"));
        }
        let size = fs::metadata(&path).map_or(0, |meta| meta.len());
        if size > MAX_BYTES {
            return Err(format!("{name} has {size} bytes, a calibration at most {MAX_BYTES}"));
        }
        let text = fs::read_to_string(&path).map_err(|error| format!("{name} cannot be read: {error}"))?;
        let found: Self = serde_yaml::from_str(&text).map_err(|error| format!("{name}: {error}; run `{remedy}`"))?;
        if found.sha256 != sha256 {
            let got = &found.sha256;
            return Err(format!(
                "{name} was made for another file (sha256 {got}, this one has {sha256}); run `{remedy}`"
            ));
        }
        let is_sound = |range: &Range| range.low.is_finite() && range.high.is_finite() && range.low <= range.high;
        match found.ranges.iter().find(|(_, range)| !is_sound(range)) {
            Some((value, range)) => Err(format!("{name}: the range of {value:?} is {range:?}; run `{remedy}`")),
            None => Ok(found),
        }
    }

    /// The file's text.
    pub fn to_yaml(&self) -> Result<String, serde_yaml::Error> {
        let header =
            "# Made by `eyeline models quantize`: ranges of the values that convolutions read, for precision int8.\n";
        Ok(header.to_owned() + &serde_yaml::to_string(self)?)
    }
}

/// Bins of a histogram: enough that a range cut to a byte's 256 steps is told from its neighbours.
const BINS: usize = 4096;

/// How often which values were seen; grows with them.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// From `-reach` to `reach`.
    counts: Vec<u64>,
    reach: f32,
    low: f32,
    high: f32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BINS], reach: f32::MIN_POSITIVE, low: 0.0, high: 0.0 }
    }
}

impl Histogram {
    /// Counts values; what is not finite is left out.
    pub fn add(&mut self, values: &[f32]) {
        let (mut low, mut high) = (self.low, self.high);
        for &value in values {
            // What is not a number is neither.
            low = if value < low && value != f32::NEG_INFINITY { value } else { low };
            high = if value > high && value != f32::INFINITY { value } else { high };
        }
        (self.low, self.high) = (low, high);
        self.grow(high.max(-low));
        let per_bin = (BINS / 2) as f32 / self.reach;
        for &value in values {
            if value.is_finite() {
                let bin = (value * per_bin + (BINS / 2) as f32) as usize;
                self.counts[bin.min(BINS - 1)] += 1;
            }
        }
    }

    /// Doubles the reach until it holds `largest`.
    fn grow(&mut self, largest: f32) {
        if self.counts.iter().all(|count| *count == 0) {
            self.reach = largest.max(f32::MIN_POSITIVE);
        }
        while self.reach < largest {
            let mut wider = vec![0; BINS];
            for (bin, count) in self.counts.iter().enumerate() {
                wider[BINS / 4 + bin / 2] += count;
            }
            self.counts = wider;
            self.reach *= 2.0;
        }
    }

    /// The least and the largest value seen, and 0.
    pub fn extremes(&self) -> Range {
        Range { low: self.low, high: self.high }
    }

    /// The range whose 256 steps lose least of the values seen, in the mean of squares: far and rare values are cut off
    /// where finer steps for all others are worth more.
    pub fn range(&self) -> Range {
        let whole = self.extremes();
        let cut = |part: i32| part as f32 / 50.0;
        let mut best = whole;
        let mut least = self.loss(whole);
        // One end, then the other: they hardly depend on each other.
        for part in 10..50 {
            let tried = Range { high: whole.high * cut(part), ..whole };
            let loss = self.loss(tried);
            if loss < least {
                (best, least) = (tried, loss);
            }
        }
        let high = best.high;
        for part in 10..50 {
            let tried = Range { low: whole.low * cut(part), high };
            let loss = self.loss(tried);
            if loss < least {
                (best, least) = (tried, loss);
            }
        }
        best
    }

    /// Sum of squared errors: those of rounding, a twelfth of a step's square each, inside; the distance outside.
    fn loss(&self, range: Range) -> f64 {
        let step = f64::from(range.high - range.low) / 255.0;
        let inside = step * step / 12.0;
        let width = f64::from(self.reach) / (BINS / 2) as f64;
        let loss = |(bin, count): (usize, &u64)| {
            let value = (bin as f64 + 0.5) * width - f64::from(self.reach);
            let beyond = (value - f64::from(range.high)).max(f64::from(range.low) - value).max(0.0);
            *count as f64 * if beyond > 0.0 { beyond * beyond } else { inside }
        };
        self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(loss).sum()
    }
}

/// Histograms of all values of a network, by name.
#[derive(Clone, Debug, Default)]
pub struct Observed(BTreeMap<String, Histogram>);

impl Observed {
    /// Counts the values of one tensor.
    pub fn add(&mut self, name: &str, values: &[f32]) {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), Histogram::default());
        }
        if let Some(histogram) = self.0.get_mut(name) {
            histogram.add(values);
        }
    }

    /// The range of each.
    pub fn ranges(&self) -> BTreeMap<String, Range> {
        self.0.iter().map(|(name, histogram)| (name.clone(), histogram.range())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_what_was_seen_in_any_order() {
        let mut histogram = Histogram::default();
        for values in [&[0.0, 0.0][..], &[0.01, -0.02], &[f32::NAN, f32::INFINITY], &[3.0, -1.0], &[]] {
            histogram.add(values);
        }
        assert_eq!(histogram.extremes(), Range { low: -1.0, high: 3.0 });
        assert_eq!(histogram.counts.iter().sum::<u64>(), 6);
        let even: Vec<f32> = (-100..=300).map(|i| i as f32 / 100.0).collect();
        histogram.add(&even);
        assert_eq!(histogram.range(), Range { low: -1.0, high: 3.0 }, "even values are worth the whole range");
        assert_eq!(Histogram::default().range(), Range { low: 0.0, high: 0.0 });
    }

    #[test]
    fn a_rare_outlier_is_cut_off() {
        let mut histogram = Histogram::default();
        let usual: Vec<f32> = (0..200_000).map(|i| (i % 1000) as f32 / 1000.0).collect();
        histogram.add(&usual);
        histogram.add(&[10.0]);
        let range = histogram.range();
        assert!(range.high < 10.0 && range.high >= 1.0, "{range:?}");
        histogram.add(&[10.0; 20_000]);
        assert_eq!(histogram.range().high, 10.0, "what is not rare stays");
    }

    #[test]
    fn a_calibration_is_read_back_for_its_own_model_only() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("net.onnx");
        let missing = Calibration::read(&model, "ab").unwrap_err();
        assert!(missing.contains("net.int8.yml; make it with `eyeline models quantize "), "{missing}");
        let mut calibration = Calibration {
            eyeline: "1".into(),
            sha256: "ab".into(),
            input: "416x416".into(),
            frames: 3,
            ranges: BTreeMap::from([("a/Conv:0".to_owned(), Range { low: -0.25, high: 7.5 })]),
        };
        let write = |calibration: &Calibration| {
            fs::write(dir.path().join("net.int8.yml"), calibration.to_yaml().unwrap()).unwrap();
        };
        write(&calibration);
        assert_eq!(Calibration::read(&model, "ab").unwrap(), calibration);
        let other = Calibration::read(&model, "cd").unwrap_err();
        assert!(other.contains("made for another file (sha256 ab, this one has cd)"), "{other}");
        calibration.ranges.insert("b".into(), Range { low: 1.0, high: f32::NAN });
        write(&calibration);
        assert!(Calibration::read(&model, "ab").unwrap_err().contains("the range of \"b\""));
        fs::write(dir.path().join("net.int8.yml"), "ranges: 3").unwrap();
        assert!(Calibration::read(&model, "ab").unwrap_err().contains("net.int8.yml: "));
    }
}
