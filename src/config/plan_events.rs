//! The places events are about and the log that keeps them, after every check.

use crate::analyze::{Rules, area::HeadingRule, left::ObjectRule};
use std::{path::PathBuf, time::Duration};

/// A named polygon.
#[derive(Clone, Debug, PartialEq)]
pub struct ZonePlan {
    /// Unique within its stream.
    pub name: String,
    /// At least three corners.
    pub polygon: Vec<ZonePoint>,
    /// A track that stays this long is told of.
    pub dwell: Option<Duration>,
    /// More tracks than this are told of.
    pub max_occupancy: Option<u32>,
    /// Tracks that go another way are told of.
    pub heading: Option<HeadingRule>,
    /// Objects that are told of when they are taken away.
    pub kept: Option<ObjectRule>,
}

/// A named line.
#[derive(Clone, Debug, PartialEq)]
pub struct LinePlan {
    /// Unique within its stream.
    pub name: String,
    /// Where it begins.
    pub from: ZonePoint,
    /// Where it ends, elsewhere.
    pub to: ZonePoint,
}

/// A corner of a zone, an end of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ZonePoint {
    /// Share of the picture's width, 0..=1.
    pub x_norm: f32,
    /// Share of the picture's height, 0..=1.
    pub y_norm: f32,
}

/// What is told of tracks, and what keeps it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventsPlan {
    /// The log, if one is kept.
    pub log: Option<LogPlan>,
    /// Name of the deployment, before every id.
    pub site: Option<String>,
    /// What is told of tracks.
    pub rules: Rules,
}

/// The log of events.
#[derive(Clone, Debug, PartialEq)]
pub struct LogPlan {
    /// Its file.
    pub path: PathBuf,
    /// Events older than this are discarded.
    pub keep: Duration,
    /// Most bytes on the disk.
    pub max_bytes: u64,
}

impl ZonePlan {
    /// A zone that only says who is in it.
    pub fn new(name: &str, polygon: Vec<ZonePoint>) -> Self {
        Self { name: name.to_owned(), polygon, dwell: None, max_occupancy: None, heading: None, kept: None }
    }
}
