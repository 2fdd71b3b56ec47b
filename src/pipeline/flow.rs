//! What travels along the line.

use crate::{
    config::plan::StreamPlan,
    detect::{Detection, watch::Sight},
    embed::Embedding,
    event::Event,
    frame::{Frame, FrameMeta, StreamId},
    source::SourceInfo,
    track::Track,
};
use std::{sync::Arc, time::Duration};

/// One stream's items, in order: an epoch, its frames, perhaps more epochs, one end.
#[derive(Clone, Debug)]
pub enum Flow<T> {
    /// A frame or what was made of it.
    Data(T),
    /// Media time, picture size or codec start anew. The first item of every stream that could be opened.
    Epoch {
        /// The stream.
        stream: StreamId,
        /// Which epoch begins, from 0.
        epoch: u32,
        /// What is known of the pictures that follow.
        info: Arc<SourceInfo>,
    },
    /// Something in the stream's life that no frame tells.
    Turn {
        /// The stream.
        stream: StreamId,
        /// What.
        turn: Turn,
    },
    /// Nothing follows.
    EndOfStream {
        /// The stream.
        stream: StreamId,
        /// Why.
        reason: EndReason,
    },
}

/// A turn in a live stream's life. Frames go on, or come back, after any of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// No frames come; the connection is being made anew. Told once an outage, also where the camera is down at the start.
    Lost {
        /// What is wrong, without credentials.
        cause: Arc<str>,
    },
    /// Frames come again; an epoch begins behind this.
    Recovered {
        /// Time from the last frame (or the start) to the next.
        outage: Duration,
    },
    /// An operator closed the connection.
    Paused,
    /// An operator had it opened again.
    Resumed,
    /// Zones, classes or scores are others from here on.
    Changed {
        /// What the stream is like now.
        plan: Arc<StreamPlan>,
    },
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// It was played to its end.
    EndOfStream,
    /// The user stopped the run.
    Interrupted,
    /// It could not be read, or its output could not be written.
    Failed,
}

impl EndReason {
    /// The name events use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EndOfStream => "end_of_stream",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }
}

impl<T> Flow<T> {
    /// The same flow with its data changed.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Flow<U> {
        match self {
            Self::Data(data) => Flow::Data(change(data)),
            Self::Epoch { stream, epoch, info } => Flow::Epoch { stream, epoch, info },
            Self::Turn { stream, turn } => Flow::Turn { stream, turn },
            Self::EndOfStream { stream, reason } => Flow::EndOfStream { stream, reason },
        }
    }

    /// The data, if this is data.
    pub const fn data(&self) -> Option<&T> {
        match self {
            Self::Data(data) => Some(data),
            _ => None,
        }
    }
}

/// A frame and what was found in it.
#[derive(Debug)]
pub struct Detected {
    /// The frame.
    pub frame: Frame,
    /// How it was looked at.
    pub sight: Sight,
    /// What the detector found, best first.
    pub detections: Vec<Detection>,
}

/// A frame, what was found, and what it looks like.
#[derive(Debug)]
pub struct Embedded {
    /// The frame.
    pub frame: Frame,
    /// How it was looked at.
    pub sight: Sight,
    /// What the detector found.
    pub detections: Vec<Detection>,
    /// Appearance of each detection in the same order; empty without an embedder.
    pub embeddings: Vec<Option<Embedding>>,
}

/// A frame and the tracks after it.
#[derive(Debug)]
pub struct Tracked {
    /// The frame.
    pub frame: Frame,
    /// How it was looked at.
    pub sight: Sight,
    /// What the detector found.
    pub detections: Vec<Detection>,
    /// Tracks confirmed, lost or just removed, by ascending id.
    pub tracks: Vec<Track>,
}

/// A tracked frame, or a turn in the stream's life, and the events it gave.
#[derive(Debug)]
pub struct Analyzed {
    /// What was analyzed.
    pub flow: Flow<Tracked>,
    /// What it means, in order.
    pub events: Vec<Event>,
}

/// What passes between stages, counted in frames.
pub trait Frames {
    /// Frames in it.
    fn frames(&self) -> u64;
}

impl<T> Frames for Flow<T> {
    fn frames(&self) -> u64 {
        u64::from(self.data().is_some())
    }
}

impl<T> Frames for Vec<Flow<T>> {
    fn frames(&self) -> u64 {
        self.iter().map(Frames::frames).sum()
    }
}

impl Frames for Analyzed {
    fn frames(&self) -> u64 {
        self.flow.frames()
    }
}

/// Items that carry a frame.
pub trait OfFrame {
    /// What is known of the frame.
    fn meta(&self) -> &FrameMeta;
}

impl OfFrame for Frame {
    fn meta(&self) -> &FrameMeta {
        &self.meta
    }
}

impl OfFrame for Detected {
    fn meta(&self) -> &FrameMeta {
        &self.frame.meta
    }
}

impl OfFrame for Embedded {
    fn meta(&self) -> &FrameMeta {
        &self.frame.meta
    }
}

impl OfFrame for Tracked {
    fn meta(&self) -> &FrameMeta {
        &self.frame.meta
    }
}

impl<T: OfFrame> Flow<T> {
    /// The stream this belongs to.
    pub fn stream(&self) -> StreamId {
        match self {
            Self::Data(data) => data.meta().stream,
            Self::Epoch { stream, .. } | Self::Turn { stream, .. } | Self::EndOfStream { stream, .. } => *stream,
        }
    }
}
