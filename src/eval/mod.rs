//! Scores results against ground truth with the field's own metrics. Pure; only the readers of `mot_io`, `seqinfo` and
//! `detections` touch a file.
//!
//! `mot_io` reads rows, `sequence` brings truth and results of a sequence together as the benchmark wants it, `hota`,
//! `clear` and `identity` score that, `tracking` holds all three. Their yardstick is TrackEval, equal to 1e-6.
//! `average_precision` scores detections without identities. Knows nothing of trackers or models: it sees files.
//!
//! ```
//! use eyeline::eval::{mot_io::MotRows, sequence::Sequence, tracking};
//! use std::path::Path;
//!
//! let truth = b"1,1,10,10,40,80,1,-1,-1,-1\n2,1,12,10,40,80,1,-1,-1,-1\n";
//! let results = b"1,7,10,10,40,80,0.9\n2,7,12,11,40,80,0.8\n";
//! let (truth, format) = MotRows::parse_truth(Path::new("gt.txt"), truth, None, "gate")?;
//! let results = MotRows::parse_results(Path::new("gate.txt"), results)?;
//! let sequence = Sequence::new(&truth, &results, format, None)?;
//! let scores = tracking::evaluate(&sequence, tracking::DEFAULT_MIN_IOU, &mut |_, _, _| ());
//! assert_eq!(scores.clear.counts.switches, 0);
//! assert_eq!(scores.identity.idf1, 1.0);
//! # Ok::<(), eyeline::eval::mot_io::MotError>(())
//! ```

pub mod assignment;
pub mod average_precision;
pub mod clear;
pub mod detections;
pub mod exact_box;
pub mod hota;
pub mod identity;
pub mod mistakes;
pub mod mot_io;
mod mot_line;
pub mod seqinfo;
pub mod sequence;
pub mod tracking;

#[cfg(test)]
mod fixture;
