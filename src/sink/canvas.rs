//! A frame on the canvas that is drawn on.

use super::placement::Placement;
use crate::{
    frame::Frame,
    preprocess::resize::{Region, resize_into},
};

/// Copies a frame onto the canvas, scaled where it has another size, black around it.
///
/// `canvas`: 8-bit RGB rows without padding. Errors: the frame holds fewer pixels than it says, or cannot be resized.
pub fn copy_onto(frame: &Frame, placement: &Placement, canvas: &mut [u8]) -> Result<(), String> {
    let row_len = placement.canvas.width as usize * 3;
    if !placement.is_unscaled() {
        canvas.fill(0);
        let region = Region { left: placement.left_px, top: placement.top_px, size: placement.inner };
        return resize_into(frame, None, canvas, placement.canvas, region).map_err(|error| error.to_string());
    }
    let plane = frame.pixels.plane(0);
    let inner_len = placement.inner.width as usize * 3;
    let (rows, below) = canvas.split_at_mut(placement.inner.height as usize * row_len);
    for (y, row) in rows.chunks_exact_mut(row_len).enumerate() {
        let source = plane.data.get(y * plane.stride..).and_then(|rest| rest.get(..inner_len));
        let source = source.ok_or_else(|| format!("frame {} holds fewer pixels than its size says", frame.meta.seq))?;
        let (inner, beside) = row.split_at_mut(inner_len);
        inner.copy_from_slice(source);
        beside.fill(0);
    }
    below.fill(0);
    Ok(())
}
