//! Which pictures are kept of what happened: the section `media` of a pipeline file.

use super::raw::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Pictures and clips of what happened, kept as files beside the events, which name them. Nothing is kept unless it is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// Keep the best picture of each track (sharp, large, sure); its track.ended names the file.
    pub snapshots: bool,
    /// Keep the whole picture of events of these types, such as zone.entered or line.*; the event names the file.
    #[schemars(length(max = 256), inner(length(min = 1)))]
    pub frames: Vec<String>,
    /// Keep a clip around events of these types, of live streams, as the camera encoded it or, where no file can hold that
    /// (raw pictures), in H.264; the event names the file, which is there a little after `after`. Events that come together
    /// share one.
    #[schemars(length(max = 256), inner(length(min = 1)))]
    pub clips: Vec<String>,
    /// How much a clip shows before its event, at least: it begins with a picture that needs no other.
    #[schemars(extend("x-duration" = ["0s", "30s"]))]
    pub before: Span,
    /// How much a clip shows after its event.
    #[schemars(extend("x-duration" = ["1s", "30s"]))]
    pub after: Span,
    /// How long pictures and clips are kept.
    #[schemars(extend("x-duration" = ["1m", "87600h"]))]
    pub max_age: Span,
    /// Most megabytes of pictures and clips of all streams; the oldest go.
    #[schemars(range(min = 10, max = 100_000_000))]
    pub max_size_mb: u32,
    /// Who must not be recognised in them.
    pub privacy: Privacy,
}

/// Who must not be recognised in pictures that are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Privacy {
    /// What is made unrecognisable of everybody the detector finds: nobody, heads (the upper quarter of each box), or
    /// persons from head to foot. Whom the detector misses stays visible; where that must not be, keep no pictures.
    pub blur: BlurWord,
    /// Classes that are people.
    #[schemars(length(min = 1, max = 1024), inner(length(min = 1)))]
    pub classes: Vec<String>,
    /// Zones in which people stay as they are.
    #[schemars(length(max = 1024), inner(length(min = 1)))]
    pub open_zones: Vec<String>,
}

/// How much is blurred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BlurWord {
    /// Nothing.
    #[default]
    Nobody,
    /// Heads.
    Heads,
    /// From head to foot.
    Persons,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            snapshots: false,
            frames: Vec::new(),
            clips: Vec::new(),
            before: Span::from("5s"),
            after: Span::from("5s"),
            max_age: Span::from("168h"),
            max_size_mb: 2000,
            privacy: Privacy::default(),
        }
    }
}

impl Default for Privacy {
    fn default() -> Self {
        Self { blur: BlurWord::Nobody, classes: vec!["person".into()], open_zones: Vec::new() }
    }
}
