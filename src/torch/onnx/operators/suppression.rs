//! Non-maximum suppression inside a graph.

use super::{Inputs, Node, Operation, Table, fault, one, scalar_of};
use crate::torch::runtime::TorchError;
use tch::{Kind, Tensor};

pub(super) const TABLE: Table = &[("NonMaxSuppression", non_max_suppression)];

/// Operators that give as many values as they find.
pub(in crate::torch::onnx) const COUNTING: [&str; 2] = ["NonMaxSuppression", "NonZero"];

/// Corners: left, top, right, bottom (or the same with rows and columns exchanged, which overlap alike).
type Corners = [f32; 4];

/// How a node suppresses.
#[derive(Clone, Copy)]
struct Limits {
    /// Boxes kept of a class.
    most: usize,
    max_iou: f32,
    /// Scores must be above.
    above: Option<f32>,
}

/// Gives (kept, 3): picture, class, box; the best of a class first.
fn non_max_suppression(node: &Node<'_>) -> Result<Operation, String> {
    let is_centred = node.attributes.flag("center_point_box")?;
    one(move |inputs| {
        let (boxes, scores) = (inputs.at(0)?, inputs.at(1)?);
        let (&[pictures, count, 4], &[score_pictures, classes, scored]) = (&boxes.size()[..], &scores.size()[..])
        else {
            return Err(fault(format!("boxes {:?}, scores {:?}", boxes.size(), scores.size())));
        };
        if (pictures, count) != (score_pictures, scored) {
            return Err(fault(format!("boxes {:?}, scores {:?}", boxes.size(), scores.size())));
        }
        let limits = limits(inputs)?;
        let (boxes, scores) = (on_host(boxes)?, on_host(scores)?);
        let corners: Vec<Corners> = boxes.chunks_exact(4).map(|values| corners(values, is_centred)).collect();
        let count = count as usize;
        let mut kept = Vec::new();
        for picture in 0..pictures as usize {
            for class in 0..classes as usize {
                let scores = &scores[(picture * classes as usize + class) * count..][..count];
                let best = suppressed(&corners[picture * count..][..count], scores, limits);
                kept.extend(best.into_iter().flat_map(|of| [picture as i64, class as i64, of as i64]));
            }
        }
        Ok(Tensor::f_from_slice(&kept)?.f_reshape([-1, 3])?.f_to_device(inputs.at(0)?.device())?)
    })
}

fn limits(inputs: &Inputs<'_>) -> Result<Limits, TorchError> {
    let number = |index: usize| inputs.optional(index).map(scalar_of).transpose();
    Ok(Limits {
        most: number(2)?.map_or(0, |most| most.clamp(0.0, f64::from(u32::MAX)) as usize),
        max_iou: number(3)?.unwrap_or(0.0) as f32,
        above: number(4)?.map(|above| above as f32),
    })
}

fn on_host(values: &Tensor) -> Result<Vec<f32>, TorchError> {
    let flat = values.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?.f_reshape([-1])?;
    Ok(Vec::try_from(&flat)?)
}

/// The corners of a box given by any two opposite ones, or by centre and size.
fn corners(values: &[f32], is_centred: bool) -> Corners {
    let [a, b, c, d] = [values[0], values[1], values[2], values[3]];
    if is_centred {
        return [a - c / 2.0, b - d / 2.0, a + c / 2.0, b + d / 2.0];
    }
    [a.min(c), b.min(d), a.max(c), b.max(d)]
}

/// The boxes that stay, the best first.
fn suppressed(boxes: &[Corners], scores: &[f32], limits: Limits) -> Vec<usize> {
    let is_wanted = |of: &usize| !scores[*of].is_nan() && limits.above.is_none_or(|above| scores[*of] > above);
    let mut ranked: Vec<usize> = (0..boxes.len()).filter(is_wanted).collect();
    ranked.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut kept: Vec<usize> = Vec::new();
    for of in ranked {
        if kept.len() >= limits.most {
            break;
        }
        if kept.iter().all(|&better| iou(&boxes[better], &boxes[of]) <= limits.max_iou) {
            kept.push(of);
        }
    }
    kept
}

/// Nothing where either has no area.
fn iou(a: &Corners, b: &Corners) -> f32 {
    let area = |of: &Corners| (of[2] - of[0]) * (of[3] - of[1]);
    let both = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0) * (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    if both > 0.0 { both / (area(a) + area(b) - both) } else { 0.0 }
}
