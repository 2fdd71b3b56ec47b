//! The head of YOLOv3 and v4 as Darknet trains them: a grid a scale, some anchors a cell, sigmoids throughout.
//!
//! Most cells hold nothing, so each costs one comparison: a detection's score is at most its objectness, and that is
//! looked at first, as a logit, before any exponential.

use super::{Head, Output, Wanted, likeliest, logit, output::shape_text, sigmoid};
use crate::{detect::Detection, frame::ImageSize, geometry::BBox};

/// Box numbers before the class logits: x, y, width, height, objectness.
const BOX_VALUES: usize = 5;

/// Prior size of a box, network-input pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Anchor {
    /// Width.
    pub width_px: f32,
    /// Height.
    pub height_px: f32,
}

/// One scale of the head: what a `[yolo]` section of a cfg says.
#[derive(Clone, Debug, PartialEq)]
pub struct DarknetHead {
    /// The anchors of this scale, in the order of the output's channels.
    pub anchors: Vec<Anchor>,
    /// Number of classes.
    pub classes: usize,
    /// How far a centre may leave its cell: 1 keeps it inside (YOLOv3), YOLOv4 uses up to 1.2.
    pub scale_x_y: f32,
}

/// Output of one scale for one picture: rows × columns × channels values, channels innermost.
#[derive(Clone, Copy, Debug)]
pub struct Grid<'a> {
    values: &'a [f32],
    columns: usize,
    channels: usize,
}

impl<'a> Grid<'a> {
    /// A grid over `values`; `None` unless they are exactly `rows * columns * channels`, none of them zero.
    pub fn new(values: &'a [f32], rows: usize, columns: usize, channels: usize) -> Option<Self> {
        let cells = rows.checked_mul(columns)?;
        let fits = cells > 0 && channels > 0 && values.len() == cells.checked_mul(channels)?;
        fits.then_some(Self { values, columns, channels })
    }

    fn rows(&self) -> usize {
        self.values.len() / (self.columns * self.channels)
    }
}

impl DarknetHead {
    /// Channels the network must give a cell: (5 + classes) per anchor.
    pub fn channels(&self) -> usize {
        self.anchors.len() * (BOX_VALUES + self.classes)
    }

    /// Appends the detections of one grid, boxes in pixels of the network's input of size `input`.
    ///
    /// Score = objectness × probability of the likeliest wanted class. A grid of other channels than the head's
    /// gives nothing. Source: Redmon & Farhadi 2018, section 2.1; the centre's scale: Bochkovskiy et al. 2020,
    /// section 3.4. Differs: Darknet reports a box once a class, here it is reported once, for its likeliest class.
    pub fn decode(&self, grid: Grid<'_>, input: ImageSize, wanted: &Wanted, out: &mut Vec<Detection>) {
        if grid.channels != self.channels() {
            return;
        }
        let rows = grid.rows();
        let cell = (input.width as f32 / grid.columns as f32, input.height as f32 / rows as f32);
        let min_logit = logit(wanted.min_score);
        for (index, values) in grid.values.chunks_exact(BOX_VALUES + self.classes).enumerate() {
            if values[4].is_nan() || values[4] < min_logit {
                continue;
            }
            let Some((class, class_logit)) =
                likeliest(&wanted.classes, self.classes, |class| values[BOX_VALUES + class])
            else {
                continue;
            };
            let score = sigmoid(values[4]) * sigmoid(class_logit);
            if score < wanted.min_score {
                continue;
            }
            let anchor = self.anchors[index % self.anchors.len()];
            let position = index / self.anchors.len();
            let corner = ((position % grid.columns) as f32, (position / grid.columns) as f32);
            let bbox = self.bbox(values, anchor, corner, cell);
            if bbox.is_sound() && score.is_finite() {
                out.push(Detection { bbox, class, score });
            }
        }
    }

    /// `values`: at least x, y, width, height; `corner`: column and row of the cell; `cell`: its size, pixels.
    fn bbox(&self, values: &[f32], anchor: Anchor, corner: (f32, f32), cell: (f32, f32)) -> BBox {
        let along = |raw: f32| sigmoid(raw) * self.scale_x_y - (self.scale_x_y - 1.0) / 2.0;
        BBox::from_cxcywh(
            (corner.0 + along(values[0])) * cell.0,
            (corner.1 + along(values[1])) * cell.1,
            anchor.width_px * values[2].exp(),
            anchor.height_px * values[3].exp(),
        )
    }
}

/// The head of a whole network: its scales in the order of the outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct DarknetScales {
    /// One a `[yolo]` section, with the rows and columns of its grid.
    pub scales: Vec<(DarknetHead, (usize, usize))>,
    /// The network's input.
    pub input: ImageSize,
}

impl DarknetScales {
    fn shapes(&self) -> impl Iterator<Item = [usize; 3]> {
        self.scales.iter().map(|(head, (rows, columns))| [*rows, *columns, head.channels()])
    }
}

impl Head for DarknetScales {
    fn family(&self) -> &'static str {
        "darknet"
    }

    fn expected(&self) -> String {
        self.shapes().map(|shape| shape_text(&shape)).collect::<Vec<_>>().join(", ")
    }

    fn fits(&self, shapes: &[&[usize]]) -> bool {
        shapes.len() == self.scales.len() && self.shapes().zip(shapes).all(|(expected, got)| expected == **got)
    }

    fn classes(&self) -> usize {
        self.scales.first().map_or(0, |(head, _)| head.classes)
    }

    fn decode(&self, outputs: &[Output<'_>], wanted: &Wanted, out: &mut Vec<Detection>) {
        for (output, (head, (rows, columns))) in outputs.iter().zip(&self.scales) {
            if let Some(grid) = Grid::new(output.values(), *rows, *columns, head.channels()) {
                head.decode(grid, self.input, wanted, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::ClassId;
    use proptest::prelude::*;

    const INPUT: ImageSize = ImageSize { width: 64, height: 64 };

    fn head() -> DarknetHead {
        let anchor = |width_px, height_px| Anchor { width_px, height_px };
        DarknetHead { anchors: vec![anchor(10.0, 20.0), anchor(30.0, 40.0)], classes: 3, scale_x_y: 1.0 }
    }

    fn wanted(min_score: f32) -> Wanted {
        Wanted { min_score, classes: vec![ClassId(0), ClassId(1), ClassId(2)] }
    }

    /// A 2x2 grid that holds nothing (objectness logit -20) but `anchor` of cell (`row`, `column`).
    fn grid_with(row: usize, column: usize, anchor: usize, values: [f32; 8]) -> Vec<f32> {
        let mut grid = [0.0, 0.0, 0.0, 0.0, -20.0, 0.0, 0.0, 0.0].repeat(8);
        let at = ((row * 2 + column) * 2 + anchor) * 8;
        grid[at..at + 8].copy_from_slice(&values);
        grid
    }

    fn decode(head: &DarknetHead, values: &[f32], wanted: &Wanted) -> Vec<Detection> {
        let mut out = Vec::new();
        head.decode(Grid::new(values, 2, 2, 16).unwrap(), INPUT, wanted, &mut out);
        out
    }

    #[test]
    fn a_cell_decodes_to_its_anchor() {
        // All box values zero: the centre of the cell, the size of the anchor. Objectness and class 1 are sure.
        let values = grid_with(1, 0, 1, [0.0, 0.0, 0.0, 0.0, 30.0, -30.0, 30.0, 0.0]);
        let got = decode(&head(), &values, &wanted(0.5));
        let expected = BBox::from_cxcywh(16.0, 48.0, 30.0, 40.0);
        assert_eq!(got, [Detection { bbox: expected, class: ClassId(1), score: 1.0 }]);
    }

    #[test]
    fn width_and_height_grow_by_the_exponential() {
        let values = grid_with(0, 1, 0, [0.0, 0.0, 2f32.ln(), 0.5f32.ln(), 30.0, 30.0, 0.0, 0.0]);
        let got = decode(&head(), &values, &wanted(0.5))[0].bbox;
        assert!((got.width() - 20.0).abs() < 1e-4 && (got.height() - 10.0).abs() < 1e-4, "{got:?}");
    }

    #[test]
    fn scale_x_y_lets_a_centre_leave_its_cell() {
        let values = grid_with(1, 1, 0, [30.0, -30.0, 0.0, 0.0, 30.0, 30.0, 0.0, 0.0]);
        let center = |scale_x_y| decode(&DarknetHead { scale_x_y, ..head() }, &values, &wanted(0.5))[0].bbox.center();
        assert_eq!(center(1.0), (64.0, 32.0));
        let (x, y) = center(1.1);
        assert!((x - 65.6).abs() < 1e-3 && (y - 30.4).abs() < 1e-3, "({x}, {y})");
    }

    #[test]
    fn score_is_objectness_times_the_likeliest_wanted_class() {
        let values = grid_with(0, 0, 0, [0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 1.0, 0.0]);
        let best = decode(&head(), &values, &wanted(0.1));
        assert_eq!(best[0].class, ClassId(0));
        assert!((best[0].score - 0.5 * sigmoid(2.0)).abs() < 1e-6);
        let only_last = Wanted { classes: vec![ClassId(2)], ..wanted(0.1) };
        let kept = decode(&head(), &values, &only_last);
        assert_eq!((kept[0].class, kept[0].score), (ClassId(2), 0.25));
        assert!(decode(&head(), &values, &Wanted { min_score: 0.26, ..only_last }).is_empty());
        assert!(decode(&head(), &values, &Wanted { classes: vec![], ..wanted(0.0) }).is_empty());
    }

    #[test]
    fn values_that_are_not_finite_make_no_detection() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let cases = [
            [nan, 0.0, 0.0, 0.0, 9.0, 9.0, 9.0, 9.0],
            [0.0, 0.0, 200.0, 0.0, 9.0, 9.0, 9.0, 9.0],
            [0.0, 0.0, -inf, 0.0, 9.0, 9.0, 9.0, 9.0],
            [0.0, 0.0, 0.0, nan, 9.0, 9.0, 9.0, 9.0],
            [0.0, 0.0, 0.0, 0.0, nan, 9.0, 9.0, 9.0],
            [0.0, 0.0, 0.0, 0.0, 9.0, nan, nan, nan],
        ];
        for case in cases {
            assert!(
                decode(&head(), &grid_with(0, 0, 0, case), &wanted(0.0)).iter().all(|d| d.score < 1e-6),
                "{case:?}"
            );
        }
        let sure = [0.0, 0.0, 0.0, 0.0, inf, inf, nan, -inf];
        assert_eq!(decode(&head(), &grid_with(0, 0, 0, sure), &wanted(1.0))[0].score, 1.0);
    }

    #[test]
    fn a_grid_of_another_size_is_none() {
        for (rows, columns, channels) in [(2, 2, 15), (0, 2, 16), (2, 2, 0), (usize::MAX, 2, 16), (1, 2, 16)] {
            assert!(Grid::new(&[0.0; 64], rows, columns, channels).is_none(), "{rows}x{columns}x{channels}");
        }
        let mut out = Vec::new();
        head().decode(Grid::new(&[9.0; 64], 2, 4, 8).unwrap(), INPUT, &wanted(0.0), &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn any_outputs_give_sound_boxes() {
        let scales = vec![(head(), (2, 1)), (DarknetHead { anchors: head().anchors[..1].to_vec(), ..head() }, (1, 1))];
        super::super::fuzz::hammer(&DarknetScales { scales, input: INPUT }, &[&[2, 1, 16], &[1, 1, 8]]);
    }

    proptest! {
        #[test]
        fn any_bits_decode_to_sound_boxes(bits in prop::collection::vec(any::<u32>(), 64), min_score in 0f32..=1.0) {
            let values: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
            for d in decode(&head(), &values, &wanted(min_score)) {
                prop_assert!(d.bbox.is_sound() && (min_score..=1.0).contains(&d.score) && d.class.0 < 3, "{:?}", d);
            }
        }

        #[test]
        fn early_rejection_loses_nothing(values in prop::collection::vec(-6f32..6.0, 64), min_score in 0f32..=1.0) {
            let all = decode(&head(), &values, &wanted(0.0));
            let expected: Vec<_> = all.into_iter().filter(|d| d.score >= min_score).collect();
            prop_assert_eq!(decode(&head(), &values, &wanted(min_score)), expected);
        }
    }
}
