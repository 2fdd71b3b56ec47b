//! From a decoded frame to a network's input.

pub mod letterbox;
