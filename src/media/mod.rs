//! Pictures and clips of what happened, kept as files that events name. Stands before a stream's other recorders, in the
//! only stage behind the embedder that looks at pixels.
//!
//! A picture is written before the event that names it is told; a clip when the time it shows has passed. What cannot be
//! written is counted, a picture also left out of its event; nothing waits for it. Clips are what the camera sent, not
//! encoded again where a file can hold it, so nobody can be blurred in them: a configuration that wants both is refused.

pub mod clips;
#[cfg(feature = "gst")]
pub mod footage;
mod pictures;
mod privacy;
mod quality;
mod rgb;
mod store;

pub use pictures::{Illustrated, Pictures};
pub use store::{Kind, Store};
