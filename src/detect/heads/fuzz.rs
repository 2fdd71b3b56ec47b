//! What every head is held to: whatever comes out of a network, the boxes are sound.

use super::{Head, Output, Wanted};
use crate::detect::ClassId;

/// Inputs each head is given.
const ROUNDS: usize = 100_000;

/// A small generator of repeatable numbers (Marsaglia 2003, xorshift64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Any float: all bit patterns, ordinary logits, probabilities, pixels, and the values that break formulas.
    fn hostile(&mut self) -> f32 {
        const SPECIAL: [f32; 10] =
            [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, f32::MIN_POSITIVE, 0.0, -0.0, 1.0, 88.8];
        let draw = self.next();
        let share = (draw >> 40) as f32 / (1 << 24) as f32;
        match draw % 8 {
            0 => f32::from_bits((draw >> 32) as u32),
            1 => SPECIAL[(draw >> 8) as usize % SPECIAL.len()],
            2 | 3 => share * 16.0 - 8.0,
            4 | 5 => share,
            _ => share * 600.0 - 50.0,
        }
    }
}

/// Gives a head hostile outputs of the shapes it decodes and of others.
pub(super) fn hammer(head: &dyn Head, shapes: &[&[usize]]) {
    assert!(head.fits(shapes), "{head:?} does not take {shapes:?}");
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut values: Vec<Vec<f32>> = shapes.iter().map(|shape| vec![0.0; shape.iter().product()]).collect();
    let classes: Vec<ClassId> = (0..head.classes() as u16).map(ClassId).collect();
    let classes: Vec<ClassId> = classes.into_iter().filter(|class| Some(*class) != head.background()).collect();
    let (mut out, mut seen) = (Vec::new(), 0);
    for round in 0..ROUNDS {
        values.iter_mut().flatten().for_each(|value| *value = numbers.hostile());
        let wanted = Wanted { min_score: [0.0, 0.25, 1.0][round % 3], classes: classes.clone() };
        let outputs: Vec<_> =
            shapes.iter().zip(&values).map(|(shape, values)| Output::new(shape, values).unwrap()).collect();
        out.clear();
        head.read(&outputs, &wanted, &mut out);
        seen += out.len();
        for detection in &out {
            let sound = detection.bbox.is_sound() && (wanted.min_score..=1.0).contains(&detection.score);
            assert!(sound && classes.contains(&detection.class), "{detection:?} of {values:?}");
        }
    }
    assert!(seen > 0, "nothing was ever found");
    misfits(head, shapes, &mut numbers);
}

/// Outputs of other shapes are refused, and read as nothing.
fn misfits(head: &dyn Head, shapes: &[&[usize]], numbers: &mut Numbers) {
    let wanted = Wanted { min_score: 0.0, classes: (0..200).map(ClassId).collect() };
    for _ in 0..2000 {
        let mut other: Vec<Vec<usize>> = shapes.iter().map(|shape| shape.to_vec()).collect();
        let which = numbers.next() as usize % other.len();
        match numbers.next() % 4 {
            0 => drop(other.remove(which)),
            1 => other.push(vec![numbers.next() as usize % 4]),
            2 => other[which].push(numbers.next() as usize % 3),
            _ => {
                let axis = numbers.next() as usize % other[which].len();
                other[which][axis] = numbers.next() as usize % 12;
            }
        }
        let values: Vec<Vec<f32>> =
            other.iter().map(|shape| (0..shape.iter().product()).map(|_| numbers.hostile()).collect()).collect();
        let outputs: Vec<_> =
            other.iter().zip(&values).map(|(shape, values)| Output::new(shape, values).unwrap()).collect();
        let borrowed: Vec<&[usize]> = other.iter().map(Vec::as_slice).collect();
        let mut out = Vec::new();
        head.read(&outputs, &wanted, &mut out);
        assert!(head.fits(&borrowed) || out.is_empty(), "{other:?}");
    }
}
