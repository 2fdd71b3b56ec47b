//! What the files say, checked.
//!
//! Source: tensorflow/tfjs, `tfjs-converter/docs` and `tfjs-core/src/io/types.ts`.

use super::TfjsError;
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

/// A graph with its constants.
#[derive(Clone, Debug)]
pub struct TfjsFile {
    pub(super) nodes: BTreeMap<String, TfNode>,
    pub(super) constants: BTreeMap<String, Constant>,
}

/// A node.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct TfNode {
    pub name: String,
    pub op: String,
    #[serde(default)]
    pub input: Vec<String>,
    #[serde(default)]
    pub attr: BTreeMap<String, Value>,
}

/// A constant, last index fastest.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constant {
    pub shape: Vec<usize>,
    pub values: Values,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Values {
    Floats(Vec<f32>),
    Ints(Vec<i32>),
}

#[derive(Deserialize)]
struct ModelJson {
    #[serde(rename = "modelTopology")]
    topology: Topology,
    #[serde(rename = "weightsManifest")]
    manifest: Vec<Group>,
}

#[derive(Deserialize)]
struct Topology {
    node: Vec<TfNode>,
}

/// Weights one after the other in the bytes of all its files.
#[derive(Deserialize)]
struct Group {
    paths: Vec<String>,
    weights: Vec<Weight>,
}

#[derive(Deserialize)]
struct Weight {
    name: String,
    shape: Vec<usize>,
    dtype: String,
    quantization: Option<Value>,
}

/// More than any network in a browser has.
const MAX_BYTES: u64 = 1 << 30;

impl TfjsFile {
    /// Whether a file's text looks like one.
    pub fn is_one(text: &[u8]) -> bool {
        const WORD: &[u8] = b"\"weightsManifest\"";
        text.first() == Some(&b'{') && text.windows(WORD.len()).any(|window| window == WORD)
    }

    /// Reads `model.json` and the shards beside it.
    pub fn read(path: &Path) -> Result<Self, TfjsError> {
        let unreadable =
            |path: &Path, error: std::io::Error| TfjsError::Weights(format!("{}: {error}", path.display()));
        let text = fs::read(path).map_err(|error| unreadable(path, error))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, &|name| {
            if name.contains(['/', '\\']) || name.starts_with('.') {
                return Err(TfjsError::Weights(format!("{name:?} names no file beside the model")));
            }
            let shard = folder.join(name);
            match fs::metadata(&shard) {
                Ok(meta) if meta.len() > MAX_BYTES => {
                    Err(TfjsError::Weights(format!("{}: {} bytes, at most {MAX_BYTES}", shard.display(), meta.len())))
                }
                _ => fs::read(&shard).map_err(|error| unreadable(&shard, error)),
            }
        })
    }

    /// Reads a model whose shards `shard` gives by name.
    pub fn parse(text: &[u8], shard: &dyn Fn(&str) -> Result<Vec<u8>, TfjsError>) -> Result<Self, TfjsError> {
        let model: ModelJson = serde_json::from_slice(text).map_err(|error| TfjsError::NotTfjs(error.to_string()))?;
        let mut constants = BTreeMap::new();
        for group in model.manifest {
            let mut bytes = Vec::new();
            for path in &group.paths {
                bytes.append(&mut shard(path)?);
            }
            let mut rest = bytes.as_slice();
            for weight in &group.weights {
                constants.insert(weight.name.clone(), weight.take(&mut rest)?);
            }
            if !rest.is_empty() {
                return Err(TfjsError::Weights(format!("{} bytes of weights too many", rest.len())));
            }
        }
        let nodes = model.topology.node.into_iter().map(|node| (node.name.clone(), node)).collect();
        Ok(Self { nodes, constants })
    }
}

impl Weight {
    /// Takes its values off the front.
    fn take(&self, rest: &mut &[u8]) -> Result<Constant, TfjsError> {
        let name = &self.name;
        if self.quantization.is_some() {
            return Err(TfjsError::Weights(format!("{name:?} is quantized, which is not supported")));
        }
        let count = self.shape.iter().try_fold(4usize, |product, &size| product.checked_mul(size));
        let bytes = count.and_then(|count| rest.split_at_checked(count));
        let (bytes, after) = bytes.ok_or_else(|| {
            TfjsError::Weights(format!("{name:?} of shape {:?} lies beyond the end of the shards", self.shape))
        })?;
        *rest = after;
        let words = bytes.chunks_exact(4).map(|word| [word[0], word[1], word[2], word[3]]);
        let values = match self.dtype.as_str() {
            "float32" => Values::Floats(words.map(f32::from_le_bytes).collect()),
            "int32" => Values::Ints(words.map(i32::from_le_bytes).collect()),
            other => return Err(TfjsError::Weights(format!("{name:?} is of type {other}, expected float32 or int32"))),
        };
        Ok(Constant { shape: self.shape.clone(), values })
    }
}

impl TfNode {
    /// Its inputs without those that only say when.
    pub fn inputs(&self) -> Vec<&str> {
        let data = self.input.iter().filter(|name| !name.starts_with('^'));
        data.map(|name| name.split(':').next().unwrap_or_default()).collect()
    }

    /// An attribute that is a word. TensorFlow.js writes words as lists of bytes, later ones in base 64.
    pub fn word(&self, name: &str) -> Option<String> {
        match self.attr.get(name)?.get("s")? {
            Value::Array(bytes) => {
                let bytes: Option<Vec<u8>> = bytes.iter().map(|byte| byte.as_u64()?.try_into().ok()).collect();
                String::from_utf8(bytes?).ok()
            }
            Value::String(text) => Some(match text.as_str() {
                "U0FNRQ==" => "SAME".into(),
                "VkFMSUQ=" => "VALID".into(),
                "TkhXQw==" => "NHWC".into(),
                other => other.to_owned(),
            }),
            _ => None,
        }
    }

    /// An attribute that is a list of whole numbers.
    pub fn ints(&self, name: &str) -> Option<Vec<i64>> {
        let list = self.attr.get(name)?.get("list")?.get("i")?.as_array()?;
        list.iter().map(|item| item.as_i64().or_else(|| item.as_str()?.parse().ok())).collect()
    }

    /// An attribute that is a number.
    pub fn float(&self, name: &str) -> Option<f64> {
        self.attr.get(name)?.get("f")?.as_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = r#"{"modelTopology": {"node": [
        {"name": "a", "op": "Const"}, {"name": "b", "op": "Relu6", "input": ["a:0", "^c"],
         "attr": {"padding": {"s": [83, 65, 77, 69]}, "strides": {"list": {"i": ["1", 2]}}, "epsilon": {"f": 0.5}}}]},
        "weightsManifest": [{"paths": ["s1", "s2"], "weights": [
            {"name": "a", "shape": [3], "dtype": "float32"}, {"name": "i", "shape": [], "dtype": "int32"}]}]}"#;

    fn read(first: usize, second: usize) -> Result<TfjsFile, TfjsError> {
        let bytes: Vec<u8> =
            [1.0f32, 2.0, 3.0].iter().flat_map(|v| v.to_le_bytes()).chain(7i32.to_le_bytes()).collect();
        TfjsFile::parse(MODEL.as_bytes(), &|name| {
            let mut bytes = bytes.clone();
            bytes.extend([0; 8]);
            Ok(if name == "s1" { bytes[..first].to_vec() } else { bytes[first..second].to_vec() })
        })
    }

    #[test]
    fn weights_run_on_over_the_shards() {
        let file = read(5, 16).unwrap();
        assert_eq!(file.constants["a"], Constant { shape: vec![3], values: Values::Floats(vec![1.0, 2.0, 3.0]) });
        assert_eq!(file.constants["i"], Constant { shape: vec![], values: Values::Ints(vec![7]) });
        let node = &file.nodes["b"];
        assert_eq!(node.inputs(), ["a"]);
        assert_eq!((node.word("padding").as_deref(), node.float("epsilon")), (Some("SAME"), Some(0.5)));
        assert_eq!((node.ints("strides"), node.ints("none")), (Some(vec![1, 2]), None));
    }

    #[test]
    fn shards_of_another_length_are_refused() {
        assert!(read(5, 15).unwrap_err().to_string().contains("\"i\" of shape [] lies beyond the end"));
        assert!(read(5, 18).unwrap_err().to_string().contains("2 bytes of weights too many"));
        assert!(TfjsFile::parse(b"{}", &|_| Ok(Vec::new())).is_err());
        assert!(TfjsFile::is_one(MODEL.as_bytes()) && !TfjsFile::is_one(b"{\"a\": 1}"));
    }
}
