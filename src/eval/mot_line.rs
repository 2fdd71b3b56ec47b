//! One line of a MOTChallenge file, split into columns.

use super::{exact_box::ExactBox, mot_io::MotError};
use std::path::Path;

const COLUMNS: [&str; 8] = ["frame", "id", "left", "top", "width", "height", "confidence", "class"];

/// Largest magnitude of a value: far beyond any picture, and areas of such boxes stay exact enough to compare.
const MAX_MAGNITUDE: f64 = 1e9;

/// Whole numbers up to here are exact in f64.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Longest piece of a bad value that an error shows, in bytes.
const MAX_SHOWN: usize = 40;

/// A line that is not blank.
pub(super) struct Line<'a> {
    path: &'a Path,
    /// Line number, from 1.
    pub number: usize,
    columns: [&'a [u8]; COLUMNS.len()],
    column_count: usize,
}

impl<'a> Line<'a> {
    /// The lines of `content` that are not blank. A byte order mark is passed over.
    pub fn all(path: &'a Path, content: &'a [u8]) -> impl Iterator<Item = Line<'a>> {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let lines = content.split(|&byte| byte == b'\n').enumerate();
        lines.filter(|(_, text)| !text.trim_ascii().is_empty()).map(move |(index, text)| {
            let mut columns: [&[u8]; COLUMNS.len()] = [b""; COLUMNS.len()];
            let mut column_count = 0;
            for value in text.split(|&byte| byte == b',') {
                if let Some(column) = columns.get_mut(column_count) {
                    *column = value.trim_ascii();
                }
                column_count += 1;
            }
            Line { path, number: index + 1, columns, column_count }
        })
    }

    /// Number of columns, those beyond the ones read included.
    pub fn column_count(&self) -> usize {
        self.column_count
    }

    pub fn expect_columns(&self, expected: usize) -> Result<(), MotError> {
        if self.column_count >= expected {
            return Ok(());
        }
        let path = self.path.to_owned();
        Err(MotError::Columns { path, line: self.number, expected, got: self.column_count })
    }

    /// A finite number of sane size.
    pub fn decimal(&self, column: usize) -> Result<f64, MotError> {
        parse_f64(self.columns[column])
            .filter(|value| value.abs() <= MAX_MAGNITUDE)
            .ok_or_else(|| self.wrong(column, "a number of at most 1e9 either way"))
    }

    /// A whole number; `3.0` is one, since several trackers write ids so.
    pub fn integer(&self, column: usize) -> Result<i64, MotError> {
        parse_i64(self.columns[column]).ok_or_else(|| self.wrong(column, "a whole number"))
    }

    pub fn frame(&self) -> Result<u64, MotError> {
        parse_i64(self.columns[0])
            .and_then(|frame| u64::try_from(frame).ok())
            .filter(|&frame| frame >= 1)
            .ok_or_else(|| self.wrong(0, "a whole number from 1"))
    }

    pub fn bbox(&self) -> Result<ExactBox, MotError> {
        Ok(ExactBox::from_tlwh(self.decimal(2)?, self.decimal(3)?, self.decimal(4)?, self.decimal(5)?))
    }

    /// A class number from 1; `default` where the column is missing, -1 or a world coordinate.
    pub fn class_or(&self, column: usize, default: i64) -> i64 {
        parse_i64(self.columns[column]).filter(|&class| class >= 1).unwrap_or(default)
    }

    fn wrong(&self, column: usize, expected: &str) -> MotError {
        let shown = &self.columns[column][..self.columns[column].len().min(MAX_SHOWN)];
        MotError::Value {
            path: self.path.to_owned(),
            line: self.number,
            column: COLUMNS[column],
            expected: expected.to_owned(),
            got: String::from_utf8_lossy(shown).into_owned(),
        }
    }
}

fn parse_f64(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn parse_i64(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().or_else(|| {
        let value: f64 = text.parse().ok()?;
        (value.fract() == 0.0 && value.abs() <= MAX_EXACT).then_some(value as i64)
    })
}
