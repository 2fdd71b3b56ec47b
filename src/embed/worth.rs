//! Which detections are worth an embedding: those of objects that are new, that could be taken for one another or are about
//! to hide one another; those of settled objects now and then.
//!
//! Stands before the embedder, and the tracker behind it, on another thread. What the tracker knows would have to travel
//! back, and what it knew in time would depend on threads. So boxes are followed here by overlap alone. That is less than
//! the tracker knows, but where overlap does not say beyond doubt who is who, everything is embedded. What is chosen
//! depends on the frames of the stream only: a file gives the same on every run.

use crate::{
    detect::Detection,
    geometry::{BBox, iou},
    time::MediaTime,
};
use std::time::Duration;

/// A box goes on from one of the frame before that it overlaps by as much (IoU). Whatever moves faster is hard to follow.
const MIN_IOU: f32 = 0.5;
/// Boxes grown by this share of their width and height to each side are near one another where they touch. Two people who
/// walk towards each other close a width in 0.2 s, so that each is embedded at least once before one hides the other.
const NEAR: f32 = 0.4;

/// Which detections are embedded.
#[derive(Clone, Debug, PartialEq)]
pub struct WorthSettings {
    /// Those of at least this score, 0..=1.
    pub min_score: f32,
    /// An object is settled after so many embeddings.
    pub settled_after: u32,
    /// Time between two embeddings of a settled object; zero embeds every detection.
    pub interval: Duration,
}

/// An object as the last frame showed it.
#[derive(Clone, Debug)]
struct Known {
    detection: Detection,
    /// Embeddings of it while it could be followed.
    looks: u32,
    looked_at: MediaTime,
}

/// Chooses among the detections of one stream, frame by frame.
#[derive(Clone, Debug)]
pub struct Worth {
    settings: WorthSettings,
    known: Vec<Known>,
}

impl Worth {
    /// Chooses by `settings`; knows no object yet.
    pub fn new(settings: &WorthSettings) -> Self {
        Self { settings: settings.clone(), known: Vec::new() }
    }

    /// Forgets every object.
    pub fn restart(&mut self) {
        self.known.clear();
    }

    /// Whether each detection of the frame shown at `at` is to be embedded, in their order.
    ///
    /// Takes O(n·m) time for n detections after a frame with m.
    pub fn choose(&mut self, at: MediaTime, detections: &[Detection]) -> Vec<bool> {
        let mut known = Vec::with_capacity(detections.len());
        let mut chosen = Vec::with_capacity(detections.len());
        for (place, detection) in detections.iter().enumerate() {
            let before = self.before(detection);
            let is_chosen = detection.score >= self.settings.min_score
                && (before.is_none_or(|before| self.is_due(before, at)) || has_neighbour(place, detections));
            let (looks, looked_at) = before.map_or((0, at), |before| (before.looks, before.looked_at));
            let looked_at = if is_chosen { at } else { looked_at };
            known.push(Known { detection: *detection, looks: looks.saturating_add(u32::from(is_chosen)), looked_at });
            chosen.push(is_chosen);
        }
        self.known = known;
        chosen
    }

    /// The object of the frame before that a detection shows; `None` for a new one or where more than one could be it.
    fn before(&self, detection: &Detection) -> Option<&Known> {
        let is_same = |known: &&Known| {
            known.detection.class == detection.class && iou(&known.detection.bbox, &detection.bbox) >= MIN_IOU
        };
        let mut same = self.known.iter().filter(is_same);
        same.next().filter(|_| same.next().is_none())
    }

    fn is_due(&self, object: &Known, at: MediaTime) -> bool {
        object.looks < self.settings.settled_after || at.since(object.looked_at) >= self.settings.interval
    }
}

/// Whether another detection is so near that one may hide the other, now or soon.
fn has_neighbour(place: usize, detections: &[Detection]) -> bool {
    let bbox = &detections[place].bbox;
    let is_near = |other: &BBox| {
        let (across, down) = (NEAR * (bbox.width() + other.width()), NEAR * (bbox.height() + other.height()));
        other.left - bbox.right < across
            && bbox.left - other.right < across
            && other.top - bbox.bottom < down
            && bbox.top - other.bottom < down
    };
    detections.iter().enumerate().any(|(other, d)| other != place && is_near(&d.bbox))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::ClassId;

    fn at(millis: i64) -> MediaTime {
        MediaTime(millis * 1_000_000)
    }

    fn person(left: f32, score: f32) -> Detection {
        Detection { bbox: BBox::from_tlwh(left, 10.0, 20.0, 50.0), class: ClassId(0), score }
    }

    fn worth() -> Worth {
        let interval = Duration::from_millis(500);
        Worth::new(&WorthSettings { min_score: 0.5, settled_after: 2, interval })
    }

    #[test]
    fn a_settled_object_is_embedded_once_an_interval() {
        let mut worth = worth();
        let chosen = (0..20).filter(|&i| worth.choose(at(i * 100), &[person(2.0 * i as f32, 0.9)])[0]);
        assert_eq!(chosen.collect::<Vec<_>>(), [0, 1, 6, 11, 16]);
    }

    #[test]
    fn an_interval_of_zero_embeds_everything() {
        let settings = WorthSettings { min_score: 0.5, settled_after: 1, interval: Duration::ZERO };
        let mut worth = Worth::new(&settings);
        assert!((0..10).all(|i| worth.choose(at(i * 100), &[person(0.0, 0.9), person(200.0, 0.4)]) == [true, false]));
    }

    #[test]
    fn what_jumps_comes_back_or_is_of_another_class_is_new() {
        let settle = |worth: &mut Worth| {
            for i in 0..4 {
                worth.choose(at(i * 10), &[person(0.0, 0.9)]);
            }
        };
        let mut jumped = worth();
        settle(&mut jumped);
        assert_eq!(jumped.choose(at(40), &[person(15.0, 0.9)]), [true]);
        let mut hidden = worth();
        settle(&mut hidden);
        assert_eq!(hidden.choose(at(40), &[]), Vec::<bool>::new());
        assert_eq!(hidden.choose(at(50), &[person(0.0, 0.9)]), [true]);
        let mut renamed = worth();
        settle(&mut renamed);
        assert_eq!(renamed.choose(at(40), &[Detection { class: ClassId(1), ..person(0.0, 0.9) }]), [true]);
        let mut restarted = worth();
        settle(&mut restarted);
        restarted.restart();
        assert_eq!(restarted.choose(at(40), &[person(0.0, 0.9)]), [true]);
    }

    #[test]
    fn objects_that_near_each_other_are_embedded_before_one_hides_the_other() {
        let mut worth = worth();
        // From either side at half a pixel a frame: the gap closes from 160 to none in 160 frames.
        let near = |i: i64| [person(i as f32 / 2.0, 0.9), person(180.0 - i as f32 / 2.0, 0.9)];
        let chosen: Vec<i64> = (0..200).filter(|&i| worth.choose(at(i), &near(i)) == [true, true]).collect();
        assert_eq!(chosen[..2], [0, 1]);
        assert!(chosen[2..].first() == Some(&145) && chosen.len() == 2 + 55, "{chosen:?}");
        // A doubtful box may be somebody too.
        let doubtful = [person(100.0, 0.9), person(105.0, 0.2)];
        assert!((200..210).all(|i| worth.choose(at(i), &doubtful) == [true, false]));
    }

    #[test]
    fn doubts_about_who_is_who_embed_everything() {
        let mut worth = worth();
        let apart = |left: f32| Detection { bbox: BBox::from_tlwh(left, 10.0, 60.0, 50.0), ..person(0.0, 0.9) };
        for i in 0..5 {
            worth.choose(at(i), &[apart(0.0), apart(6.0)]);
        }
        assert_eq!(worth.choose(at(5), &[apart(3.0)]), [true]);
    }
}
