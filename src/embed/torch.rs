//! Embedder on libtorch.
