//! What is remembered of tracks that have ended: their looks, so that an object that comes back later than it could keep
//! its id is told with the id it had. Nothing here changes which detections belong together.

use super::{TrackId, gallery::Gallery, tracklet::Tracklet};
use crate::detect::ClassId;

/// Tracks that have ended, the oldest first.
#[derive(Debug, Default)]
pub(super) struct EndedTracks(Vec<EndedTrack>);

#[derive(Debug)]
struct EndedTrack {
    id: TrackId,
    class: ClassId,
    gallery: Gallery,
    /// When it ended, frames of the tracker's clock.
    ended: f64,
}

impl EndedTracks {
    /// Remembers a track that ends `now`, unless it has no id or no looks to know it by.
    pub fn remember(&mut self, track: &mut Tracklet, now: f64) {
        let Some(id) = track.record.id() else { return };
        let gallery = std::mem::replace(&mut track.gallery, Gallery::new(0));
        if !gallery.is_empty() {
            self.0.push(EndedTrack { id, class: track.record.class(), gallery, ended: now });
        }
    }

    /// Forgets those that ended before `oldest` and, beyond `most`, the oldest.
    pub fn forget(&mut self, oldest: f64, most: usize) {
        self.0.retain(|track| track.ended >= oldest);
        self.0.drain(..self.0.len().saturating_sub(most));
    }

    /// The track that `fresh` looks most like, if by at least `least`, where `evidence` makes something of a cosine
    /// similarity. It is known by its new id from now on.
    pub fn recognize(&mut self, fresh: &Tracklet, evidence: impl Fn(f32) -> f32, least: f32) -> Option<TrackId> {
        let alike = |track: &EndedTrack| {
            let is_same_class = track.class == fresh.record.class();
            is_same_class.then(|| track.gallery.similarity_to(&fresh.gallery)).flatten().map(&evidence)
        };
        let found = self.0.iter().enumerate().filter_map(|(index, track)| Some((index, alike(track)?)));
        let (index, best) = found.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))?;
        (best >= least).then(|| self.0.remove(index).id)
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        detect::{ClassId, Detection},
        embed::Embedding,
        geometry::BBox,
        time::MediaTime,
        track::{Observations, TrackId, TrackIds, TrackState, build, settings::TrackSettings},
    };
    use std::{collections::BTreeMap, time::Duration};

    /// What person `axis` looks like in a frame: a direction of its own, a little different each time.
    fn look(axis: usize, frame: usize) -> Option<Embedding> {
        let mut values = vec![0.0f32; 8];
        values[axis] = 1.0;
        values[4 + (frame + axis) % 4] = 0.2;
        let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
        Some(Embedding(values.into_iter().map(|value| value / norm).collect()))
    }

    /// Two people for 8 s; one goes for 30 s, then `who` stands where she stood. Gives every track's predecessor.
    fn told(max_remembered: u64, who: usize) -> BTreeMap<TrackId, Option<TrackId>> {
        let max_remembered = Duration::from_secs(max_remembered);
        let settings = TrackSettings { max_remembered, ..TrackSettings::default() };
        let mut tracker = build(&settings, 10.0, TrackIds::default());
        let (mut out, mut told, mut removed) = (Vec::new(), BTreeMap::new(), Vec::new());
        for frame in 0..420 {
            let person =
                |x: f32| Detection { bbox: BBox::from_tlwh(x, 100.0, 40.0, 100.0), class: ClassId(0), score: 0.9 };
            let mut seen = vec![(person(400.0), look(1, frame))];
            match frame {
                0..80 => seen.push((person(100.0), look(0, frame))),
                380.. => seen.push((person(100.0), look(who, frame))),
                _ => {}
            }
            let (detections, embeddings): (Vec<_>, Vec<_>) = seen.into_iter().unzip();
            let at = MediaTime::from_secs_f64(frame as f64 / 10.0);
            let seen = Observations { at, detections: &detections, embeddings: &embeddings, camera: None };
            tracker.update(&seen, &mut out);
            for track in &out {
                assert!(!removed.contains(&track.id), "{:?} came back", track.id);
                told.insert(track.id, track.reidentified_from);
            }
            removed.extend(out.iter().filter(|track| track.state == TrackState::Removed).map(|track| track.id));
        }
        told
    }

    #[test]
    fn who_comes_back_after_the_end_gets_a_new_id_that_names_the_old() {
        let back = told(60, 0);
        assert_eq!(back.len(), 3, "{back:?}");
        let first = *back.keys().find(|id| id.0 != 1).expect("two people");
        let third = back.keys().max().expect("three");
        assert!(back[third] == Some(TrackId(1)) || back[third] == Some(first), "{back:?}");
        assert_eq!(back.values().flatten().count(), 1);
    }

    #[test]
    fn strangers_and_the_forgotten_are_new() {
        for (max_remembered, who) in [(60, 2), (10, 0), (0, 0)] {
            let back = told(max_remembered, who);
            assert_eq!(
                (back.len(), back.values().flatten().count()),
                (3, 0),
                "{max_remembered} s, person {who}: {back:?}"
            );
        }
    }
}
