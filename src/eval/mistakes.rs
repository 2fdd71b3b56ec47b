//! The mistakes behind the CLEAR score, as a list to look them up in the video.

use super::exact_box::ExactBox;
use std::collections::BTreeMap;

/// One mistake in one frame, with the identities of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// An object's box that no result matched.
    Miss {
        /// Identity in the truth.
        truth: i64,
    },
    /// A result that matched nothing.
    FalsePositive {
        /// Identity in the results.
        result: i64,
    },
    /// An object matched by another identity than last time.
    Switch {
        /// Identity in the truth.
        truth: i64,
        /// Identity it has now.
        result: i64,
        /// Identity it had.
        previous: i64,
    },
    /// An object found again after frames without a match.
    Fragmentation {
        /// Identity in the truth.
        truth: i64,
        /// Identity it has now.
        result: i64,
    },
}

impl Mistake {
    /// Name in the list.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Miss { .. } => "miss",
            Self::FalsePositive { .. } => "false_positive",
            Self::Switch { .. } => "id_switch",
            Self::Fragmentation { .. } => "fragmentation",
        }
    }

    /// Identity in the truth, in the results, and the one before, where the kind has them.
    pub fn ids(&self) -> [Option<i64>; 3] {
        match *self {
            Self::Miss { truth } => [Some(truth), None, None],
            Self::FalsePositive { result } => [None, Some(result), None],
            Self::Switch { truth, result, previous } => [Some(truth), Some(result), Some(previous)],
            Self::Fragmentation { truth, result } => [Some(truth), Some(result), None],
        }
    }

    /// Whether it lasts while it repeats in consecutive frames.
    fn lasts(&self) -> bool {
        matches!(self, Self::Miss { .. } | Self::FalsePositive { .. })
    }
}

/// A mistake from its first to its last frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MistakeRun {
    /// What and who.
    pub mistake: Mistake,
    /// First frame.
    pub first_frame: u64,
    /// Last frame; the first for a switch or a fragmentation.
    pub last_frame: u64,
    /// Box in the first frame: the object's, or a false positive's own.
    pub bbox: ExactBox,
}

/// Gathers mistakes, joining misses and false positives of one identity in consecutive frames.
#[derive(Clone, Debug, Default)]
pub struct MistakeList {
    runs: Vec<MistakeRun>,
    /// Place in `runs` of the last run of each identity, by (kind, identity).
    latest: BTreeMap<(&'static str, i64), usize>,
}

impl MistakeList {
    /// Takes a mistake; frames must not descend.
    pub fn push(&mut self, frame: u64, bbox: ExactBox, mistake: Mistake) {
        if mistake.lasts() {
            let id = mistake.ids().into_iter().flatten().next().unwrap_or(-1);
            let place = self.latest.entry((mistake.kind(), id)).or_insert(usize::MAX);
            if let Some(run) = self.runs.get_mut(*place).filter(|run| run.last_frame + 1 == frame) {
                run.last_frame = frame;
                return;
            }
            *place = self.runs.len();
        }
        self.runs.push(MistakeRun { mistake, first_frame: frame, last_frame: frame, bbox });
    }

    /// All mistakes, by first frame.
    pub fn runs(&self) -> &[MistakeRun] {
        &self.runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_frames_of_one_identity_join() {
        let bbox = |left| ExactBox::from_tlwh(left, 0.0, 1.0, 1.0);
        let mut list = MistakeList::default();
        for (frame, mistake) in [
            (3, Mistake::Miss { truth: 1 }),
            (3, Mistake::FalsePositive { result: 1 }),
            (4, Mistake::Miss { truth: 1 }),
            (4, Mistake::Miss { truth: 2 }),
            (6, Mistake::Miss { truth: 1 }),
            (6, Mistake::Fragmentation { truth: 2, result: 5 }),
            (7, Mistake::Fragmentation { truth: 2, result: 5 }),
        ] {
            list.push(frame, bbox(frame as f64), mistake);
        }
        let got: Vec<_> =
            list.runs().iter().map(|r| (r.mistake.kind(), r.first_frame, r.last_frame, r.bbox.left)).collect();
        let expected = [
            ("miss", 3, 4, 3.0),
            ("false_positive", 3, 3, 3.0),
            ("miss", 4, 4, 4.0),
            ("miss", 6, 6, 6.0),
            ("fragmentation", 6, 6, 6.0),
            ("fragmentation", 7, 7, 7.0),
        ];
        assert_eq!(got, expected);
    }
}
