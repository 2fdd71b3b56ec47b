//! ONNX models on libtorch: our own graph runner, without Python and without TorchScript.
//!
//! `file` reads what a file says, `graph` makes values and nodes of it, `trace` runs it as written for one picture and for
//! two and so learns every shape and which values follow the batch, `branches` puts the branch that an If takes in its
//! place, `fold` takes out what is constant, `fuse` joins what libtorch computes in one pass, `precision` and `quantize`
//! choose the numbers to compute in, `lower` makes steps of what is left (`step`), `network` runs them. `operators` holds what
//! a node computes.

mod attributes;
mod branches;
mod feed;
mod file;
mod focus;
mod fold;
mod fuse;
mod graph;
mod lower;
mod network;
mod operators;
mod precision;
pub(in crate::torch) mod proto;
mod quantize;
mod step;
mod trace;
mod value;

pub use file::{OnnxFile, ValueInfo};
pub use network::{BuildOptions, OnnxNetwork, OutputInfo, evaluate};
pub use operators::names as operator_names;
pub use value::{ElementKind, StoredTensor};

use super::runtime::TorchError;
use std::fmt;

/// Why a file is no network that can be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    /// Another kind of file, or a damaged one.
    #[error("not an ONNX file: {0}")]
    NotOnnx(String),
    /// ONNX, but its parts do not fit one another.
    #[error("not a sound ONNX file: {0}")]
    Malformed(String),
    /// The weights were saved beside the file.
    #[error("the data of {0} lie in another file; save the model as one file (save_as_external_data=False)")]
    ExternalData(String),
    /// An export from before 2018.
    #[error("exported with opset {got}, expected at least {least}; export it again with a newer one")]
    Opset {
        /// Its version.
        got: i64,
        /// The oldest that can be run.
        least: i64,
    },
    /// Every node that cannot be run.
    #[error("{} of its nodes cannot be run: {}", .0.len(), summary(.0))]
    Unsupported(Vec<UnsupportedNode>),
    /// Other inputs than one picture.
    #[error("{0}")]
    Inputs(String),
    /// A node that fails on the shapes the file leads to.
    #[error("node {node}: {problem}")]
    Node {
        /// Name and operator.
        node: String,
        /// What libtorch or the operator says.
        problem: String,
    },
    /// libtorch refused.
    #[error(transparent)]
    Torch(#[from] TorchError),
}

/// A node that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedNode {
    /// Its name, or that of its first output.
    pub node: String,
    /// Its operator.
    pub operator: String,
    /// What about it is not supported.
    pub reason: String,
}

impl fmt::Display for UnsupportedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}: {}", self.operator, self.node, self.reason)
    }
}

/// More than these do not help.
const MOST_NAMED: usize = 20;

fn summary(nodes: &[UnsupportedNode]) -> String {
    let mut named: Vec<_> = nodes.iter().take(MOST_NAMED).map(ToString::to_string).collect();
    if nodes.len() > MOST_NAMED {
        named.push(format!("and {} more", nodes.len() - MOST_NAMED));
    }
    named.join("; ")
}
