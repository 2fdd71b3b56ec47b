//! Who must not be recognised in a stored picture, and how that is seen to. Pure.

use super::rgb::{PixelRect, Rgb};
use crate::{
    config::{
        plan::{ZonePlan, anchor_point},
        plan_media::{Blur, PrivacyPlan},
    },
    detect::ClassId,
    frame::ImageSize,
    geometry::{BBox, is_inside},
    pipeline::flow::Tracked,
    track::TrackState,
};

/// Boxes are rarely exact: this share of each side is blurred beyond it.
const MARGIN: f32 = 0.1;

/// A head is within this share of a standing person's box, from the top. Ours to choose: heads are an eighth of a body, a
/// bowed one is lower.
const HEAD: f32 = 0.25;

/// Blocks along the longer side of what is blurred: a face in 4 blocks is nobody's.
const BLOCKS: f32 = 4.0;

/// Least side of a block, pixels.
const LEAST_BLOCK_PX: f32 = 4.0;

/// What is blurred in one stream's pictures.
#[derive(Clone, Debug)]
pub struct Privacy {
    blur: Blur,
    /// By `ClassId`: whether objects of the class are blurred.
    classes: Vec<bool>,
    /// Corners, in shares of the picture, of the zones whose people stay as they are.
    open: Vec<Vec<[f64; 2]>>,
}

impl Privacy {
    /// What `plan` asks for, for a detector that knows `classes`, in a stream with `zones`.
    pub fn new(plan: &PrivacyPlan, classes: &[String], zones: &[ZonePlan]) -> Self {
        let corners =
            |zone: &ZonePlan| zone.polygon.iter().map(|corner| [corner.x_norm, corner.y_norm].map(f64::from)).collect();
        let open = zones.iter().filter(|zone| plan.open_zones.contains(&zone.name)).map(corners);
        let classes = classes.iter().map(|class| plan.classes.contains(class)).collect();
        Self { blur: plan.blur, classes, open: open.collect() }
    }

    /// Whether an object must not be seen in `size`: nothing is to be stored of it.
    pub fn hides(&self, bbox: &BBox, class: ClassId, size: ImageSize) -> bool {
        self.blur == Blur::Whole && self.is_protected(bbox, class, size)
    }

    /// Blurs, in a copy of the pixels `rect` of a frame, everybody who is to be: everything the detector found, however
    /// doubtful, and tracks that are lost for a moment.
    pub fn apply(&self, picture: &mut Rgb, rect: PixelRect, tracked: &Tracked) {
        if self.blur == Blur::Nobody {
            return;
        }
        let size = tracked.frame.meta.size;
        let found = tracked.detections.iter().map(|found| (found.bbox, found.class));
        let lost = tracked.tracks.iter().filter(|track| track.state != TrackState::Removed);
        for (bbox, class) in found.chain(lost.map(|track| (track.bbox, track.class))) {
            if self.is_protected(&bbox, class, size) {
                blur(picture, rect, &self.area(&bbox));
            }
        }
    }

    fn is_protected(&self, bbox: &BBox, class: ClassId, size: ImageSize) -> bool {
        let of_class = self.classes.get(usize::from(class.0)).copied().unwrap_or(false);
        let (x, y) = anchor_point(bbox);
        let at = [x / size.width.max(1) as f32, y / size.height.max(1) as f32].map(f64::from);
        self.blur != Blur::Nobody && of_class && !self.open.iter().any(|corners| is_inside(at, corners))
    }

    /// What of an object is blurred.
    fn area(&self, bbox: &BBox) -> BBox {
        let BBox { left, top, right, bottom } = *bbox;
        let (across, down) = (MARGIN * bbox.width(), MARGIN * bbox.height());
        match self.blur {
            Blur::Heads => BBox::new(left - across, top - down, right + across, top + HEAD * bbox.height()),
            Blur::Whole | Blur::Nobody => BBox::new(left - across, top - down, right + across, bottom + down),
        }
    }
}

/// Pixelates `area` of the frame in a copy of its pixels `rect`.
fn blur(picture: &mut Rgb, rect: PixelRect, area: &BBox) {
    let (dx, dy) = (rect.left as f32, rect.top as f32);
    let here = BBox::new(area.left - dx, area.top - dy, area.right - dx, area.bottom - dy);
    let Some(pixels) = PixelRect::touched(&here, picture.size) else { return };
    // By the whole area, also where only a part of it is in the picture.
    let block_px = (area.width().max(area.height()) / BLOCKS).max(LEAST_BLOCK_PX) as u32;
    picture.pixelate(pixels, block_px);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::plan::ZonePoint,
        detect::{Detection, watch::Sight},
        media::rgb::tests::frame,
        time::MediaTime,
        track::{Track, TrackId},
    };

    const SIZE: ImageSize = ImageSize { width: 100, height: 100 };
    const LEFT_HALF: [[f32; 2]; 4] = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]];

    fn privacy(blur: Blur, open_zones: &[&str]) -> Privacy {
        let open_zones = open_zones.iter().map(|zone| zone.to_string()).collect();
        let plan = PrivacyPlan { blur, classes: vec!["person".into()], open_zones };
        let polygon = LEFT_HALF.map(|[x_norm, y_norm]| ZonePoint { x_norm, y_norm }).to_vec();
        let left =
            ZonePlan { name: "left".into(), polygon, dwell: None, max_occupancy: None, heading: None, kept: None };
        Privacy::new(&plan, &["car".into(), "person".into()], &[left])
    }

    /// One person by the detector, another that is only predicted, and a car.
    fn tracked() -> Tracked {
        let detection = |bbox, class| Detection { bbox, class: ClassId(class), score: 0.1 };
        let lost = Track {
            id: TrackId(1),
            state: TrackState::Lost,
            bbox: LOST,
            class: ClassId(1),
            score: 0.5,
            detection: None,
            reidentified_from: None,
            first_seen: MediaTime(0),
            last_seen: MediaTime(0),
            shown: true,
        };
        Tracked {
            frame: frame(SIZE, |x, y| [(x * 31 % 251) as u8, (y * 17 % 241) as u8, ((x + y) % 2 * 255) as u8]),
            sight: Sight::default(),
            detections: vec![detection(SEEN, 1), detection(CAR, 0)],
            tracks: vec![lost],
        }
    }

    const SEEN: BBox = BBox::new(10.0, 10.0, 30.0, 60.0);
    const LOST: BBox = BBox::new(60.0, 10.0, 80.0, 60.0);
    const CAR: BBox = BBox::new(40.0, 70.0, 60.0, 90.0);

    /// Share of the pixels of `bbox` that differ from the frame's.
    fn changed(privacy: &Privacy, rect: PixelRect, bbox: &BBox) -> f32 {
        let tracked = tracked();
        let before = Rgb::copied(&tracked.frame, rect);
        let mut after = before.clone();
        privacy.apply(&mut after, rect, &tracked);
        let (mut differ, mut count) = (0, 0);
        for (index, (was, is)) in before.data.chunks(3).zip(after.data.chunks(3)).enumerate() {
            let width = rect.size.width as usize;
            let (x, y) = ((index % width) as f32 + rect.left as f32, (index / width) as f32 + rect.top as f32);
            if x >= bbox.left && x < bbox.right && y >= bbox.top && y < bbox.bottom {
                count += 1;
                differ += usize::from(was != is);
            }
        }
        differ as f32 / count.max(1) as f32
    }

    #[test]
    fn people_are_blurred_whether_detected_or_predicted_and_nothing_else_is() {
        let whole = PixelRect::whole(SIZE);
        let all = privacy(Blur::Whole, &[]);
        assert!(changed(&all, whole, &SEEN) > 0.95 && changed(&all, whole, &LOST) > 0.95);
        assert_eq!(changed(&all, whole, &CAR), 0.0);
        assert_eq!(changed(&privacy(Blur::Nobody, &[]), whole, &BBox::new(0.0, 0.0, 100.0, 100.0)), 0.0);
    }

    #[test]
    fn heads_alone_are_blurred_where_that_is_enough() {
        let heads = privacy(Blur::Heads, &[]);
        let (head, feet) = (BBox { bottom: 22.0, ..SEEN }, BBox { top: 25.0, ..SEEN });
        assert!(changed(&heads, PixelRect::whole(SIZE), &head) > 0.95);
        assert_eq!(changed(&heads, PixelRect::whole(SIZE), &feet), 0.0);
    }

    #[test]
    fn people_in_an_open_zone_stay_as_they_are() {
        let open = privacy(Blur::Whole, &["left"]);
        assert_eq!(changed(&open, PixelRect::whole(SIZE), &SEEN), 0.0);
        assert!(changed(&open, PixelRect::whole(SIZE), &LOST) > 0.95);
        assert!(!open.hides(&SEEN, ClassId(1), SIZE) && open.hides(&LOST, ClassId(1), SIZE));
        assert!(!open.hides(&LOST, ClassId(0), SIZE) && !privacy(Blur::Heads, &[]).hides(&LOST, ClassId(1), SIZE));
    }

    #[test]
    fn a_part_of_the_picture_is_blurred_where_people_reach_into_it() {
        let part = PixelRect { left: 20, top: 20, size: ImageSize { width: 30, height: 30 } };
        let reaching = BBox::new(20.0, 20.0, 30.0, 50.0);
        assert!(changed(&privacy(Blur::Whole, &[]), part, &reaching) > 0.95);
        assert_eq!(changed(&privacy(Blur::Whole, &[]), part, &BBox::new(40.0, 20.0, 50.0, 50.0)), 0.0);
    }
}
