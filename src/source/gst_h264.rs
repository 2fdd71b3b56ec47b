//! The H.264 encoder of annotated videos and of clips that need one.

use gstreamer as gst;
use gstreamer::glib;
use std::time::Duration;

/// Its name: OpenH264, since its licence (BSD) suits everybody; x264 is under the GPL.
pub(crate) const ENCODER: &str = "openh264enc";

/// What brings it.
pub(crate) const PACKAGE: &str = "gstreamer1.0-plugins-bad";

/// The encoder for about `fps` pictures a second, set up for speed at a constant quality that leaves small letters readable,
/// with one thread and a picture that needs no other every `between_keys`.
///
/// Errors: GStreamer lacks it.
pub(crate) fn encoder(fps: f64, between_keys: Duration) -> Result<gst::Element, glib::BoolError> {
    let pictures_between_keys = (fps * between_keys.as_secs_f64()).ceil().clamp(1.0, 600.0) as u32;
    gst::ElementFactory::make(ENCODER)
        .property_from_str("complexity", "low")
        // Off means a constant quantizer of 26: the rate follows the picture, not the picture the rate.
        .property_from_str("rate-control", "off")
        .property("multi-thread", 1u32)
        .property("gop-size", pictures_between_keys)
        .build()
}
