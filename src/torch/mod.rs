//! Networks on libtorch: loaders and the runtime they share. Knows nothing of boxes.
