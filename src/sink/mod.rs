//! Where events and results go.
//!
//! Two kinds of things that know nothing of each other: a `Recorder` writes one stream's results as its frames pass; a
//! follower (`follower`, one thread a sink) reads the event log behind its own cursor and hands events to a server.

#[cfg(feature = "delivery")]
pub mod backoff;
#[cfg(feature = "opencv")]
pub mod canvas;
#[cfg(feature = "delivery")]
pub mod deliver;
#[cfg(feature = "delivery")]
pub mod filter;
#[cfg(feature = "delivery")]
pub mod follower;
#[cfg(feature = "delivery")]
pub mod followers;
#[cfg(feature = "delivery")]
mod hidden;
pub mod jsonl;
#[cfg(feature = "delivery")]
mod kafka;
pub mod line_counts;
pub mod lines;
#[cfg(feature = "delivery")]
pub mod logged;
#[cfg(feature = "delivery")]
pub mod memory_log;
pub mod mot;
#[cfg(feature = "delivery")]
mod mqtt;
#[cfg(feature = "delivery")]
mod mqtt_session;
#[cfg(feature = "delivery")]
mod nats;
#[cfg(feature = "delivery")]
mod online;
#[cfg(feature = "opencv")]
pub mod overlay;
pub mod palette;
#[cfg(all(feature = "gst", feature = "opencv"))]
pub mod picture_video;
pub mod placement;
#[cfg(feature = "delivery")]
mod postgres;
#[cfg(feature = "delivery")]
mod redis;
pub mod refined;
#[cfg(feature = "delivery")]
mod rotating;
#[cfg(feature = "delivery")]
pub mod status;
#[cfg(feature = "delivery")]
mod stdout;
pub mod summary;
#[cfg(feature = "delivery")]
mod tls;
pub mod trails;
#[cfg(all(feature = "gst", feature = "opencv"))]
pub mod video;
#[cfg(feature = "gst")]
mod video_encode;
#[cfg(feature = "delivery")]
mod webhook;
pub mod zone_fill;

use crate::pipeline::flow::Analyzed;
use std::{io, path::PathBuf};

/// Why results could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The file system refused.
    #[error("{}: cannot be written: {source}{}", path.display(), remedy(source))]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The video could not be drawn, encoded or written.
    #[error("{}: {problem}", path.display())]
    Video {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space or choose another --out",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "; choose another --out",
        _ => "",
    }
}

/// Records one stream's results, in order, for as long as the stream lasts.
pub trait Recorder: Send {
    /// Takes in one item. After an error only `finish` is called.
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError>;
    /// Completes what was recorded.
    fn finish(&mut self) -> Result<(), SinkError>;
}
