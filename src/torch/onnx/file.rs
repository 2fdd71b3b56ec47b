//! What an ONNX file says, checked; runs nothing.

use super::{
    OnnxError, branches,
    proto::{GraphProto, ModelProto, NodeProto, ValueInfoProto},
    value::{ElementKind, StoredTensor},
};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

/// An input or output of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueInfo {
    /// Its name in the graph.
    pub name: String,
    /// Sizes, outermost first; `None` where the export left one free.
    pub dims: Vec<Option<i64>>,
    /// Type of its elements.
    pub kind: ElementKind,
}

/// A parsed file whose tensors hold what their shapes say.
#[derive(Clone, Debug)]
pub struct OnnxFile {
    pub(super) nodes: Vec<NodeProto>,
    pub(super) initializers: BTreeMap<String, StoredTensor>,
    inputs: Vec<ValueInfo>,
    outputs: Vec<ValueInfo>,
    metadata: BTreeMap<String, String>,
    producer: String,
    opset: i64,
}

/// The largest network known to its authors (YOLOv8x with its head unrolled) has under 3,000.
const MAX_NODES: usize = 100_000;

/// Opset 7 brought today's broadcasting.
const MIN_OPSET: i64 = 7;

/// Values along one axis of an input: a 32K picture.
const MAX_INPUT_SIZE: i64 = 32_768;

impl OnnxFile {
    /// Reads a file's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, OnnxError> {
        let model = ModelProto::decode(bytes).map_err(|error| OnnxError::NotOnnx(error.to_string()))?;
        let mut graph = model.graph.ok_or_else(|| OnnxError::NotOnnx("it holds no graph".into()))?;
        let opset = model.opset_import.iter().find(|set| is_default_domain(&set.domain)).map(|set| set.version);
        let opset =
            opset.ok_or_else(|| OnnxError::Malformed("it names no version of the standard operators".into()))?;
        if opset < MIN_OPSET {
            return Err(OnnxError::Opset { got: opset, least: MIN_OPSET });
        }
        let nodes = branches::close(&mut graph.node);
        if nodes > MAX_NODES {
            return Err(OnnxError::Malformed(format!("{nodes} nodes, at most {MAX_NODES}")));
        }
        if !model.functions.is_empty() || !graph.sparse_initializer.is_empty() {
            return Err(OnnxError::Malformed("functions of its own and sparse tensors are not supported".into()));
        }
        let metadata = model.metadata_props.into_iter().map(|entry| (entry.key, entry.value)).collect();
        let producer = format!("{} {}", model.producer_name, model.producer_version).trim().to_owned();
        Self { metadata, producer, opset, ..Self::from_graph(graph)? }.checked()
    }

    fn from_graph(graph: GraphProto) -> Result<Self, OnnxError> {
        let mut initializers = BTreeMap::new();
        for tensor in graph.initializer {
            let name = tensor.name.clone();
            let stored = StoredTensor::read(tensor, &format!("tensor {name:?}"))?;
            if initializers.insert(name.clone(), stored).is_some() {
                return Err(OnnxError::Malformed(format!("tensor {name:?} is there twice")));
            }
        }
        // Older exporters list the initializers among the inputs too.
        let inputs = graph.input.iter().filter(|info| !initializers.contains_key(&info.name));
        Ok(Self {
            inputs: inputs.map(value_info).collect::<Result<_, _>>()?,
            outputs: graph.output.iter().map(value_info).collect::<Result<_, _>>()?,
            nodes: graph.node,
            initializers,
            metadata: BTreeMap::new(),
            producer: String::new(),
            opset: 0,
        })
    }

    fn checked(self) -> Result<Self, OnnxError> {
        let unnamed = |what: &str| OnnxError::Malformed(format!("an {what} without a name"));
        if self.inputs.iter().any(|input| input.name.is_empty()) {
            return Err(unnamed("input"));
        }
        if self.outputs.is_empty() {
            return Err(OnnxError::Malformed("the graph has no outputs".into()));
        }
        for input in &self.inputs {
            if input.dims.iter().flatten().any(|size| !(1..=MAX_INPUT_SIZE).contains(size)) {
                return Err(OnnxError::Malformed(format!("input {:?} has the shape {:?}", input.name, input.dims)));
            }
        }
        let names: BTreeSet<_> = self.inputs.iter().map(|input| &input.name).collect();
        if names.len() != self.inputs.len() {
            return Err(OnnxError::Malformed("two inputs have the same name".into()));
        }
        Ok(self)
    }

    /// What must be given, without the weights.
    pub fn inputs(&self) -> &[ValueInfo] {
        &self.inputs
    }

    /// What it gives. Shapes are the exporter's word; what it is worth shows when the network is built.
    pub fn outputs(&self) -> &[ValueInfo] {
        &self.outputs
    }

    /// Properties the exporter wrote.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The exporter's name and version, as far as it gave them.
    pub fn producer(&self) -> &str {
        &self.producer
    }

    /// Version of the standard operators.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// A weight by its name.
    pub fn initializer(&self, name: &str) -> Option<&StoredTensor> {
        self.initializers.get(name)
    }

    /// All weights, by name.
    pub fn initializers(&self) -> &BTreeMap<String, StoredTensor> {
        &self.initializers
    }

    /// Kinds of operators and how many nodes are of each.
    pub fn operators(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for node in &self.nodes {
            *counts.entry(node.op_type.as_str()).or_default() += 1;
        }
        counts
    }
}

/// Whether a domain is the one of the standard operators.
pub(super) fn is_default_domain(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

fn value_info(proto: &ValueInfoProto) -> Result<ValueInfo, OnnxError> {
    let name = proto.name.clone();
    let tensor = proto.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let tensor = tensor.ok_or_else(|| OnnxError::Malformed(format!("{name:?} is no tensor")))?;
    let kind = ElementKind::from_onnx(i64::from(tensor.elem_type))
        .map_err(|problem| OnnxError::Malformed(format!("{name:?}: {problem}")))?;
    let dims = tensor.shape.iter().flat_map(|shape| &shape.dim);
    // Exporters write a free size as a name, as nothing, as 0 or as -1.
    let dims = dims.map(|dim| dim.dim_value.filter(|&size| size > 0)).collect();
    Ok(ValueInfo { name, dims, kind })
}
