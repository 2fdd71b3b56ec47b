//! What every tracker keeps of a track besides its motion: identity, class, score and when it was seen.

use super::{Track, TrackId, TrackIds, TrackState, input::Candidate};
use crate::{detect::ClassId, geometry::BBox, time::MediaTime};

/// Classes a track remembers votes for; a detector that wavers does so between two or three.
const MAX_CLASSES: usize = 4;

/// Identity and history of one track.
#[derive(Clone, Debug)]
pub(super) struct Record {
    id: Option<TrackId>,
    votes: [(ClassId, f32); MAX_CLASSES],
    /// The class with the highest sum of scores; of equals, the lowest.
    class: ClassId,
    pub score: f32,
    pub first_seen: MediaTime,
    pub last_seen: MediaTime,
    /// Box of the last detection.
    pub last_bbox: BBox,
    /// The ended track it was recognized as.
    pub reidentified_from: Option<TrackId>,
}

impl Record {
    /// A record begun by a detection; it has no id yet.
    pub fn new(candidate: &Candidate, at: MediaTime) -> Self {
        let mut votes = [(candidate.class, 0.0); MAX_CLASSES];
        votes[0].1 = candidate.score;
        let Candidate { score, bbox, .. } = *candidate;
        Self {
            id: None,
            votes,
            class: candidate.class,
            score,
            first_seen: at,
            last_seen: at,
            last_bbox: bbox,
            reidentified_from: None,
        }
    }

    /// Takes in another detection.
    pub fn see(&mut self, candidate: &Candidate, at: MediaTime) {
        self.score = candidate.score;
        self.last_seen = at;
        self.last_bbox = candidate.bbox;
        self.vote(candidate.class, candidate.score);
    }

    /// Goes on as another record of the same object: identity and first sight stay.
    pub fn take_over(&mut self, younger: &Record) {
        (self.score, self.last_seen, self.last_bbox) = (younger.score, younger.last_seen, younger.last_bbox);
        for &(class, votes) in younger.votes.iter().filter(|(_, votes)| *votes > 0.0) {
            self.vote(class, votes);
        }
    }

    /// A class without a slot takes that of the class with the fewest votes.
    fn vote(&mut self, class: ClassId, score: f32) {
        let known = self.votes.iter().position(|&(other, _)| other == class);
        let slot = known.unwrap_or_else(|| {
            let weakest = (0..MAX_CLASSES).min_by(|&a, &b| self.votes[a].1.total_cmp(&self.votes[b].1)).unwrap_or(0);
            self.votes[weakest] = (class, 0.0);
            weakest
        });
        self.votes[slot].1 += score;
        let better = |best: (ClassId, f32), vote: &(ClassId, f32)| {
            if vote.1 > best.1 || (vote.1 == best.1 && vote.0 < best.0) { *vote } else { best }
        };
        self.class = self.votes.iter().skip(1).fold(self.votes[0], better).0;
    }

    /// What the track is.
    pub const fn class(&self) -> ClassId {
        self.class
    }

    /// Draws an id unless there is one.
    pub fn confirm(&mut self, ids: &TrackIds) {
        self.id.get_or_insert_with(|| ids.next_id());
    }

    /// Its id, once it has one.
    pub const fn id(&self) -> Option<TrackId> {
        self.id
    }

    /// The track as reported; `None` while it has no id.
    pub fn report(&self, view: View) -> Option<Track> {
        let View { state, bbox, detection, shown } = view;
        let Self { score, first_seen, last_seen, reidentified_from, .. } = *self;
        let class = self.class();
        let track =
            |id| Track { id, state, bbox, class, score, detection, first_seen, last_seen, reidentified_from, shown };
        self.id.map(track)
    }

    /// The last report of a track.
    pub fn report_removed(&self) -> Option<Track> {
        self.report(View { state: TrackState::Removed, bbox: self.last_bbox, detection: None, shown: false })
    }
}

/// The part of a report that changes from frame to frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub state: TrackState,
    pub bbox: BBox,
    pub detection: Option<usize>,
    pub shown: bool,
}

/// Puts reports into the promised order.
pub(super) fn sort_by_id(out: &mut [Track]) {
    out.sort_unstable_by_key(|track| track.id);
}

/// Tracks that ended outside an update and still have to be reported as removed.
#[derive(Debug, Default)]
pub(super) struct Farewell(Vec<Track>);

impl Farewell {
    pub fn add(&mut self, record: &Record) {
        self.0.extend(record.report_removed());
    }

    pub fn drain_into(&mut self, out: &mut Vec<Track>) {
        out.append(&mut self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(class: u16, score: f32) -> Candidate {
        Candidate { index: 0, bbox: BBox::new(0.0, 0.0, 1.0, 1.0), class: ClassId(class), score }
    }

    #[test]
    fn class_is_the_score_weighted_vote() {
        let mut record = Record::new(&candidate(2, 0.9), MediaTime(0));
        let cases = [(7, 0.5, 2), (7, 0.5, 7), (3, 0.2, 7), (4, 0.1, 7), (5, 0.3, 7), (2, 0.2, 2)];
        for (class, score, expected) in cases {
            record.see(&candidate(class, score), MediaTime(1));
            assert_eq!(record.class(), ClassId(expected), "after {class} {score}");
        }
    }

    #[test]
    fn ids_are_drawn_once_and_only_on_confirmation() {
        let ids = TrackIds::default();
        let (mut a, mut b) =
            (Record::new(&candidate(0, 1.0), MediaTime(0)), Record::new(&candidate(0, 1.0), MediaTime(0)));
        assert_eq!(a.report_removed(), None);
        b.confirm(&ids);
        b.confirm(&ids);
        a.confirm(&ids);
        assert_eq!((a.id(), b.id()), (Some(TrackId(2)), Some(TrackId(1))));
    }
}
