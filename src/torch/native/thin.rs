//! Convolutions in brain floats that do little with each value, of `thin.cpp`.

use super::{Handle, given, handle, told};
use crate::torch::{Activation, layers::Geometry};
use std::{
    ffi::{c_char, c_void},
    ptr,
};
use tch::Tensor;

/// Mirrors `eyeline_thin_settings`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Settings {
    is_depthwise: i32,
    activation: i32,
    side: i64,
    stride: i64,
    padding: i64,
    low: f32,
    high: f32,
}

// Source: src/torch/thin.cpp.
unsafe extern "C" {
    fn eyeline_thin_is_able(is_depthwise: i32) -> i32;
    fn eyeline_thin_make(
        weight: Handle,
        bias: Handle,
        settings: *const Settings,
        problem: *mut *mut c_char,
    ) -> *mut c_void;
    fn eyeline_thin_run(convolution: *const c_void, input: Handle, problem: *mut *mut c_char) -> Handle;
    fn eyeline_thin_drop(convolution: *mut c_void);
}

/// A 1x1 or depthwise convolution in brain floats with its activation. Gives what oneDNN gives.
pub(in crate::torch) struct Thin(*mut c_void);

// SAFETY: it holds numbers.
unsafe impl Send for Thin {}

impl Thin {
    /// Lays out 32-bit weights (filters, channels / groups, rows, columns) and biases. None where this processor or
    /// the convolution is of another kind. Errors: libtorch's reason.
    pub fn new(
        weight: &Tensor,
        bias: &Tensor,
        geometry: &Geometry,
        activation: Activation,
    ) -> Result<Option<Self>, String> {
        let Some(settings) = settings(&weight.size(), geometry, activation) else { return Ok(None) };
        // SAFETY: asks the processor.
        if unsafe { eyeline_thin_is_able(settings.is_depthwise) } == 0 {
            return Ok(None);
        }
        let mut problem = ptr::null_mut();
        // SAFETY: everything is read only during the call; the tensors stay tch's.
        let made = unsafe { eyeline_thin_make(handle(weight), handle(bias), &settings, &mut problem) };
        if made.is_null() { Err(told(problem)) } else { Ok(Some(Self(made))) }
    }

    /// The convolution of brain floats (N, channels, rows, columns), channels innermost for speed. Errors: libtorch's
    /// reason.
    pub fn run(&self, input: &Tensor) -> Result<Tensor, String> {
        let mut problem = ptr::null_mut();
        // SAFETY: the convolution is alive and, like the input, only read.
        given(unsafe { eyeline_thin_run(self.0, handle(input), &mut problem) }, problem)
    }
}

impl Drop for Thin {
    fn drop(&mut self) {
        // SAFETY: made by `eyeline_thin_make`, dropped once.
        unsafe { eyeline_thin_drop(self.0) };
    }
}

/// What `thin.cpp` is told of a convolution; none where it has no code for it.
fn settings(weight: &[i64], geometry: &Geometry, activation: Activation) -> Option<Settings> {
    let &[filters, depth, side, columns] = weight else { return None };
    let Geometry { stride: [stride, across], padding: [padding, beside], dilation, groups } = *geometry;
    if side != columns || stride != across || padding != beside || dilation != [1, 1] {
        return None;
    }
    // Of 25 products a value oneDNN's code makes more than ours, as long as no SiLU follows.
    let has_code = side == 3 || side == 5 && activation == Activation::Swish;
    let is_depthwise = groups == filters && depth == 1 && has_code && matches!(stride, 1 | 2);
    let is_point = groups == 1 && depth % 2 == 0 && (side, stride, padding) == (1, 1, 0);
    if !is_depthwise && !is_point {
        return None;
    }
    let (activation, low, high) = match activation {
        Activation::Linear => (0, 0.0, 0.0),
        Activation::Relu => (1, 0.0, f64::INFINITY),
        Activation::Clamp { low, high } => (1, low, high),
        Activation::Swish => (2, 0.0, 0.0),
        _ => return None,
    };
    let (low, high) = (low as f32, high as f32);
    Some(Settings { is_depthwise: i32::from(is_depthwise), activation, side, stride, padding, low, high })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_code_of_its_own() {
        let square = Geometry::square;
        let cases = [
            ("1x1", [32, 16, 1, 1], square(1, 0, 1), Activation::Swish, true),
            ("depthwise", [24, 1, 3, 3], square(2, 1, 24), Activation::Relu, true),
            ("five to a side", [24, 1, 5, 5], square(1, 2, 24), Activation::Swish, true),
            ("five to a side without SiLU", [24, 1, 5, 5], square(1, 2, 24), Activation::RELU6, false),
            ("an odd number of channels", [32, 3, 1, 1], square(1, 0, 1), Activation::Linear, false),
            ("1x1 with a step", [32, 16, 1, 1], square(2, 0, 1), Activation::Linear, false),
            ("seven to a side", [24, 1, 7, 7], square(1, 3, 24), Activation::Linear, false),
            ("several filters a channel", [48, 1, 3, 3], square(1, 1, 24), Activation::Linear, false),
            ("groups of two", [24, 2, 3, 3], square(1, 1, 12), Activation::Linear, false),
            ("another activation", [32, 16, 1, 1], square(1, 0, 1), Activation::Gelu, false),
            ("spread", [24, 1, 3, 3], Geometry { dilation: [2, 2], ..square(1, 1, 24) }, Activation::Linear, false),
            ("uneven", [24, 1, 3, 3], Geometry { padding: [1, 0], ..square(1, 1, 24) }, Activation::Linear, false),
        ];
        for (name, weight, geometry, activation, expected) in cases {
            assert_eq!(settings(&weight, &geometry, activation).is_some(), expected, "{name}");
        }
    }
}
