//! Short clips around events: which are to be made, and when one is complete. Knows no codec; `Footage` does.

use crate::{
    config::plan_media::ClipPlan,
    event::{Event, kind_matches},
};
use std::{collections::VecDeque, time::Instant};

/// A stream's encoded pictures of the last seconds.
pub trait Footage: Send {
    /// Extension of a clip's file; `None` if none can be made now.
    fn extension(&self) -> Option<&'static str>;
    /// Makes a clip, in the background, and keeps it in the file of this name below the store's folder.
    fn make(&mut self, file: String, span: ClipSpan);
}

/// What a clip shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClipSpan {
    /// Its beginning: when the first picture arrived. It begins earlier where that picture needs others.
    pub from: Instant,
    /// The event that gave rise to it.
    pub at: Instant,
    /// Its end.
    pub until: Instant,
}

/// The clips of one stream.
pub struct Clips {
    plan: ClipPlan,
    footage: Box<dyn Footage>,
    /// Those being filled, oldest first: a few, since a new one begins in the second half of the last at the earliest.
    open: VecDeque<(String, ClipSpan)>,
}

impl Clips {
    /// Clips out of `footage`.
    pub fn new(plan: ClipPlan, footage: Box<dyn Footage>) -> Self {
        Self { plan, footage, open: VecDeque::new() }
    }

    /// The clip that shows `event`, which happened in a picture that arrived at `at`, if one is wanted; `named` gives the
    /// file of a new one from its extension. Events that come together share one.
    pub fn of(&mut self, event: &Event, at: Instant, named: impl FnOnce(&str) -> String) -> Option<String> {
        if !self.plan.types.iter().any(|wanted| kind_matches(event.kind(), wanted)) {
            return None;
        }
        self.pass(at);
        if let Some((file, span)) = self.open.back()
            // Half of what a clip of its own would show after it is enough.
            && span.until >= at + self.plan.after / 2
        {
            return Some(file.clone());
        }
        let file = named(self.footage.extension()?);
        let from = at.checked_sub(self.plan.before).unwrap_or(at);
        self.open.push_back((file.clone(), ClipSpan { from, at, until: at + self.plan.after }));
        Some(file)
    }

    /// Time has come to `now`: clips that end before are made.
    pub fn pass(&mut self, now: Instant) {
        while let Some((file, span)) = self.open.pop_front_if(|(_, span)| span.until < now) {
            self.footage.make(file, span);
        }
    }

    /// Makes the clips that are open, up to `now`: nothing more comes, or not of this connection.
    pub fn close(&mut self, now: Instant) {
        for (file, span) in self.open.drain(..) {
            self.footage.make(file, ClipSpan { until: span.until.min(now), ..span });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{
        What,
        state::tests::{event, started},
    };
    use std::{
        sync::mpsc::{Receiver, Sender, channel},
        time::Duration,
    };

    struct Made(Sender<(String, ClipSpan)>);

    impl Footage for Made {
        fn extension(&self) -> Option<&'static str> {
            Some("mp4")
        }

        fn make(&mut self, file: String, span: ClipSpan) {
            self.0.send((file, span)).unwrap();
        }
    }

    fn clips() -> (Clips, Receiver<(String, ClipSpan)>) {
        let (to, made) = channel();
        let (before, after) = (Duration::from_secs(5), Duration::from_secs(4));
        let plan = ClipPlan { types: vec!["track.*".into()], before, after };
        (Clips::new(plan, Box::new(Made(to))), made)
    }

    #[test]
    fn events_together_share_a_clip_and_later_ones_get_their_own() {
        let (mut clips, made) = clips();
        let zero = Instant::now() + Duration::from_secs(100);
        let at = |tenths: u64| zero + Duration::from_millis(100 * tenths);
        let mut of = |sequence: u64, tenths: u64| {
            clips.of(&event("gate", sequence, started(1)), at(tenths), |extension| format!("{sequence}.{extension}"))
        };
        let files = [of(0, 0), of(1, 10), of(2, 20), of(3, 21), of(4, 200)];
        assert_eq!(files.map(Option::unwrap), ["0.mp4", "0.mp4", "0.mp4", "3.mp4", "4.mp4"]);
        clips.pass(at(239));
        clips.pass(at(241));
        let made: Vec<_> = made.try_iter().collect();
        let spans = made.iter().map(|(file, ClipSpan { from, at, until })| {
            let since = |time: &Instant| (*time + Duration::from_secs(10) - zero).as_millis() / 100;
            (file.as_str(), since(from), since(at), since(until))
        });
        // In tenths of a second, 100 being the first event.
        let expected = [("0.mp4", 50, 100, 140), ("3.mp4", 71, 121, 161), ("4.mp4", 250, 300, 340)];
        assert_eq!(spans.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn other_events_make_none_and_an_end_cuts_short() {
        let (mut clips, made) = clips();
        let now = Instant::now();
        let named = |extension: &str| format!("clip.{extension}");
        assert_eq!(clips.of(&event("gate", 0, What::StreamRecovered { outage_seconds: 1.0 }), now, named), None);
        clips.close(now);
        assert!(made.try_recv().is_err());
        assert!(clips.of(&event("gate", 1, started(1)), now, named).is_some());
        clips.close(now + Duration::from_secs(1));
        assert_eq!(made.try_recv().unwrap().1.until, now + Duration::from_secs(1));
    }
}
