//! What every network shares: the device it runs on, libtorch's threads, and errors without a C++ stack.

use super::native;
pub use super::native::SharedNetwork;
use crate::config::plan::{DeviceChoice, PrecisionChoice};
use std::{fmt, str::FromStr, sync::OnceLock};
use tch::{Cuda, TchError, Tensor};

/// libtorch refused; the first line of its message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TorchError(pub String);

impl From<TchError> for TorchError {
    fn from(error: TchError) -> Self {
        let message = error.to_string();
        // What follows the first line is a C++ stack.
        let first = message.lines().next().unwrap_or_default();
        Self(first.trim_start_matches("Internal torch error: ").to_owned())
    }
}

/// Takes a value of a network with its name.
pub type See<'a> = dyn FnMut(&str, &Tensor) -> Result<(), TorchError> + 'a;

/// A loaded network. Running it only reads it, so that several threads may do so at once (`SharedNetwork`).
pub trait Network: Send {
    /// Runs a batch as `forward` does, in 32-bit floats, and shows what each convolution reads, by the name that a
    /// calibration knows it by.
    fn observe(&self, batch: &Tensor, see: &mut See<'_>) -> Result<Vec<Tensor>, TorchError> {
        let _ = (batch, see);
        Err(TorchError("only ONNX and Darknet networks can be run in int8".into()))
    }

    /// Runs a batch (N, 3, height, width) of floats, in channels_last order for speed. One tensor an output, batch first.
    fn forward(&self, batch: &Tensor) -> Result<Vec<Tensor>, TorchError>;

    /// Most pictures a batch may have: one where what comes out is of another length for each.
    fn max_batch(&self) -> usize {
        usize::MAX
    }
}

/// Where a network runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU, by its number.
    Cuda(usize),
}

/// In which floats a network computes. What comes out is 32-bit again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Fp32,
    /// Brain floats: the range of 32 bits, 8 bits of accuracy.
    Bf16,
    /// Half floats, for GPUs.
    Fp16,
    /// Bytes in convolutions, as a calibration says; between them the floats the processor is fast in. For CPUs.
    Int8,
}

impl Precision {
    pub(super) fn kind(self) -> tch::Kind {
        match self {
            Self::Fp32 => tch::Kind::Float,
            Self::Bf16 => tch::Kind::BFloat16,
            Self::Fp16 => tch::Kind::Half,
            Self::Int8 => Self::of_processor().kind(),
        }
    }

    /// The floats the processor is fast in.
    pub fn of_processor() -> Self {
        if has_brain_floats() { Self::Bf16 } else { Self::Fp32 }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Bf16 => "bf16",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        })
    }
}

/// Where and in which floats a network runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Where.
    pub device: tch::Device,
    /// In which floats.
    pub precision: Precision,
}

impl From<tch::Device> for Placement {
    /// In the precision that was set for all networks, 32-bit floats until then.
    fn from(device: tch::Device) -> Self {
        Self { device, precision: precision() }
    }
}

static PLACEMENT: OnceLock<(Device, Precision)> = OnceLock::new();

/// Sets where and in which precision networks run that are opened from now on. Only the first call counts.
///
/// Errors: a GPU is asked for that is not there; half floats without a GPU, bytes on one.
pub fn set_placement(device: DeviceChoice, precision: PrecisionChoice) -> Result<(), TorchError> {
    let device = match device {
        DeviceChoice::Cpu => Device::Cpu,
        DeviceChoice::Cuda(number) => Device::Cuda(number).open().map(|_| Device::Cuda(number))?,
        DeviceChoice::Auto => found_device(),
    };
    let precision = match (precision, device) {
        (PrecisionChoice::Fp32, _) => Precision::Fp32,
        (PrecisionChoice::Bf16, _) => Precision::Bf16,
        (PrecisionChoice::Fp16 | PrecisionChoice::Auto, Device::Cuda(_)) => Precision::Fp16,
        (PrecisionChoice::Fp16, Device::Cpu) => {
            return Err(TorchError("fp16 needs a GPU; choose fp32 or bf16".into()));
        }
        (PrecisionChoice::Int8, Device::Cuda(_)) => {
            return Err(TorchError("int8 runs on the cpu; choose fp16 or auto on a GPU".into()));
        }
        (PrecisionChoice::Int8, Device::Cpu) => Precision::Int8,
        (PrecisionChoice::Auto, Device::Cpu) => Precision::of_processor(),
    };
    if precision == Precision::Bf16 && device == Device::Cpu && !has_brain_floats() {
        tracing::warn!("this CPU has no bf16 in hardware: networks will be slower than in fp32");
    }
    if *PLACEMENT.get_or_init(|| (device, precision)) == (device, precision) {
        tracing::info!(%device, %precision, "networks");
    } else {
        tracing::warn!(%device, %precision, "the networks' place is already set");
    }
    Ok(())
}

/// Where networks run that are opened now.
pub fn device() -> Device {
    PLACEMENT.get().map_or(Device::Cpu, |(device, _)| *device)
}

/// In which precision networks run that are opened now.
pub fn precision() -> Precision {
    PLACEMENT.get().map_or(Precision::Fp32, |(_, precision)| *precision)
}

/// The first GPU if there is one that works, the processor otherwise.
fn found_device() -> Device {
    // Loading libtorch's CUDA half takes most of a second, so only where a driver shows a GPU.
    if !std::path::Path::new("/dev/nvidia0").exists() {
        return Device::Cpu;
    }
    match Device::Cuda(0).open() {
        Ok(_) => Device::Cuda(0),
        Err(error) => {
            tracing::warn!(%error, "the GPU cannot be used");
            Device::Cpu
        }
    }
}

/// Whether the processor multiplies brain floats (AVX512_BF16 or AMX); without, they are slower than 32 bits.
pub fn has_brain_floats() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| tells_brain_floats(&text)))
}

fn tells_brain_floats(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|flags| flags.split_whitespace().any(|flag| matches!(flag, "avx512_bf16" | "amx_bf16")))
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl FromStr for Device {
    type Err = String;

    /// `cpu`, `cuda` (the first GPU) or `cuda:N`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| format!("device {text:?}, expected cpu, cuda or cuda:N")),
        }
    }
}

impl Device {
    /// The device as tch names it, once it is certain that it is there. Loads libtorch's CUDA half on first need.
    pub fn open(self) -> Result<tch::Device, TorchError> {
        let Self::Cuda(number) = self else { return Ok(tch::Device::Cpu) };
        let missing = |reason: String| TorchError(format!("{self} is not available: {reason}"));
        native::load_cuda().map_err(missing)?;
        let there = if Cuda::is_available() { usize::try_from(Cuda::device_count()).unwrap_or(0) } else { 0 };
        if number < there {
            return Ok(tch::Device::Cuda(number));
        }
        Err(missing(format!("libtorch sees {there} GPUs")))
    }
}

/// Heaps for all threads together. With two, threads wait for one another: the oldest frames of eight streams are then 110 to
/// 140 ms old in place of 65; with four they are not.
const HEAPS: i32 = 4;

/// Keeps the memory of a long run bounded; to be called before the line's threads start.
///
/// The C library gives each thread a heap of its own, up to eight a core, and what is freed in one serves no other. Cameras
/// that come back bring new threads each time: eight looped recordings grew by 2.6 MB each time they started over.
/// `MALLOC_ARENA_MAX` in the environment wins.
pub fn share_heaps() {
    if std::env::var_os("MALLOC_ARENA_MAX").is_none() {
        native::limit_heaps(HEAPS);
    }
}

/// Sets libtorch's threads inside one operation, at least 1. Only the first call counts: changing them later would tear
/// down thread pools that are in use.
///
/// OpenMP keeps one pool a calling thread, and its idle workers burn their core for milliseconds between two layers unless
/// the pools together have more threads than there are cores. A detector opened on one thread and run on another makes two
/// pools, which is enough where every core is given to libtorch: beside other work on two cores a frame at 416 pixels
/// then takes 33 ms instead of 220. Elsewhere `OMP_WAIT_POLICY=passive` in the environment does the same.
pub fn set_threads(threads: usize) {
    let first = *THREADS.get_or_init(|| {
        tch::set_num_threads(i32::try_from(threads.max(1)).unwrap_or(i32::MAX));
        threads
    });
    if first != threads {
        tracing::warn!(threads = first, asked = threads, "libtorch's threads are already set");
    }
}

static THREADS: OnceLock<usize> = OnceLock::new();

/// The threads that were set, 1 until then.
pub fn threads() -> usize {
    THREADS.get().copied().unwrap_or(1)
}

/// Lets operations that this thread runs use at most so many threads (at least 1); others keep what was set for all.
pub fn limit_this_thread(threads: usize) {
    // libtorch sets a thread's number on its first operation; asked for now, it does not overwrite the one below later.
    let _ = tch::get_num_threads();
    native::limit_openmp(threads.max(1));
}

/// While it lives, libtorch keeps no gradients on this thread and uses the threads that were set.
pub struct Inference {
    _no_grad: tch::NoGradGuard,
}

impl Inference {
    /// Begins inference on this thread.
    pub fn begin() -> Self {
        // OpenMP keeps the count per thread; asking for it is what makes libtorch pass it on to a new thread.
        let _ = tch::get_num_threads();
        Self { _no_grad: tch::no_grad_guard() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_by_name() {
        let cases = [
            ("cpu", Ok(Device::Cpu)),
            ("cuda", Ok(Device::Cuda(0))),
            ("cuda:3", Ok(Device::Cuda(3))),
            ("cuda:x", Err("device \"cuda:x\", expected cpu, cuda or cuda:N".to_owned())),
            ("gpu", Err("device \"gpu\", expected cpu, cuda or cuda:N".to_owned())),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Device>(), expected);
        }
    }

    #[test]
    fn brain_floats_are_read_off_the_flags_of_the_first_processor() {
        let cases = [
            ("flags\t\t: fpu avx512_bf16 amx_tile\n", true),
            ("processor\t: 0\nflags\t\t: fpu amx_bf16\n", true),
            ("model name\t: avx512_bf16\nflags\t\t: fpu avx512_vnni\n", false),
            ("", false),
        ];
        for (cpuinfo, expected) in cases {
            assert_eq!(tells_brain_floats(cpuinfo), expected, "{cpuinfo}");
        }
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error() {
        let error = Device::Cuda(99).open().unwrap_err().to_string();
        assert!(error.starts_with("cuda:99 is not available: "), "{error}");
    }

    #[test]
    fn errors_are_one_line() {
        let error = Tensor::f_zeros([2, 3], (tch::Kind::Float, tch::Device::Cpu)).unwrap().f_reshape([7]).unwrap_err();
        let error = TorchError::from(error).to_string();
        assert_eq!(error, "shape '[7]' is invalid for input of size 6");
    }
}
