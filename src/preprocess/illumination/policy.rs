//! From what the light is like to what is to be done about it.
//!
//! The limits were chosen on one video under seven lights (figures: `models/README.md`). `auto` leaves an over-exposed
//! picture as it is (what is white holds nothing to bring back), balances colours by half (a detector knows coloured light,
//! the embedder is served too). It never equalizes locally: always on, CLAHE costs daylight 0.011 AP and gives less than
//! stretch and gamma in every light measured but over-exposure, where it gains 0.008.

use super::{Correction, LightSettings, LightStats, table::Curves};

/// Mean luma, as a share of white, that pictures are brightened to: that of a street by day.
pub(super) const TARGET_MEAN: f32 = 0.45;
/// Black and white are held at least this far apart, so that the noise of a black picture is not blown up to daylight.
const MIN_SPAN: f32 = 24.0;
/// Exponents stay within.
const GAMMA: (f32, f32) = (0.4, 2.5);
/// Share of the gray-world correction that `auto` makes.
const AUTO_BALANCE: f32 = 0.5;
/// Gray-world never strengthens or weakens a colour by more.
const MAX_BALANCE: f32 = 3.0;
/// Measurements move this far, grey levels, before a table is made anew.
const DEADBAND: f32 = 3.0;
/// Mean luma, grey levels, above black below which a colour's mean is noise.
const MIN_SIGNAL: f32 = 3.0;

/// A measurement that calls for something from `on` and no longer from `off`.
struct Limit {
    on: f32,
    off: f32,
}

impl Limit {
    /// Whether a value calls for it that is small where it does.
    fn is_below(&self, value: f32, was: bool) -> bool {
        value < if was { self.off } else { self.on }
    }

    fn is_above(&self, value: f32, was: bool) -> bool {
        value > if was { self.off } else { self.on }
    }
}

/// Grey levels between black and white.
const FLAT: Limit = Limit { on: 128.0, off: 158.0 };
/// Mean luma after stretching, as a share of white.
const DIM: Limit = Limit { on: 0.28, off: 0.33 };
/// Strongest colour's mean over the weakest's.
const TINTED: Limit = Limit { on: 2.5, off: 2.1 };
/// Mean luma before any correction, grey levels.
const DARK: Limit = Limit { on: 50.0, off: 60.0 };
const BRIGHT: Limit = Limit { on: 190.0, off: 178.0 };
/// Mean difference of a pixel's colours, as a share of the mean luma above black, so that dimmed colour is still colour.
const COLOURLESS: Limit = Limit { on: 0.03, off: 0.08 };
/// That mean counts as this many grey levels at least.
const MIN_LUMA: f32 = 8.0;

/// What the light of a stream is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LightState {
    /// As cameras and networks like it.
    Normal,
    /// Mean luma low.
    Dark,
    /// Mean luma high: over-exposed.
    Bright,
    /// Little between black and white: fog, a film on the lens, glare.
    Flat,
    /// One colour far stronger than another: lamps, sunset.
    Tinted,
    /// No colour: infrared at night.
    Monochrome,
}

impl LightState {
    /// The name events use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Dark => "dark",
            Self::Bright => "bright",
            Self::Flat => "flat",
            Self::Tinted => "tinted",
            Self::Monochrome => "monochrome",
        }
    }
}

/// What a frame's light is brought to: x -> (x - black) / (white - black) x gain, to the power of gamma.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    /// The measurements it was made from; `None` for none yet.
    made_of: Option<LightStats>,
    pub black: f32,
    pub white: f32,
    pub gamma: f32,
    /// Of red, green, blue.
    pub gains: [f32; 3],
    /// Which corrections are on.
    stretch: bool,
    brighten: bool,
    balance: bool,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            made_of: None,
            black: 0.0,
            white: 255.0,
            gamma: 1.0,
            gains: [1.0; 3],
            stretch: false,
            brighten: false,
            balance: false,
        }
    }
}

impl Target {
    pub fn curves(&self) -> Curves {
        Curves::new(self.black, self.white, self.gamma, self.gains)
    }

    pub fn gain(&self) -> f32 {
        255.0 / (self.white - self.black)
    }
}

/// Decides what is done.
#[derive(Clone, Debug)]
pub(super) enum Policy {
    Auto,
    Always(Vec<Correction>),
}

impl Policy {
    /// `None` if nothing is ever to be done.
    pub fn new(settings: &LightSettings) -> Option<Self> {
        match settings {
            LightSettings::Off => None,
            LightSettings::Auto => Some(Self::Auto),
            LightSettings::Always(corrections) if corrections.is_empty() => None,
            LightSettings::Always(corrections) => Some(Self::Always(corrections.clone())),
        }
    }

    /// Whether a correction is asked for whatever the light.
    pub fn wants(&self, correction: Correction) -> bool {
        matches!(self, Self::Always(wanted) if wanted.contains(&correction))
    }

    /// What to bring light like `stats` to, where it was `before`. Stays as it was while nothing moved noticeably.
    pub fn target(&self, stats: &LightStats, before: &Target, switched: bool) -> Target {
        let near = |made_of: &LightStats| stats.distance(made_of) < DEADBAND;
        if !switched && before.made_of.as_ref().is_some_and(near) {
            return before.clone();
        }
        let auto = matches!(self, Self::Auto);
        let was = |on: bool| on && !switched;
        let span = stats.white - stats.black;
        let stretch = self.wants(Correction::Stretch) || auto && FLAT.is_below(span, was(before.stretch));
        let (black, white) = if stretch { spread(stats.black, stats.white) } else { (0.0, 255.0) };
        let mean = ((stats.mean - black) / (white - black)).clamp(0.0, 1.0);
        let brighten = self.wants(Correction::Gamma) || auto && DIM.is_below(mean, was(before.brighten));
        let gamma = if brighten { gamma_to_target(mean) } else { 1.0 };
        let above_black = stats.colours.map(|colour| colour - black);
        let has_colour = above_black.iter().all(|&colour| colour > 0.0) && stats.mean - black > MIN_SIGNAL;
        let cast = has_colour && TINTED.is_above(cast(above_black), was(before.balance));
        let balance = has_colour && (self.wants(Correction::WhiteBalance) || auto && cast);
        let strength = if auto { AUTO_BALANCE } else { 1.0 };
        let gains = if balance { balanced(above_black, strength) } else { [1.0; 3] };
        Target { made_of: Some(stats.clone()), black, white, gamma, gains, stretch, brighten, balance }
    }

    /// What light like `stats` is called where it `was` called something.
    pub fn state(&self, stats: &LightStats, was: LightState, switched: bool) -> LightState {
        let is = |state: LightState| was == state && !switched;
        let colour = stats.chroma / (stats.mean - stats.black).max(MIN_LUMA);
        if COLOURLESS.is_below(colour, is(LightState::Monochrome)) {
            LightState::Monochrome
        } else if DARK.is_below(stats.mean, is(LightState::Dark)) {
            LightState::Dark
        } else if FLAT.is_below(stats.white - stats.black, is(LightState::Flat)) {
            LightState::Flat
        } else if BRIGHT.is_above(stats.mean, is(LightState::Bright)) {
            LightState::Bright
        } else if TINTED.is_above(cast(stats.colours), is(LightState::Tinted)) {
            LightState::Tinted
        } else {
            LightState::Normal
        }
    }
}

/// Black and white, moved apart evenly where they are closer than `MIN_SPAN`, and kept within 0..=255.
fn spread(black: f32, white: f32) -> (f32, f32) {
    let lack = (MIN_SPAN - (white - black)).max(0.0) / 2.0;
    let black = (black - lack).clamp(0.0, 255.0 - MIN_SPAN);
    (black, (white + lack).clamp(black + MIN_SPAN, 255.0))
}

/// The exponent that brings a mean (a share of white) to the target, as if every pixel were the mean.
fn gamma_to_target(mean: f32) -> f32 {
    let gamma = TARGET_MEAN.ln() / mean.clamp(0.001, 0.999).ln();
    gamma.clamp(GAMMA.0, GAMMA.1)
}

/// The strongest colour over the weakest.
fn cast(colours: [f32; 3]) -> f32 {
    let (least, most) = colours.iter().fold((f32::INFINITY, 0f32), |(a, b), &v| (a.min(v), b.max(v)));
    most / least.max(1.0)
}

/// Gains that make the means of the colours equal, to the power of `strength`, with the luma of their mean kept.
/// Source: Buchsbaum 1980. Differs: keeps the luma, is limited.
fn balanced(colours: [f32; 3], strength: f32) -> [f32; 3] {
    const LUMA: [f32; 3] = [0.299, 0.587, 0.114];
    let weigh = |values: [f32; 3]| values.iter().zip(LUMA).map(|(value, weight)| value * weight).sum::<f32>();
    let mean = colours.iter().sum::<f32>() / 3.0;
    let gains = colours.map(|colour| (mean / colour).powf(strength));
    let keep = weigh(colours) / weigh(std::array::from_fn(|colour| colours[colour] * gains[colour]));
    gains.map(|gain| (gain * keep).clamp(1.0 / MAX_BALANCE, MAX_BALANCE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(black: f32, white: f32, mean: f32, colours: [f32; 3], chroma: f32) -> LightStats {
        LightStats { black, white, mean, colours, chroma }
    }

    /// The lights of the sample video as the issue degrades it, measured.
    fn lights() -> [(&'static str, LightStats, LightState); 8] {
        [
            ("original", stats(6.0, 250.0, 118.5, [119.0, 124.0, 88.0], 40.0), LightState::Normal),
            ("v^2.5", stats(0.0, 244.0, 52.8, [54.0, 54.8, 39.5], 25.0), LightState::Normal),
            ("v*0.12", stats(1.0, 30.0, 14.2, [14.3, 14.9, 10.6], 5.0), LightState::Dark),
            ("2.2v", stats(13.0, 255.0, 208.4, [206.0, 221.0, 150.0], 70.0), LightState::Bright),
            ("haze", stats(141.0, 178.0, 158.0, [158.1, 158.9, 153.4], 6.0), LightState::Flat),
            ("warm", stats(6.0, 205.0, 104.2, [142.0, 99.3, 30.8], 110.0), LightState::Tinted),
            ("infrared", stats(10.0, 220.0, 90.0, [90.0; 3], 0.0), LightState::Monochrome),
            ("black", stats(0.0, 0.4, 0.0, [0.0; 3], 0.0), LightState::Monochrome),
        ]
    }

    #[test]
    fn auto_corrects_what_helps_and_nothing_else() {
        let corrections = lights().map(|(name, stats, state)| {
            let target = Policy::Auto.target(&stats, &Target::default(), true);
            assert_eq!(Policy::Auto.state(&stats, LightState::Normal, true), state, "{name}");
            (name, target.stretch, target.brighten, target.balance)
        });
        let expected = [
            ("original", false, false, false),
            ("v^2.5", false, true, false),
            ("v*0.12", true, false, false),
            ("2.2v", false, false, false),
            ("haze", true, false, false),
            ("warm", false, false, true),
            ("infrared", false, false, false),
            ("black", true, true, false),
        ];
        assert_eq!(corrections, expected);
    }

    #[test]
    fn limits_hold_on_until_they_are_left_clearly() {
        let at = |span: f32| stats(20.0, 20.0 + span, 110.0, [110.0; 3], 30.0);
        let steps = [(150.0, false), (120.0, true), (150.0, true), (157.0, true), (165.0, false), (150.0, false)];
        let mut target = Target::default();
        for (span, on) in steps {
            target = Policy::Auto.target(&at(span), &target, false);
            assert_eq!(target.stretch, on, "{span}");
        }
    }

    #[test]
    fn small_changes_leave_the_target_as_it_is() {
        let policy = Policy::Always(vec![Correction::Stretch, Correction::Gamma]);
        let first = policy.target(&stats(50.0, 150.0, 90.0, [90.0; 3], 9.0), &Target::default(), true);
        assert_eq!(policy.target(&stats(52.0, 151.0, 92.0, [91.0; 3], 9.0), &first, false), first);
        assert_ne!(policy.target(&stats(54.0, 151.0, 92.0, [91.0; 3], 9.0), &first, false), first);
    }

    #[test]
    fn numbers_stay_sound_on_any_light() {
        let all = Policy::Always(vec![Correction::Stretch, Correction::Gamma, Correction::WhiteBalance]);
        let edges = [0.0, 0.4, 1.0, 128.0, 254.6, 255.0];
        for black in edges {
            for white in edges.into_iter().filter(|&white| white >= black) {
                for colours in [[0.0; 3], [255.0, 0.0, 0.0], [255.0; 3], [white, black, 1.0]] {
                    let stats = stats(black, white, (black + white) / 2.0, colours, 0.0);
                    let target = all.target(&stats, &Target::default(), true);
                    assert!(target.white - target.black >= MIN_SPAN - 0.01, "{target:?}");
                    assert!(target.gains.iter().all(|gain| (0.3..=3.1).contains(gain)), "{target:?}");
                    assert!((GAMMA.0..=GAMMA.1).contains(&target.gamma), "{target:?}");
                }
            }
        }
    }
}
