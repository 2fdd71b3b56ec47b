//! Reads a Darknet `.weights` file: a header, then bare little-endian floats in the order of the cfg's convolutions.
//!
//! Nothing in the file says what it belongs to, so its length is the only check that it fits the cfg; it is made exactly.

use super::cfg::{Cfg, Conv};
use crate::torch::{BatchNorm, FoldedConv};

/// Added to a variance. Source: Darknet's CUDA kernels, with which the published weights were trained.
const EPSILON: f32 = 1e-5;

/// Why a weights file does not fill a cfg.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    /// Too short to hold even the header.
    #[error("{0} bytes, too short for a Darknet weights file")]
    NoHeader(usize),
    /// The file ends early.
    #[error("{missing} of {expected} floats are missing: the file is truncated or belongs to another cfg")]
    Missing {
        /// Floats the cfg needs.
        expected: usize,
        /// How many of them are not there.
        missing: usize,
    },
    /// The file goes on.
    #[error("{left} bytes are left over after {expected} floats: the file belongs to another cfg")]
    LeftOver {
        /// Floats the cfg needs.
        expected: usize,
        /// Bytes after them.
        left: usize,
    },
    /// The cfg asks for more than any file could hold.
    #[error("the cfg needs more floats than can be counted")]
    TooMany,
    /// Weights that no training leaves.
    #[error("{count} weights of the convolution in line {line} of the cfg are not finite: the file is damaged")]
    NotFinite {
        /// Line of the section.
        line: usize,
        /// How many.
        count: usize,
    },
}

/// The weights of every convolution of `cfg`, in order, batch normalization folded in.
pub fn folded(cfg: &Cfg, bytes: &[u8]) -> Result<Vec<FoldedConv>, WeightsError> {
    let mut floats = checked_body(cfg, bytes)?.chunks_exact(4).map(le_float);
    let mut take = |count: usize| -> Vec<f32> { floats.by_ref().take(count).collect() };
    let mut convolutions = Vec::new();
    for (layer, conv) in cfg.convolutions() {
        let shape = [conv.filters, conv.inputs / conv.groups, conv.size, conv.size];
        let weights_in = shape.iter().product();
        let shift = take(conv.filters);
        let folded = if conv.batch_normalize {
            let (scale, mean, variance) = (take(conv.filters), take(conv.filters), take(conv.filters));
            let norm = BatchNorm { scale: &scale, shift: &shift, mean: &mean, variance: &variance, epsilon: EPSILON };
            FoldedConv::fold(shape, take(weights_in), &norm)
        } else {
            FoldedConv { shape, weights: take(weights_in), biases: shift }
        };
        match folded.count_not_finite() {
            0 => convolutions.push(folded),
            count => return Err(WeightsError::NotFinite { line: layer.line, count }),
        }
    }
    Ok(convolutions)
}

/// The floats after the header, once it is certain that they are as many as the cfg needs.
fn checked_body<'a>(cfg: &Cfg, bytes: &'a [u8]) -> Result<&'a [u8], WeightsError> {
    let header = header_bytes(bytes).ok_or(WeightsError::NoHeader(bytes.len()))?;
    let body = bytes.get(header..).ok_or(WeightsError::NoHeader(bytes.len()))?;
    let expected = cfg
        .convolutions()
        .map(|(_, conv)| floats_of(conv))
        .try_fold(0usize, |sum, count| sum.checked_add(count?))
        .ok_or(WeightsError::TooMany)?;
    let expected_bytes = expected.checked_mul(4).ok_or(WeightsError::TooMany)?;
    if body.len() < expected_bytes {
        return Err(WeightsError::Missing { expected, missing: expected - body.len() / 4 });
    }
    if body.len() > expected_bytes {
        return Err(WeightsError::LeftOver { expected, left: body.len() - expected_bytes });
    }
    Ok(body)
}

/// Major, minor, revision and the count of images seen in training, which grew to 64 bits with version 0.2.
fn header_bytes(bytes: &[u8]) -> Option<usize> {
    let field = |index: usize| Some(i32::from_le_bytes(bytes.get(4 * index..4 * index + 4)?.try_into().ok()?));
    let (major, minor) = (i64::from(field(0)?), i64::from(field(1)?));
    let wide = major * 10 + minor >= 2 && major < 1000 && minor < 1000;
    Some(if wide { 20 } else { 16 })
}

fn floats_of(conv: &Conv) -> Option<usize> {
    let kernel = (conv.inputs / conv.groups).checked_mul(conv.size)?.checked_mul(conv.size)?;
    let per_filter = if conv.batch_normalize { 4 } else { 1 };
    conv.filters.checked_mul(kernel.checked_add(per_filter)?)
}

fn le_float(bytes: &[u8]) -> f32 {
    f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One normalized 1x1 convolution of 3 to 2 channels, then a plain one to the 6 channels of a one-class head.
    const CFG: &str = "[net]\nwidth=4\nheight=4\n[convolutional]\nbatch_normalize=1\nfilters=2\nsize=1\nactivation=leaky\n\
        [convolutional]\nfilters=6\nsize=1\nactivation=linear\n[yolo]\nmask=0\nanchors=1,1\nclasses=1\n";

    fn cfg() -> Cfg {
        Cfg::parse(CFG, None).unwrap()
    }

    fn file(minor: i32, floats: &[f32]) -> Vec<u8> {
        let mut bytes: Vec<u8> = [0, minor, 0].iter().flat_map(|field: &i32| field.to_le_bytes()).collect();
        bytes.extend(std::iter::repeat_n(7, if minor >= 2 { 8 } else { 4 }));
        bytes.extend(floats.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    }

    /// Shifts, scales, means, variances, weights; biases, weights.
    fn floats() -> Vec<f32> {
        let first = [0.5, -0.5, 2.0, 4.0, 1.0, 2.0, 1.0 - EPSILON, 4.0 - EPSILON];
        [&first[..], &[1.0; 6], &[0.25; 6], &[3.0; 12]].concat()
    }

    #[test]
    fn both_header_versions_hold_the_same_network() {
        for minor in [1, 2, 5] {
            let layers = folded(&cfg(), &file(minor, &floats())).unwrap();
            assert_eq!(layers[0].shape, [2, 3, 1, 1]);
            assert_eq!(layers[0].weights, [2.0, 2.0, 2.0, 2.0, 2.0, 2.0]);
            assert_eq!(layers[0].biases, [0.5 - 2.0, -0.5 - 4.0]);
            assert_eq!((layers[1].weights.as_slice(), layers[1].biases.as_slice()), (&[3.0; 12][..], &[0.25; 6][..]));
        }
    }

    #[test]
    fn a_file_of_another_length_is_refused_with_the_difference() {
        let whole = file(2, &floats());
        let load = |bytes: &[u8]| folded(&cfg(), bytes).unwrap_err();
        assert_eq!(load(&whole[..whole.len() - 4]), WeightsError::Missing { expected: 32, missing: 1 });
        assert_eq!(load(&whole[..whole.len() - 5]), WeightsError::Missing { expected: 32, missing: 2 });
        assert_eq!(load(&whole[..20]), WeightsError::Missing { expected: 32, missing: 32 });
        assert_eq!(load(&whole[..19]), WeightsError::NoHeader(19));
        assert_eq!(load(&[]), WeightsError::NoHeader(0));
        let longer = [&whole[..], &[0; 9]].concat();
        assert_eq!(load(&longer), WeightsError::LeftOver { expected: 32, left: 9 });
    }

    #[test]
    fn weights_that_are_not_finite_are_refused_with_their_layer() {
        for (position, line) in [(0, 4), (6, 4), (13, 4), (20, 9)] {
            let mut damaged = floats();
            damaged[position] = f32::NAN;
            let error = folded(&cfg(), &file(2, &damaged)).unwrap_err();
            assert!(matches!(error, WeightsError::NotFinite { line: at, .. } if at == line), "{position}: {error}");
        }
    }
}
