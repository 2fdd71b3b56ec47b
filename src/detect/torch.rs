//! Detector on libtorch.
