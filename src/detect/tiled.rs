//! Tiled inference: a picture and its tiles go through the detector as one batch, so that small objects are seen larger,
//! and what is found is merged across the borders of the tiles.

use super::{Detection, Detector, InferError};
use crate::{
    frame::{Frame, ImageSize},
    geometry::{intersection_area, iou},
    preprocess::{
        Region,
        tiles::{TileGrid, part_of},
    },
};

/// A box that ends this near to a border inside the picture may be cut there, pixels.
const CUT_PX: f32 = 3.0;
/// A cut box of which a better one covers more than this share is a part of the same object.
const MAX_COVERED: f32 = 0.6;

/// A detector that also looks at tiles.
pub struct Tiled {
    inner: Box<dyn Detector>,
    grid: TileGrid,
    /// Of two boxes of one class that overlap by more, the better stays.
    max_iou: f32,
}

/// A detection and whether a border of its tile may cut it.
struct Piece {
    detection: Detection,
    cut: bool,
}

impl Tiled {
    /// Looks with `inner` at pictures and at their tiles.
    pub fn new(inner: Box<dyn Detector>, grid: TileGrid, max_iou: f32) -> Self {
        Self { inner, grid, max_iou }
    }

    /// The whole picture and its tiles.
    fn parts(&self, picture: ImageSize) -> Vec<Region> {
        let whole = Region { left: 0, top: 0, size: picture };
        let tiles = self.grid.tiles(picture);
        if tiles.len() < 2 { vec![whole] } else { std::iter::once(whole).chain(tiles).collect() }
    }
}

impl Detector for Tiled {
    fn detect(&mut self, batch: &[Frame], out: &mut Vec<Vec<Detection>>) -> Result<(), InferError> {
        let parts: Vec<Vec<Region>> = batch.iter().map(|frame| self.parts(frame.meta.size)).collect();
        let views = batch.iter().zip(&parts).flat_map(|(frame, parts)| parts.iter().map(|part| part_of(frame, *part)));
        let views: Vec<Frame> = views.collect();
        let mut found = Vec::new();
        self.inner.detect(&views, &mut found)?;
        let mut found = found.into_iter();
        out.clear();
        for (frame, parts) in batch.iter().zip(&parts) {
            let pieces = parts.iter().flat_map(|part| {
                found.next().unwrap_or_default().into_iter().map(|detection| piece(detection, *part, frame.meta.size))
            });
            out.push(merged(pieces.collect(), self.max_iou));
        }
        Ok(())
    }

    fn classes(&self) -> &[String] {
        self.inner.classes()
    }
}

/// A detection of a part, in the picture.
fn piece(detection: Detection, part: Region, picture: ImageSize) -> Piece {
    let bbox = detection.bbox;
    let (width, height) = (part.size.width as f32, part.size.height as f32);
    let cut = (part.left > 0 && bbox.left < CUT_PX)
        || (part.top > 0 && bbox.top < CUT_PX)
        || (part.left + part.size.width < picture.width && bbox.right > width - CUT_PX)
        || (part.top + part.size.height < picture.height && bbox.bottom > height - CUT_PX);
    let bbox = bbox.shifted(part.left as f32, part.top as f32);
    Piece { detection: Detection { bbox, ..detection }, cut }
}

/// One detection an object: whole boxes before cut ones, then by score. Sorted by falling score.
fn merged(mut pieces: Vec<Piece>, max_iou: f32) -> Vec<Detection> {
    pieces.sort_by(|a, b| a.cut.cmp(&b.cut).then(b.detection.score.total_cmp(&a.detection.score)));
    let mut kept: Vec<Detection> = Vec::new();
    for Piece { detection, cut } in pieces {
        let is_same = |better: &Detection| {
            let covered =
                intersection_area(&better.bbox, &detection.bbox) / detection.bbox.area().max(f32::MIN_POSITIVE);
            better.class == detection.class
                && (iou(&better.bbox, &detection.bbox) > max_iou || cut && covered > MAX_COVERED)
        };
        if !kept.iter().any(is_same) {
            kept.push(detection);
        }
    }
    kept.sort_by(|a, b| b.score.total_cmp(&a.score));
    kept
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{detect::ClassId, geometry::BBox};

    const SIZE: ImageSize = ImageSize { width: 200, height: 100 };

    /// A frame whose pixels say where they are: red the column, green the row.
    pub fn frame() -> Frame {
        let pixel = |index: u32| [(index % SIZE.width) as u8, (index / SIZE.width) as u8, 0];
        let data = (0..SIZE.width * SIZE.height).flat_map(pixel).collect();
        Frame::alone(SIZE, data, SIZE.width as usize * 3)
    }

    /// Finds what it knows of the picture in the part it sees, cut at its borders; small things only where they are large
    /// enough in the part.
    struct Knowing(Vec<BBox>);

    impl Detector for Knowing {
        fn detect(&mut self, batch: &[Frame], out: &mut Vec<Vec<Detection>>) -> Result<(), InferError> {
            out.clear();
            out.extend(batch.iter().map(|view| {
                let corner = view.pixels.plane(0).row(0, 3);
                let (left, top) = (f32::from(corner[0]), f32::from(corner[1]));
                let seen = self.0.iter().map(|bbox| bbox.shifted(-left, -top).clipped_to(view.meta.size));
                let seen = seen.filter(|bbox| bbox.is_sound() && bbox.height() >= view.meta.size.height as f32 / 8.0);
                let score = |bbox: &BBox| 0.5 + bbox.area() / 1e5;
                seen.map(|bbox| Detection { bbox, class: ClassId(0), score: score(&bbox) }).collect()
            }));
            Ok(())
        }

        fn classes(&self) -> &[String] {
            &[]
        }
    }

    #[test]
    fn each_object_is_found_once_whole_and_small_ones_at_all() {
        let small = BBox::from_tlwh(20.0, 10.0, 5.0, 9.0);
        let across_the_border = BBox::from_tlwh(70.0, 40.0, 80.0, 30.0);
        let large = BBox::from_tlwh(5.0, 5.0, 190.0, 90.0);
        let objects = vec![small, across_the_border, large];
        let grid = TileGrid { columns: 2, rows: 2, overlap: 0.2 };
        let mut tiled = Tiled::new(Box::new(Knowing(objects.clone())), grid, 0.45);
        let mut out = Vec::new();
        tiled.detect(&[frame(), frame()], &mut out).unwrap();
        assert_eq!(out.len(), 2);
        assert_eq!(out[0], out[1]);
        let mut boxes: Vec<BBox> = out[0].iter().map(|d| d.bbox).collect();
        boxes.sort_by(|a, b| a.area().total_cmp(&b.area()));
        assert_eq!(boxes, objects);
        let mut plain = Knowing(objects);
        plain.detect(&[frame()], &mut out).unwrap();
        assert_eq!(out[0].len(), 2, "without tiles the small one is missed");
    }

    #[test]
    fn one_tile_is_the_whole_picture_once() {
        let grid = TileGrid { columns: 1, rows: 1, overlap: 0.2 };
        let tiled = Tiled::new(Box::new(Knowing(vec![])), grid, 0.45);
        assert_eq!(tiled.parts(SIZE).len(), 1);
    }
}
