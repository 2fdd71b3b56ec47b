//! When a picture was captured, by the camera's own clock: RTCP sender reports pair it with the packets' time.

use gstreamer as gst;
use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime},
};

/// Sender reports further from this machine's clock come from a camera whose clock was never set.
const MAX_CLOCK_ERROR: Duration = Duration::from_secs(24 * 3600);
/// From NTP's epoch (1900) to Unix's (1970).
const NTP_TO_UNIX: Duration = Duration::from_secs(2_208_988_800);
/// No sender report yet.
const UNKNOWN: i64 = i64::MIN;

/// Camera's wall clock less its running time, nanoseconds since 1900; kept from the last sender report.
pub(super) struct NtpOffset(AtomicI64);

impl Default for NtpOffset {
    /// No sender report yet.
    fn default() -> Self {
        Self(AtomicI64::new(UNKNOWN))
    }
}

impl NtpOffset {
    /// Takes in what the last sender report says about a packet's time.
    pub fn note(&self, buffer: &gst::BufferRef) {
        let (Some(meta), Some(pts)) = (buffer.meta::<gst::ReferenceTimestampMeta>(), buffer.pts()) else { return };
        let is_ntp = meta.reference().structure(0).is_some_and(|s| s.name() == "timestamp/x-ntp");
        let ntp = i64::try_from(meta.timestamp().nseconds()).ok();
        if let (true, Some(ntp), Ok(pts)) = (is_ntp, ntp, i64::try_from(pts.nseconds())) {
            self.0.store(ntp.saturating_sub(pts), Ordering::Relaxed);
        }
    }

    /// When a picture was captured, if the camera has told and its clock was ever set.
    pub fn captured(&self, pts: gst::ClockTime) -> Option<SystemTime> {
        let offset = Some(self.0.load(Ordering::Relaxed)).filter(|offset| *offset != UNKNOWN)?;
        let since_1900 = u64::try_from(offset.checked_add_unsigned(pts.nseconds())?).ok()?;
        let captured = SystemTime::UNIX_EPOCH + Duration::from_nanos(since_1900).checked_sub(NTP_TO_UNIX)?;
        let now = SystemTime::now();
        let error = now.duration_since(captured).unwrap_or_else(|ahead| ahead.duration());
        (error < MAX_CLOCK_ERROR).then_some(captured)
    }
}
