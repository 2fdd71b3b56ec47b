//! SSD: offsets and scores, and where the prior boxes come from.

use super::{Choice, Facts, choice};
use crate::{
    config::zoo::{HeadSpec, OffsetOrder, Priors, ScoreKind},
    detect::heads::{
        Scores,
        ssd::{Offsets, Prior, SsdHead, SsdScores, VARIANCES, tensorflow_priors},
    },
};

/// Offsets and scores of an SSD with its priors.
struct Found {
    boxes: usize,
    scores: usize,
    classes: usize,
    priors: Vec<Prior>,
    variances: (f32, f32),
    whence: &'static str,
}

/// Priors an output of the graph holds.
struct FromGraph {
    priors: Vec<Prior>,
    variances: (f32, f32),
    whence: &'static str,
}

pub(super) fn ssd(facts: &Facts<'_>) -> Option<Choice> {
    let spec = match facts.spec {
        Some(HeadSpec::Ssd { priors, scores, offsets }) => Some((*priors, *scores, *offsets)),
        _ => None,
    };
    let found = with_priors_of_the_graph(facts, spec.map(|(priors, _, offsets)| (priors, offsets)))
        .or_else(|| with_other_priors(facts, spec.map(|(priors, ..)| priors)))?;
    let Found { boxes, scores, classes, priors, variances, whence } = found;
    let is_probable = || facts.outputs[scores].values().iter().all(|value| (0.0..=1.0).contains(value));
    let guessed = || if is_probable() { ScoreKind::Probability } else { ScoreKind::Softmax };
    let kind = spec.map_or_else(guessed, |(_, kind, _)| kind);
    // Priors in a graph are Caffe's way, which writes x first.
    let usual = if whence == TENSORFLOW || whence == BESIDE { OffsetOrder::Yxhw } else { OffsetOrder::Xywh };
    let reason = format!("{} boxes and scores for as many priors, {whence}", priors.len());
    let head = SsdHead {
        priors,
        variances,
        offsets: match spec.map_or(usual, |(.., offsets)| offsets) {
            OffsetOrder::Yxhw => Offsets::YxHw,
            OffsetOrder::Xywh => Offsets::XyWh,
        },
        scores: match kind {
            ScoreKind::Probability => SsdScores::Independent(Scores::Probability),
            ScoreKind::Sigmoid => SsdScores::Independent(Scores::Logit),
            ScoreKind::Softmax => SsdScores::Softmax,
        },
        classes,
        input: facts.input,
    };
    choice(head, vec![boxes, scores], reason)
}

const TENSORFLOW: &str = "generated as TensorFlow does";
const BESIDE: &str = "that came with the model";

fn with_other_priors(facts: &Facts<'_>, spec: Option<Priors>) -> Option<Found> {
    let (boxes, scores, count, classes) = facts.pair()?;
    let maps = |stride: u32| facts.input.width.div_ceil(stride) as usize;
    let generated = || tensorflow_priors(&[16, 32, 64, 128, 256].map(maps).into_iter().chain([1]).collect::<Vec<_>>());
    let is_given = facts.priors.is_some_and(|priors| priors.len() == count);
    let (priors, whence) = match (facts.priors, spec) {
        (Some(priors), None | Some(Priors::File)) if is_given => (priors.to_vec(), BESIDE),
        (None, None) | (_, Some(Priors::Tensorflow)) => (generated(), TENSORFLOW),
        _ => return None,
    };
    (priors.len() == count).then_some(Found { boxes, scores, classes, priors, variances: VARIANCES, whence })
}

/// Three outputs: offsets, scores, and priors, which are the same for every picture.
fn with_priors_of_the_graph(facts: &Facts<'_>, spec: Option<(Priors, OffsetOrder)>) -> Option<Found> {
    if facts.outputs.len() != 3 || spec.is_some_and(|(priors, _)| priors != Priors::Graph) {
        return None;
    }
    // Exporters write them last; offsets could be taken for them.
    (0..3).rev().find_map(|index| {
        let FromGraph { priors, variances, whence } = priors_of(facts, index, spec.map(|(_, offsets)| offsets))?;
        let rest = [(index + 1) % 3, (index + 2) % 3];
        let sizes = rest.map(|rest| facts.outputs[rest].values().len());
        // Of two outputs with four numbers a prior the first in the file are the offsets.
        let (boxes, scores) = match (rest[0] < rest[1], sizes.map(|size| size == 4 * priors.len())) {
            (true, [true, _]) | (false, [true, false]) => (rest[0], rest[1]),
            (_, [_, true]) => (rest[1], rest[0]),
            _ => return None,
        };
        let count = facts.outputs[scores].values().len();
        let classes = count / priors.len();
        let sound = classes >= 2 && classes * priors.len() == count && facts.is_classes(classes);
        sound.then_some(Found { boxes, scores, classes, priors, variances, whence })
    })
}

/// The priors in output `index`: (2, 4 · priors), corners above variances, as Caffe has them; (priors, 8), centre, size and
/// variances, as Keras has them; or, where somebody says that they are there, (priors, 4) in the order of the offsets, corners
/// or centre and size, whichever they can be.
fn priors_of(facts: &Facts<'_>, index: usize, stated: Option<OffsetOrder>) -> Option<FromGraph> {
    let output = facts.outputs[index];
    let rows = |values: &[f32]| -> Vec<[f32; 4]> { values.chunks_exact(4).map(|v| [v[0], v[1], v[2], v[3]]).collect() };
    let (boxes, variances, whence) = match *output.shape {
        [2, numbers] if numbers > 4 && numbers % 4 == 0 => {
            let (boxes, variances) = output.values().split_at(numbers);
            (rows(boxes), rows(variances), "corners of the graph, as Caffe has them")
        }
        [count, 8] if count > 0 => {
            let both = rows(output.values());
            let of = |first: usize| both.iter().skip(first).step_by(2).copied().collect();
            (of(0), of(1), "centres and sizes of the graph, as Keras has them")
        }
        [count, 4] if count > 0 && stated.is_some() => (rows(output.values()), Vec::new(), "of the graph"),
        _ => return None,
    };
    let boxes: Vec<[f32; 4]> = match stated {
        Some(OffsetOrder::Yxhw) => boxes.into_iter().map(|[a, b, c, d]| [b, a, d, c]).collect(),
        _ => boxes,
    };
    let are_corners = || boxes.iter().all(|[left, top, right, bottom]| left < right && top < bottom);
    let is_corners = match *output.shape {
        [_, 4] => are_corners(),
        [2, _] => true,
        _ => false,
    };
    let prior = if is_corners { prior_from_corners } else { prior_from_centre };
    let priors: Vec<Prior> = boxes.into_iter().map(prior).collect();
    // Shares of the input, a little more at its border.
    let is_sound = |prior: &Prior| {
        let within = |value: f32| (-1.0..=2.0).contains(&value);
        within(prior.cx)
            && within(prior.cy)
            && prior.width > 0.0
            && prior.height > 0.0
            && prior.width.max(prior.height) <= 4.0
    };
    let variances = common_variances(&variances)?;
    priors.iter().all(is_sound).then_some(FromGraph { priors, variances, whence })
}

fn prior_from_corners([left, top, right, bottom]: [f32; 4]) -> Prior {
    Prior { cx: (left + right) / 2.0, cy: (top + bottom) / 2.0, width: right - left, height: bottom - top }
}

fn prior_from_centre([cx, cy, width, height]: [f32; 4]) -> Prior {
    Prior { cx, cy, width, height }
}

/// The variances of centres and of sizes, where they are the same for all priors; the usual ones where there are none.
fn common_variances(rows: &[[f32; 4]]) -> Option<(f32, f32)> {
    let Some(&first) = rows.first() else { return Some(VARIANCES) };
    let [x, y, width, height] = first;
    let sound = x == y && width == height && x > 0.0 && width > 0.0 && x.max(width) <= 1.0;
    (sound && rows.iter().all(|row| *row == first)).then_some((x, width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{detect::heads::Output, frame::ImageSize};

    /// Offsets of two priors, scores of three classes, and these priors, in this order of outputs.
    fn found(order: [usize; 3], shape: &[usize], priors: &[f32], spec: Option<&HeadSpec>) -> Option<Choice> {
        let (offsets, scores) = ([0.5; 8], [0.1, 0.7, 0.2, 0.8, 0.1, 0.1]);
        let all: [(&[usize], &[f32]); 3] = [(&[2, 4], &offsets), (&[2, 3], &scores), (shape, priors)];
        let outputs = order.map(|index| Output::new(all[index].0, all[index].1).unwrap());
        let input = ImageSize { width: 100, height: 100 };
        ssd(&Facts { outputs: &outputs, input, spec, classes: None, varies: false, priors: None })
    }

    const CORNERS: [f32; 8] = [0.1, 0.2, 0.3, 0.6, -0.1, 0.0, 0.5, 0.2];
    const CENTRES: [f32; 8] = [0.2, 0.4, 0.2, 0.4, 0.2, 0.1, 0.6, 0.2];
    const FACTORS: [f32; 8] = [0.1, 0.1, 0.25, 0.25, 0.1, 0.1, 0.25, 0.25];

    fn stated(offsets: OffsetOrder) -> HeadSpec {
        HeadSpec::Ssd { priors: Priors::Graph, scores: ScoreKind::Probability, offsets }
    }

    #[test]
    fn priors_are_read_from_the_graph() {
        let caffe = [CORNERS, FACTORS].concat();
        let swapped: Vec<f32> = CORNERS.chunks_exact(4).flat_map(|v| [v[1], v[0], v[3], v[2]]).collect();
        let (xywh, yxhw) = (stated(OffsetOrder::Xywh), stated(OffsetOrder::Yxhw));
        let cases: [(&[usize], &[f32], Option<&HeadSpec>, &str); 5] = [
            (&[2, 8], &caffe, None, "(0.1, 0.25), offsets: XyWh"),
            (&[2, 8], &caffe, Some(&xywh), "(0.1, 0.25), offsets: XyWh"),
            (&[2, 4], &CORNERS, Some(&xywh), "(0.1, 0.2), offsets: XyWh"),
            (&[2, 4], &CENTRES, Some(&xywh), "(0.1, 0.2), offsets: XyWh"),
            (&[2, 4], &swapped, Some(&yxhw), "(0.1, 0.2), offsets: YxHw"),
        ];
        for (index, (shape, priors, spec, expected)) in cases.into_iter().enumerate() {
            let choice = found([0, 1, 2], shape, priors, spec).unwrap();
            let text = format!("{:?}", choice.head);
            assert!(text.contains(&format!("variances: {expected}")), "case {index}: {text}");
            assert!(text.contains("cx: 0.2, cy: 0.4") && text.contains("cx: 0.2, cy: 0.1"), "case {index}: {text}");
            assert_eq!(choice.outputs, [0, 1]);
        }
        let choice = found([1, 2, 0], &[2, 8], &caffe, None).unwrap();
        assert_eq!(choice.outputs, [2, 0]);
    }

    #[test]
    fn centres_and_variances_of_a_prior_may_lie_side_by_side() {
        let keras = [&CENTRES[..4], &FACTORS[..4]].concat().repeat(3);
        let outputs = [Output::new(&[3, 8], &keras).unwrap()];
        let input = ImageSize { width: 100, height: 100 };
        let facts = Facts { outputs: &outputs, input, spec: None, classes: None, varies: false, priors: None };
        let found = priors_of(&facts, 0, None).unwrap();
        assert_eq!(found.variances, (0.1, 0.25));
        assert_eq!(found.priors, [Prior { cx: 0.2, cy: 0.4, width: 0.2, height: 0.4 }; 3]);
    }

    #[test]
    fn what_cannot_be_priors_is_refused() {
        let mut other = [CORNERS, FACTORS].concat();
        other[12] = 0.3;
        let upside_down = [[0.3, 0.2, 0.1, 0.6, -0.1, 0.0, 0.5, 0.2], FACTORS].concat();
        let nan = [[f32::NAN; 8], FACTORS].concat();
        for priors in [other, upside_down, nan] {
            assert!(found([0, 1, 2], &[2, 8], &priors, None).is_none(), "{priors:?}");
        }
        // Four numbers a prior may be anything as long as nobody says so.
        assert!(found([0, 1, 2], &[2, 4], &CORNERS, None).is_none());
    }
}
