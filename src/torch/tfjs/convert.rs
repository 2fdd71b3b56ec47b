//! A graph of TensorFlow made into one of ONNX: maps with their channels first, weights likewise.

use super::{
    TfjsError,
    build::{float, info, int, ints, list, node, tensor, text},
    file::{Constant, TfNode, TfjsFile, Values},
};
use crate::torch::onnx::proto::{AttributeProto, GraphProto, ModelProto, OperatorSetIdProto};
use prost::Message;
use std::{collections::BTreeMap, fmt::Write};

/// What a graph became.
pub struct Converted {
    /// The ONNX file.
    pub onnx: Vec<u8>,
    /// Prior boxes as `MODEL.anchors.csv` holds them.
    pub anchors: String,
}

/// The picture after resizing and scaling. Source: the names of TensorFlow's object detection API, as the next ones.
const PICTURE: &str = "Preprocessor/sub";
/// Offsets from the prior boxes (N, boxes, 1, 4): y, x, height, width.
const OFFSETS: &str = "concat";
/// Logits (N, boxes, classes), the background first.
const LOGITS: &str = "concat_1";
/// Corners of the prior boxes (1, boxes, 4): top, left, bottom, right, as shares of the picture.
const PRIORS: &str = "Postprocessor/ExpandDims";
/// What the picture is resized to (2): rows, columns.
const SIZE: &str = "Preprocessor/map/while/ResizeImage/stack";

/// The operators used are those of this opset.
const OPSET: i64 = 13;
/// A graph of this depth is damaged: every node is visited from its reader.
const MAX_DEPTH: usize = 500;

/// Makes an ONNX file of the part from picture to offsets and logits.
pub fn convert(file: &TfjsFile) -> Result<Converted, TfjsError> {
    let size = match file.constants.get(SIZE).map(|size| &size.values) {
        Some(Values::Ints(size)) if size.len() == 2 && size.iter().all(|side| (1..=4096).contains(side)) => {
            size.clone()
        }
        _ => return Err(TfjsError::NotTfjs(format!("no constant {SIZE:?}: no SSD of the object detection API"))),
    };
    let mut converter = Converter { file, graph: GraphProto::default(), done: BTreeMap::new() };
    for output in [OFFSETS, LOGITS] {
        converter.value(output, 0)?;
    }
    let mut graph = converter.graph;
    let shape = ints("offsets/shape", &[0, -1, 4]);
    graph.initializer.push(shape);
    graph.node.push(node("Reshape", &[OFFSETS, "offsets/shape"], "offsets", Vec::new()));
    graph.node.push(node("Identity", &[LOGITS], "logits", Vec::new()));
    graph.input = vec![info(PICTURE, &[None, Some(3), Some(size[0].into()), Some(size[1].into())])];
    graph.output = vec![info("offsets", &[None, None, Some(4)]), info("logits", &[None; 3])];
    let model = ModelProto {
        ir_version: 8,
        producer_name: "eyeline, from TensorFlow.js".into(),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        ..ModelProto::default()
    };
    Ok(Converted { onnx: model.encode_to_vec(), anchors: anchors(file)? })
}

/// The prior boxes as y, x, height, width.
fn anchors(file: &TfjsFile) -> Result<String, TfjsError> {
    let Some(Constant { values: Values::Floats(corners), .. }) = file.constants.get(PRIORS) else {
        return Err(TfjsError::NotTfjs(format!("no constant {PRIORS:?} of prior boxes")));
    };
    let mut text = String::from("y,x,h,w\n");
    for corner in corners.chunks_exact(4) {
        let (height, width) = (corner[2] - corner[0], corner[3] - corner[1]);
        let (y, x) = (corner[0] + height / 2.0, corner[1] + width / 2.0);
        writeln!(text, "{y},{x},{height},{width}").expect("a text takes any text");
    }
    Ok(text)
}

/// How a value lies in ONNX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// (N, rows, columns, channels) there, channels first here.
    Map,
    /// The same in both.
    Table,
}

struct Converter<'f> {
    file: &'f TfjsFile,
    graph: GraphProto,
    /// What was made; nothing for what is being made.
    done: BTreeMap<String, Option<Form>>,
}

impl<'f> Converter<'f> {
    /// Makes a value, and first what it is computed from.
    fn value(&mut self, name: &str, depth: usize) -> Result<Form, TfjsError> {
        if name == PICTURE {
            return Ok(Form::Map);
        }
        match self.done.get(name) {
            Some(Some(form)) => return Ok(*form),
            Some(None) => return Err(TfjsError::NotTfjs(format!("node {name:?} reads itself"))),
            None => self.done.insert(name.to_owned(), None),
        };
        let file = self.file;
        let found = file.nodes.get(name).filter(|_| depth < MAX_DEPTH);
        let found = found.ok_or_else(|| TfjsError::NotTfjs(format!("no node {name:?}")))?;
        let form = self.node(found, depth + 1)?;
        self.done.insert(name.to_owned(), Some(form));
        Ok(form)
    }

    fn node(&mut self, tf: &'f TfNode, depth: usize) -> Result<Form, TfjsError> {
        let inputs = tf.inputs();
        match (tf.op.as_str(), inputs.as_slice()) {
            ("Conv2D" | "DepthwiseConv2dNative", &[picture, weights]) => self.convolution(tf, picture, weights, depth),
            ("Relu6", &[input]) => {
                let form = self.value(input, depth)?;
                let (low, high) = (self.scalar(0.0), self.scalar(6.0));
                self.push(tf, "Clip", &[input, &low, &high], Vec::new());
                Ok(form)
            }
            ("Add" | "AddN" | "AddV2" | "BiasAdd", &[a, b]) => self.pair(tf, "Add", a, b, depth),
            ("Mul", &[a, b]) => self.pair(tf, "Mul", a, b, depth),
            ("FusedBatchNorm" | "FusedBatchNormV3", &[input, ..]) if inputs.len() == 5 => {
                let form = self.value(input, depth)?;
                let names =
                    inputs[1..].iter().map(|name| self.by_channel(tf, name, 0)).collect::<Result<Vec<_>, _>>()?;
                let all: Vec<&str> = [input].into_iter().chain(names.iter().map(String::as_str)).collect();
                let epsilon = float("epsilon", tf.float("epsilon").unwrap_or(1e-4) as f32);
                self.push(tf, "BatchNormalization", &all, vec![epsilon]);
                Ok(form)
            }
            ("Reshape", &[input, shape]) => self.reshape(tf, input, shape, depth),
            ("ConcatV2", &[ref parts @ .., axis]) => {
                for part in parts {
                    if self.value(part, depth)? != Form::Table {
                        return Err(fault(tf, "joins maps"));
                    }
                }
                let axis = self.ints(tf, axis)?.first().copied().unwrap_or(-1);
                self.push(tf, "Concat", parts, vec![int("axis", axis)]);
                Ok(Form::Table)
            }
            _ => Err(fault(tf, "is not known between the picture and the boxes")),
        }
    }

    fn convolution(&mut self, tf: &TfNode, picture: &str, weights: &str, depth: usize) -> Result<Form, TfjsError> {
        if self.value(picture, depth)? != Form::Map || tf.word("data_format").is_some_and(|order| order != "NHWC") {
            return Err(fault(tf, "its picture has no channels innermost"));
        }
        let (shape, values) = self.floats(tf, weights)?;
        let &[rows, columns, inputs, outputs] = shape else { return Err(fault(tf, "its weights have no four axes")) };
        let depthwise = tf.op == "DepthwiseConv2dNative";
        // Of (rows, columns, inputs, outputs): filters outermost, then what each reads.
        let (filters, reads) = if depthwise { (inputs * outputs, 1) } else { (outputs, inputs) };
        let mut turned = vec![0.0; values.len()];
        for (place, block) in values.chunks_exact((inputs * outputs).max(1)).enumerate() {
            for (index, &value) in block.iter().enumerate() {
                let (input, output) = (index / outputs, index % outputs);
                let (filter, read) = if depthwise { (index, 0) } else { (output, input) };
                turned[(filter * reads + read) * rows * columns + place] = value;
            }
        }
        let name = format!("{}/weights", tf.name);
        let sizes = [filters, reads, rows, columns].map(|size| size as i64);
        self.graph.initializer.push(tensor(&name, &sizes, &turned));
        let two = |name: &str| match tf.ints(name).as_deref() {
            Some(&[1, down, across, 1]) => Ok(vec![down, across]),
            None => Ok(vec![1, 1]),
            _ => Err(fault(tf, name)),
        };
        let padding = match tf.word("padding").as_deref() {
            Some("SAME") => "SAME_UPPER",
            Some("VALID") => "VALID",
            _ => return Err(fault(tf, "padding")),
        };
        let attributes = vec![
            list("strides", &two("strides")?),
            list("dilations", &two("dilations")?),
            text("auto_pad", padding),
            int("group", if depthwise { inputs as i64 } else { 1 }),
        ];
        self.push(tf, "Conv", &[picture, &name], attributes);
        Ok(Form::Map)
    }

    /// Two values, one of which may be a constant.
    fn pair(&mut self, tf: &TfNode, operator: &str, a: &str, b: &str, depth: usize) -> Result<Form, TfjsError> {
        let is_constant = |name: &str| self.file.constants.contains_key(name);
        let (a, b, form) = match (is_constant(a), is_constant(b)) {
            (false, true) => (a, Some(b), self.value(a, depth)?),
            (true, false) => (b, Some(a), self.value(b, depth)?),
            (false, false) => {
                let form = self.value(a, depth)?;
                if self.value(b, depth)? != form {
                    return Err(fault(tf, "its inputs lie in different orders"));
                }
                self.push(tf, operator, &[a, b], Vec::new());
                return Ok(form);
            }
            (true, true) => return Err(fault(tf, "two constants")),
        };
        let constant = self.by_channel(tf, b.unwrap_or_default(), if form == Form::Map { 2 } else { 0 })?;
        self.push(tf, operator, &[a, &constant], Vec::new());
        Ok(form)
    }

    /// A constant of one value a channel, or one for all, with axes of size 1 after it.
    fn by_channel(&mut self, tf: &TfNode, name: &str, after: usize) -> Result<String, TfjsError> {
        let (shape, values) = self.floats(tf, name)?;
        let count = match *shape {
            [] => vec![],
            [count] => [vec![count as i64], vec![1; after]].concat(),
            _ => return Err(fault(tf, &format!("its constant has the shape {shape:?}"))),
        };
        let given = tensor(&format!("{}/{name}", tf.name), &count, values);
        let name = given.name.clone();
        self.graph.initializer.push(given);
        Ok(name)
    }

    /// Rows of a map's cells: their numbers come channels innermost.
    fn reshape(&mut self, tf: &TfNode, input: &str, shape: &str, depth: usize) -> Result<Form, TfjsError> {
        let form = self.value(input, depth)?;
        let sizes = match self.file.nodes.get(shape) {
            Some(pack) if pack.op == "Pack" => {
                let mut sizes = Vec::new();
                for (index, part) in pack.inputs().iter().enumerate() {
                    // What is computed is the batch, which stays what it is.
                    let known = self.file.constants.contains_key(*part);
                    sizes.push(if known || index > 0 {
                        self.ints(tf, part)?[..].first().copied().unwrap_or(-1)
                    } else {
                        0
                    });
                }
                sizes
            }
            _ => self.ints(tf, shape)?,
        };
        let target = format!("{}/target", tf.name);
        self.graph.initializer.push(ints(&target, &sizes));
        if form == Form::Map {
            let turned = format!("{}/turned", tf.name);
            self.graph.node.push(node("Transpose", &[input], &turned, vec![list("perm", &[0, 2, 3, 1])]));
            self.push(tf, "Reshape", &[&turned, &target], Vec::new());
        } else {
            self.push(tf, "Reshape", &[input, &target], Vec::new());
        }
        Ok(Form::Table)
    }

    fn floats(&self, tf: &TfNode, name: &str) -> Result<(&'f [usize], &'f [f32]), TfjsError> {
        match self.file.constants.get(name) {
            Some(Constant { shape, values: Values::Floats(values) }) => Ok((shape, values)),
            _ => Err(fault(tf, &format!("{name:?} is no constant of floats"))),
        }
    }

    fn ints(&self, tf: &TfNode, name: &str) -> Result<Vec<i64>, TfjsError> {
        match self.file.constants.get(name) {
            Some(Constant { values: Values::Ints(values), .. }) => {
                Ok(values.iter().map(|&value| value.into()).collect())
            }
            _ => Err(fault(tf, &format!("{name:?} is no constant of integers"))),
        }
    }

    /// A constant of one number, made once.
    fn scalar(&mut self, value: f32) -> String {
        let name = format!("constant/{value}");
        if !self.graph.initializer.iter().any(|known| known.name == name) {
            self.graph.initializer.push(tensor(&name, &[], &[value]));
        }
        name
    }

    fn push(&mut self, tf: &TfNode, operator: &str, inputs: &[&str], attributes: Vec<AttributeProto>) {
        self.graph.node.push(node(operator, inputs, &tf.name, attributes));
    }
}

fn fault(tf: &TfNode, problem: &str) -> TfjsError {
    TfjsError::Node { node: tf.name.clone(), operator: tf.op.clone(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests;
