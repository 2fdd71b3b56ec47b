//! From a network's raw output to boxes; one file a family of models.
