//! Scores results against ground truth with the field's own metrics. Pure.

pub mod mot_io;
