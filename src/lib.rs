//! eyeline: a real-time video analytics pipeline.
//!
//! The modules stand in the order the data takes: `source` decodes, `preprocess` and `detect` find objects, `embed`
//! describes them, `track` gives them identities, `analyze` makes events of what they do, `sink` hands those on.
//! `pipeline` joins the stretches by channels; everything before it is synchronous and testable with a `Vec`.

#![warn(clippy::unwrap_used)]

pub mod config;
pub mod frame;
pub mod geometry;
#[cfg(any(feature = "delivery", feature = "serve"))]
mod jpeg;
pub mod time;

pub mod source;

pub mod preprocess;

pub mod torch;

pub mod detect;

pub mod embed;

pub mod track;

pub mod analyze;

pub mod event;

pub mod sink;

#[cfg(feature = "delivery")]
pub mod media;

pub mod eval;

pub mod pipeline;

pub mod serve;

pub mod cli;
