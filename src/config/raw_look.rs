//! How streams are looked at: their light, the regions that count, the frames that are worth an inference.

use super::raw::Point;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of what happens to a picture before a network sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Preprocess {
    /// Illumination normalization before detection and embedding. auto measures the light of each stream and acts only
    /// where it is far from daylight; a list of stretch, gamma, clahe, white_balance corrects always.
    pub light: Light,
}

/// What to do about the light.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Light {
    /// A policy.
    Policy(LightPolicy),
    /// Corrections, always.
    Always(#[schemars(length(min = 1, max = 4))] Vec<Correction>),
}

/// Whether light is corrected where it needs to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LightPolicy {
    /// Where it needs to be.
    Auto,
    /// Never.
    Off,
}

/// One way to correct the light.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Correction {
    /// The darkest and the brightest hundredth become black and white.
    Stretch,
    /// The mean becomes that of daylight.
    Gamma,
    /// Contrast-limited adaptive histogram equalization.
    Clahe,
    /// The means of the colours become equal.
    WhiteBalance,
}

/// Corners of a region in order, as shares of the picture's width and height.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "region")]
pub struct RegionOfInterest(#[schemars(length(min = 3, max = 256))] pub Vec<Point>);

impl Default for Light {
    fn default() -> Self {
        Self::Policy(LightPolicy::Auto)
    }
}
