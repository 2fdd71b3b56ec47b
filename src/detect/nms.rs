//! Non-maximum suppression.
