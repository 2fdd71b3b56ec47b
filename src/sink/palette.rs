//! A colour for every track, the same in every frame and run.

/// Red, green and blue of track `id`: neighbouring ids are far apart in hue, all are bright enough for dark text.
///
/// Hues follow the golden ratio, the sequence that keeps any number of them apart.
pub fn colour_of(id: u64) -> [u8; 3] {
    const GOLDEN_RATIO: f64 = 0.618_033_988_749_895;
    // The fraction alone matters; a remainder keeps it exact for ids past 2^53.
    let hue = ((id % (1 << 32)) as f64 * GOLDEN_RATIO).fract();
    rgb_from_hue(hue)
}

/// Fully saturated hue (0..1) mixed with white.
fn rgb_from_hue(hue: f64) -> [u8; 3] {
    const LEAST: f64 = 70.0;
    let channel = |shift: f64| {
        let distance = ((hue + shift).fract() * 6.0 - 3.0).abs() - 1.0;
        (LEAST + (255.0 - LEAST) * distance.clamp(0.0, 1.0)).round() as u8
    };
    [channel(0.0), channel(2.0 / 3.0), channel(1.0 / 3.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_differ_and_every_colour_is_bright() {
        for id in 0..2_000u64 {
            let (a, b) = (colour_of(id), colour_of(id + 1));
            let difference: i32 = a.iter().zip(b).map(|(a, b)| (i32::from(*a) - i32::from(b)).abs()).sum();
            assert!(difference > 100, "{id}: {a:?} {b:?}");
            assert!(a.iter().any(|&channel| channel > 200));
        }
        assert_eq!(colour_of(7), colour_of(7));
        colour_of(u64::MAX);
    }
}
