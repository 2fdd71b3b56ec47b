//! What tch does not offer, looked up at run time in what is loaded: a convolution with its activation fused in, the
//! loading of libtorch's CUDA half, the threads of one thread's operations, the heaps of all; TorchScript's freezing, of
//! `script.cpp`; and networks that threads share; `quantized` convolves bytes, `thin` brain floats. The only module of
//! inference with unsafe code.
#![allow(unsafe_code)]

pub(super) mod quantized;
pub(super) mod thin;

use super::runtime::{Network, See, TorchError};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use std::{
    ffi::{CStr, c_char, c_void},
    ptr,
    sync::OnceLock,
};
use tch::Tensor;

/// `at::Tensor *`, which is what both tch's `C_tensor` and AOTInductor's `AtenTensorHandle` point to.
type Handle = *mut c_void;

/// Source: libtorch 2.11, `torch/csrc/inductor/aoti_torch/c/shim_cpu.h`, a C interface that upstream keeps stable.
type ConvolutionPointwise = unsafe extern "C" fn(
    input: Handle,
    weight: Handle,
    bias: *const Handle,
    padding: *const i64,
    padding_len: i64,
    stride: *const i64,
    stride_len: i64,
    dilation: *const i64,
    dilation_len: i64,
    groups: i64,
    activation: *const c_char,
    scalars: *const *const f64,
    scalars_len: i64,
    algorithm: *const *const c_char,
    output: *mut Handle,
) -> i32;

/// An activation oneDNN computes together with a convolution: its name there and its parameters.
#[derive(Clone, Debug)]
pub(super) struct Fused {
    pub name: &'static CStr,
    pub scalars: Vec<f64>,
    /// How to compute it where oneDNN knows several ways.
    pub algorithm: Option<&'static CStr>,
}

/// Whether this libtorch was built with oneDNN, so that `convolution` works.
pub(super) fn has_fused_convolution() -> bool {
    fused_convolution().is_some()
}

fn fused_convolution() -> Option<ConvolutionPointwise> {
    static FOUND: OnceLock<Option<ConvolutionPointwise>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        // SAFETY: the symbol is a C function of exactly this signature in the libtorch that tch 0.24 is pinned to.
        let symbol = unsafe {
            Library::this().get::<ConvolutionPointwise>(b"aoti_torch_cpu_mkldnn__convolution_pointwise\0").ok()?
        };
        // libtorch_cpu is linked to this program, so the function outlives the handle it was found through.
        Some(*symbol)
    })
}

/// oneDNN's 2D convolution with bias and activation in one pass, on CPU tensors of one float type in channels_last order.
///
/// `weight` was reordered by `mkldnn_reorder_conv2d_weight` for this geometry. `None` where libtorch lacks the function or
/// refuses (it prints its reason on standard error).
pub(super) fn convolution(
    input: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    geometry: &super::layers::Geometry,
    fused: &Fused,
) -> Option<Tensor> {
    let function = fused_convolution()?;
    let (bias, scalars): (Handle, Vec<*const f64>) = (handle(bias), fused.scalars.iter().map(ptr::from_ref).collect());
    let (padding, stride, dilation) = (geometry.padding, geometry.stride, geometry.dilation);
    let algorithm = fused.algorithm.map_or(ptr::null(), CStr::as_ptr);
    let algorithm = fused.algorithm.map_or(ptr::null(), |_| ptr::from_ref(&algorithm));
    let mut output: Handle = ptr::null_mut();
    // SAFETY: every pointer is to a live value of the length given beside it and is only read during the call; the tensors
    // are borrowed from tch and not modified (the C interface lacks const). `output` is set to a new tensor on success.
    let status = unsafe {
        function(
            handle(input),
            handle(weight),
            &bias,
            padding.as_ptr(),
            2,
            stride.as_ptr(),
            2,
            dilation.as_ptr(),
            2,
            geometry.groups,
            fused.name.as_ptr(),
            scalars.as_ptr(),
            scalars.len() as i64,
            algorithm,
            &mut output,
        )
    };
    if status != 0 || output.is_null() {
        return None;
    }
    // SAFETY: a fresh heap-allocated `at::Tensor` that nobody else owns, which tch deletes the way it was made.
    Some(unsafe { Tensor::from_ptr(output.cast()) })
}

fn handle(tensor: &Tensor) -> Handle {
    tensor.as_ptr().cast_mut().cast()
}

fn given(made: Handle, problem: *mut c_char) -> Result<Tensor, String> {
    if made.is_null() {
        return Err(told(problem));
    }
    // SAFETY: a fresh heap-allocated `at::Tensor` that nobody else owns, which tch deletes the way it was made.
    Ok(unsafe { Tensor::from_ptr(made.cast()) })
}

/// The first line of a message, which is freed.
fn told(problem: *mut c_char) -> String {
    if problem.is_null() {
        return "out of memory".into();
    }
    // SAFETY: a text that ends with 0 and that nobody else has, freed once, after it was copied.
    let text = unsafe {
        let text = CStr::from_ptr(problem).to_string_lossy().into_owned();
        eyeline_forget(problem);
        text
    };
    text.lines().next().unwrap_or_default().to_owned()
}

// Source: src/torch/script.cpp.
unsafe extern "C" {
    fn eyeline_script_freeze(bytes: *const c_char, size: usize, result: *mut *mut c_char, length: *mut usize) -> i32;
    fn eyeline_script_release(result: *mut c_char);
}

// Source: src/torch/quantized.cpp.
unsafe extern "C" {
    fn eyeline_forget(problem: *mut c_char);
}

/// The TorchScript file in `bytes`, frozen. Errors: libtorch's reason, its first line.
pub(super) fn freeze_script(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let (mut result, mut length) = (ptr::null_mut(), 0);
    // SAFETY: `bytes` are read only during the call; `result` and `length` are written before it returns.
    let status = unsafe { eyeline_script_freeze(bytes.as_ptr().cast(), bytes.len(), &mut result, &mut length) };
    if result.is_null() {
        return Err("out of memory".into());
    }
    // SAFETY: `length` bytes that nobody else has, released once, after they were copied.
    let given = unsafe {
        let given = std::slice::from_raw_parts(result.cast::<u8>(), length).to_vec();
        eyeline_script_release(result);
        given
    };
    if status == 0 {
        return Ok(given);
    }
    Err(String::from_utf8_lossy(&given).lines().next().unwrap_or_default().to_owned())
}

/// Sets how many threads OpenMP gives to what this thread runs. Does nothing where libtorch was built without OpenMP.
pub(super) fn limit_openmp(threads: usize) {
    type SetNumThreads = unsafe extern "C" fn(i32);
    static FOUND: OnceLock<Option<SetNumThreads>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        // SAFETY: OpenMP 5.0, 3.2.1: void omp_set_num_threads(int). The library is linked, so it outlives the handle.
        unsafe { Library::this().get::<SetNumThreads>(b"omp_set_num_threads\0").ok().map(|symbol| *symbol) }
    });
    if let Some(set) = found {
        // SAFETY: any number above 0 is valid.
        unsafe { set(i32::try_from(threads).unwrap_or(i32::MAX)) };
    }
}

/// Sets how many heaps glibc keeps for all threads together. Does nothing with another C library.
pub(super) fn limit_heaps(heaps: i32) {
    #[cfg(target_env = "gnu")]
    {
        /// Source: glibc, malloc.h.
        const M_ARENA_MAX: i32 = -8;
        unsafe extern "C" {
            fn mallopt(parameter: i32, value: i32) -> i32;
        }
        // SAFETY: may be called at any time; any positive number is valid.
        unsafe { mallopt(M_ARENA_MAX, heaps) };
    }
}

/// A network that several threads run at once, each on batches of its own.
pub struct SharedNetwork(Box<dyn Network>);

impl SharedNetwork {
    /// Shares a network.
    pub fn new(network: Box<dyn Network>) -> Self {
        Self(network)
    }

    /// See `Network::forward`.
    pub fn forward(&self, batch: &Tensor) -> Result<Vec<Tensor>, TorchError> {
        self.0.forward(batch)
    }

    /// See `Network::observe`.
    pub fn observe(&self, batch: &Tensor, see: &mut See<'_>) -> Result<Vec<Tensor>, TorchError> {
        self.0.observe(batch, see)
    }

    /// See `Network::max_batch`.
    pub fn max_batch(&self) -> usize {
        self.0.max_batch()
    }
}

// SAFETY: `Network::forward` takes `&self` and, as the trait demands, only reads the network. What it reads are tensors,
// which libtorch lets any number of threads read at once: their reference counts are atomic.
unsafe impl Sync for SharedNetwork {}

/// Loads libtorch's CUDA half, which registers its kernels. The reason where it is not there.
pub(super) fn load_cuda() -> Result<(), String> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    let load = || {
        // SAFETY: running libtorch_cuda's initializers is what loading it is for; they register operators and have no
        // other requirement than a matching libtorch_cpu, found in the same folder through the same run path.
        let library = unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) };
        // Never unloaded: its operators stay registered until the program ends.
        library.map(std::mem::forget).map_err(|error| error.to_string())
    };
    LOADED.get_or_init(load).clone()
}
