//! The one box type that crosses module boundaries.

use crate::frame::ImageSize;

/// Axis-aligned box, corners in source pixels: x grows to the right, y downwards.
///
/// Corners may lie outside the picture (a person half out of view); `clipped_to` cuts them.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct BBox {
    /// x of the left edge.
    pub left: f32,
    /// y of the upper edge.
    pub top: f32,
    /// x of the right edge, `> left` in a sound box.
    pub right: f32,
    /// y of the lower edge, `> top` in a sound box.
    pub bottom: f32,
}

impl BBox {
    /// Box from its corners.
    pub const fn new(left: f32, top: f32, right: f32, bottom: f32) -> Self {
        Self { left, top, right, bottom }
    }

    /// Box from left, top, width, height (the order of MOTChallenge files).
    pub const fn from_tlwh(left: f32, top: f32, width: f32, height: f32) -> Self {
        Self { left, top, right: left + width, bottom: top + height }
    }

    /// Box from its centre, width and height.
    pub const fn from_cxcywh(cx: f32, cy: f32, width: f32, height: f32) -> Self {
        Self { left: cx - width / 2.0, top: cy - height / 2.0, right: cx + width / 2.0, bottom: cy + height / 2.0 }
    }

    /// Width in pixels; negative in an unsound box.
    pub const fn width(&self) -> f32 {
        self.right - self.left
    }

    /// Height in pixels; negative in an unsound box.
    pub const fn height(&self) -> f32 {
        self.bottom - self.top
    }

    /// Area in square pixels, 0 for an unsound box.
    pub fn area(&self) -> f32 {
        self.width().max(0.0) * self.height().max(0.0)
    }

    /// Centre point (x, y).
    pub const fn center(&self) -> (f32, f32) {
        ((self.left + self.right) / 2.0, (self.top + self.bottom) / 2.0)
    }

    /// The box moved right and down, pixels.
    pub fn shifted(&self, right: f32, down: f32) -> Self {
        Self::new(self.left + right, self.top + down, self.right + right, self.bottom + down)
    }

    /// Whether every corner is finite and both sides are positive.
    pub fn is_sound(&self) -> bool {
        let finite = [self.left, self.top, self.right, self.bottom].iter().all(|v| v.is_finite());
        finite && self.right > self.left && self.bottom > self.top
    }

    /// The part inside a picture of `size`; unsound (area 0) if nothing is.
    pub fn clipped_to(&self, size: ImageSize) -> Self {
        let (width, height) = (size.width as f32, size.height as f32);
        Self {
            left: self.left.clamp(0.0, width),
            top: self.top.clamp(0.0, height),
            right: self.right.clamp(0.0, width),
            bottom: self.bottom.clamp(0.0, height),
        }
    }
}
