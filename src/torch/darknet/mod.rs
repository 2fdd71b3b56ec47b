//! Darknet models: a `.cfg` that describes the network and a `.weights` that fills it.
//!
//! `cfg` and `weights` are pure; `network` runs what they describe on libtorch. Covers what YOLOv3, YOLOv3-tiny, YOLOv4
//! and YOLOv4-tiny need. Format facts: the Darknet sources (parser.c, maxpool_layer.c, yolo_layer.c), whose keys keep
//! their names here.

pub mod cfg;
#[cfg(feature = "torch")]
pub mod network;
mod sections;
mod shapes;
pub mod weights;
