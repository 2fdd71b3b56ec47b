//! Reads a Darknet `.cfg` into layers whose shapes are known and fit one another.
//!
//! Everything that can be wrong with a cfg is found here, with the line it stands in. Keys that matter for training only
//! are passed over; keys that would change the result and are not built are errors.

use super::{
    sections::{Section, split},
    shapes::{self, Builder},
};
use crate::{frame::ImageSize, torch::Activation};

/// What is wrong with a cfg and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {problem}", if section.is_empty() { String::new() } else { format!(", [{section}]") })]
pub struct CfgError {
    /// From 1; 0 where the whole file is meant.
    pub line: usize,
    /// Name of the section, empty outside one.
    pub section: String,
    /// Key, expected, got.
    pub problem: String,
}

impl CfgError {
    pub(super) fn at(line: usize, problem: String) -> Self {
        Self { line, section: String::new(), problem }
    }
}

/// Shape of one picture's values between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// One layer: what it does and the shape it leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// What it does.
    pub kind: LayerKind,
    /// Shape of its output.
    pub output: Shape,
    /// Line of its section.
    pub line: usize,
}

/// What a layer does. Layer numbers count the sections after `[net]`, from 0.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerKind {
    /// Convolution.
    Conv(Conv),
    /// Largest value of a window.
    MaxPool(MaxPool),
    /// Outputs of earlier layers, joined by channel; of `groups` equal parts of each only the part `group`.
    Route {
        /// The layers.
        layers: Vec<usize>,
        /// How many parts the channels of each are split into.
        groups: usize,
        /// Which of them is taken.
        group: usize,
    },
    /// Each value repeated `stride` times in both directions.
    Upsample {
        /// Factor.
        stride: usize,
    },
    /// Sum with an earlier layer.
    Shortcut {
        /// The layer.
        from: usize,
        /// Applied to the sum.
        activation: Activation,
    },
    /// Leaves its input as it is (dropout outside training).
    Identity,
    /// An output of the network.
    Yolo(Yolo),
}

/// A convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv {
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub filters: usize,
    /// Side of the kernel.
    pub size: usize,
    /// Step.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: usize,
    /// Independent groups of channels.
    pub groups: usize,
    /// Whether the weights hold a batch normalization.
    pub batch_normalize: bool,
    /// Applied to the output.
    pub activation: Activation,
}

/// A pooling window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool {
    /// Side of the window.
    pub size: usize,
    /// Step.
    pub stride: usize,
    /// Darknet's total padding, of which half (rounded down) lies left and above.
    pub padding: usize,
}

/// One scale of a YOLO head.
#[derive(Clone, Debug, PartialEq)]
pub struct Yolo {
    /// Which anchors this scale uses.
    pub mask: Vec<usize>,
    /// Anchors of all scales, (width, height) in network-input pixels.
    pub anchors: Vec<(f32, f32)>,
    /// Number of classes.
    pub classes: usize,
    /// See `detect::heads::darknet`.
    pub scale_x_y: f32,
}

/// A checked network.
#[derive(Clone, Debug, PartialEq)]
pub struct Cfg {
    /// Shape of one input picture.
    pub input: Shape,
    /// At least one of them is a `Yolo`.
    pub layers: Vec<Layer>,
}

impl Cfg {
    /// Reads a cfg. `input` replaces the size of its `[net]` section.
    pub fn parse(text: &str, input: Option<ImageSize>) -> Result<Self, CfgError> {
        let sections = split(text)?;
        let Some((net, rest)) = sections.split_first() else {
            return Err(CfgError::at(0, "empty, expected a Darknet cfg that begins with [net]".into()));
        };
        if !matches!(net.kind, "net" | "network") {
            return Err(net.error("expected [net] as the first section"));
        }
        refuse_unknown(rest)?;
        let mut builder = Builder { input: shapes::of_input(net, input)?, layers: Vec::with_capacity(rest.len()) };
        for section in rest {
            let (kind, output) = builder.layer(section)?;
            builder.layers.push(Layer { kind, output, line: section.line });
        }
        let cfg = Cfg { input: builder.input, layers: builder.layers };
        if cfg.heads().next().is_none() {
            return Err(CfgError::at(0, "no [yolo] section, so the network has no output".into()));
        }
        Ok(cfg)
    }

    /// The outputs, in order.
    pub fn heads(&self) -> impl Iterator<Item = (&Layer, &Yolo)> {
        self.layers.iter().filter_map(|layer| match &layer.kind {
            LayerKind::Yolo(yolo) => Some((layer, yolo)),
            _ => None,
        })
    }

    /// The convolutions, in the order in which a weights file holds them.
    pub fn convolutions(&self) -> impl Iterator<Item = (&Layer, &Conv)> {
        self.layers.iter().filter_map(|layer| match &layer.kind {
            LayerKind::Conv(conv) => Some((layer, conv)),
            _ => None,
        })
    }

    /// Replaces the masks of all heads, for published cfgs known to be wrong. Says which heads changed.
    pub fn override_masks(&mut self, masks: &[Vec<usize>]) -> Result<Vec<String>, CfgError> {
        let heads: Vec<_> = self.layers.iter_mut().filter(|layer| matches!(layer.kind, LayerKind::Yolo(_))).collect();
        if heads.len() != masks.len() {
            let problem = format!("{} [yolo] sections, the masks to use are for {}", heads.len(), masks.len());
            return Err(CfgError::at(0, problem));
        }
        let mut changes = Vec::new();
        for (layer, mask) in heads.into_iter().zip(masks) {
            let LayerKind::Yolo(yolo) = &mut layer.kind else { continue };
            if mask.len() != yolo.mask.len() || mask.iter().any(|&index| index >= yolo.anchors.len()) {
                return Err(CfgError::at(layer.line, format!("mask {:?} cannot be replaced by {mask:?}", yolo.mask)));
            }
            if *mask != yolo.mask {
                changes.push(format!("line {}: mask {mask:?} instead of {:?}", layer.line, yolo.mask));
                yolo.mask.clone_from(mask);
            }
        }
        Ok(changes)
    }
}

/// Names every kind of section that cannot be run, at once.
fn refuse_unknown(sections: &[Section<'_>]) -> Result<(), CfgError> {
    const KNOWN: [&str; 9] =
        ["convolutional", "conv", "maxpool", "max", "route", "upsample", "shortcut", "dropout", "yolo"];
    let unknown: Vec<_> = sections.iter().filter(|section| !KNOWN.contains(&section.kind)).collect();
    let Some(first) = unknown.first() else { return Ok(()) };
    let named: Vec<_> = unknown.iter().map(|section| format!("[{}] (line {})", section.kind, section.line)).collect();
    Err(CfgError::at(first.line, format!("sections that are not supported: {}", named.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[yolo]\nmask=0\nanchors=10,14\nclasses=1\n";

    fn with_layers(layers: &str) -> Result<Cfg, CfgError> {
        Cfg::parse(&format!("[net]\nwidth=64\nheight=64\nchannels=3\n{layers}"), None)
    }

    fn conv(filters: usize) -> String {
        format!("[convolutional]\nfilters={filters}\nsize=3\nstride=1\npad=1\nactivation=leaky\n")
    }

    #[test]
    fn shapes_follow_the_layers() {
        let text = format!(
            "{}[maxpool]\nsize=2\nstride=2\n[maxpool]\nsize=2\nstride=1\n[upsample]\nstride=2\n[route]\nlayers=-1,0\n\
             [route]\nlayers=4\ngroups=2\ngroup_id=1\n[shortcut]\nfrom=0\nactivation=linear\n{}{HEAD}",
            conv(8),
            conv(6),
        );
        let cfg = with_layers(&text).unwrap();
        let shapes: Vec<_> = cfg.layers.iter().map(|l| (l.output.channels, l.output.height, l.output.width)).collect();
        let expected = [
            (8, 64, 64),
            (8, 32, 32),
            (8, 32, 32),
            (8, 64, 64),
            (16, 64, 64),
            (8, 64, 64),
            (8, 64, 64),
            (6, 64, 64),
            (6, 64, 64),
        ];
        assert_eq!(shapes, expected);
    }

    #[test]
    fn the_input_size_can_be_replaced() {
        let text = format!("[net]\nwidth=64\nheight=64\n{}{HEAD}", conv(6));
        let cfg = Cfg::parse(&text, Some(ImageSize { width: 96, height: 32 })).unwrap();
        assert_eq!(cfg.layers[0].output, Shape { channels: 6, height: 32, width: 96 });
    }

    #[test]
    fn faults_name_line_section_key_and_what_was_expected() {
        let cases = [
            ("", "line 0: empty, expected a Darknet cfg that begins with [net]"),
            ("hello world\n", "line 1: expected [section] or key=value, got \"hello world\""),
            ("a=b\n", "line 1: an option before the first [section]"),
            ("[net\n", "line 1: \"[net\" lacks its ]"),
            ("[convolutional]\n", "line 1, [convolutional]: expected [net] as the first section"),
            ("[net]\nchannels=1\n", "line 2, [net]: channels = 1, expected 3 (red, green, blue)"),
            ("[net]\nwidth=many\n", "line 2, [net]: width = \"many\", expected a whole number from 1 to 65536"),
            ("[net]\n[maxpool]\nstride=2\nsize=2\n", "line 0: no [yolo] section, so the network has no output"),
            (
                "[net]\n[lstm]\n[maxpool]\n[crop]\n",
                "line 2: sections that are not supported: [lstm] (line 2), [crop] (line 4)",
            ),
            (
                "[net]\n\n# comment\n[convolutional]\nactivation=tanh\n",
                "line 5, [convolutional]: activation = \"tanh\", expected one of linear, leaky, relu, relu6, logistic, swish, mish",
            ),
            (
                "[net]\n[convolutional]\nfilters=0\n",
                "line 3, [convolutional]: filters = 0, expected a whole number from 1 to 65536",
            ),
            (
                "[net]\n[convolutional]\nsize=900\n",
                "line 2, [convolutional]: the input is too small for this layer, or its output too large",
            ),
            ("[net]\n[convolutional]\ndilation=2\n", "line 3, [convolutional]: dilation = 2 is not supported (only 1)"),
            (
                "[net]\n[convolutional]\nfilters=4\ngroups=3\n[convolutional]\ngroups=3\n",
                "line 4, [convolutional]: 3 input and 4 output channels do not split into 3 groups",
            ),
            (
                "[net]\n[route]\nlayers=-1\n",
                "line 3, [route]: layers = -1 is no layer before this one, which is number 0",
            ),
            ("[net]\n[route]\n", "line 2, [route]: layers is missing, expected layer numbers"),
            (
                "[net]\n[dropout]\n[route]\nlayers=0\ngroup_id=1\n",
                "line 5, [route]: group_id = 1, expected less than groups = 1",
            ),
            (
                "[net]\n[maxpool]\nsize=2\nstride=2\n[shortcut]\nfrom=-2\n",
                "line 6, [shortcut]: from = -2 is no layer before this one, which is number 1",
            ),
            (
                "[net]\n[yolo]\nanchors=1,2,3\nmask=0\n",
                "line 3, [yolo]: anchors: expected an even count of numbers above 0",
            ),
            ("[net]\n[yolo]\nanchors=1,2\nmask=1\n", "line 4, [yolo]: mask holds 1, but there are 1 anchors"),
            (
                "[net]\n[yolo]\nanchors=1,2\nmask=0\nclasses=80\n",
                "line 5, [yolo]: the layer before gives 3 channels, 80 classes and 1 anchors need filters = 85",
            ),
            ("[net]\n[yolo]\nnew_coords=1\n", "line 3, [yolo]: new_coords = 1 is not supported (only 0)"),
        ];
        for (text, expected) in cases {
            assert_eq!(Cfg::parse(text, None).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn layers_of_different_size_cannot_be_joined() {
        let text = format!("{}[maxpool]\nsize=2\nstride=2\n[route]\nlayers=0,1\n", conv(2));
        let error = with_layers(&text).unwrap_err();
        assert!(
            error.problem.starts_with("layer 1 gives 32x32, the first one 64x64: they cannot be joined"),
            "{error}"
        );
        let error = with_layers(&format!("{}{}[shortcut]\nfrom=0\n", conv(2), conv(4))).unwrap_err();
        assert_eq!(error.problem, "layer 0 is 2x64x64, expected 4x64x64");
    }

    #[test]
    fn masks_are_replaced_only_by_masks_that_fit() {
        let text = format!("{}[yolo]\nmask=0,1\nanchors=1,1,2,2,3,3\nclasses=1\n", conv(12));
        let mut cfg = with_layers(&text).unwrap();
        assert_eq!(cfg.override_masks(&[vec![1, 2]]).unwrap(), ["line 11: mask [1, 2] instead of [0, 1]"]);
        assert_eq!(cfg.heads().next().unwrap().1.mask, [1, 2]);
        assert_eq!(cfg.override_masks(&[vec![1, 2]]).unwrap(), Vec::<String>::new());
        for bad in [vec![], vec![vec![1]], vec![vec![1, 3]], vec![vec![0, 1]; 2]] {
            assert!(cfg.override_masks(&bad).is_err(), "{bad:?}");
        }
    }
}
