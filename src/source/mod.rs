//! Where frames come from. A source is synchronous and knows no channel; `pipeline` runs one thread around each.

pub mod address;
pub mod container;
#[cfg(feature = "gst")]
pub mod gst;
#[cfg(feature = "gst")]
pub mod gst_camera;
#[cfg(feature = "gst")]
mod gst_decode;
#[cfg(feature = "gst")]
mod gst_faults;
#[cfg(feature = "gst")]
pub mod gst_frame;
#[cfg(feature = "gst")]
pub(crate) mod gst_h264;
#[cfg(feature = "gst")]
mod gst_hardware;
#[cfg(feature = "gst")]
mod gst_ntp;
#[cfg(feature = "gst")]
pub mod gst_packets;
#[cfg(feature = "gst")]
mod gst_reach;
#[cfg(feature = "gst")]
mod gst_reencode;
pub mod inputs;
pub mod paced;
pub mod redact;
pub mod synthetic;
pub mod timeline;

use crate::frame::{Frame, ImageSize};
use std::time::Duration;

/// Why a source could not be opened or gave no more frames.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Not there or not readable.
    #[error("{source_name}: cannot be opened: {problem}")]
    Open {
        /// Path or address, without credentials.
        source_name: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Opened, but it holds no picture eyeline can decode.
    #[error("{source_name}: no video: {problem}")]
    NoVideo {
        /// Path or address, without credentials.
        source_name: String,
        /// What was found instead and what to do.
        problem: String,
    },
    /// Decoding failed part of the way; the frames before it were delivered.
    #[error("{source_name}: damaged after frame {frames}: {problem}")]
    Damaged {
        /// Path or address, without credentials.
        source_name: String,
        /// Frames delivered before the fault.
        frames: u64,
        /// What the decoder said and what to do.
        problem: String,
    },
    /// The camera wants another user or password.
    #[error("{source_name}: login refused: {problem}")]
    Refused {
        /// Address, without credentials.
        source_name: String,
        /// What the camera said.
        problem: String,
    },
    /// A live source ended: the camera hung up.
    #[error("{source_name}: closed by the camera after frame {frames}")]
    Closed {
        /// Path or address, without credentials.
        source_name: String,
        /// Frames delivered before.
        frames: u64,
    },
    /// The decoder delivered nothing for too long.
    #[error("{source_name}: stalled: no frame for {waited_secs} s after frame {frames}")]
    Stalled {
        /// Path or address, without credentials.
        source_name: String,
        /// Frames delivered before the fault.
        frames: u64,
        /// Seconds waited.
        waited_secs: u64,
    },
}

impl SourceError {
    /// Name of the kind in metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::NoVideo { .. } => "no_video",
            Self::Damaged { .. } => "damaged",
            Self::Refused { .. } => "refused",
            Self::Closed { .. } => "closed",
            Self::Stalled { .. } => "stalled",
        }
    }
}

/// What one pull gave.
#[derive(Debug)]
pub enum Pull {
    /// The next frame. A frame whose `epoch` differs from the last one's begins a new epoch.
    Frame(Frame),
    /// Nothing within the wait; ask again.
    Pending,
    /// Orderly end. `damage` says what was wrong with the file where decoding went on past a fault
    /// (a corrupt frame in the middle, a file shorter than its header says).
    End {
        /// `None` for a sound file.
        damage: Option<SourceError>,
    },
}

/// What is known of a source once it is open. Everything but the size may be unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceInfo {
    /// Picture size of the first frame.
    pub size: ImageSize,
    /// Nominal frames a second.
    pub fps: Option<f64>,
    /// How many frames it should give (an estimate from duration and rate).
    pub frames: Option<u64>,
    /// Codec as GStreamer names it, "H.264".
    pub codec: Option<String>,
}

/// An open source. Pulling after `End` or an error gives `End` again.
pub trait Source: Send {
    /// What is known of it; of a live source nothing before its first frame.
    fn info(&self) -> &SourceInfo;
    /// Path or address, without credentials.
    fn name(&self) -> String {
        "source".to_owned()
    }
    /// The next frame, waiting at most `wait`.
    fn pull(&mut self, wait: Duration) -> Result<Pull, SourceError>;
}

/// Opens a source, once for a file, again and again for a camera. Dropping a source frees everything of it.
pub trait OpenSource: Send + Sync {
    /// Opens it. A file's format is known then; a camera is only begun to be connected to, so that its thread can give up
    /// at any time. Frames carry `epoch` and `seq` from `first_seq` on.
    fn open(&self, epoch: u32, first_seq: u64) -> Result<Box<dyn Source>, SourceError>;
}
