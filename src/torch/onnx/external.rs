//! Weights that lie in a file beside the model, as PyTorch's exporter writes them since 2.9 (`FILE.onnx.data`).
//!
//! Source: onnx/docs/ExternalData.md. The name of such a file comes from the model, so it is not believed: only a file in the
//! model's own folder, or below it, is opened.

use super::{
    OnnxError,
    proto::{GraphProto, TensorProto},
};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Component, Path},
};

/// No tensor of a model eyeline runs is larger.
const MAX_BYTES: u64 = 2 << 30;

/// Moves into a graph what lies in files of `folder`.
pub(super) fn take_in(graph: &mut GraphProto, folder: &Path) -> Result<(), OnnxError> {
    let mut files = Files { folder, open: BTreeMap::new(), total: 0 };
    files.graph(graph)
}

struct Files<'a> {
    folder: &'a Path,
    open: BTreeMap<String, File>,
    /// Bytes read so far.
    total: u64,
}

impl Files<'_> {
    fn graph(&mut self, graph: &mut GraphProto) -> Result<(), OnnxError> {
        for tensor in &mut graph.initializer {
            self.tensor(tensor)?;
        }
        for attribute in graph.node.iter_mut().flat_map(|node| &mut node.attribute) {
            if let Some(tensor) = &mut attribute.t {
                self.tensor(tensor)?;
            }
            if let Some(inner) = &mut attribute.g {
                self.graph(inner)?;
            }
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: &mut TensorProto) -> Result<(), OnnxError> {
        if tensor.data_location == 0 && tensor.external_data.is_empty() {
            return Ok(());
        }
        let wrong = |problem: String| OnnxError::ExternalData { tensor: tensor.name.clone(), problem };
        let said = |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
        let number = |key: &str| match said(key).map(|value| value.parse::<u64>()) {
            Some(Err(_)) => Err(wrong(format!("{key} is no number"))),
            given => Ok(given.and_then(Result::ok)),
        };
        let location = said("location").cloned().ok_or_else(|| wrong("it does not say which".into()))?;
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let bytes =
            self.bytes(&location, offset, length).map_err(|problem| wrong(format!("{location:?}: {problem}")))?;
        tensor.raw_data = bytes;
        tensor.external_data.clear();
        tensor.data_location = 0;
        Ok(())
    }

    fn bytes(&mut self, location: &str, offset: u64, length: Option<u64>) -> Result<Vec<u8>, String> {
        let path = Path::new(location);
        if path.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err("it is not in the model's folder".into());
        }
        if !self.open.contains_key(location) {
            let path = self.folder.join(path);
            if !path.is_file() {
                return Err("it is not there; keep it beside the model under this name".into());
            }
            self.open.insert(location.to_owned(), File::open(path).map_err(|error| error.to_string())?);
        }
        let Some(file) = self.open.get_mut(location) else { return Err("it is not open".into()) };
        let size = file.metadata().map_err(|error| error.to_string())?.len();
        let rest = size.checked_sub(offset).ok_or_else(|| format!("{size} bytes, expected more than {offset}"))?;
        let length = length.unwrap_or(rest);
        self.total = self.total.saturating_add(length);
        if length > rest || self.total > MAX_BYTES {
            return Err(format!("{size} bytes, expected {length} from {offset} on and {MAX_BYTES} at most"));
        }
        let mut bytes = vec![0; length as usize];
        file.seek(SeekFrom::Start(offset)).map_err(|error| error.to_string())?;
        file.read_exact(&mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::proto::{NodeProto, StringStringEntryProto},
        *,
    };

    fn graph(entries: &[(&str, &str)]) -> GraphProto {
        let entry = |(key, value): &(&str, &str)| StringStringEntryProto { key: (*key).into(), value: (*value).into() };
        let external_data = entries.iter().map(entry).collect();
        let tensor = TensorProto { name: "w".into(), data_location: 1, external_data, ..TensorProto::default() };
        GraphProto { node: vec![NodeProto::default()], initializer: vec![tensor], ..GraphProto::default() }
    }

    #[test]
    fn weights_beside_a_model_are_taken_in() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("m.onnx.data"), [1, 2, 3, 4, 5]).unwrap();
        let cases: [(&[(&str, &str)], &[u8]); 3] = [
            (&[("location", "m.onnx.data")], &[1, 2, 3, 4, 5]),
            (&[("location", "./m.onnx.data"), ("offset", "1"), ("length", "2")], &[2, 3]),
            (&[("location", "m.onnx.data"), ("offset", "5")], &[]),
        ];
        for (entries, expected) in cases {
            let mut graph = graph(entries);
            take_in(&mut graph, dir.path()).unwrap();
            assert_eq!((graph.initializer[0].raw_data.as_slice(), graph.initializer[0].data_location), (expected, 0));
        }
    }

    #[test]
    fn what_is_not_beside_the_model_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("m.data"), [1, 2, 3]).unwrap();
        let cases: [(&[(&str, &str)], &str); 8] = [
            (&[], "does not say which"),
            (&[("location", "/etc/passwd")], "not in the model's folder"),
            (&[("location", "../m.data")], "not in the model's folder"),
            (&[("location", "other.data")], "not there"),
            (&[("location", ".")], "not there"),
            (&[("location", "m.data"), ("length", "4")], "3 bytes, expected 4 from 0"),
            (&[("location", "m.data"), ("offset", "4")], "3 bytes, expected more than 4"),
            (&[("location", "m.data"), ("offset", "x")], "no number"),
        ];
        for (entries, expected) in cases {
            let error = take_in(&mut graph(entries), dir.path()).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("\"w\""), "{error}");
        }
    }
}
