//! Weighted boxes fusion: the boxes of several detectors on one picture become one list.
//!
//! Pure. Unlike suppression nothing is thrown away: boxes of one object are averaged, and what few detectors saw loses
//! score. Source: Solovyev et al. 2021, "Weighted boxes fusion", section 2.2, score rescaled by equation 5.

use super::{ClassId, Detection, Detector, InferError};
use crate::{
    frame::Frame,
    geometry::{BBox, iou},
};

/// Boxes that overlap their cluster's by more belong to it. Source: Solovyev et al. 2021, section 3.
pub const MIN_IOU: f32 = 0.55;

/// Boxes that are taken for one object.
struct Cluster {
    class: ClassId,
    members: usize,
    /// Sum of the members' scores, and of their corners times score.
    score: f32,
    corners: [f32; 4],
    bbox: BBox,
}

impl Cluster {
    fn of(detection: &Detection) -> Self {
        let mut cluster =
            Self { class: detection.class, members: 0, score: 0.0, corners: [0.0; 4], bbox: detection.bbox };
        cluster.add(detection);
        cluster
    }

    fn add(&mut self, detection: &Detection) {
        let BBox { left, top, right, bottom } = detection.bbox;
        self.members += 1;
        self.score += detection.score;
        for (sum, corner) in self.corners.iter_mut().zip([left, top, right, bottom]) {
            *sum += corner * detection.score;
        }
        if self.score > 0.0 {
            let [left, top, right, bottom] = self.corners.map(|sum| sum / self.score);
            self.bbox = BBox::new(left, top, right, bottom);
        }
    }

    /// The fused box of `models` detectors: mean score, less where fewer of them saw it.
    fn fused(&self, models: usize) -> Detection {
        let seen_by = self.members.min(models) as f32 / models as f32;
        Detection { bbox: self.bbox, class: self.class, score: self.score / self.members as f32 * seen_by }
    }
}

/// Fuses the lists of several detectors, one a detector, each free of duplicates; gives them by falling score.
///
/// Detections whose box is unsound or whose score is not finite are dropped. One list comes back as it is, sorted. Ties of
/// score go by the order of lists and of boxes in them.
pub fn fuse(lists: &[Vec<Detection>]) -> Vec<Detection> {
    let sound = |d: &&Detection| d.bbox.is_sound() && d.score.is_finite() && d.score >= 0.0;
    let mut all: Vec<&Detection> = lists.iter().flatten().filter(sound).collect();
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut clusters: Vec<Cluster> = Vec::new();
    for detection in all {
        let overlap = |cluster: &Cluster| iou(&cluster.bbox, &detection.bbox);
        let near = clusters.iter_mut().filter(|cluster| cluster.class == detection.class && overlap(cluster) > MIN_IOU);
        match near.max_by(|a, b| overlap(a).total_cmp(&overlap(b))) {
            Some(cluster) if lists.len() > 1 => cluster.add(detection),
            _ => clusters.push(Cluster::of(detection)),
        }
    }
    let mut fused: Vec<_> = clusters.iter().map(|cluster| cluster.fused(lists.len())).collect();
    fused.sort_by(|a, b| b.score.total_cmp(&a.score));
    fused
}

/// Several detectors as one: each sees every frame, their boxes are fused.
pub struct Ensemble {
    /// Each with the ensemble's number for every class of its own.
    members: Vec<(Box<dyn Detector>, Vec<ClassId>)>,
    classes: Vec<String>,
    /// Whether detections of a class are told.
    is_wanted: Vec<bool>,
}

impl Ensemble {
    /// Of `members`; classes of one name are one class. Tells those named in `wanted`, all for none.
    pub fn new(members: Vec<Box<dyn Detector>>, wanted: &[String]) -> Self {
        let mut classes: Vec<String> = Vec::new();
        let mut number = |name: &String| {
            let known = classes.iter().position(|class| class == name).unwrap_or_else(|| {
                classes.push(name.clone());
                classes.len() - 1
            });
            ClassId(known as u16)
        };
        let numbered = members.into_iter().map(|member| {
            let numbers = member.classes().iter().map(&mut number).collect();
            (member, numbers)
        });
        let members = numbered.collect();
        let is_wanted = classes.iter().map(|class| wanted.is_empty() || wanted.contains(class)).collect();
        Self { members, classes, is_wanted }
    }
}

impl Detector for Ensemble {
    fn detect(&mut self, batch: &[Frame], out: &mut Vec<Vec<Detection>>) -> Result<(), InferError> {
        let mut lists: Vec<Vec<Vec<Detection>>> = batch.iter().map(|_| Vec::new()).collect();
        let mut found = Vec::new();
        for (member, numbers) in &mut self.members {
            member.detect(batch, &mut found)?;
            for (lists, mut detections) in lists.iter_mut().zip(found.drain(..)) {
                detections.iter_mut().for_each(|d| d.class = numbers[usize::from(d.class.0)]);
                detections.retain(|d| self.is_wanted[usize::from(d.class.0)]);
                lists.push(detections);
            }
        }
        out.clear();
        out.extend(lists.iter().map(|lists| fuse(lists)));
        Ok(())
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scripted::ScriptedDetector;

    fn det(left: f32, class: u16, score: f32) -> Detection {
        Detection { bbox: BBox::from_tlwh(left, 0.0, 10.0, 10.0), class: ClassId(class), score }
    }

    #[test]
    fn table() {
        let nan = Detection { score: f32::NAN, ..det(0.0, 0, 0.5) };
        let cases = [
            ("nothing", vec![vec![], vec![]], vec![]),
            ("seen by both", vec![vec![det(0.0, 0, 0.8)], vec![det(2.0, 0, 0.4)]], vec![(2.0 / 3.0, 0, 0.6)]),
            ("seen by one of two", vec![vec![det(0.0, 0, 0.8)], vec![]], vec![(0.0, 0, 0.4)]),
            ("other classes", vec![vec![det(0.0, 0, 0.8)], vec![det(0.0, 1, 0.6)]], vec![(0.0, 0, 0.4), (0.0, 1, 0.3)]),
            ("too far apart", vec![vec![det(0.0, 0, 0.8)], vec![det(4.0, 0, 0.6)]], vec![(0.0, 0, 0.4), (4.0, 0, 0.3)]),
            ("one list comes back", vec![vec![det(0.0, 0, 0.3), det(1.0, 0, 0.8)]], vec![(1.0, 0, 0.8), (0.0, 0, 0.3)]),
            ("what is not a number goes", vec![vec![nan], vec![det(5.0, 0, 0.8)]], vec![(5.0, 0, 0.4)]),
        ];
        for (name, lists, expected) in cases {
            let got = fuse(&lists);
            assert_eq!(got.len(), expected.len(), "{name}: {got:?}");
            for (got, (left, class, score)) in got.iter().zip(expected) {
                assert_eq!(got.class, ClassId(class), "{name}");
                assert!((got.bbox.left - left).abs() < 1e-4 && (got.score - score).abs() < 1e-6, "{name}: {got:?}");
            }
        }
    }

    #[test]
    fn detectors_of_different_classes_share_those_of_one_name() {
        let first =
            || ScriptedDetector::new(&["person", "car"], Box::new(|_| vec![det(0.0, 0, 0.8), det(50.0, 1, 0.6)]));
        let second =
            || ScriptedDetector::new(&["bus", "person"], Box::new(|_| vec![det(0.0, 1, 0.8), det(90.0, 0, 0.4)]));
        let mut both = Ensemble::new(vec![Box::new(first()), Box::new(second())], &[]);
        assert_eq!(both.classes(), ["person", "car", "bus"]);
        let mut out = Vec::new();
        both.detect(&[crate::detect::tiled::tests::frame()], &mut out).unwrap();
        let found: Vec<_> = out[0].iter().map(|d| (d.class.0, d.score)).collect();
        assert_eq!(found, [(0, 0.8), (1, 0.3), (2, 0.2)]);
        let mut people = Ensemble::new(vec![Box::new(first()), Box::new(second())], &["person".into()]);
        people.detect(&[crate::detect::tiled::tests::frame()], &mut out).unwrap();
        assert_eq!(out[0].len(), 1, "of the classes asked for");
    }
}
