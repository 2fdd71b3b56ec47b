//! Colours that stay with an identity. Pure.

/// Red, green, blue.
pub type Rgb = [u8; 3];

/// Black ink or white ink.
const INKS: [Rgb; 2] = [[0; 3], [255; 3]];

/// Share of the colour circle between one number and the next. The golden ratio spreads any run of consecutive numbers
/// about as evenly as can be, so that people who enter together look different.
const HUE_STEP: f64 = 0.618_033_988_749_895;

/// Colour of object or zone `number`: always the same, bright, and far from those of its neighbours.
pub fn colour_of(number: u64) -> Rgb {
    let hue = (number as f64 * HUE_STEP).fract();
    // Every second round over a handful of numbers is paler, to tell near hues apart.
    let saturation = if number % 10 < 5 { 0.85 } else { 0.55 };
    rgb_from_hsv(hue, saturation, 0.95)
}

/// Black or white, whichever reads better on `ground`.
pub fn ink_on(ground: Rgb) -> Rgb {
    INKS[usize::from(luminance(ground) < 0.5)]
}

/// Perceived brightness, 0..=1 (ITU-R BT.601 weights).
fn luminance([red, green, blue]: Rgb) -> f64 {
    (0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue)) / 255.0
}

/// All three in 0..=1.
fn rgb_from_hsv(hue: f64, saturation: f64, value: f64) -> Rgb {
    let channel = |offset: f64| {
        let k = (offset + hue * 6.0).rem_euclid(6.0);
        let share = value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0);
        (share * 255.0).round() as u8
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hsv_table() {
        let cases = [
            ((0.0, 1.0, 1.0), [255, 0, 0]),
            ((1.0 / 3.0, 1.0, 1.0), [0, 255, 0]),
            ((2.0 / 3.0, 1.0, 1.0), [0, 0, 255]),
            ((0.5, 0.0, 0.2), [51, 51, 51]),
        ];
        for ((hue, saturation, value), expected) in cases {
            assert_eq!(rgb_from_hsv(hue, saturation, value), expected);
        }
    }

    #[test]
    fn neighbours_differ_and_text_can_be_read() {
        for number in 0..1000 {
            let colour = colour_of(number);
            assert_eq!(colour, colour_of(number));
            for near in number + 1..number + 4 {
                let other = colour_of(near);
                let difference: u32 = colour.iter().zip(other).map(|(&a, b)| u32::from(a.abs_diff(b))).sum();
                assert!(difference > 60, "{number} {colour:?} looks like {near} {other:?}");
            }
            let contrast = (luminance(colour) - luminance(ink_on(colour))).abs();
            assert!(contrast >= 0.5, "{number}: contrast {contrast}");
        }
    }
}
