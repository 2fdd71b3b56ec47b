//! Tables of grey levels: exact ones that move slowly, and the bytes that are applied.

use std::array;

/// What becomes of each grey level of each colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table(pub Box<[[u8; 256]; 3]>);

impl Table {
    pub fn identity() -> Self {
        Self(Box::new([array::from_fn(|level| level as u8); 3]))
    }

    pub fn is_identity(&self) -> bool {
        self.0.iter().all(|curve| curve.iter().enumerate().all(|(level, &becomes)| usize::from(becomes) == level))
    }

    /// Looks up every byte of a row of red, green, blue.
    pub fn apply(&self, row: &mut [u8]) {
        let [red, green, blue] = &*self.0;
        let (pixels, _) = row.as_chunks_mut::<3>();
        for pixel in pixels {
            *pixel = [red[usize::from(pixel[0])], green[usize::from(pixel[1])], blue[usize::from(pixel[2])]];
        }
    }
}

/// The same in fractions of a level, never falling.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Curves(Box<[[f32; 256]; 3]>);

impl Curves {
    pub fn identity() -> Self {
        Self(Box::new([array::from_fn(|level| level as f32); 3]))
    }

    /// x -> 255 · ((x - black) / (white - black) · gain)^gamma, within 0..=255; exactly x where that is asked for.
    pub fn new(black: f32, white: f32, gamma: f32, gains: [f32; 3]) -> Self {
        let curve = |gain: f32| {
            array::from_fn(|level| {
                if (black, white, gamma, gain) == (0.0, 255.0, 1.0, 1.0) {
                    return level as f32;
                }
                let stretched = ((level as f32 - black) / (white - black) * gain).clamp(0.0, 1.0);
                255.0 * stretched.powf(gamma)
            })
        };
        Self(Box::new(gains.map(curve)))
    }

    /// Moves every entry towards `target`, by at most `step` levels. Two curves that never fall give one that never does.
    pub fn approach(&mut self, target: &Self, step: f32) {
        for (entry, wanted) in self.0.as_flattened_mut().iter_mut().zip(target.0.as_flattened()) {
            *entry += (wanted - *entry).clamp(-step, step);
        }
    }

    pub fn table(&self) -> Table {
        Table(Box::new(self.0.map(|curve| curve.map(|level| level.round() as u8))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_curve_that_asks_for_nothing_is_exactly_none() {
        assert!(Curves::new(0.0, 255.0, 1.0, [1.0; 3]).table().is_identity());
        assert_eq!(Curves::new(0.0, 255.0, 1.0, [1.0; 3]), Curves::identity());
    }

    #[test]
    fn black_white_and_colours_land_where_they_should() {
        let table = Curves::new(50.0, 150.0, 1.0, [1.0, 2.0, 0.5]).table();
        let at = |level: usize| [0, 1, 2].map(|colour: usize| table.0[colour][level]);
        assert_eq!(
            [at(0), at(50), at(100), at(150), at(255)],
            [[0, 0, 0], [0, 0, 0], [128, 255, 64], [255, 255, 128], [255, 255, 255],]
        );
        let mut row = [100, 100, 100, 50, 50, 50, 150, 0, 255];
        table.apply(&mut row);
        assert_eq!(row, [128, 255, 64, 0, 0, 0, 255, 0, 255]);
    }

    proptest! {
        #[test]
        fn approaching_is_bounded_monotone_and_arrives(
            black in 0f32..200.0, span in 24f32..255.0, gamma in 0.4f32..2.5, gain in 0.3f32..3.0, step in 0.1f32..40.0,
        ) {
            let target = Curves::new(black, (black + span).min(255.0), gamma, [gain, 1.0, 1.0 / gain]);
            let mut curves = Curves::identity();
            for _ in 0..(255.0 / step) as usize + 1 {
                let before = curves.clone();
                curves.approach(&target, step);
                let moved = curves.0.as_flattened().iter().zip(before.0.as_flattened()).map(|(a, b)| (a - b).abs());
                prop_assert!(moved.fold(0.0, f32::max) <= step * 1.001);
                prop_assert!(curves.0.iter().all(|curve| curve.is_sorted()));
            }
            let off = curves.0.as_flattened().iter().zip(target.0.as_flattened()).map(|(a, b)| (a - b).abs());
            prop_assert!(off.fold(0.0, f32::max) < 0.01);
        }
    }
}
