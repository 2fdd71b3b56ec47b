//! A decoded GStreamer buffer as a frame.
