//! Values and nodes of a file, by number, in an order in which they can be run.

use super::{
    OnnxError, OnnxFile, UnsupportedNode,
    operators::{self, ConvSpec, Node, Operation},
};
use crate::torch::{Activation, quantized::Scale};
use std::collections::{BTreeMap, HashMap};
use tch::Tensor;

/// Number of a value.
pub(super) type ValueId = usize;

/// What a node does.
#[derive(Debug)]
pub(super) enum Action {
    /// A node of the file, by its index there.
    Stored(usize),
    /// A convolution in two directions with everything that was folded into it. Its inputs are the picture only.
    Conv(Box<Convolution>),
    /// One of libtorch's activations.
    Activate(Activation),
    /// Of these sizes, at most one of them -1.
    Reshape(Vec<i64>),
    /// Channels dealt out to this many groups, as ShuffleNet does between its convolutions.
    ChannelShuffle(i64),
    /// 32-bit floats from whatever they are in.
    ToFloat,
    /// The network's precision.
    ToNetwork,
    /// Bytes of this scale.
    ToBytes(Scale),
    /// A convolution over bytes.
    ConvBytes(Box<ByteConvolution>),
}

/// A convolution over bytes.
#[derive(Debug)]
pub(super) struct ByteConvolution {
    pub convolution: Convolution,
    pub input: Scale,
    /// Of bytes that come out; none where floats do.
    pub output: Option<Scale>,
    /// What it read before it read bytes; tells the shape.
    pub seen: ValueId,
}

/// Weights and settings of a convolution, 32-bit floats on the host.
#[derive(Debug)]
pub(super) struct Convolution {
    pub weight: Tensor,
    pub bias: Tensor,
    /// Resolved for two axes.
    pub spec: ConvSpec,
    pub activation: Activation,
}

/// One node.
#[derive(Debug)]
pub(super) struct GraphNode {
    /// For errors: name and operator.
    pub label: String,
    pub action: Action,
    pub inputs: Vec<Option<ValueId>>,
    pub outputs: Vec<Option<ValueId>>,
}

/// A network: every node reads only what earlier ones, constants and the input give.
pub(super) struct Graph<'f> {
    pub file: &'f OnnxFile,
    pub nodes: Vec<GraphNode>,
    pub constants: BTreeMap<ValueId, Tensor>,
    pub input: ValueId,
    pub outputs: Vec<ValueId>,
    pub values: usize,
    /// Names of the file's values, by number.
    pub names: Vec<&'f str>,
}

impl<'f> Graph<'f> {
    /// Reads a file's graph; `input` is the name of the input that is fed, if there is one, `known` are the others.
    pub fn read(file: &'f OnnxFile, input: Option<&str>, known: &[(&str, Tensor)]) -> Result<Self, OnnxError> {
        let mut ids = HashMap::new();
        let number = |name: &'f str, ids: &mut HashMap<&'f str, ValueId>| {
            let next = ids.len();
            ids.insert(name, next).map_or(Ok(next), |_| {
                Err(OnnxError::Malformed(format!("two nodes give a value with the name {name:?}")))
            })
        };
        for name in file.inputs().iter().map(|info| info.name.as_str()) {
            number(name, &mut ids)?;
        }
        // Without an input nobody reads its number.
        let input = input.and_then(|input| ids.get(input).copied()).unwrap_or(usize::MAX);
        let mut constants = BTreeMap::new();
        for (name, tensor) in known {
            constants.extend(ids.get(name).map(|id| (*id, tensor.shallow_clone())));
        }
        for (name, tensor) in file.initializers() {
            constants.insert(number(name, &mut ids)?, tensor.to_torch()?);
        }
        let mut nodes = Vec::with_capacity(file.nodes.len());
        for (index, proto) in file.nodes.iter().enumerate() {
            let label = format!("{:?} ({})", node_name(proto), proto.op_type);
            let known = |name: &String| match (name.is_empty(), ids.get(name.as_str())) {
                (true, _) => Ok(None),
                (false, Some(id)) => Ok(Some(*id)),
                (false, None) => Err(OnnxError::Malformed(format!(
                    "node {label} reads {name:?}, which neither an earlier node nor the file gives"
                ))),
            };
            let inputs = proto.input.iter().map(known).collect::<Result<_, _>>()?;
            let mut outputs = Vec::new();
            for name in &proto.output {
                outputs.push(if name.is_empty() { None } else { Some(number(name, &mut ids)?) });
            }
            nodes.push(GraphNode { label, action: Action::Stored(index), inputs, outputs });
        }
        let given = |info: &super::ValueInfo| {
            let found = ids.get(info.name.as_str()).copied();
            found.ok_or_else(|| OnnxError::Malformed(format!("no node gives the output {:?}", info.name)))
        };
        let outputs = file.outputs().iter().map(given).collect::<Result<_, _>>()?;
        let mut names = vec![""; ids.len()];
        ids.iter().for_each(|(name, &id)| names[id] = name);
        Ok(Self { file, nodes, constants, input, outputs, values: ids.len(), names })
    }

    /// Builds a node of the file with what is known of its inputs now.
    pub fn build(&self, node: &GraphNode, index: usize) -> Result<Operation, UnsupportedNode> {
        self.with_known(node, index, operators::build)
    }

    fn with_known<T>(
        &self,
        node: &GraphNode,
        index: usize,
        run: impl FnOnce(&Node<'_>) -> Result<T, String>,
    ) -> Result<T, UnsupportedNode> {
        let proto = &self.file.nodes[index];
        let known = node.inputs.iter().map(|input| self.constants.get(&(*input)?)).collect();
        run(&Node::new(proto, self.file.opset(), known)).map_err(|reason| UnsupportedNode {
            node: node_name(proto).to_owned(),
            operator: proto.op_type.clone(),
            reason,
        })
    }

    /// Builds every node, or names all that cannot be.
    pub fn build_all(&self) -> Result<Vec<Operation>, OnnxError> {
        let (mut operations, mut faults) = (Vec::new(), Vec::new());
        for node in &self.nodes {
            let Action::Stored(index) = node.action else { continue };
            match self.build(node, index) {
                Ok(operation) => operations.push(operation),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(operations) } else { Err(OnnxError::Unsupported(faults)) }
    }

    /// Names what cannot be run in branches that a picture may choose.
    pub fn check_branches(&self) -> Result<(), OnnxError> {
        let mut faults = Vec::new();
        for node in self.nodes.iter().filter(|node| self.operator(node) == "If") {
            let Action::Stored(index) = node.action else { continue };
            if let Err(fault) = self.with_known(node, index, operators::check_branches) {
                faults.push(fault);
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(OnnxError::Unsupported(faults)) }
    }

    /// How many nodes and outputs read each value.
    pub fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.values];
        let read = self.nodes.iter().flat_map(|node| node.inputs.iter().flatten());
        read.chain(&self.outputs).for_each(|&value| uses[value] += 1);
        uses
    }

    /// Takes out nodes whose outputs nobody reads, and constants likewise.
    pub fn drop_dead(&mut self) {
        let mut nothing = vec![(); self.nodes.len()];
        self.drop_dead_with(&mut nothing);
    }

    /// Does so with what is known of each node.
    pub fn drop_dead_with<T: Copy>(&mut self, known: &mut Vec<T>) {
        let mut alive = vec![false; self.values];
        self.outputs.iter().for_each(|&output| alive[output] = true);
        let mut kept = Vec::with_capacity(self.nodes.len());
        for (node, known) in std::mem::take(&mut self.nodes).into_iter().zip(known.iter().copied()).rev() {
            if node.outputs.iter().flatten().any(|&output| alive[output]) {
                node.inputs.iter().flatten().for_each(|&input| alive[input] = true);
                kept.push((node, known));
            }
        }
        kept.reverse();
        (self.nodes, *known) = kept.into_iter().unzip();
        self.constants.retain(|&value, _| alive[value]);
    }

    /// Lets everyone who reads `from` read `to`.
    pub fn replace(&mut self, from: ValueId, to: ValueId) {
        let read = self.nodes.iter_mut().flat_map(|node| node.inputs.iter_mut().flatten());
        read.chain(&mut self.outputs).filter(|value| **value == from).for_each(|value| *value = to);
    }

    /// Operator of a node of the file; empty for others.
    pub fn operator(&self, node: &GraphNode) -> &'f str {
        match node.action {
            Action::Stored(index) => &self.file.nodes[index].op_type,
            _ => "",
        }
    }
}

pub(super) fn node_name(proto: &super::proto::NodeProto) -> &str {
    match proto.name.as_str() {
        "" => proto.output.first().map_or("", String::as_str),
        name => name,
    }
}
