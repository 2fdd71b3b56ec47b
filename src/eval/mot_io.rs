//! MOTChallenge CSV: `frame,id,left,top,width,height,conf,...`, frames from 1, pixels.

use crate::geometry::BBox;
use std::fmt;

/// One row of a MOTChallenge file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MotRow {
    /// Frame number, from 1.
    pub frame: u64,
    /// Identity; -1 for a detection without one.
    pub id: i64,
    /// Where, pixels.
    pub bbox: BBox,
    /// Confidence.
    pub score: f32,
}

impl fmt::Display for MotRow {
    /// The row without a line end: two decimals for the box, the three world coordinates unknown (-1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = &self.bbox;
        write!(
            f,
            "{},{},{:.2},{:.2},{:.2},{:.2},{:.4},-1,-1,-1",
            self.frame,
            self.id,
            b.left,
            b.top,
            b.width(),
            b.height(),
            self.score
        )
    }
}
