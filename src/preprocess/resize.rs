//! Resizes a frame, or a part of it, straight into a region of a buffer somebody owns. Beside `flow`, the only user of
//! OpenCV's pixels on the way to a network; every `Mat` here borrows, none owns.

pub use super::Region;

use super::PreprocessError;
use crate::frame::{Frame, ImageSize, Plane};
use opencv::{
    boxed_ref::BoxedRef,
    core::{Mat, MatTraitConst, Rect, Size, Vec3b},
    imgproc,
};

/// Bilinear resize of `part` of `frame` (all of it for `None`) into `region` of `canvas`.
///
/// `canvas`: `canvas_size.height * canvas_size.width * 3` bytes, red, green, blue; what lies outside `region` is left
/// alone. An empty part or one outside the frame, a region outside the canvas or a canvas of another length are errors.
pub fn resize_into(
    frame: &Frame,
    part: Option<Region>,
    canvas: &mut [u8],
    canvas_size: ImageSize,
    region: Region,
) -> Result<(), PreprocessError> {
    let source = frame.meta.size;
    let part = part.unwrap_or(Region { left: 0, top: 0, size: source });
    let whole = rect(Region { left: 0, top: 0, size: canvas_size })?;
    let (part, target) = (rect(part)?, rect(region)?);
    with_rgb(frame.pixels.plane(0), source, |picture| {
        let picture = Mat::roi(picture, part)?;
        let mut canvas = Mat::new_rows_cols_with_bytes_mut::<Vec3b>(whole.height, whole.width, canvas)?;
        let mut target = Mat::roi_mut(&mut canvas, target)?;
        // The target has the right size and type, so `resize` writes into it and allocates nothing.
        let size = Size::new(region.size.width as i32, region.size.height as i32);
        imgproc::resize(&picture, &mut target, size, 0.0, 0.0, imgproc::INTER_LINEAR)
    })
}

/// Shows a strided plane of RGB to `f` as a three-channel matrix.
pub(super) fn with_rgb(
    plane: Plane<'_>,
    size: ImageSize,
    f: impl FnOnce(&BoxedRef<'_, Mat>) -> opencv::Result<()>,
) -> Result<(), PreprocessError> {
    let (rows, row_bytes) = (size.height as usize, size.width as usize * 3);
    let expected = rows.saturating_sub(1).saturating_mul(plane.stride).saturating_add(row_bytes);
    if rows == 0 || row_bytes == 0 || plane.stride < row_bytes || i32::try_from(plane.stride).is_err() {
        return Err(PreprocessError::Size(size));
    }
    if plane.data.len() < expected {
        return Err(PreprocessError::Truncated { got: plane.data.len(), expected });
    }
    let padded = rows.saturating_mul(plane.stride);
    let completed;
    let data = if plane.data.len() < padded {
        // A last row without its padding: no matrix of whole rows covers it, so this rare layout pays for a copy.
        completed = [plane.data, &vec![0; padded - plane.data.len()]].concat();
        &completed[..]
    } else {
        &plane.data[..padded]
    };
    let show = || {
        // One channel of `stride` columns first, because that is the shape of the memory; the padding is cut off after.
        let bytes = Mat::new_rows_cols_with_bytes::<u8>(rows as i32, plane.stride as i32, data)?;
        let pixels = Mat::roi(&bytes, Rect::new(0, 0, row_bytes as i32, rows as i32))?;
        f(&pixels.reshape_def(3)?)
    };
    show().map_err(|error| PreprocessError::OpenCv(error.message))
}

fn rect(region: Region) -> Result<Rect, PreprocessError> {
    let whole = |value: u32| i32::try_from(value).map_err(|_| PreprocessError::Size(region.size));
    if region.size.width == 0 || region.size.height == 0 {
        return Err(PreprocessError::Size(region.size));
    }
    Ok(Rect::new(whole(region.left)?, whole(region.top)?, whole(region.size.width)?, whole(region.size.height)?))
}
