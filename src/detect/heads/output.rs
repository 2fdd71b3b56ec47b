//! One output of a network for one picture, as a head sees it.

/// Numbers with a shape, last index fastest.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// Sizes, outermost first, without the batch.
    pub shape: &'a [usize],
    values: &'a [f32],
}

/// Which way a table of boxes lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// (boxes, numbers of a box).
    BoxesOuter,
    /// (numbers of a box, boxes).
    BoxesInner,
}

impl<'a> Output<'a> {
    /// An output of this shape; `None` where `values` are more or fewer.
    pub fn new(shape: &'a [usize], values: &'a [f32]) -> Option<Self> {
        let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size))?;
        (count == values.len()).then_some(Self { shape, values })
    }

    /// All of its values.
    pub fn values(&self) -> &'a [f32] {
        self.values
    }

    /// The values in parts of `size` each; a rest is left out. None where `size` is 0.
    pub(super) fn rows(&self, size: usize) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        self.values.chunks_exact(size.max(1)).take(if size == 0 { 0 } else { usize::MAX })
    }

    /// How far apart two numbers of one box lie, and two boxes, of a table with `boxes` boxes.
    pub(super) fn strides(order: Order, boxes: usize, numbers: usize) -> (usize, usize) {
        match order {
            Order::BoxesOuter => (1, numbers),
            Order::BoxesInner => (boxes, 1),
        }
    }
}

/// `(3, 4)` for people.
pub(super) fn shape_text(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("({})", sizes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_holds_what_its_shape_says() {
        assert!(Output::new(&[2, 3], &[0.0; 6]).is_some());
        assert!(Output::new(&[2, 3], &[0.0; 5]).is_none());
        assert!(Output::new(&[usize::MAX, 3], &[0.0; 5]).is_none());
        assert!(Output::new(&[0, 6], &[]).is_some());
        let output = Output::new(&[5], &[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert_eq!(output.rows(2).collect::<Vec<_>>(), [&[1.0, 2.0][..], &[3.0, 4.0]]);
        assert_eq!(output.rows(0).count(), 0);
        assert_eq!(shape_text(&[3, 4]), "(3, 4)");
    }
}
