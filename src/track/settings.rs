//! Every number the trackers can be set to.

use crate::detect::ClassId;
use std::{fmt, str::FromStr, time::Duration};

/// Which tracker follows the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ours: what measures best.
    Eyeline,
    /// Zhang et al. 2022.
    ByteTrack,
    /// Cao et al. 2023.
    OcSort,
    /// Bewley et al. 2016.
    Sort,
}

impl Algorithm {
    /// All of them, the default first.
    pub const ALL: [Self; 4] = [Self::Eyeline, Self::ByteTrack, Self::OcSort, Self::Sort];

    /// The name users write.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eyeline => "eyeline",
            Self::ByteTrack => "bytetrack",
            Self::OcSort => "ocsort",
            Self::Sort => "sort",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = SettingError;

    fn from_str(name: &str) -> Result<Self, SettingError> {
        Self::ALL.into_iter().find(|a| a.name() == name).ok_or_else(|| SettingError::Algorithm(name.to_owned()))
    }
}

/// Why a setting was refused.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum SettingError {
    /// No tracker of that name.
    #[error("tracker {0:?}: expected one of eyeline, bytetrack, ocsort, sort")]
    Algorithm(String),
    /// No setting of that name.
    #[error("tracker setting {0:?} does not exist")]
    Unknown(String),
    /// A value outside its range.
    #[error("tracker setting {name}: {got}, expected {min} to {max} {unit}")]
    Range {
        /// Name of the setting.
        name: &'static str,
        /// What was given.
        got: f64,
        /// Least allowed value.
        min: f64,
        /// Greatest allowed value.
        max: f64,
        /// Unit of all three; empty for a plain number.
        unit: &'static str,
    },
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])* $name:ident: $kind:ident = $default:expr, $min:expr, $max:expr;)*) => {
        /// Settings of a tracker. `Default` is what `eyeline` runs with; `TrackSettings::of` gives each algorithm's own.
        ///
        /// The reference trackers read `high_score`, `new_track_score` and `max_lost` only and take the rest from
        /// their papers.
        #[derive(Clone, Debug, PartialEq)]
        pub struct TrackSettings {
            /// Which tracker.
            pub algorithm: Algorithm,
            /// Where it differs from `max_absent`: how long objects of a class may be found again by appearance.
            pub max_absent_by_class: Vec<(ClassId, Duration)>,
            $($(#[doc = $doc])* pub $name: settings!(@type $kind),)*
        }

        impl Default for TrackSettings {
            fn default() -> Self {
                Self { algorithm: Algorithm::Eyeline, max_absent_by_class: Vec::new(), $($name: settings!(@default $kind $default),)* }
            }
        }

        /// Every numeric setting by name, in the order of the struct.
        pub const KNOBS: &[Knob] = &[$(Knob {
            name: stringify!($name),
            about: concat!($($doc),*).trim_ascii(),
            unit: settings!(@unit $kind),
            min: $min,
            max: $max,
            is_limit: settings!(@limit $kind),
            kind: settings!(@kind $kind),
            get: |s| settings!(@get $kind s.$name),
            put: |s, v| s.$name = settings!(@put $kind v),
        },)*];
    };
    (@type number) => { f32 };
    (@type seconds) => { Duration };
    (@type count) => { usize };
    (@default number $v:expr) => { $v };
    (@default seconds $v:expr) => { Duration::from_millis($v) };
    (@default count $v:expr) => { $v };
    (@type limit) => { usize };
    (@default limit $v:expr) => { $v };
    (@unit limit) => { "" };
    (@get limit $e:expr) => { $e as f64 };
    (@put limit $v:expr) => { $v.round() as usize };
    (@limit limit) => { true };
    (@limit $kind:ident) => { false };
    (@kind number) => { Kind::Number };
    (@kind seconds) => { Kind::Seconds };
    (@kind $kind:ident) => { Kind::Count };
    (@unit number) => { "" };
    (@unit seconds) => { "seconds" };
    (@unit count) => { "" };
    (@get number $e:expr) => { f64::from($e) };
    (@get seconds $e:expr) => { $e.as_secs_f64() };
    (@get count $e:expr) => { $e as f64 };
    (@put number $v:expr) => { $v as f32 };
    (@put seconds $v:expr) => { Duration::from_secs_f64($v) };
    (@put count $v:expr) => { $v.round() as usize };
}

/// What a setting measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A plain number.
    Number,
    /// A duration in seconds.
    Seconds,
    /// A whole number.
    Count,
}

/// One numeric setting reached by name: what `--set`, YAML and `tune` work with.
#[derive(Clone, Copy, Debug)]
pub struct Knob {
    /// Name of the field.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Unit of the value; empty for a plain number.
    pub unit: &'static str,
    /// Least allowed value.
    pub min: f64,
    /// Greatest allowed value.
    pub max: f64,
    /// Whether the value bounds what is spent rather than what is found: no search should touch it.
    pub is_limit: bool,
    /// What its value measures.
    pub kind: Kind,
    get: fn(&TrackSettings) -> f64,
    put: fn(&mut TrackSettings, f64),
}

impl Knob {
    /// The knob of that name.
    pub fn named(name: &str) -> Result<&'static Self, SettingError> {
        KNOBS.iter().find(|knob| knob.name == name).ok_or_else(|| SettingError::Unknown(name.to_owned()))
    }

    /// Value in `settings`.
    pub fn get(&self, settings: &TrackSettings) -> f64 {
        (self.get)(settings)
    }

    /// The smallest change that makes a difference worth measuring.
    pub const fn least_step(&self) -> f64 {
        match self.kind {
            Kind::Number => 0.0,
            Kind::Seconds => 0.1,
            Kind::Count => 0.7,
        }
    }

    /// Value in `settings` as a pipeline file writes it.
    pub fn yaml(&self, settings: &TrackSettings) -> serde_yaml::Value {
        let value = self.get(settings);
        match self.kind {
            Kind::Number => ((value * 1e4).round() / 1e4).into(),
            Kind::Seconds => format!("{:.0}ms", value * 1e3).into(),
            Kind::Count => (value as u64).into(),
        }
    }

    /// Sets the value, which must lie within the range.
    pub fn set(&self, settings: &mut TrackSettings, value: f64) -> Result<(), SettingError> {
        if !(self.min..=self.max).contains(&value) {
            let Self { name, unit, min, max, .. } = *self;
            return Err(SettingError::Range { name, got: value, min, max, unit });
        }
        (self.put)(settings, value);
        Ok(())
    }
}

settings! {
    /// Detections from this score up may match in the first stage.
    high_score: number = 0.59, 0.0, 1.0;
    /// Detections from this score up may match in the second stage.
    low_score: number = 0.165, 0.0, 1.0;
    /// Detections from this score up may begin a track.
    new_track_score: number = 0.7, 0.0, 1.0;
    /// How long a track may go unseen before its motion is given up.
    max_lost: seconds = 1_600, 0.0, 600.0;
    /// Sightings that make a track believed.
    confirm_hits: count = 3, 1.0, 100.0;
    /// A detection from this score up makes its track believed at once.
    instant_score: number = 0.97, 0.0, 1.0;
    /// How long a track not yet believed may go unseen.
    tentative_max_lost: seconds = 0, 0.0, 60.0;
    /// Greatest cost in the first round (believed tracks, high scores).
    first_gate: number = 0.83, 0.0, 2.0;
    /// Greatest cost in the second round (believed tracks, low scores).
    low_gate: number = 0.38, 0.0, 2.0;
    /// How long a track may have been lost to take part in the second round.
    low_max_lost: seconds = 700, 0.0, 60.0;
    /// Greatest cost in the third round (what is left, from the last observation).
    recovery_gate: number = 0.38, 0.0, 2.0;
    /// Greatest cost of the second sight of a new track.
    tentative_gate: number = 0.5, 0.0, 2.0;
    /// Share by which boxes grow in the first round.
    first_buffer: number = 0.05, 0.0, 1.0;
    /// Share by which boxes grow in the second round.
    low_buffer: number = 0.0, 0.0, 1.0;
    /// Share by which boxes grow in the third round.
    recovery_buffer: number = 0.05, 0.0, 1.0;
    /// Power of the height overlap that multiplies the IoU; 0 leaves height out.
    height_power: number = 0.5, 0.0, 4.0;
    /// Power of the detection's score that multiplies the similarity; 0 leaves the score out.
    score_fusion: number = 0.2, 0.0, 2.0;
    /// Weight of the direction of motion.
    direction_weight: number = 0.1, 0.0, 1.0;
    /// Weight of the difference between the scores of track and detection.
    score_weight: number = 0.08, 0.0, 1.0;
    /// A detection that overlaps a seen track more begins none.
    birth_max_iou: number = 0.58, 0.0, 1.0;
    /// A lost and a seen track that overlap more are one.
    duplicate_iou: number = 0.91, 0.0, 1.0;
    /// How much of the measurement noise a score of 1 takes away.
    score_trust: number = 0.65, 0.0, 1.0;
    /// Multiplies the standard deviations of the motion's noise.
    process_noise: number = 0.65, 0.05, 20.0;
    /// Share of its speed a lost track keeps each frame.
    lost_damping: number = 0.98, 0.0, 1.0;
    /// Share of the detection, rather than of the filter, in a reported box.
    observed_share: number = 0.15, 0.0, 1.0;
    /// Share of a lost track that must be behind others for it to count as hidden.
    hidden_coverage: number = 0.5, 0.0, 1.0;
    /// How long a lost track in the open is still shown.
    shown_lost: seconds = 0, 0.0, 60.0;
    /// How long a lost track hidden behind others is still shown.
    shown_hidden: seconds = 300, 0.0, 60.0;
    /// Weight of the appearance of a pair that also overlaps.
    appearance_weight: number = 0.42, 0.0, 2.0;
    /// Embeddings kept for each track.
    gallery_slots: limit = 16, 0.0, 64.0;
    /// Least time between two embeddings kept.
    gallery_interval: seconds = 500, 0.0, 600.0;
    /// A detection below adds nothing to the gallery.
    gallery_score: number = 0.68, 0.0, 1.0;
    /// A detection covered more by others adds nothing to the gallery.
    gallery_max_covered: number = 0.3, 0.0, 1.0;
    /// Evidence that finds a track again by appearance, from 0 (as likely as not) to 1 (certain).
    refind_evidence: number = 0.3, 0.0, 1.0;
    /// How far from its place a track may be found again at once, box heights.
    reach: number = 1.0, 0.0, 100.0;
    /// How much further for each second unseen, box heights.
    reach_speed: number = 1.0, 0.0, 100.0;
    /// How long an object out of sight may be found again by appearance; see `max_absent_by_class`.
    max_absent: seconds = 1_800, 0.0, 86_400.0;
    /// Most absent tracks remembered at one time.
    max_absent_tracks: limit = 200, 0.0, 100_000.0;
    /// How long after its end an object is recognized when it comes back: it gets a new id then, and `track.started` names
    /// the old one as `reidentified_from`. Needs an embedder.
    max_remembered: seconds = 0, 0.0, 86_400.0;
    /// Refinement: longest gap across which two tracks are linked.
    refine_link_gap: seconds = 1_000, 0.0, 600.0;
    /// Refinement: greatest distance between where two linked tracks should meet, box heights.
    refine_link_distance: number = 0.3, 0.0, 10.0;
    /// Refinement: longest gap in a track that is filled.
    refine_fill_gap: seconds = 1_500, 0.0, 600.0;
    /// Refinement: standard deviation of the window over which boxes are smoothed.
    refine_smoothing: seconds = 100, 0.0, 10.0;
    /// Refinement: tracks that last less are dropped.
    refine_min_length: seconds = 200, 0.0, 600.0;
    /// Most tracks alive at one time.
    max_tracks: limit = 2_000, 1.0, 100_000.0;
}

impl TrackSettings {
    /// What the authors of `algorithm` run it with; `Default` for our own.
    pub fn of(algorithm: Algorithm) -> Self {
        let ours = Self { algorithm, ..Self::default() };
        match algorithm {
            Algorithm::Eyeline => ours,
            // BYTETracker: track_thresh 0.6, new tracks from 0.1 above, track_buffer of one second.
            Algorithm::ByteTrack => {
                Self { high_score: 0.6, low_score: 0.1, new_track_score: 0.7, max_lost: Duration::from_secs(1), ..ours }
            }
            // OCSort: det_thresh 0.6, max_age 30 frames at 30 Hz.
            Algorithm::OcSort => {
                Self { high_score: 0.6, new_track_score: 0.6, max_lost: Duration::from_secs(1), ..ours }
            }
            // Sort: max_age 1 frame at 30 Hz; takes what the detector gives, here from 0.6 as the others.
            Algorithm::Sort => {
                Self { high_score: 0.6, new_track_score: 0.6, max_lost: Duration::from_millis(34), ..ours }
            }
        }
    }

    /// How long an object of `class` may be found again by appearance.
    pub fn max_absent_of(&self, class: ClassId) -> Duration {
        let own = self.max_absent_by_class.iter().find(|(other, _)| *other == class);
        own.map_or(self.max_absent, |&(_, span)| span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_knob_reads_back_what_was_set_and_refuses_what_lies_outside() {
        for algorithm in Algorithm::ALL {
            let mut settings = TrackSettings::of(algorithm);
            for knob in KNOBS {
                let default = knob.get(&settings);
                assert!((knob.min..=knob.max).contains(&default), "{} {default}", knob.name);
                for value in [knob.min, knob.max] {
                    knob.set(&mut settings, value).unwrap();
                    assert!((knob.get(&settings) - value).abs() < 1e-6, "{}", knob.name);
                }
                for value in [knob.min - 1.0, knob.max + 1.0, f64::NAN, f64::INFINITY] {
                    assert!(knob.set(&mut settings, value).is_err(), "{} {value}", knob.name);
                }
                knob.set(&mut settings, default).unwrap();
            }
        }
    }

    #[test]
    fn algorithms_read_back_their_names() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
        }
        assert_eq!("deepsort".parse::<Algorithm>(), Err(SettingError::Algorithm("deepsort".into())));
    }
}
