//! A recording played as a camera would give it: over and over, each frame at its time. For trials without a camera.

use super::{OpenSource, Pull, Source, SourceError, SourceInfo};
use crate::frame::Frame;
use std::{
    thread,
    time::{Duration, Instant},
};

/// Opens a source whose frames are held back to their media time.
pub struct PacedOpener<O>(pub O);

impl<O: OpenSource> OpenSource for PacedOpener<O> {
    fn open(&self, epoch: u32, first_seq: u64) -> Result<Box<dyn Source>, SourceError> {
        let inner = self.0.open(epoch, first_seq)?;
        Ok(Box::new(PacedSource { inner, next: None, zero: None }))
    }
}

struct PacedSource {
    inner: Box<dyn Source>,
    /// Decoded, not yet due.
    next: Option<Frame>,
    /// Epoch that is played, and when its media time was 0.
    zero: Option<(u32, Instant)>,
}

impl PacedSource {
    /// When a frame is due. A new epoch, or a machine that fell behind by more than the frame after, begins anew.
    fn due(&mut self, frame: &Frame) -> Instant {
        let (now, meta) = (Instant::now(), &frame.meta);
        let since_zero = Duration::from_nanos(u64::try_from(meta.pts.0).unwrap_or(0));
        match self.zero {
            Some((epoch, zero)) if epoch == meta.epoch => zero + since_zero,
            _ => {
                self.zero = Some((meta.epoch, now.checked_sub(since_zero).unwrap_or(now)));
                now
            }
        }
    }
}

impl Source for PacedSource {
    fn info(&self) -> &SourceInfo {
        self.inner.info()
    }

    fn name(&self) -> String {
        self.inner.name()
    }

    fn pull(&mut self, wait: Duration) -> Result<Pull, SourceError> {
        let until = Instant::now() + wait;
        let mut frame = match self.next.take() {
            Some(frame) => frame,
            None => match self.inner.pull(wait)? {
                Pull::Frame(frame) => frame,
                other => return Ok(other),
            },
        };
        let due = self.due(&frame);
        thread::sleep(due.min(until).saturating_duration_since(Instant::now()));
        if due > until {
            self.next = Some(frame);
            return Ok(Pull::Pending);
        }
        frame.meta.arrived = Instant::now();
        Ok(Pull::Frame(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        frame::{ImageSize, StreamId},
        source::synthetic::{Scene, SyntheticOpener},
    };
    use std::sync::Arc;

    #[test]
    fn frames_come_at_their_time_and_not_before() {
        let scene = Scene::walkers(ImageSize { width: 32, height: 32 }, 50.0, 6, 1);
        let opener = PacedOpener(SyntheticOpener { scene: Arc::new(scene), stream: StreamId(0) });
        let mut source = opener.open(0, 0).unwrap();
        let (began, mut frames, mut pending) = (Instant::now(), 0, 0);
        while frames < 6 {
            match source.pull(Duration::from_millis(5)).unwrap() {
                Pull::Frame(frame) => {
                    assert_eq!(frame.meta.seq, frames);
                    assert!(began.elapsed() >= Duration::from_millis(20 * frames));
                    frames += 1;
                }
                Pull::Pending => pending += 1,
                Pull::End { .. } => panic!("ended"),
            }
        }
        assert!(pending > 5);
        assert!(matches!(source.pull(Duration::ZERO), Ok(Pull::End { .. })));
    }
}
