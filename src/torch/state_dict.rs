//! Reads the tensors of a PyTorch state dict (`torch.save(model.state_dict())`) in the format used until PyTorch 1.6.
//!
//! Such a file is four pickles (magic number, version, system, the dict), a pickled list of storage keys, then each
//! storage's length and bytes. libtorch's C++ side cannot read it. Only 32-bit floats are kept: counters and masks of
//! training are not needed here. Format facts: `torch/serialization.py`, `_legacy_load`.

use super::pickle::{Node, NodeId, Pickle, PickleError};
use std::collections::{BTreeMap, HashMap};

/// First number of such a file.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// A tensor of 32-bit floats in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// As many as the shape says.
    pub values: Vec<f32>,
}

/// The float tensors of a file, by name.
#[derive(Debug, Default)]
pub struct StateDict(BTreeMap<String, HostTensor>);

/// Why a file is not a state dict, or not the one a network needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateDictError {
    /// Another kind of file.
    #[error(
        "{0}, expected a PyTorch state dict in the format before 1.6 (torch.save(..., _use_new_zipfile_serialization=False))"
    )]
    NotLegacy(&'static str),
    /// The pickled part is damaged.
    #[error("not a sound state dict: {0}")]
    Pickle(#[from] PickleError),
    /// The pickled part is sound, but no state dict.
    #[error("not a state dict: {0}")]
    Structure(String),
    /// The file ends inside a tensor.
    #[error("the file ends inside the data of its tensors: it is truncated")]
    Truncated,
    /// The network needs a tensor the file lacks.
    #[error("no tensor {0:?}: the file belongs to another network")]
    Missing(String),
    /// A tensor is there in another shape.
    #[error("tensor {name:?} is {got:?}, expected {expected:?}: the file belongs to another network")]
    Shape {
        /// Its name.
        name: String,
        /// Shape found.
        got: Vec<usize>,
        /// Shape needed.
        expected: Vec<usize>,
    },
}

/// A tensor as the pickle describes it.
struct Described {
    name: String,
    storage: String,
    offset: usize,
    shape: Vec<usize>,
}

impl StateDict {
    /// Reads a file's bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, StateDictError> {
        if bytes.starts_with(b"PK") {
            return Err(StateDictError::NotLegacy("a zip archive (PyTorch 1.6 or later)"));
        }
        if !bytes.windows(MAGIC.len()).take(8).any(|window| window == MAGIC) {
            return Err(StateDictError::NotLegacy("no PyTorch file"));
        }
        let mut rest = bytes;
        for _magic_version_system in 0..3 {
            next_pickle(&mut rest)?;
        }
        let dict = next_pickle(&mut rest)?;
        let (described, sizes) = describe(&dict)?;
        let keys = next_pickle(&mut rest)?;
        let storages = storages(&keys, &sizes, rest)?;
        let floats = described.iter().map(Described::count).fold(0usize, usize::saturating_add);
        if floats > bytes.len() {
            // Tensors may share a storage, but not so many that a small file fills the memory.
            return Err(wrong(format!("its tensors hold {floats} values, more than the file has bytes")));
        }
        described.into_iter().map(|tensor| tensor.read(&storages)).collect::<Result<_, _>>().map(Self)
    }

    /// The tensor `name`, which must have this shape.
    pub fn get(&self, name: &str, expected: &[usize]) -> Result<&[f32], StateDictError> {
        let tensor = self.0.get(name).ok_or_else(|| StateDictError::Missing(name.to_owned()))?;
        if tensor.shape == expected {
            return Ok(&tensor.values);
        }
        let (name, got, expected) = (name.to_owned(), tensor.shape.clone(), expected.to_vec());
        Err(StateDictError::Shape { name, got, expected })
    }
}

fn next_pickle(rest: &mut &[u8]) -> Result<Pickle, StateDictError> {
    let (pickle, taken) = Pickle::read(rest)?;
    *rest = &rest[taken..];
    Ok(pickle)
}

fn wrong(what: impl Into<String>) -> StateDictError {
    StateDictError::Structure(what.into())
}

/// The float tensors of the dict, and how many bytes an element of each storage takes.
fn describe(dict: &Pickle) -> Result<(Vec<Described>, HashMap<String, usize>), StateDictError> {
    let (Node::Dict(pairs) | Node::Call { items: pairs, .. }) = dict.root() else {
        return Err(wrong("its root is no dict"));
    };
    let (mut tensors, mut sizes) = (Vec::new(), HashMap::new());
    for &(key, value) in pairs {
        let name = dict.text(key).ok_or_else(|| wrong("a key is no text"))?;
        let (storage, offset, shape, stride) =
            tensor_parts(dict, value).ok_or_else(|| wrong(format!("{name:?} is no tensor")))?;
        let (kind, storage) = storage_parts(dict, storage).ok_or_else(|| wrong(format!("{name:?} has no storage")))?;
        let element = element_bytes(kind).ok_or_else(|| wrong(format!("{name:?} is a {kind}, which is not known")))?;
        sizes.insert(storage.to_owned(), element);
        if kind != "FloatStorage" {
            continue;
        }
        if !is_row_major(&shape, &stride) {
            return Err(wrong(format!("{name:?} is not stored row by row")));
        }
        tensors.push(Described { name: name.to_owned(), storage: storage.to_owned(), offset, shape });
    }
    Ok((tensors, sizes))
}

/// Storage, offset, shape and stride of a `_rebuild_tensor_v2` call.
fn tensor_parts(pickle: &Pickle, id: NodeId) -> Option<(NodeId, usize, Vec<usize>, Vec<usize>)> {
    let Node::Call { function, arguments, .. } = pickle.node(id) else { return None };
    let Node::Global(_, name) = pickle.node(*function) else { return None };
    let [storage, offset, shape, stride, ..] = pickle.sequence(*arguments)? else { return None };
    let sizes = |id: &NodeId| pickle.sequence(*id)?.iter().map(|&size| pickle.size(size)).collect::<Option<Vec<_>>>();
    (name == "_rebuild_tensor_v2").then_some(())?;
    Some((*storage, pickle.size(*offset)?, sizes(shape)?, sizes(stride)?))
}

/// Class and key of a storage: ("storage", class, key, device, length, view), of which no view is known.
fn storage_parts(pickle: &Pickle, id: NodeId) -> Option<(&str, &str)> {
    let Node::Persistent(id) = pickle.node(id) else { return None };
    let [_, class, key, _, _, view] = pickle.sequence(*id)? else { return None };
    let Node::Global(_, kind) = pickle.node(*class) else { return None };
    (*pickle.node(*view) == Node::None).then_some((kind, pickle.text(*key)?))
}

fn element_bytes(storage: &str) -> Option<usize> {
    match storage {
        "DoubleStorage" | "LongStorage" => Some(8),
        "FloatStorage" | "IntStorage" => Some(4),
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => Some(2),
        "ByteStorage" | "CharStorage" | "BoolStorage" => Some(1),
        _ => None,
    }
}

fn is_row_major(shape: &[usize], stride: &[usize]) -> bool {
    let mut expected = 1usize;
    shape.len() == stride.len()
        && shape.iter().zip(stride).rev().all(|(&size, &step)| {
            let fits = size == 1 || step == expected;
            expected = expected.saturating_mul(size);
            fits
        })
}

/// Cuts the data after the pickles into storages: a 64-bit count of elements, then the elements.
fn storages<'a>(
    keys: &Pickle,
    sizes: &HashMap<String, usize>,
    mut rest: &'a [u8],
) -> Result<HashMap<String, &'a [u8]>, StateDictError> {
    let Node::Sequence(keys_listed) = keys.root() else { return Err(wrong("no list of storages")) };
    let mut storages = HashMap::new();
    for &key in keys_listed {
        let key = keys.text(key).ok_or_else(|| wrong("a storage's key is no text"))?;
        let element = sizes.get(key).ok_or_else(|| wrong(format!("storage {key:?} belongs to no tensor")))?;
        let (count, data) = rest.split_first_chunk::<8>().ok_or(StateDictError::Truncated)?;
        let bytes = usize::try_from(u64::from_le_bytes(*count)).ok().and_then(|count| count.checked_mul(*element));
        let (storage, after) = bytes.and_then(|bytes| data.split_at_checked(bytes)).ok_or(StateDictError::Truncated)?;
        storages.insert(key.to_owned(), storage);
        rest = after;
    }
    Ok(storages)
}

impl Described {
    fn count(&self) -> usize {
        self.shape.iter().fold(1, |product, &size| product.saturating_mul(size))
    }

    fn read(self, storages: &HashMap<String, &[u8]>) -> Result<(String, HostTensor), StateDictError> {
        let inside = || {
            let storage = storages.get(&self.storage)?;
            let end = self.offset.checked_add(self.count())?.checked_mul(4)?;
            storage.get(self.offset * 4..end)
        };
        let bytes = inside().ok_or_else(|| wrong(format!("{:?} lies outside its storage", self.name)))?;
        let values = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        Ok((self.name, HostTensor { shape: self.shape, values }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: &str) -> Vec<u8> {
        [&b"X"[..], &(value.len() as u32).to_le_bytes(), value.as_bytes()].concat()
    }

    fn int(value: u32) -> Vec<u8> {
        [&b"J"[..], &value.to_le_bytes()].concat()
    }

    fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
        [&b"("[..], &items.concat(), b"t"].concat()
    }

    fn ints(values: &[u32]) -> Vec<u8> {
        tuple(&values.iter().map(|&value| int(value)).collect::<Vec<_>>())
    }

    /// A dict entry as `torch.save` writes it.
    fn entry(name: &str, kind: &str, key: &str, offset: u32, shape: &[u32], stride: &[u32]) -> Vec<u8> {
        let class = format!("ctorch\n{kind}\n").into_bytes();
        let storage =
            [tuple(&[text("storage"), class, text(key), text("cpu"), int(0), b"N".to_vec()]), b"Q".to_vec()].concat();
        let arguments = tuple(&[storage, int(offset), ints(shape), ints(stride), b"\x89".to_vec(), b"N".to_vec()]);
        [text(name), b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec(), arguments, b"R".to_vec()].concat()
    }

    fn file(entries: &[Vec<u8>], storages: &[(&str, u64, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = [&b"\x80\x02\x8a\x0a"[..], &MAGIC, b".", b"\x80\x02M\xe9\x03.", b"\x80\x02}."].concat();
        bytes.extend([&b"\x80\x02ccollections\nOrderedDict\n)R("[..], &entries.concat(), b"u."].concat());
        let keys: Vec<_> = storages.iter().map(|(key, ..)| text(key)).collect();
        bytes.extend([&b"\x80\x02]("[..], &keys.concat(), b"e."].concat());
        for (_, count, data) in storages {
            bytes.extend(count.to_le_bytes());
            bytes.extend(data);
        }
        bytes
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn sound() -> Vec<u8> {
        let entries = [
            entry("conv.weight", "FloatStorage", "7", 1, &[2, 2], &[2, 1]),
            entry("bn.num_batches_tracked", "LongStorage", "8", 0, &[], &[]),
        ];
        file(&entries, &[("8", 1, vec![0; 8]), ("7", 5, floats(&[9.0, 1.0, 2.0, 3.0, 4.0]))])
    }

    #[test]
    fn float_tensors_are_found_by_name_and_shape() {
        let dict = StateDict::read(&sound()).unwrap();
        assert_eq!(dict.get("conv.weight", &[2, 2]).unwrap(), [1.0, 2.0, 3.0, 4.0]);
        let shape = dict.get("conv.weight", &[4]).unwrap_err().to_string();
        assert_eq!(shape, "tensor \"conv.weight\" is [2, 2], expected [4]: the file belongs to another network");
        let missing = dict.get("fc.weight", &[4]).unwrap_err().to_string();
        assert_eq!(missing, "no tensor \"fc.weight\": the file belongs to another network");
    }

    #[test]
    fn other_files_are_refused_by_what_they_are() {
        let refuse = |bytes: &[u8]| StateDict::read(bytes).unwrap_err();
        assert!(matches!(refuse(b"PK\x03\x04rest of a zip"), StateDictError::NotLegacy(_)));
        assert!(matches!(refuse(b"<html>"), StateDictError::NotLegacy(_)));
        assert!(matches!(refuse(b""), StateDictError::NotLegacy(_)));
        let elsewhere = file(&[entry("a", "FloatStorage", "7", 3, &[2], &[1])], &[("7", 4, floats(&[0.0; 4]))]);
        assert_eq!(refuse(&elsewhere).to_string(), "not a state dict: \"a\" lies outside its storage");
        let huge =
            file(&[entry("a", "FloatStorage", "7", 0, &[u32::MAX, u32::MAX], &[u32::MAX, 1])], &[("7", 0, vec![])]);
        assert!(matches!(refuse(&huge), StateDictError::Structure(_)));
        let columns = file(&[entry("a", "FloatStorage", "7", 0, &[2, 2], &[1, 2])], &[("7", 4, floats(&[0.0; 4]))]);
        assert_eq!(refuse(&columns).to_string(), "not a state dict: \"a\" is not stored row by row");
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = sound();
        for length in 0..whole.len() {
            assert!(StateDict::read(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_never_panics(position in 0usize..400, bit in 0u8..8) {
            let mut bytes = sound();
            let position = position % bytes.len();
            bytes[position] ^= 1 << bit;
            let _ = StateDict::read(&bytes);
        }
    }
}
