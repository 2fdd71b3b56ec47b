//! How a model is fed and read: what an entry of `models/zoo.yml` says, and what a file `MODEL.yml` beside a model of one's
//! own may say in the same words.

use crate::frame::ImageSize;
use serde::{Deserialize, Serialize};
use std::{
    fmt, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// What MODEL.model.yml beside a model of one's own says; every part may be left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelNotes {
    /// What the network is fed.
    pub input: Option<InputSpec>,
    /// How a detector's output is decoded.
    pub head: Option<HeadSpec>,
    /// Names of the classes, in the network's order.
    pub classes: Option<Vec<String>>,
    /// Where this was read.
    #[serde(skip)]
    pub path: Option<PathBuf>,
}

/// More cannot be notes.
const MAX_NOTES_BYTES: u64 = 1 << 20;

impl ModelNotes {
    /// The notes beside a model; empty where there are none.
    ///
    /// Errors: the file and what is wrong with it.
    pub fn beside(model: &Path) -> Result<Self, String> {
        let path = model.with_extension("model.yml");
        let name = path.display();
        match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(format!("{name} cannot be read ({error})")),
            Ok(meta) if !meta.is_file() || meta.len() > MAX_NOTES_BYTES => {
                return Err(format!("{name} is no file of notes"));
            }
            Ok(_) => {}
        }
        let text = fs::read_to_string(&path).map_err(|error| format!("{name} cannot be read ({error})"))?;
        let notes: Self = serde_yaml::from_str(&text).map_err(|error| format!("{name}: {error}"))?;
        match notes.input.as_ref().and_then(InputSpec::fault) {
            Some(fault) => Err(format!("{name}: input: {fault}")),
            None => Ok(Self { path: Some(path), ..notes }),
        }
    }
}

/// What a network is fed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// How a picture is brought to that size.
    pub fit: Fit,
    /// Grey beside a letterboxed picture, 0..=255.
    #[serde(default = "neutral_grey")]
    pub fill: u8,
    /// Order of a pixel's colours.
    #[serde(default)]
    pub colours: Colours,
    /// What white is before `mean` and `std`: 1, or 255 for networks trained on bytes.
    #[serde(default = "one")]
    pub white: f64,
    /// Subtracted from red, green and blue once they are within 0..=`white`.
    pub mean: [f64; 3],
    /// Divides the difference.
    pub std: [f64; 3],
}

/// How a picture is brought to the size of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Aspect kept, in the middle, the rest filled.
    Letterbox,
    /// Aspect kept, in the upper left corner, the rest filled.
    LetterboxCorner,
    /// Each side on its own.
    Stretch,
}

/// Order of a pixel's colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Colours {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red: trained on what OpenCV reads.
    Bgr,
}

/// How a detector's output is decoded: the family, and what shapes alone do not tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "snake_case", deny_unknown_fields)]
pub enum HeadSpec {
    /// Anchors, see `detect::heads::darknet`.
    Darknet {
        /// Replaces the masks of the cfg, for weights published with a wrong one.
        masks: Option<Vec<Vec<usize>>>,
    },
    /// See `detect::heads::yolov5`.
    Yolov5 {
        /// Width and height in pixels of each anchor, one list a scale, for maps that are not decoded in the graph.
        anchors: Option<Vec<Vec<f32>>>,
    },
    /// See `detect::heads::yolov8`.
    Yolov8 {},
    /// See `detect::heads::yolox`.
    Yolox {
        /// Whether the graph decodes to pixels.
        decoded: bool,
    },
    /// See `detect::heads::nanodet`.
    Nanodet {
        /// Where in its cell a box's centre counts from, share of the cell.
        center: f32,
    },
    /// See `detect::heads::end_to_end`.
    EndToEnd {},
    /// See `detect::heads::ssd`.
    Ssd {
        /// Where the prior boxes come from.
        priors: Priors,
        /// What the scores are.
        scores: ScoreKind,
        /// Order of a box's offsets.
        offsets: OffsetOrder,
    },
    /// See `detect::heads::torchvision`.
    Torchvision {
        /// Whether label 0 stands for nothing; by default where the lists' length changes from picture to picture.
        background: Option<bool>,
    },
    /// See `detect::heads::fastestdet`.
    #[serde(rename = "fastestdet")]
    FastestDet {},
}

impl HeadSpec {
    /// The family's name.
    pub fn family(&self) -> &'static str {
        match self {
            Self::Darknet { .. } => "darknet",
            Self::Yolov5 { .. } => "yolov5",
            Self::Yolov8 {} => "yolov8",
            Self::Yolox { .. } => "yolox",
            Self::Nanodet { .. } => "nanodet",
            Self::EndToEnd {} => "end_to_end",
            Self::Ssd { .. } => "ssd",
            Self::Torchvision { .. } => "torchvision",
            Self::FastestDet {} => "fastestdet",
        }
    }
}

/// Where prior boxes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priors {
    /// MODEL.anchors.csv beside the model: a heading, then y, x, height, width as shares of the input.
    File,
    /// Generated as TensorFlow does for SSD with MobileNet.
    Tensorflow,
    /// An output of the graph: (2, 4 · priors) as Caffe has them, (priors, 8) as Keras does, or (priors, 4).
    Graph,
}

/// What a class's score is before it is a probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreKind {
    /// A probability.
    Probability,
    /// A logit of its own.
    Sigmoid,
    /// A logit among those of all classes.
    Softmax,
}

/// Order of a box's offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OffsetOrder {
    /// y, x, height, width (TensorFlow).
    Yxhw,
    /// x, y, width, height (Caffe, PyTorch).
    Xywh,
}

/// The middle of 0..=255: what Darknet fills with.
fn neutral_grey() -> u8 {
    128
}

fn one() -> f64 {
    1.0
}

impl InputSpec {
    /// A square input of values 0..=1, letterboxed with Darknet's grey.
    pub fn plain(size: ImageSize) -> Self {
        Self {
            width: size.width,
            height: size.height,
            fit: Fit::Letterbox,
            fill: neutral_grey(),
            colours: Colours::Rgb,
            white: 1.0,
            mean: [0.0; 3],
            std: [1.0; 3],
        }
    }

    /// What cannot be meant.
    fn fault(&self) -> Option<&'static str> {
        let is_number = |values: &[f64]| values.iter().all(|value| value.is_finite());
        if !(1..=32_768).contains(&self.width) || !(1..=32_768).contains(&self.height) {
            return Some("width and height must be 1 to 32768");
        }
        if !is_number(&self.mean) || !is_number(&self.std) || self.std.iter().any(|std| *std <= 0.0) {
            return Some("mean and std must be numbers, std above 0");
        }
        (!self.white.is_finite() || self.white <= 0.0).then_some("white must be above 0")
    }

    /// Size of the network's input.
    pub fn size(&self) -> ImageSize {
        ImageSize { width: self.width, height: self.height }
    }

    /// The same for another size.
    pub fn with_size(self, size: ImageSize) -> Self {
        Self { width: size.width, height: size.height, ..self }
    }
}

impl fmt::Display for InputSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fit = match self.fit {
            Fit::Letterbox => format!("letterboxed in the middle on grey {}", self.fill),
            Fit::LetterboxCorner => format!("letterboxed in the upper left corner on grey {}", self.fill),
            Fit::Stretch => "stretched".into(),
        };
        let colours = match self.colours {
            Colours::Rgb => "red, green, blue",
            Colours::Bgr => "blue, green, red",
        };
        write!(f, "{}, {fit}, {colours}, values to {}", self.size(), self.white)?;
        if self.mean != [0.0; 3] || self.std != [1.0; 3] {
            write!(f, ", mean {:?} and std {:?} of red, green, blue", self.mean, self.std)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_beside_a_model_are_read_or_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("m.onnx");
        assert_eq!(ModelNotes::beside(&model), Ok(ModelNotes::default()));
        let path = dir.path().join("m.model.yml");
        let sound = "input: { width: 8, height: 4, fit: stretch, colours: bgr, white: 255, mean: [1, 2, 3], std: [1, 1, 1] }\n\
                     head: { family: yolox, decoded: true }\nclasses: [cat, dog]\n";
        fs::write(&path, sound).unwrap();
        let notes = ModelNotes::beside(&model).unwrap();
        assert_eq!(notes.head, Some(HeadSpec::Yolox { decoded: true }));
        assert_eq!(
            notes.input.unwrap().to_string(),
            "8x4, stretched, blue, green, red, values to 255, \
            mean [1.0, 2.0, 3.0] and std [1.0, 1.0, 1.0] of red, green, blue"
        );
        for (text, part) in [
            (sound.replace("yolox", "yolo"), "yolo"),
            (sound.replace("width: 8", "width: 0"), "input: width and height must be 1 to 32768"),
            (sound.replace("std: [1, 1, 1]", "std: [1, 0, 1]"), "std above 0"),
            ("heads: 1".into(), "heads"),
            ("\u{0}".into(), "m.model.yml"),
        ] {
            fs::write(&path, text).unwrap();
            let error = ModelNotes::beside(&model).unwrap_err();
            assert!(error.contains(part) && error.contains("m.model.yml: "), "{error}");
        }
    }
}
