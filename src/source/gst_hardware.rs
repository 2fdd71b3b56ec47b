//! Decoders in hardware: NVIDIA's (nvcodec) and those behind VA-API. GStreamer lists them only where the hardware is there;
//! what they lack, or fail to start with, falls to the decoders of the CPU.

use gstreamer as gst;
use gstreamer::prelude::*;

/// GStreamer's plug-ins of hardware decoders. GStreamer 1.22 ranks some of VA's below every other, so that nothing takes
/// them by itself.
const PLUGINS: [&str; 2] = ["nvcodec", "va"];

/// Above every decoder of the CPU, the best of which has `PRIMARY` and a little.
const ABOVE_CPU: i32 = 64;

/// Has decodebin try hardware decoders first.
pub(super) fn prefer() {
    for factory in gst::ElementFactory::factories_with_type(gst::ElementFactoryType::DECODER, gst::Rank::NONE) {
        if factory.plugin_name().is_some_and(|plugin| PLUGINS.contains(&plugin.as_str())) {
            factory.set_rank(gst::Rank::PRIMARY + ABOVE_CPU);
            tracing::debug!(decoder = %factory.name(), "hardware decoder is there");
        }
    }
}

/// The element that fetches pictures of these caps from the hardware's memory; `None` where they are in the machine's.
pub(super) fn download_for(caps: &gst::CapsRef) -> Option<&'static str> {
    let features = caps.features(0)?;
    let known = [
        ("memory:CUDAMemory", "cudadownload"),
        ("memory:VAMemory", "vapostproc"),
        ("memory:DMABuf", "vapostproc"),
        ("memory:GLMemory", "gldownload"),
    ];
    known.into_iter().find(|(memory, _)| features.contains(*memory)).map(|(_, element)| element)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::gst_faults::init;
    use std::str::FromStr;

    #[test]
    fn pictures_in_the_hardwares_memory_are_fetched() {
        init().unwrap();
        let of = |caps: &str| download_for(&gst::Caps::from_str(caps).unwrap());
        assert_eq!(of("video/x-raw, format=NV12"), None);
        assert_eq!(of("video/x-raw(memory:CUDAMemory), format=NV12"), Some("cudadownload"));
        assert_eq!(of("video/x-raw(memory:VAMemory), format=NV12"), Some("vapostproc"));
        assert_eq!(of("video/x-raw(memory:SystemMemory), format=I420"), None);
    }
}
