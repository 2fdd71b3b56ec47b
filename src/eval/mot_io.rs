//! MOTChallenge CSV: `frame,id,left,top,width,height,conf,...`, frames from 1, pixels.
//!
//! Reading is strict where a wrong number would pass for a right one: a row is read whole or refused with file, line,
//! column, what was expected and what stood there. The columns after the seventh differ from one benchmark to the next,
//! see [`MotFormat`].

use super::exact_box::ExactBox;
use super::mot_line::Line;
use crate::geometry::BBox;
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

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

/// Which benchmark's columns and scoring rules a file follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MotFormat {
    /// `frame,id,l,t,w,h,consider,X,Y,Z`: no classes, no distractors.
    Mot15,
    /// `frame,id,l,t,w,h,consider,class,visibility`; also MOT16.
    Mot17,
    /// The columns of MOT17; non-MOT vehicles count as distractors too.
    Mot20,
}

impl MotFormat {
    /// Format of a truth file with so many columns; of MOT17 and MOT20, which share theirs, the sequence's name decides.
    pub fn guess(columns: usize, sequence: &str) -> Self {
        match columns {
            8 | 9 if sequence.starts_with("MOT20") => Self::Mot20,
            8 | 9 => Self::Mot17,
            _ => Self::Mot15,
        }
    }
}

/// Class of a pedestrian in MOTChallenge files, and of every row of a format without classes.
pub const PEDESTRIAN: i64 = 1;

/// One annotated box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TruthRow {
    /// Line in the file, from 1.
    pub line: usize,
    /// Frame number, from 1.
    pub frame: u64,
    /// Identity.
    pub id: i64,
    /// Where.
    pub bbox: ExactBox,
    /// Whether the box is to be scored (column 7, the "zero mark").
    pub considered: bool,
    /// MOTChallenge class; [`PEDESTRIAN`] in MOT15.
    pub class: i64,
}

/// One box of a tracker or detector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResultRow {
    /// Line in the file, from 1.
    pub line: usize,
    /// Frame number, from 1.
    pub frame: u64,
    /// Identity; negative for a detection without one.
    pub id: i64,
    /// Where.
    pub bbox: ExactBox,
    /// Confidence.
    pub score: f64,
    /// Column 8 where it is a class (a whole number >= 1), otherwise [`PEDESTRIAN`].
    pub class: i64,
}

impl From<&MotRow> for ResultRow {
    fn from(row: &MotRow) -> Self {
        let (bbox, score) = (row.bbox.into(), row.score.into());
        Self { line: 0, frame: row.frame, id: row.id, bbox, score, class: PEDESTRIAN }
    }
}

/// The rows of a file in its order, and where they came from.
#[derive(Clone, Debug, PartialEq)]
pub struct MotRows<R> {
    /// Named in errors.
    pub path: PathBuf,
    /// Rows as they stand.
    pub rows: Vec<R>,
}

/// Why a file could not be read or scored.
#[derive(Debug, thiserror::Error)]
pub enum MotError {
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// File.
        path: PathBuf,
        /// Reason.
        source: io::Error,
    },
    /// A row has too few columns.
    #[error("{} line {line}: expected at least {expected} comma-separated columns, got {got}", path.display())]
    Columns {
        /// File.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Least number of columns.
        expected: usize,
        /// Number found.
        got: usize,
    },
    /// A value is not what its column holds.
    #[error("{} line {line}, {column}: expected {expected}, got {got:?}", path.display())]
    Value {
        /// File.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column's name.
        column: &'static str,
        /// What the column holds.
        expected: String,
        /// What stands there, cut to a readable length.
        got: String,
    },
    /// An identity stands twice in one frame.
    #[error("{} line {line}: id {id} is in frame {frame} already (line {first_line})", path.display())]
    RepeatedId {
        /// File.
        path: PathBuf,
        /// Line of the second row.
        line: usize,
        /// Line of the first row.
        first_line: usize,
        /// Frame.
        frame: u64,
        /// Identity.
        id: i64,
    },
}

impl MotRows<TruthRow> {
    /// Reads ground truth; `sequence` helps to guess the format where none is given.
    pub fn read_truth(path: &Path, format: Option<MotFormat>, sequence: &str) -> Result<(Self, MotFormat), MotError> {
        Self::parse_truth(path, &read(path)?, format, sequence)
    }

    /// As [`Self::read_truth`], from the file's content.
    pub fn parse_truth(
        path: &Path,
        content: &[u8],
        format: Option<MotFormat>,
        sequence: &str,
    ) -> Result<(Self, MotFormat), MotError> {
        let columns = Line::all(path, content).next().map_or(0, |line| line.column_count());
        let format = format.unwrap_or_else(|| MotFormat::guess(columns, sequence));
        let rows = Line::all(path, content).map(|line| truth_row(&line, format)).collect::<Result<_, _>>()?;
        Ok((Self { path: path.to_owned(), rows }, format))
    }
}

fn truth_row(line: &Line<'_>, format: MotFormat) -> Result<TruthRow, MotError> {
    let has_class = format != MotFormat::Mot15;
    line.expect_columns(if has_class { 8 } else { 7 })?;
    Ok(TruthRow {
        line: line.number,
        frame: line.frame()?,
        id: line.integer(1)?,
        bbox: line.bbox()?,
        // TrackEval cuts off decimals: 0.5 does not count.
        considered: line.decimal(6)?.trunc() != 0.0,
        class: if has_class { line.integer(7)? } else { PEDESTRIAN },
    })
}

impl MotRows<ResultRow> {
    /// Reads a tracker's or detector's rows.
    pub fn read_results(path: &Path) -> Result<Self, MotError> {
        Self::parse_results(path, &read(path)?)
    }

    /// As [`Self::read_results`], from the file's content.
    pub fn parse_results(path: &Path, content: &[u8]) -> Result<Self, MotError> {
        // A short row is about 50 bytes; a better guess than growing from nothing.
        let mut rows = Vec::with_capacity(content.len() / 50);
        for line in Line::all(path, content) {
            rows.push(result_row(&line)?);
        }
        Ok(Self { path: path.to_owned(), rows })
    }
}

fn result_row(line: &Line<'_>) -> Result<ResultRow, MotError> {
    line.expect_columns(7)?;
    Ok(ResultRow {
        line: line.number,
        frame: line.frame()?,
        id: line.integer(1)?,
        bbox: line.bbox()?,
        score: line.decimal(6)?,
        class: line.class_or(7, PEDESTRIAN),
    })
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, MotError> {
    fs::read(path).map_err(|source| MotError::Unreadable { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILE: &str = "seq/gt.txt";

    fn truth(content: &str) -> Result<(Vec<TruthRow>, MotFormat), String> {
        MotRows::parse_truth(Path::new(FILE), content.as_bytes(), None, "seq")
            .map(|(file, format)| (file.rows, format))
            .map_err(|e| e.to_string())
    }

    fn results(content: &[u8]) -> Result<Vec<ResultRow>, String> {
        MotRows::parse_results(Path::new(FILE), content).map(|file| file.rows).map_err(|e| e.to_string())
    }

    #[test]
    fn truth_columns_follow_the_format() {
        let (rows, format) = truth("1,7,10,20,30.5,40,1,-4.25,3,0\n\n2,7,10,20,30,40,0,1,1,1\r\n").unwrap();
        assert_eq!(format, MotFormat::Mot15);
        let bbox = ExactBox::from_tlwh(10.0, 20.0, 30.5, 40.0);
        assert_eq!(rows[0], TruthRow { line: 1, frame: 1, id: 7, bbox, considered: true, class: PEDESTRIAN });
        assert_eq!((rows[1].line, rows[1].considered), (3, false));

        let (rows, format) = truth("1, 7, 10, 20, 30.5, 40, 1, 12, 0.25").unwrap();
        assert_eq!(format, MotFormat::Mot17);
        assert_eq!((rows[0].class, rows[0].considered), (12, true));
        assert_eq!(MotFormat::guess(9, "MOT20-01"), MotFormat::Mot20);
    }

    #[test]
    fn result_columns_may_be_short_and_written_as_decimals() {
        let rows = results(b"\xef\xbb\xbf3.0,4.0,1e1,20,-3,4,-1\n3,5,1,2,3,4,0.5,2\n3,6,1,2,3,4,0.5,-1,-1,-1").unwrap();
        let bbox = ExactBox { left: 10.0, top: 20.0, right: 7.0, bottom: 24.0 };
        assert_eq!(rows[0], ResultRow { line: 1, frame: 3, id: 4, bbox, score: -1.0, class: PEDESTRIAN });
        assert_eq!(rows[1].class, 2);
        assert_eq!(rows[2].class, PEDESTRIAN);
        assert_eq!(results(b""), Ok(vec![]));
    }

    #[test]
    fn errors_name_file_line_column_expected_and_got() {
        let cases = [
            ("1,2,3", "seq/gt.txt line 1: expected at least 7 comma-separated columns, got 3"),
            (
                "1,2,3,4,5,6,1\n1,2,x,4,5,6,1",
                r#"seq/gt.txt line 2, left: expected a number of at most 1e9 either way, got "x""#,
            ),
            ("0,2,3,4,5,6,1", r#"seq/gt.txt line 1, frame: expected a whole number from 1, got "0""#),
            ("1.5,2,3,4,5,6,1", r#"seq/gt.txt line 1, frame: expected a whole number from 1, got "1.5""#),
            ("1,2.5,3,4,5,6,1", r#"seq/gt.txt line 1, id: expected a whole number, got "2.5""#),
            ("1,2,3,4,NaN,6,1", r#"seq/gt.txt line 1, width: expected a number of at most 1e9 either way, got "NaN""#),
            (
                "1,2,3,4,5,1e300,1",
                r#"seq/gt.txt line 1, height: expected a number of at most 1e9 either way, got "1e300""#,
            ),
            ("1,2,3,4,5,6,", r#"seq/gt.txt line 1, confidence: expected a number of at most 1e9 either way, got """#),
        ];
        for (content, expected) in cases {
            assert_eq!(results(content.as_bytes()).unwrap_err(), expected);
        }
        let missing = MotRows::read_results(Path::new("no/such/file.txt")).unwrap_err().to_string();
        assert!(missing.starts_with("no/such/file.txt: "), "{missing}");
    }

    #[test]
    fn what_stands_there_is_cut_to_a_readable_length() {
        let message = results(format!("1,2,{},4,5,6,1", "z".repeat(1000)).as_bytes()).unwrap_err();
        assert!(message.len() < 200, "{message}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(content in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = results(&content);
            let _ = MotRows::parse_truth(Path::new(FILE), &content, None, "seq");
        }

        #[test]
        fn mutated_rows_are_read_or_refused_with_their_line(at in 0usize..52, byte in any::<u8>()) {
            let mut content = b"1,2,30.5,40,50,60,1,1,0.5\n1,3,31.5,41,51,61,1,1,0.5\n".to_vec();
            content[at] = byte;
            for format in [None, Some(MotFormat::Mot15), Some(MotFormat::Mot20)] {
                if let Err(e) = MotRows::parse_truth(Path::new(FILE), &content, format, "seq") {
                    prop_assert!(e.to_string().starts_with("seq/gt.txt line "), "{}", e);
                }
            }
        }

        #[test]
        fn written_rows_read_back(frame in 1u64..1_000_000, id in -1i64..1_000_000, corner in -5e3f32..5e3, side in 0f32..5e3) {
            let row = MotRow { frame, id, bbox: BBox::from_tlwh(corner, -corner, side, side), score: 0.25 };
            let read = &results(row.to_string().as_bytes()).unwrap()[0];
            prop_assert_eq!((read.frame, read.id, read.score), (frame, id, 0.25));
            let [left, top, width, height] = read.bbox.tlwh();
            for (got, expected) in [(left, corner), (top, -corner), (width, side), (height, side)] {
                prop_assert!((got - f64::from(expected)).abs() < 0.01, "{} for {}", got, expected);
            }
        }
    }
}
