//! GStreamer's start-up, and its debug log as the witness of damage.
//!
//! Decoders in GStreamer 1.22 step over a corrupt frame without a word on the bus: libav conceals it, the others skip
//! to the next frame they can decode. Only the debug log tells, and always on the thread that feeds the decoder. So one
//! log function is installed for the process; a probe on each decoder's input says whose data that thread is decoding.
//! The same function hands GStreamer's log to `tracing` and keeps it off the terminal.

use super::{gst_hardware, redact::redacted};
use gstreamer as gst;
use gstreamer::{
    DebugLevel, glib,
    log::{DebugCategory, DebugMessage},
    prelude::*,
};
use std::{
    cell::RefCell,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

/// GStreamer's libraries or plug-ins are missing or broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("GStreamer does not start: {0}; install the packages that `make setup` lists")]
pub struct InitError(String);

/// Starts GStreamer, once for the process, and routes its log to `tracing` (target `gstreamer`).
///
/// `GST_DEBUG` chooses what GStreamer logs, as ever.
pub fn init() -> Result<(), InitError> {
    static STARTED: OnceLock<Result<(), InitError>> = OnceLock::new();
    STARTED.get_or_init(start).clone()
}

fn start() -> Result<(), InitError> {
    gst::init().map_err(|error| InitError(error.message().trim().to_owned()))?;
    gst::log::remove_default_log_function();
    gst::log::add_log_function(|category, level, _, _, _, _, message| on_log(category, level, message));
    gst::log::set_active(true);
    gst::log::set_threshold_for_name(LIBAV, DebugLevel::Error);
    gst::log::set_threshold_for_name(VIDEO_DECODER, DebugLevel::Warning);
    gst_hardware::prefer();
    glib::log_set_default_handler(|domain, _, message| {
        let message = redacted(message);
        tracing::debug!(target: "gstreamer", domain = domain.unwrap_or(""), "{message}");
    });
    Ok(())
}

/// Category libav's own messages come under, with the terminal's text and no object.
const LIBAV: &str = "libav";
/// Category of the base class of decoders, which logs what it forgives as a warning that begins `error: `.
const VIDEO_DECODER: &str = "videodecoder";

fn on_log(category: DebugCategory, level: DebugLevel, message: &DebugMessage) {
    let name = category.name();
    let text = message.get();
    let text = text.as_ref().map_or("", |text| text.as_str().trim_end());
    let fault = match (name, level) {
        (LIBAV, DebugLevel::Error) => Some(text.trim_start_matches([':', ' '])),
        (VIDEO_DECODER, DebugLevel::Error | DebugLevel::Warning) => text.strip_prefix("error: "),
        _ => None,
    };
    if let (Some(fault), Some(faults)) = (fault, FED_BY_THIS_THREAD.with_borrow(Weak::upgrade)) {
        faults.note(fault);
    }
    // GStreamer logs what it sends and receives, passwords included.
    let text = redacted(text);
    match level {
        DebugLevel::Error | DebugLevel::Warning => tracing::debug!(target: "gstreamer", category = name, "{text}"),
        _ => tracing::trace!(target: "gstreamer", category = name, "{text}"),
    }
}

thread_local! {
    /// Whose decoder this streaming thread feeds at the moment.
    static FED_BY_THIS_THREAD: RefCell<Weak<Faults>> = const { RefCell::new(Weak::new()) };
}

/// What was found wrong with the coded pictures of one decoding run.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Tally>);

/// Counts of one decoding run so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Coded pictures that went into the decoder.
    pub fed: u64,
    /// Pictures that came out.
    pub decoded: u64,
    /// Coded pictures that something was wrong with.
    pub faulty: u64,
    /// The first fault: pictures that had come out before it, and what the decoder said.
    pub first: Option<(u64, String)>,
    last_faulty: Option<u64>,
}

impl Faults {
    /// Counts so far.
    pub fn tally(&self) -> Tally {
        self.lock().clone()
    }

    /// Notes a fault of the coded picture being decoded; one that is noted already is not counted again.
    pub fn note(&self, what: &str) {
        let mut tally = self.lock();
        if tally.last_faulty == Some(tally.fed) {
            return;
        }
        tally.last_faulty = Some(tally.fed);
        tally.faulty += 1;
        let decoded = tally.decoded;
        tally.first.get_or_insert_with(|| (decoded, what.to_owned()));
    }

    /// Watches a decoder: counts what goes in and out, and claims its thread's log messages.
    pub fn watch(self: &Arc<Self>, decoder: &gst::Element) {
        let faults = Arc::downgrade(self);
        if let Some(pad) = decoder.static_pad("sink") {
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                FED_BY_THIS_THREAD.replace(faults.clone());
                if let Some(faults) = faults.upgrade() {
                    faults.lock().fed += 1;
                }
                gst::PadProbeReturn::Ok
            });
        }
        let faults = Arc::downgrade(self);
        if let Some(pad) = decoder.static_pad("src") {
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                let corrupt = info.buffer().is_some_and(|buffer| buffer.flags().contains(gst::BufferFlags::CORRUPTED));
                if let Some(faults) = faults.upgrade() {
                    if corrupt {
                        faults.note("the decoder marked a picture as corrupt");
                    }
                    faults.lock().decoded += 1;
                }
                gst::PadProbeReturn::Ok
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_with_several_faults_counts_once() {
        let faults = Faults::default();
        faults.lock().fed = 8;
        faults.lock().decoded = 7;
        faults.note("first");
        faults.note("second");
        faults.lock().fed = 9;
        faults.note("third");
        let tally = faults.tally();
        assert_eq!((tally.faulty, tally.first), (2, Some((7, "first".to_owned()))));
    }
}
