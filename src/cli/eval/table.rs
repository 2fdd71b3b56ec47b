//! A plain text table: names to the left, figures to the right.

use std::fmt;

/// Rows of text under a header.
pub struct Table {
    /// How many columns, from the first, hold names.
    names: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(names: &[&str], figures: &[&str]) -> Self {
        let header = names.iter().chain(figures).map(|&title| title.to_owned()).collect();
        Self { names: names.len(), rows: vec![header] }
    }

    /// Adds a row; one cell for each column.
    pub fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                line +=
                    &if column < self.names { format!("{gap}{cell:width$}") } else { format!("{gap}{cell:>width$}") };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A fraction in percent; a dash where there is none.
pub fn percent(fraction: f64) -> String {
    if fraction.is_nan() { "-".to_owned() } else { format!("{:.2}", 100.0 * fraction) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_left_and_figures_right() {
        let mut table = Table::new(&["sequence"], &["HOTA", "FP"]);
        table.push(vec!["gate".into(), percent(0.5), "7".into()]);
        table.push(vec!["a long name".into(), percent(f64::NAN), "12345".into()]);
        let expected = "sequence      HOTA     FP\ngate         50.00      7\na long name      -  12345\n";
        assert_eq!(table.to_string(), expected);
    }
}
