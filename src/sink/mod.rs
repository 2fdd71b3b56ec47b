//! Where events and results go.
