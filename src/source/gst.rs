//! Files and cameras through GStreamer.
