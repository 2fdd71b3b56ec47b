//! Exact minimum-cost matching of tracks and detections.
//!
//! Shortest augmenting paths with dual prices (Jonker & Volgenant 1987; rectangular form after Crouse 2016), over the
//! pairs below the gate only: gated cost matrices are nearly empty, and most rows are settled by their first look.
//! A row may stay unmatched, which costs as much as the gate. Knows nothing of what is matched.

use ndarray::ArrayView2;

const NONE: u32 = u32::MAX;

/// A pair that passed the gate.
#[derive(Clone, Copy, Debug)]
struct Edge {
    column: u32,
    /// Cost minus gate, so below zero.
    cost: f64,
}

/// Solves assignment problems; keeps its buffers, so that a frame like the last one allocates nothing.
#[derive(Debug, Default)]
pub struct Assigner {
    gate: f32,
    edges: Vec<Edge>,
    /// Row r owns `edges[starts[r]..starts[r + 1]]`.
    starts: Vec<usize>,
    row_price: Vec<f64>,
    column_price: Vec<f64>,
    column_of_row: Vec<u32>,
    row_of_column: Vec<u32>,
    distance: Vec<f64>,
    /// Row from which a column was reached.
    reached_from: Vec<u32>,
    /// Columns reached but not settled, then those settled, in the current search.
    open: Vec<u32>,
    settled: Vec<u32>,
    pairs: Vec<(usize, usize)>,
}

/// Where a search for an augmenting path ended.
enum Sink {
    /// At a column nobody holds.
    Column(u32),
    /// At a row that goes without a column from now on.
    Row(u32),
}

impl Assigner {
    /// The pairs (row, column), by ascending row, that minimise the sum of (cost - `gate`) over all partial matchings.
    ///
    /// Only pairs that cost less than `gate` are matched; a NaN or infinite cost never is. With `gate` above every cost
    /// this is the plain rectangular problem wherever matching pays for all rows or columns.
    pub fn solve(&mut self, cost: ArrayView2<'_, f32>, gate: f32) -> &[(usize, usize)] {
        self.begin(gate);
        for row in cost.rows() {
            for (column, &value) in row.iter().enumerate() {
                self.offer(column, value);
            }
            self.end_row();
        }
        self.solve_offered(cost.ncols())
    }

    /// Begins a problem whose pairs are offered one by one, row after row: for whoever knows that most are impossible.
    pub fn begin(&mut self, gate: f32) {
        self.gate = gate;
        self.edges.clear();
        self.starts.clear();
        self.starts.push(0);
    }

    /// A pair of the current row and its cost; one not offered is never matched. A column at most once a row.
    pub fn offer(&mut self, column: usize, cost: f32) {
        if cost < self.gate && cost.is_finite() {
            let cost = f64::from(cost) - f64::from(self.gate);
            self.edges.push(Edge { column: column as u32, cost });
        }
    }

    /// The next pairs belong to the next row.
    pub fn end_row(&mut self) {
        self.starts.push(self.edges.len());
    }

    /// Solves what was offered since `begin`; as `solve`. Every offered column is below `columns`.
    pub fn solve_offered(&mut self, columns: usize) -> &[(usize, usize)] {
        let rows = self.starts.len().saturating_sub(1);
        reset(&mut self.row_price, rows, 0.0);
        reset(&mut self.column_price, columns, 0.0);
        reset(&mut self.column_of_row, rows, NONE);
        reset(&mut self.row_of_column, columns, NONE);
        reset(&mut self.distance, columns, f64::INFINITY);
        reset(&mut self.reached_from, columns, NONE);
        for row in 0..rows {
            if self.starts[row] < self.starts[row + 1] {
                self.match_row(row as u32);
            }
        }
        self.pairs.clear();
        let matched = self.column_of_row.iter().enumerate().filter(|&(_, &column)| column != NONE);
        self.pairs.extend(matched.map(|(row, &column)| (row, column as usize)));
        &self.pairs
    }

    /// Finds the cheapest augmenting path from `start`, mends the prices and flips the path.
    fn match_row(&mut self, start: u32) {
        self.open.clear();
        self.settled.clear();
        let (sink, length) = self.search(start);
        self.row_price[start as usize] += length;
        for &column in &self.settled {
            let shortfall = length - self.distance[column as usize];
            let row = self.row_of_column[column as usize];
            if row != NONE {
                self.row_price[row as usize] += shortfall;
                self.column_price[column as usize] -= shortfall;
            }
        }
        self.flip(start, &sink);
        for &column in self.open.iter().chain(&self.settled) {
            self.distance[column as usize] = f64::INFINITY;
        }
    }

    /// Dijkstra over reduced costs; the path ends at a free column or at a row that is better off unmatched.
    fn search(&mut self, start: u32) -> (Sink, f64) {
        let (mut row, mut length) = (start, 0.0);
        let mut unmatched = (start, f64::INFINITY);
        loop {
            let without = length - self.row_price[row as usize];
            if without < unmatched.1 {
                unmatched = (row, without);
            }
            self.relax(row, length);
            let nearest = self.nearest_open();
            let Some((slot, column)) = nearest.filter(|&(_, c)| self.distance[c as usize] < unmatched.1) else {
                return (Sink::Row(unmatched.0), unmatched.1);
            };
            self.open.swap_remove(slot);
            self.settled.push(column);
            length = self.distance[column as usize];
            row = self.row_of_column[column as usize];
            if row == NONE {
                return (Sink::Column(column), length);
            }
        }
    }

    fn relax(&mut self, row: u32, length: f64) {
        let base = length - self.row_price[row as usize];
        for edge in &self.edges[self.starts[row as usize]..self.starts[row as usize + 1]] {
            let column = edge.column as usize;
            let through = base + edge.cost - self.column_price[column];
            let known = self.distance[column];
            if through < known {
                // Settled columns are never improved: reduced costs are at or above zero, but for rounding.
                if known <= length {
                    continue;
                }
                if known.is_infinite() {
                    self.open.push(edge.column);
                }
                self.distance[column] = through;
                self.reached_from[column] = row;
            }
        }
    }

    /// Place in `open` and number of the nearest column; of equals, a free one, then the lowest.
    fn nearest_open(&self) -> Option<(usize, u32)> {
        let key = |column: u32| (self.distance[column as usize], self.row_of_column[column as usize] != NONE, column);
        let mut best: Option<(usize, u32)> = None;
        for (slot, &column) in self.open.iter().enumerate() {
            if best.is_none_or(|(_, other)| key(column) < key(other)) {
                best = Some((slot, column));
            }
        }
        best
    }

    /// Walks the path back from its sink, giving every row on it the column it was reached through.
    fn flip(&mut self, start: u32, sink: &Sink) {
        let mut column = match *sink {
            Sink::Column(column) => column,
            Sink::Row(row) if row == start => return,
            Sink::Row(row) => std::mem::replace(&mut self.column_of_row[row as usize], NONE),
        };
        loop {
            let row = self.reached_from[column as usize];
            self.row_of_column[column as usize] = row;
            let previous = std::mem::replace(&mut self.column_of_row[row as usize], column);
            if row == start {
                return;
            }
            column = previous;
        }
    }
}

fn reset<T: Clone>(buffer: &mut Vec<T>, len: usize, value: T) {
    buffer.clear();
    buffer.resize(len, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    fn total(cost: &Array2<f32>, gate: f32, pairs: &[(usize, usize)]) -> f64 {
        pairs.iter().map(|&(r, c)| f64::from(cost[(r, c)]) - f64::from(gate)).sum()
    }

    /// Least sum over every partial matching, by trying them all.
    fn brute_force(cost: &Array2<f32>, gate: f32, row: usize, taken: &mut Vec<bool>) -> f64 {
        if row == cost.nrows() {
            return 0.0;
        }
        let mut best = brute_force(cost, gate, row + 1, taken);
        for column in 0..cost.ncols() {
            let value = cost[(row, column)];
            if !taken[column] && value < gate && value.is_finite() {
                taken[column] = true;
                let rest = brute_force(cost, gate, row + 1, taken);
                best = best.min(f64::from(value) - f64::from(gate) + rest);
                taken[column] = false;
            }
        }
        best
    }

    #[test]
    fn table() {
        let inf = f32::INFINITY;
        let cases: [(Array2<f32>, f32, &[(usize, usize)]); 8] = [
            (Array2::zeros((0, 3)), 1.0, &[]),
            (Array2::zeros((3, 0)), 1.0, &[]),
            (array![[0.5]], 0.5, &[]),
            (array![[0.4]], 0.5, &[(0, 0)]),
            (array![[1.0, 2.0], [1.0, 9.0]], 10.0, &[(0, 1), (1, 0)]),
            (array![[f32::NAN, 0.1], [inf, 0.2]], 1.0, &[(0, 1)]),
            (array![[0.0, 0.0], [0.0, 0.0]], 1.0, &[(0, 0), (1, 1)]),
            (array![[0.2], [0.1], [0.3]], 1.0, &[(1, 0)]),
        ];
        let mut assigner = Assigner::default();
        for (cost, gate, expected) in cases {
            assert_eq!(assigner.solve(cost.view(), gate), expected, "{cost:?} gate {gate}");
        }
    }

    proptest! {
        #[test]
        fn equals_brute_force(
            rows in 0usize..=6,
            columns in 0usize..=6,
            values in prop::collection::vec(prop_oneof![4 => 0.0f32..1.2, 1 => Just(f32::INFINITY), 2 => Just(0.5f32)], 36),
            gate in 0.3f32..1.3,
        ) {
            let cost = Array2::from_shape_fn((rows, columns), |(r, c)| values[r * 6 + c]);
            let mut assigner = Assigner::default();
            let pairs = assigner.solve(cost.view(), gate).to_vec();
            let mut taken = vec![false; columns];
            for &(_, column) in &pairs {
                prop_assert!(!std::mem::replace(&mut taken[column], true));
            }
            let best = brute_force(&cost, gate, 0, &mut vec![false; columns]);
            prop_assert!((total(&cost, gate, &pairs) - best).abs() < 1e-5);
        }

        #[test]
        fn large_problems_agree_with_their_transpose(values in prop::collection::vec(0.0f32..1.0, 40 * 30)) {
            let cost = Array2::from_shape_vec((40, 30), values).unwrap();
            let mut assigner = Assigner::default();
            let straight = total(&cost, 0.7, assigner.solve(cost.view(), 0.7));
            let turned = cost.t().to_owned();
            let crossed = total(&turned, 0.7, assigner.solve(turned.view(), 0.7));
            prop_assert!((straight - crossed).abs() < 1e-5);
        }
    }
}
