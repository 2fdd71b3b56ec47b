//! Element types and tensors as a file holds them, checked, before libtorch hears of them.

use super::{OnnxError, proto::TensorProto};
use crate::torch::runtime::TorchError;
use tch::{Kind, Tensor};

/// Type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementKind {
    /// 32-bit float.
    Float32,
    /// IEEE half float.
    Float16,
    /// Brain float: the upper half of a 32-bit float.
    BFloat16,
    /// 64-bit float.
    Float64,
    /// Unsigned byte.
    UInt8,
    /// Signed byte.
    Int8,
    /// 16-bit integer.
    Int16,
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
    /// One byte, 0 or 1.
    Bool,
}

impl ElementKind {
    /// By the number of `TensorProto.DataType`; the types libtorch computes with.
    pub(super) fn from_onnx(number: i64) -> Result<Self, String> {
        match number {
            1 => Ok(Self::Float32),
            2 => Ok(Self::UInt8),
            3 => Ok(Self::Int8),
            5 => Ok(Self::Int16),
            6 => Ok(Self::Int32),
            7 => Ok(Self::Int64),
            9 => Ok(Self::Bool),
            10 => Ok(Self::Float16),
            11 => Ok(Self::Float64),
            16 => Ok(Self::BFloat16),
            4 => Err("element type uint16 is not supported".into()),
            8 => Err("element type string is not supported".into()),
            12 | 13 => Err("element types uint32 and uint64 are not supported".into()),
            other => Err(format!("element type {other} is not supported")),
        }
    }

    /// What it is computed in. Files in narrow floats are computed in 32 bits, unless a precision is asked for.
    pub(super) fn torch(self) -> Kind {
        match self {
            Self::Float16 | Self::BFloat16 => Kind::Float,
            _ => self.stored(),
        }
    }

    fn stored(self) -> Kind {
        match self {
            Self::Float32 => Kind::Float,
            Self::Float16 => Kind::Half,
            Self::BFloat16 => Kind::BFloat16,
            Self::Float64 => Kind::Double,
            Self::UInt8 => Kind::Uint8,
            Self::Int8 => Kind::Int8,
            Self::Int16 => Kind::Int16,
            Self::Int32 => Kind::Int,
            Self::Int64 => Kind::Int64,
            Self::Bool => Kind::Bool,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::UInt8 | Self::Int8 | Self::Bool => 1,
            Self::Float16 | Self::BFloat16 | Self::Int16 => 2,
            Self::Float32 | Self::Int32 => 4,
            Self::Float64 | Self::Int64 => 8,
        }
    }
}

/// A tensor of a file: as many bytes as its shape says.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTensor {
    dims: Vec<i64>,
    kind: ElementKind,
    /// Little-endian, last index fastest.
    bytes: Vec<u8>,
}

/// More axes than libtorch's kernels take.
const MAX_AXES: usize = 16;

impl StoredTensor {
    /// Takes a tensor of a file over. `what` names it in errors.
    pub(super) fn read(proto: TensorProto, what: &str) -> Result<Self, OnnxError> {
        let wrong = |problem: String| OnnxError::Malformed(format!("{what}: {problem}"));
        if proto.data_location != 0 || !proto.external_data.is_empty() {
            let problem = "open the model by its path, or save it as one file".into();
            return Err(OnnxError::ExternalData { tensor: proto.name, problem });
        }
        let kind = ElementKind::from_onnx(i64::from(proto.data_type)).map_err(wrong)?;
        if proto.dims.len() > MAX_AXES {
            return Err(wrong(format!("{} axes, at most {MAX_AXES} are possible", proto.dims.len())));
        }
        let dims = proto.dims.clone();
        let count = count(&dims).ok_or_else(|| wrong(format!("impossible shape {dims:?}")))?;
        let expected = count.checked_mul(kind.bytes()).ok_or_else(|| wrong(format!("impossible shape {dims:?}")))?;
        let bytes = stored_bytes(proto, kind);
        if bytes.len() != expected {
            return Err(wrong(format!("{} bytes of data, its shape {dims:?} needs {expected}", bytes.len())));
        }
        Ok(Self { dims, kind, bytes })
    }

    /// Sizes, outermost first; none for a scalar.
    pub fn dims(&self) -> &[i64] {
        &self.dims
    }

    /// Type of the elements.
    pub fn kind(&self) -> ElementKind {
        self.kind
    }

    /// The values, where they are 32-bit floats.
    pub fn floats(&self) -> Option<Vec<f32>> {
        let value = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        (self.kind == ElementKind::Float32).then(|| self.bytes.chunks_exact(4).map(value).collect())
    }

    /// The values, where they are 64-bit integers.
    pub fn ints(&self) -> Option<Vec<i64>> {
        let value = |b: &[u8]| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
        (self.kind == ElementKind::Int64).then(|| self.bytes.chunks_exact(8).map(value).collect())
    }

    /// The values, where they are truths.
    pub fn bools(&self) -> Option<Vec<bool>> {
        (self.kind == ElementKind::Bool).then(|| self.bytes.iter().map(|&byte| byte != 0).collect())
    }

    /// A copy of it as libtorch's tensor.
    pub(super) fn to_torch(&self) -> Result<Tensor, OnnxError> {
        let tensor = Tensor::f_from_data_size(&self.bytes, &self.dims, self.kind.stored());
        let tensor = tensor.and_then(|tensor| tensor.f_to_kind(self.kind.torch()));
        Ok(tensor.map_err(TorchError::from)?)
    }
}

/// How many elements a shape has; `None` where a size is negative or the product too large.
pub(super) fn count(dims: &[i64]) -> Option<usize> {
    dims.iter().try_fold(1usize, |product, &size| product.checked_mul(usize::try_from(size).ok()?))
}

/// The data as little-endian bytes, from whichever field holds them. Source: onnx.proto3, comments on TensorProto.
fn stored_bytes(proto: TensorProto, kind: ElementKind) -> Vec<u8> {
    if !proto.raw_data.is_empty() {
        return proto.raw_data;
    }
    let ints = proto.int32_data;
    match kind {
        ElementKind::Float32 => proto.float_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ElementKind::Float64 => proto.double_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ElementKind::Int64 => proto.int64_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ElementKind::Int32 => ints.iter().flat_map(|v| v.to_le_bytes()).collect(),
        // Narrow types are stored one to an int32; half floats as their bits.
        ElementKind::Float16 | ElementKind::BFloat16 | ElementKind::Int16 => {
            ints.iter().flat_map(|&v| (v as u16).to_le_bytes()).collect()
        }
        ElementKind::UInt8 | ElementKind::Int8 => ints.iter().map(|&v| v as u8).collect(),
        ElementKind::Bool => ints.iter().map(|&v| u8::from(v != 0)).collect(),
    }
}
