//! Where events and results go.

#[cfg(feature = "opencv")]
pub mod canvas;
pub mod jsonl;
pub mod lines;
pub mod mot;
#[cfg(feature = "opencv")]
pub mod overlay;
pub mod palette;
#[cfg(all(feature = "gst", feature = "opencv"))]
pub mod picture_video;
pub mod placement;
pub mod refined;
pub mod summary;
pub mod trails;
#[cfg(all(feature = "gst", feature = "opencv"))]
pub mod video;
#[cfg(feature = "gst")]
mod video_encode;
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
