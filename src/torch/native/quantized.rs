//! Convolutions over bytes, of `quantized.cpp`.

use super::{Handle, given, handle, told};
use crate::torch::{layers::Geometry, quantized::Scale};
use std::{
    ffi::{CStr, c_char, c_void},
    ptr,
};
use tch::{Kind, Tensor};

/// Mirrors `eyeline_quantized_settings`.
#[repr(C)]
struct Settings {
    input_scale: f64,
    input_zero: i64,
    output_scale: f64,
    output_zero: i64,
    output: i32,
    stride: [i64; 2],
    padding: [i64; 2],
    dilation: [i64; 2],
    groups: i64,
    input_shape: [i64; 4],
    activation: *const c_char,
    scalars: [f64; 2],
    scalar_count: i64,
}

// Source: src/torch/quantized.cpp.
unsafe extern "C" {
    fn eyeline_quantized_make(
        weight: Handle,
        scales: Handle,
        bias: Handle,
        settings: *const Settings,
        problem: *mut *mut c_char,
    ) -> *mut c_void;
    fn eyeline_quantized_run(convolution: *const c_void, input: Handle, problem: *mut *mut c_char) -> Handle;
    fn eyeline_quantized_drop(convolution: *mut c_void);
    fn eyeline_quantize(input: Handle, scale: f64, zero: i64, most: i64, problem: *mut *mut c_char) -> Handle;
}

/// What comes out of a convolution over bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::torch) enum Given {
    /// Bytes.
    Bytes(Scale),
    /// Brain floats or 32-bit floats.
    Floats(Kind),
}

/// What a convolution is made of.
pub(in crate::torch) struct Parts<'a> {
    /// Signed bytes (filters, channels / groups, rows, columns).
    pub weight: &'a Tensor,
    /// A 32-bit float a filter: what 1 of its weights stands for.
    pub scales: &'a Tensor,
    /// A 32-bit float a filter.
    pub bias: &'a Tensor,
    pub geometry: Geometry,
    pub input: Scale,
    /// The shape it will mostly see, (N, channels, rows, columns).
    pub shape: [i64; 4],
    pub output: Given,
    /// In libtorch's words, with at most two parameters.
    pub activation: (&'static CStr, &'a [f64]),
}

/// A convolution whose weights are laid out for oneDNN.
pub(in crate::torch) struct Convolution(*mut c_void);

// SAFETY: it holds tensors, which any thread may own.
unsafe impl Send for Convolution {}

impl Convolution {
    /// Lays out the weights. Errors: libtorch's reason.
    pub fn new(parts: &Parts<'_>) -> Result<Self, String> {
        let (output, scale) = match parts.output {
            Given::Bytes(scale) => (0, scale),
            Given::Floats(Kind::BFloat16) => (1, Scale::ONE),
            Given::Floats(_) => (2, Scale::ONE),
        };
        let mut scalars = [0.0; 2];
        parts.activation.1.iter().zip(&mut scalars).for_each(|(given, scalar)| *scalar = *given);
        let settings = Settings {
            input_scale: parts.input.step,
            input_zero: parts.input.zero,
            output_scale: scale.step,
            output_zero: scale.zero,
            output,
            stride: parts.geometry.stride,
            padding: parts.geometry.padding,
            dilation: parts.geometry.dilation,
            groups: parts.geometry.groups,
            input_shape: parts.shape,
            activation: parts.activation.0.as_ptr(),
            scalars,
            scalar_count: parts.activation.1.len().min(2) as i64,
        };
        let mut problem = ptr::null_mut();
        // SAFETY: everything is read only during the call; the tensors stay tch's, the convolution shares them.
        let made = unsafe {
            let (weight, scales, bias) = (handle(parts.weight), handle(parts.scales), handle(parts.bias));
            eyeline_quantized_make(weight, scales, bias, &settings, &mut problem)
        };
        if made.is_null() { Err(told(problem)) } else { Ok(Self(made)) }
    }

    /// The convolution of bytes (N, channels, rows, columns), channels innermost for speed. Errors: libtorch's reason.
    pub fn run(&self, input: &Tensor) -> Result<Tensor, String> {
        let mut problem = ptr::null_mut();
        // SAFETY: the convolution is alive and, like the input, only read.
        given(unsafe { eyeline_quantized_run(self.0, handle(input), &mut problem) }, problem)
    }
}

impl Drop for Convolution {
    fn drop(&mut self) {
        // SAFETY: made by `eyeline_quantized_make`, dropped once.
        unsafe { eyeline_quantized_drop(self.0) };
    }
}

/// Bytes of floats on the processor, in their memory order, none above `most`. Errors: libtorch's reason.
pub(in crate::torch) fn quantize(input: &Tensor, scale: Scale) -> Result<Tensor, String> {
    let mut problem = ptr::null_mut();
    // SAFETY: the input is only read.
    let made = unsafe { eyeline_quantize(handle(input), scale.step, scale.zero, scale.most, &mut problem) };
    given(made, problem)
}
