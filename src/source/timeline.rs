//! From a decoder's time stamps to media time: zero at the start of an epoch, always growing, never missing.
//!
//! Containers and cameras leave stamps out, repeat them, send them in decoding order after a damaged frame, or start
//! over. The tracker lives by media time, so this is the one place that puts them right. Pure.

use crate::time::MediaTime;
use std::time::Duration;

/// Frame interval assumed until `set_interval`: 25 frames a second, as GStreamer's parsers assume for raw streams.
const DEFAULT_INTERVAL: Duration = Duration::from_millis(40);

/// A stamp at most this far behind is a frame out of order (decoders emit such after a damaged one); beyond it the
/// source's clock was reset. One second holds the longest reordering H.264 allows (16 frames) down to 16 fps.
const REORDER_LIMIT: Duration = Duration::from_secs(1);

/// A frame out of order is placed this share of an interval after its predecessor: close, so that the next sound stamp
/// is ahead of it again and is taken as it stands.
const REORDER_SHARE: i64 = 10;

/// Epoch and media time of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Epoch it belongs to.
    pub epoch: u32,
    /// Time within that epoch, greater than that of the frame before it.
    pub pts: MediaTime,
}

/// Gives every frame of one stream its epoch and media time.
#[derive(Clone, Debug)]
pub struct Timeline {
    epoch: u32,
    interval_nanos: i64,
    /// Source time of media time 0, once a stamp has told it.
    zero_nanos: Option<i64>,
    /// What the source said of the last frame that it stamped.
    source_nanos: Option<i64>,
    last: Option<MediaTime>,
}

impl Timeline {
    /// A timeline whose first frame is media time 0 of `epoch`.
    pub fn new(epoch: u32) -> Self {
        let interval_nanos = nanos(DEFAULT_INTERVAL);
        Self { epoch, interval_nanos, zero_nanos: None, source_nanos: None, last: None }
    }

    /// Sets the nominal time from frame to frame, by which missing stamps are filled in.
    pub fn set_interval(&mut self, interval: Duration) {
        self.interval_nanos = nanos(interval).max(1);
    }

    /// The epoch of the last frame.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Stamps the next frame. `source_nanos`: what the source says, on any origin; `None` where it says nothing.
    ///
    /// Missing or repeated: one interval after the last frame. Slightly behind: just after the last frame. Far behind: a
    /// new epoch.
    pub fn stamp(&mut self, source_nanos: Option<i64>) -> Stamp {
        let pts = match (self.last, source_nanos) {
            (None, source) => {
                self.zero_nanos = source;
                MediaTime(0)
            }
            (Some(last), None) => MediaTime(last.0.saturating_add(self.interval_nanos)),
            (Some(last), Some(source)) => match self.place(last, source) {
                Some(pts) => pts,
                None => {
                    self.begin_epoch();
                    self.zero_nanos = Some(source);
                    MediaTime(0)
                }
            },
        };
        self.source_nanos = source_nanos.or(self.source_nanos);
        self.last = Some(pts);
        Stamp { epoch: self.epoch, pts }
    }

    /// Begins a new epoch with the next frame: its media time is 0.
    pub fn begin_epoch(&mut self) {
        self.epoch += 1;
        self.zero_nanos = None;
        self.source_nanos = None;
        self.last = None;
    }

    /// The next frame follows the last one by one interval, whatever the source's clock says: a file played again as one
    /// long stream.
    pub fn splice(&mut self) {
        self.zero_nanos = None;
        self.source_nanos = None;
    }

    /// Media time of a frame stamped `source` after one at `last`; `None` where the source's clock was reset.
    fn place(&mut self, last: MediaTime, source: i64) -> Option<MediaTime> {
        let next = last.0.saturating_add(self.interval_nanos);
        let Some(zero) = self.zero_nanos else {
            self.zero_nanos = Some(source.saturating_sub(next));
            return Some(MediaTime(next));
        };
        let pts = source.saturating_sub(zero);
        if pts > last.0 {
            Some(MediaTime(pts))
        } else if self.source_nanos == Some(source) {
            Some(MediaTime(next))
        } else if last.0.saturating_sub(pts) < nanos(REORDER_LIMIT) {
            Some(MediaTime(last.0.saturating_add((self.interval_nanos / REORDER_SHARE).max(1))))
        } else {
            None
        }
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;

    fn stamps(source_millis: &[Option<i64>]) -> Vec<(u32, i64)> {
        let mut timeline = Timeline::new(3);
        timeline.set_interval(Duration::from_millis(100));
        let stamp = |s: &Option<i64>| timeline.stamp(s.map(|s| s * MS));
        source_millis.iter().map(stamp).map(|s| (s.epoch, s.pts.0 / MS)).collect()
    }

    #[test]
    fn table() {
        let cases: [(&str, &[Option<i64>], &[(u32, i64)]); 8] = [
            ("from zero", &[Some(7000), Some(7100), Some(7250)], &[(3, 0), (3, 100), (3, 250)]),
            ("negative origin", &[Some(-500), Some(-400)], &[(3, 0), (3, 100)]),
            ("none at all", &[None, None, None], &[(3, 0), (3, 100), (3, 200)]),
            ("one missing", &[Some(0), None, Some(200)], &[(3, 0), (3, 100), (3, 200)]),
            ("first missing", &[None, Some(900), Some(1000)], &[(3, 0), (3, 100), (3, 200)]),
            ("repeated", &[Some(0), Some(0), Some(0), Some(300)], &[(3, 0), (3, 100), (3, 200), (3, 300)]),
            ("out of order", &[Some(0), Some(400), Some(200), Some(500)], &[(3, 0), (3, 400), (3, 410), (3, 500)]),
            ("reset", &[Some(5000), Some(9000), Some(20), Some(120)], &[(3, 0), (3, 4000), (4, 0), (4, 100)]),
        ];
        for (name, source, expected) in cases {
            assert_eq!(stamps(source), expected, "{name}");
        }
    }

    #[test]
    fn a_splice_goes_on_one_interval_later() {
        let mut timeline = Timeline::new(0);
        timeline.set_interval(Duration::from_millis(100));
        timeline.stamp(Some(0));
        timeline.stamp(Some(90 * MS));
        timeline.splice();
        let again: Vec<_> = [0, 90].map(|ms| timeline.stamp(Some(ms * MS)).pts.0 / MS).into();
        assert_eq!(again, [190, 280]);
        assert_eq!(timeline.epoch(), 0);
    }

    #[test]
    fn a_new_epoch_starts_at_zero() {
        let mut timeline = Timeline::new(0);
        timeline.stamp(Some(5 * MS));
        timeline.begin_epoch();
        assert_eq!(timeline.stamp(Some(45 * MS)), Stamp { epoch: 1, pts: MediaTime(0) });
        assert_eq!(timeline.stamp(Some(85 * MS)), Stamp { epoch: 1, pts: MediaTime(40 * MS) });
    }

    proptest! {
        #[test]
        fn always_grows_within_an_epoch(source in prop::collection::vec(prop::option::of(any::<i64>()), 1..50)) {
            let mut timeline = Timeline::new(0);
            let mut before: Option<Stamp> = None;
            for stamp in source.into_iter().map(|s| timeline.stamp(s)) {
                if let Some(before) = before {
                    let grows = stamp.pts > before.pts || stamp.pts.0 == i64::MAX;
                    prop_assert!(stamp.epoch > before.epoch || (stamp.epoch == before.epoch && grows));
                }
                before = Some(stamp);
            }
        }
    }
}
