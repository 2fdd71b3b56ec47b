//! Fits a picture into a network's input without changing its aspect.
