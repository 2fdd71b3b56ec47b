//! Minimum-cost assignment whose ties fall as SciPy's do.
//!
//! Every metric here matches boxes or identities by an optimal assignment, and TrackEval's numbers come from
//! `scipy.optimize.linear_sum_assignment`. Where two assignments cost the same, which one is taken decides identity
//! switches and association scores. So this solver visits rows and columns in SciPy's order and adds in SciPy's order:
//! faster solvers exist (the tracker has one), but none may stand here that breaks ties otherwise.

use ndarray::ArrayView2;

/// Pairs (row, column) of the assignment of least total cost, by ascending row; min(rows, columns) of them.
///
/// `cost`: any shape, finite values. A row whose every cost is infinite or NaN stays unassigned.
/// Source: Crouse 2016, "On implementing 2D rectangular assignment algorithms", shortest augmenting paths.
pub fn minimum_cost_pairs(cost: ArrayView2<'_, f64>) -> Vec<(usize, usize)> {
    let (rows, columns) = cost.dim();
    if columns < rows {
        let mut pairs: Vec<_> = Search::solve(cost.t()).into_iter().map(|(column, row)| (row, column)).collect();
        pairs.sort_unstable();
        return pairs;
    }
    Search::solve(cost)
}

/// Index that stands for "none" in the dense tables below.
const NONE: usize = usize::MAX;

/// State of the search; rows <= columns.
struct Search<'a> {
    cost: ArrayView2<'a, f64>,
    row_price: Vec<f64>,
    column_price: Vec<f64>,
    column_of_row: Vec<usize>,
    row_of_column: Vec<usize>,
    /// Row from which the shortest path reaches each column.
    reached_from: Vec<usize>,
    distance: Vec<f64>,
    /// Columns not yet on the shortest-path tree.
    open: Vec<usize>,
    /// Columns on the tree, in the order they joined it; all but a sink at the end are taken by a row.
    tree: Vec<usize>,
}

impl<'a> Search<'a> {
    fn solve(cost: ArrayView2<'a, f64>) -> Vec<(usize, usize)> {
        let (rows, columns) = cost.dim();
        let mut search = Self {
            cost,
            row_price: vec![0.0; rows],
            column_price: vec![0.0; columns],
            column_of_row: vec![NONE; rows],
            row_of_column: vec![NONE; columns],
            reached_from: vec![NONE; columns],
            distance: vec![0.0; columns],
            open: Vec::with_capacity(columns),
            tree: Vec::with_capacity(columns),
        };
        for row in 0..rows {
            if let Some((sink, length)) = search.shortest_path(row) {
                search.update_prices(row, length);
                search.augment(row, sink);
            }
        }
        search.column_of_row.into_iter().enumerate().filter(|&(_, column)| column != NONE).collect()
    }

    /// Grows the shortest-path tree from `start` until it meets a free column: that column and the path's length.
    fn shortest_path(&mut self, start: usize) -> Option<(usize, f64)> {
        // Last column first, and the gap of a column taken out filled by the last one: SciPy's order of visits.
        self.open.clear();
        self.open.extend((0..self.distance.len()).rev());
        self.distance.fill(f64::INFINITY);
        self.tree.clear();
        let (mut row, mut length) = (start, 0.0);
        loop {
            let (position, nearest) = self.nearest_open_column(row, length)?;
            length = nearest;
            let column = self.open.swap_remove(position);
            self.tree.push(column);
            match self.row_of_column[column] {
                NONE => return Some((column, length)),
                taken_by => row = taken_by,
            }
        }
    }

    /// Relaxes the open columns from `row`; place in `open` and distance of the nearest, a free one first among equals.
    fn nearest_open_column(&mut self, row: usize, length: f64) -> Option<(usize, f64)> {
        let mut nearest = None;
        let mut lowest = f64::INFINITY;
        let costs = self.cost.row(row);
        let price = self.row_price[row];
        for (position, &column) in self.open.iter().enumerate() {
            let through_row = length + costs[column] - price - self.column_price[column];
            if through_row < self.distance[column] {
                self.distance[column] = through_row;
                self.reached_from[column] = row;
            }
            let distance = self.distance[column];
            let is_free_tie = distance == lowest && self.row_of_column[column] == NONE;
            if distance < lowest || (is_free_tie && nearest.is_some()) {
                lowest = distance;
                nearest = Some((position, distance));
            }
        }
        nearest
    }

    /// Keeps reduced costs non-negative after a path of `length` from `start` was found.
    fn update_prices(&mut self, start: usize, length: f64) {
        self.row_price[start] += length;
        for &column in &self.tree {
            let slack = length - self.distance[column];
            self.column_price[column] -= slack;
            let row = self.row_of_column[column];
            if row != NONE {
                self.row_price[row] += slack;
            }
        }
    }

    /// Hands each column on the path to the row that reached it.
    fn augment(&mut self, start: usize, sink: usize) {
        let mut column = sink;
        loop {
            let row = self.reached_from[column];
            self.row_of_column[column] = row;
            column = std::mem::replace(&mut self.column_of_row[row], column);
            if row == start {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    #[test]
    fn ties_fall_as_in_scipy() {
        // Right-hand sides recorded from scipy 1.17.1.
        let cases: Vec<(Array2<f64>, Vec<(usize, usize)>)> = vec![
            (Array2::zeros((0, 3)), vec![]),
            (Array2::zeros((3, 0)), vec![]),
            (Array2::zeros((3, 3)), vec![(0, 0), (1, 1), (2, 2)]),
            (Array2::zeros((2, 4)), vec![(0, 0), (1, 1)]),
            (Array2::zeros((4, 2)), vec![(0, 0), (1, 1)]),
            (-array![[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]], vec![(0, 0), (1, 1), (2, 2)]),
            (-array![[0.0, 1.0, 1.0], [0.0, 1.0, 1.0]], vec![(0, 1), (1, 2)]),
            (-array![[0.5, 0.5], [0.5, 0.0], [0.0, 0.5]], vec![(0, 0), (2, 1)]),
        ];
        for (cost, expected) in cases {
            assert_eq!(minimum_cost_pairs(cost.view()), expected, "{cost}");
        }
    }

    #[test]
    fn a_row_without_finite_cost_stays_unassigned() {
        let cost = array![[f64::INFINITY, f64::NAN], [2.0, 1.0]];
        assert_eq!(minimum_cost_pairs(cost.view()), vec![(1, 1)]);
    }

    fn cheapest_by_brute_force(cost: &Array2<f64>, row: usize, taken: &mut Vec<bool>) -> f64 {
        if row == cost.nrows() {
            return 0.0;
        }
        let mut best = f64::INFINITY;
        for column in 0..cost.ncols() {
            if !taken[column] {
                taken[column] = true;
                best = best.min(cost[(row, column)] + cheapest_by_brute_force(cost, row + 1, taken));
                taken[column] = false;
            }
        }
        best
    }

    fn any_cost() -> impl Strategy<Value = Array2<f64>> {
        (1usize..=6, 1usize..=6).prop_flat_map(|(rows, columns)| {
            prop::collection::vec(prop_oneof![-9i32..9, Just(0)], rows * columns)
                .prop_map(move |v| Array2::from_shape_fn((rows, columns), |(r, c)| f64::from(v[r * columns + c]) / 4.0))
        })
    }

    proptest! {
        #[test]
        fn equals_brute_force(cost in any_cost()) {
            let pairs = minimum_cost_pairs(cost.view());
            prop_assert_eq!(pairs.len(), cost.nrows().min(cost.ncols()));
            let total: f64 = pairs.iter().map(|&pair| cost[pair]).sum();
            let wide = if cost.nrows() <= cost.ncols() { cost } else { cost.t().to_owned() };
            let best = cheapest_by_brute_force(&wide, 0, &mut vec![false; wide.ncols()]);
            prop_assert!((total - best).abs() < 1e-12, "{} instead of {}", total, best);
        }
    }
}
