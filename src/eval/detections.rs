//! A detection file as a tracker wants it: by frame, each detection with the row it came from.

use super::mot_io::{MotError, MotRows, ResultRow};
use crate::detect::{ClassId, Detection};
use std::{ops::Range, path::Path};

/// Detections of one sequence, grouped by frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MotDetections {
    detections: Vec<Detection>,
    rows: Vec<usize>,
    /// Frames that have a detection, ascending, and their stretch of the vectors above.
    frames: Vec<(u64, Range<usize>)>,
}

impl MotDetections {
    /// Reads a `det.txt`; its rows may stand in any order. MOTChallenge class c becomes `ClassId(c - 1)`, a row without one `ClassId(0)`.
    pub fn read(path: &Path) -> Result<Self, MotError> {
        Ok(Self::from_rows(&MotRows::read_results(path)?.rows))
    }

    /// As [`Self::read`], from rows already read.
    pub fn from_rows(rows: &[ResultRow]) -> Self {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        if !rows.is_sorted_by_key(|row| row.frame) {
            order.sort_by_key(|&row| rows[row].frame);
        }
        let mut grouped = Self { detections: Vec::with_capacity(rows.len()), ..Self::default() };
        for (index, &row) in order.iter().enumerate() {
            grouped.detections.push(detection(&rows[row]));
            match grouped.frames.last_mut() {
                Some((frame, range)) if *frame == rows[row].frame => range.end = index + 1,
                _ => grouped.frames.push((rows[row].frame, index..index + 1)),
            }
        }
        grouped.rows = order;
        grouped
    }

    /// Detections of frame `number` (from 1) in the file's order; none where the file has no row of it.
    pub fn frame(&self, number: u64) -> &[Detection] {
        &self.detections[self.range(number)]
    }

    /// Row (from 0, blank lines not counted) of each detection of frame `number`: the index into an embeddings file.
    pub fn rows(&self, number: u64) -> &[usize] {
        &self.rows[self.range(number)]
    }

    /// Number of the last frame with a detection; 0 in an empty file.
    pub fn last_frame(&self) -> u64 {
        self.frames.last().map_or(0, |(frame, _)| *frame)
    }

    /// Number of detections in all frames.
    pub fn len(&self) -> usize {
        self.detections.len()
    }

    /// Whether the file had no rows.
    pub fn is_empty(&self) -> bool {
        self.detections.is_empty()
    }

    fn range(&self, number: u64) -> Range<usize> {
        let found = self.frames.binary_search_by_key(&number, |(frame, _)| *frame);
        found.map_or(0..0, |index| self.frames[index].1.clone())
    }
}

fn detection(row: &ResultRow) -> Detection {
    let class = u16::try_from(row.class - 1).unwrap_or(u16::MAX);
    Detection { bbox: row.bbox.into(), class: ClassId(class), score: row.score as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(content: &str) -> MotDetections {
        let file = MotRows::parse_results(Path::new("det.txt"), content.as_bytes()).unwrap();
        MotDetections::from_rows(&file.rows)
    }

    #[test]
    fn unordered_rows_are_grouped_and_keep_their_row_numbers() {
        let read = parse("5,-1,1,2,3,4,0.5\n2,-1,10,2,3,4,0.7,3\n5,-1,20,2,3,4,0.25,-1,-1,-1\n");
        assert_eq!((read.len(), read.last_frame(), read.is_empty()), (3, 5, false));
        assert_eq!(read.rows(5), [0, 2]);
        assert_eq!(read.frame(5).iter().map(|d| d.bbox.left).collect::<Vec<_>>(), [1.0, 20.0]);
        assert_eq!(
            (read.frame(2)[0].class, read.frame(2)[0].score, read.frame(5)[1].class),
            (ClassId(2), 0.7, ClassId(0))
        );
        assert_eq!((read.frame(1).len(), read.frame(6).len(), read.rows(0).len()), (0, 0, 0));
    }

    #[test]
    fn an_empty_file_has_no_frames() {
        let read = parse("");
        assert_eq!((read.len(), read.last_frame(), read.is_empty()), (0, 0, true));
    }

    #[test]
    fn a_far_frame_number_costs_no_memory() {
        let read = parse("9000000000000000,-1,1,2,3,4,0.5\n");
        assert_eq!(read.frame(9_000_000_000_000_000).len(), 1);
    }
}
