//! What a network sees inside boxes, as two-stage detectors ask for it.

use super::{Node, Operation, Table, bounded, fault, ints_of, one};
use tch::{Device, Kind, Tensor};

pub(super) const TABLE: Table = &[("RoiAlign", roi_align)];

/// A region of a map: its upper left corner and the size of one cell of the grid laid over it, pixels of the map.
struct Region {
    top: f32,
    left: f32,
    cell_height: f32,
    cell_width: f32,
    picture: usize,
}

/// How a node lays its grid.
#[derive(Clone, Copy)]
struct Grid {
    rows: usize,
    columns: usize,
    /// Samples a cell along each side; 0: as many as it has pixels.
    samples: usize,
    scale: f32,
    /// Pixels from the corner of a pixel to where its value lies: half of one, or none before opset 16.
    shift: f32,
}

/// Features (N, channels, height, width), boxes (K, 4), picture of each box (K); gives (K, channels, rows, columns), means of
/// samples between pixels.
///
/// Source: He et al. 2017 (Mask R-CNN), section 3; onnx/docs/Operators.md. Differs: a cell is sampled no more often than the
/// map has pixels, and `mode = max` is not supported: ONNX Runtime computes something else there than the text says.
fn roi_align(node: &Node<'_>) -> Result<Operation, String> {
    let attributes = &node.attributes;
    if attributes.text("mode", "avg")? != "avg" {
        return Err("mode = max is not supported".into());
    }
    let aligned = if node.opset >= 16 { "half_pixel" } else { "output_half_pixel" };
    let shift = match attributes.text("coordinate_transformation_mode", aligned)?.as_str() {
        "half_pixel" => 0.5,
        "output_half_pixel" => 0.0,
        other => return Err(format!("coordinate_transformation_mode = {other:?} is not supported")),
    };
    let side =
        |value: i64| usize::try_from(value).ok().filter(|side| (1..=256).contains(side)).ok_or("a grid of no size");
    let grid = Grid {
        rows: side(attributes.int("output_height", 1)?)?,
        columns: side(attributes.int("output_width", 1)?)?,
        samples: attributes.int("sampling_ratio", 0)?.clamp(0, 256) as usize,
        scale: attributes.float("spatial_scale", 1.0)? as f32,
        shift,
    };
    one(move |inputs| {
        let (features, boxes, pictures) = (inputs.at(0)?, inputs.at(1)?, ints_of(inputs.at(2)?)?);
        let (&[count, channels, height, width], &[regions, 4]) = (&features.size()[..], &boxes.size()[..]) else {
            return Err(fault(format!("features {:?}, boxes {:?}", features.size(), boxes.size())));
        };
        if pictures.len() as i64 != regions || pictures.iter().any(|picture| !(0..count).contains(picture)) {
            return Err(fault(format!("{regions} boxes, {} pictures of {count}", pictures.len())));
        }
        bounded(&[regions, channels, grid.rows as i64, grid.columns as i64])?;
        let device = features.device();
        let host = |values: &Tensor| values.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous();
        let boxes = Vec::<f32>::try_from(&host(boxes)?.f_reshape([-1])?)?;
        // Channels innermost, so that one sample is a run of numbers.
        let map = Vec::<f32>::try_from(&host(&features.f_permute([0, 2, 3, 1])?)?.f_reshape([-1])?)?;
        let map = Map { values: &map, channels: channels as usize, height: height as usize, width: width as usize };
        let mut out = vec![0f32; boxes.len() / 4 * grid.rows * grid.columns * map.channels];
        let size = (grid.rows * grid.columns * map.channels).max(1);
        for ((corners, picture), out) in boxes.chunks_exact(4).zip(&pictures).zip(out.chunks_exact_mut(size)) {
            map.sample(&grid.region(corners, *picture as usize), &grid, out);
        }
        let shape = [regions, grid.rows as i64, grid.columns as i64, channels];
        Ok(Tensor::f_from_slice(&out)?.f_reshape(shape)?.f_permute([0, 3, 1, 2])?.f_to_device(device)?)
    })
}

impl Grid {
    fn region(&self, corners: &[f32], picture: usize) -> Region {
        let [left, top, right, bottom] = [0, 1, 2, 3].map(|index| corners[index] * self.scale - self.shift);
        // Before opset 16 a region has at least one pixel.
        let least = if self.shift == 0.0 { 1.0 } else { f32::NEG_INFINITY };
        let (width, height) = ((right - left).max(least), (bottom - top).max(least));
        Region { top, left, cell_height: height / self.rows as f32, cell_width: width / self.columns as f32, picture }
    }
}

/// Features, channels innermost.
struct Map<'a> {
    values: &'a [f32],
    channels: usize,
    height: usize,
    width: usize,
}

impl Map<'_> {
    /// Adds the mean of each cell of a region to `out` (rows, columns, channels).
    fn sample(&self, region: &Region, grid: &Grid, out: &mut [f32]) {
        let samples = |cell: f32, most: usize| match grid.samples {
            0 => (cell.ceil().max(0.0) as usize).min(most),
            fixed => fixed,
        };
        let (down, across) = (samples(region.cell_height, self.height), samples(region.cell_width, self.width));
        let share = 1.0 / (down * across).max(1) as f32;
        for (index, cell) in out.chunks_exact_mut(self.channels.max(1)).enumerate() {
            let (row, column) = (index / grid.columns, index % grid.columns);
            for i in 0..down {
                let y = region.top + (row as f32 + (i as f32 + 0.5) / down as f32) * region.cell_height;
                for j in 0..across {
                    let x = region.left + (column as f32 + (j as f32 + 0.5) / across as f32) * region.cell_width;
                    self.add_between(region.picture, y, x, share, cell);
                }
            }
        }
    }

    /// Adds `share` of what lies at a place between pixels; nothing more than a pixel outside.
    fn add_between(&self, picture: usize, y: f32, x: f32, share: f32, cell: &mut [f32]) {
        let (Some(rows), Some(columns)) = (neighbours(y, self.height), neighbours(x, self.width)) else { return };
        for (row, down) in rows {
            for (column, across) in columns {
                let at = ((picture * self.height + row) * self.width + column) * self.channels;
                let weight = share * down * across;
                let pixel = &self.values[at..at + self.channels];
                cell.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += weight * value);
            }
        }
    }
}

/// The two pixels a place lies between, with their weights. None outside and for NaN.
fn neighbours(place: f32, size: usize) -> Option<[(usize, f32); 2]> {
    if size == 0 || !(-1.0..=size as f32).contains(&place) {
        return None;
    }
    let last = size - 1;
    let place = place.max(0.0);
    let low = (place as usize).min(last);
    let part = if low == last { 0.0 } else { place - low as f32 };
    Some([(low, 1.0 - part), ((low + 1).min(last), part)])
}
