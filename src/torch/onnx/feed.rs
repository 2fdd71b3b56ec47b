//! What a network is fed: one picture, in whichever order the file wants, and what exporters ask to be told of its size.

use super::{OnnxError, OnnxFile, ValueInfo, network::BuildOptions};
use crate::{frame::ImageSize, torch::runtime::TorchError};
use tch::{Device, Kind, Tensor};

/// What a network is fed with.
pub(super) struct Feed<'f> {
    pub info: &'f ValueInfo,
    pub size: ImageSize,
    pub channels: i64,
    /// Whether the file wants the channels last.
    pub channels_last: bool,
    /// Other inputs, by name: the same for every picture.
    pub known: Vec<(&'f str, Tensor)>,
}

/// The input that takes the picture; sizes are missing where the export left them free.
struct PictureInput<'f> {
    info: &'f ValueInfo,
    batch: Option<i64>,
    channels: Option<i64>,
    rows: Option<i64>,
    columns: Option<i64>,
    channels_last: bool,
}

impl<'f> PictureInput<'f> {
    fn of(file: &'f OnnxFile) -> Result<Self, OnnxError> {
        let mut pictures = file.inputs().iter().filter(|info| !asks_for_size(info));
        let (Some(info), None) = (pictures.next(), pictures.next()) else {
            let names: Vec<_> = file.inputs().iter().map(|info| info.name.as_str()).collect();
            let told = SIZES.map(|(name, _)| name).join(", ");
            let problem = format!("it takes the inputs {names:?}, expected one picture, and of others only {told}");
            return Err(OnnxError::Inputs(problem));
        };
        let &[batch, a, b, c] = info.dims.as_slice() else {
            let (name, dims) = (&info.name, &info.dims);
            return Err(OnnxError::Inputs(format!(
                "its input {name:?} is {dims:?}, expected batch, channels, rows, columns"
            )));
        };
        let is_channels = |size: Option<i64>| matches!(size, Some(1 | 3));
        let channels_last = is_channels(c) && !is_channels(a);
        let (channels, rows, columns) = if channels_last { (c, a, b) } else { (a, b, c) };
        Ok(Self { info, batch, channels, rows, columns, channels_last })
    }
}

impl OnnxFile {
    /// Size of the picture it takes, where the export fixed it.
    pub fn fixed_size(&self) -> Option<ImageSize> {
        let input = PictureInput::of(self).ok()?;
        Some(ImageSize { width: side(input.columns?).ok()?, height: side(input.rows?).ok()? })
    }
}

impl<'f> Feed<'f> {
    /// The one input, of the size the options or the file name.
    pub fn of(file: &'f OnnxFile, options: &BuildOptions<'_>) -> Result<Self, OnnxError> {
        let PictureInput { info, batch, channels, rows, columns, channels_last } = PictureInput::of(file)?;
        if batch.is_some_and(|batch| batch != 1) {
            tracing::info!(batch, "the export fixed the batch; it is run with any");
        }
        let free = |what: &str| OnnxError::Inputs(format!("its input leaves the {what} free; say which to use"));
        let given = options.size.map(|size| (i64::from(size.height), i64::from(size.width)));
        let (rows, columns) = match (given, rows, columns) {
            (Some(given), ..) => given,
            (None, Some(rows), Some(columns)) => (rows, columns),
            _ => return Err(free("size")),
        };
        let size = ImageSize { width: side(columns)?, height: side(rows)? };
        let asked = file.inputs().iter().filter(|info| asks_for_size(info));
        let known = asked.map(|info| told(info, size)).collect::<Result<_, _>>()?;
        Ok(Self { info, size, channels: channels.unwrap_or(3), channels_last, known })
    }

    /// A picture of scattered values from 0 to 1, in the order the file wants.
    pub fn picture(&self) -> Result<Tensor, TorchError> {
        let (rows, columns) = (i64::from(self.size.height), i64::from(self.size.width));
        let shape = match self.channels_last {
            true => [1, rows, columns, self.channels],
            false => [1, self.channels, rows, columns],
        };
        // Multiples of the golden ratio lie everywhere between whole numbers.
        let steps = Tensor::f_arange(rows * columns * self.channels, (Kind::Double, Device::Cpu))?;
        let values = steps.f_mul_scalar(0.618_033_988_749_895)?.f_frac()?;
        Ok(values.f_reshape(shape)?.f_to_kind(self.info.kind.torch())?)
    }
}

/// Inputs that ask for a size, and the numbers they get of an input of (width, height): boxes shall come in its pixels.
/// Source: RT-DETR and D-FINE (`tools/export_onnx.py`); PaddleDetection (`deploy/EXPORT_MODEL.md`).
const SIZES: [(&str, fn([f32; 2]) -> [f32; 2]); 3] = [
    ("orig_target_sizes", |[width, height]| [width, height]),
    ("im_shape", |[width, height]| [height, width]),
    ("scale_factor", |_| [1.0, 1.0]),
];

fn asks_for_size(info: &ValueInfo) -> bool {
    SIZES.iter().any(|(name, _)| *name == info.name)
}

/// What an input is told of the size.
fn told(info: &ValueInfo, size: ImageSize) -> Result<(&str, Tensor), TorchError> {
    let numbers = SIZES.iter().find(|(name, _)| *name == info.name).map(|(_, numbers)| numbers);
    let numbers = numbers.map_or([1.0, 1.0], |numbers| numbers([size.width as f32, size.height as f32]));
    let tensor = Tensor::f_from_slice(&numbers)?.f_reshape([1, 2])?.f_to_kind(info.kind.torch())?;
    Ok((&info.name, tensor))
}

/// No picture is larger; see `file`.
fn side(size: i64) -> Result<u32, OnnxError> {
    match u32::try_from(size) {
        Ok(size @ 1..=32_768) => Ok(size),
        _ => Err(OnnxError::Inputs(format!("an input of {size} pixels"))),
    }
}
