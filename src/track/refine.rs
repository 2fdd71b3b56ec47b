//! Offline refinement: what can be done better once the whole file was seen.
//!
//! Tracks that are one object with a gap between are linked, gaps are filled, boxes are smoothed over time, and the
//! frames before a track was believed are given back to it. Source of the idea: Du et al. 2023 (StrongSORT++: AFLink and
//! Gaussian-smoothed interpolation). Differs: linking extrapolates motion instead of asking a network, and smoothing is a
//! local linear regression under a Gaussian window instead of a Gaussian process. Knows nothing of detections.

use super::{TrackId, assignment::Assigner, clock::FrameClock, replay::TrackPoint, settings::TrackSettings};
use crate::geometry::BBox;
use ndarray::Array2;
use std::collections::BTreeMap;

/// Part of a track that velocity at an end is taken from, seconds.
const VELOCITY_SPAN_SECS: f64 = 0.5;
/// Greatest ratio of heights across a link.
const MAX_HEIGHT_RATIO: f64 = 1.5;
/// The Gaussian window ends at so many standard deviations.
const WINDOW: f64 = 3.0;

/// Centre x, centre y, width, height.
type State = [f64; 4];

/// One object over time.
#[derive(Clone, Debug)]
struct Path {
    id: TrackId,
    began: usize,
    /// Seen boxes by frame, ascending.
    seen: Vec<(usize, State, f32)>,
    /// Predicted boxes after the last seen one.
    tail: Vec<TrackPoint>,
}

/// The settings in frames.
struct Spans {
    link: f64,
    fill: f64,
    smooth: f64,
    shortest: f64,
    velocity: f64,
    fps: f64,
}

/// Refines the boxes of a whole recording of `fps` frames a second. By frame, then id; ids are a subset of those given.
pub fn refine(points: &[TrackPoint], fps: f64, settings: &TrackSettings) -> Vec<TrackPoint> {
    let clock = FrameClock::new(fps);
    let spans = Spans {
        link: clock.frames(settings.refine_link_gap),
        fill: clock.frames(settings.refine_fill_gap),
        smooth: clock.frames(settings.refine_smoothing),
        shortest: clock.frames(settings.refine_min_length),
        velocity: VELOCITY_SPAN_SECS * fps,
        fps,
    };
    let paths = link(split(points), &spans, f64::from(settings.refine_link_distance));
    let lasting = paths.iter().filter(|path| path.span() >= spans.shortest);
    let mut refined: Vec<TrackPoint> = lasting.flat_map(|path| path.refined(&spans)).collect();
    refined.sort_by_key(|point| (point.frame, point.id));
    refined
}

/// The paths of all tracks, by id.
fn split(points: &[TrackPoint]) -> Vec<Path> {
    let mut paths: BTreeMap<TrackId, Path> = BTreeMap::new();
    for point in points {
        let new = || Path { id: point.id, began: point.began, seen: Vec::new(), tail: Vec::new() };
        let path = paths.entry(point.id).or_insert_with(new);
        if point.seen {
            path.seen.push((point.frame, state_of(&point.bbox), point.score));
            path.tail.clear();
        } else {
            path.tail.push(*point);
        }
    }
    paths.into_values().filter(|path| !path.seen.is_empty()).collect()
}

/// Joins paths that end with paths that begin soon after where the first would have got to.
fn link(mut paths: Vec<Path>, spans: &Spans, max_distance: f64) -> Vec<Path> {
    let mut links = best_links(&possible_links(&paths, spans, max_distance), max_distance);
    // From the latest end back, so that chains grow from behind and nothing is joined to what was already taken.
    links.sort_by_key(|&(a, _)| std::cmp::Reverse(paths[a].last_frame()));
    for (a, b) in links {
        let later = std::mem::take(&mut paths[b].seen);
        paths[a].seen.extend(later);
        paths[a].tail = std::mem::take(&mut paths[b].tail);
    }
    paths.retain(|path| !path.seen.is_empty());
    paths
}

/// A path, the one that may follow it, and how far apart they are where they should meet, box heights.
type Link = (usize, usize, f32);

/// Every pair that may be one object. A path is compared only with those that begin while a link can still reach.
fn possible_links(paths: &[Path], spans: &Spans, max_distance: f64) -> Vec<Link> {
    let mut by_start: Vec<usize> = (0..paths.len()).collect();
    by_start.sort_by_key(|&path| paths[path].first_frame());
    let mut possible = Vec::new();
    for (a, path) in paths.iter().enumerate() {
        let end = path.last_frame();
        let from = by_start.partition_point(|&b| paths[b].first_frame() <= end);
        let near = by_start[from..].iter().take_while(|&&b| (paths[b].first_frame() - end) as f64 <= spans.link);
        let distance = |&b: &usize| Some((a, b, link_distance(path, &paths[b], spans)? as f32));
        possible.extend(near.filter_map(distance).filter(|link| f64::from(link.2) <= max_distance));
    }
    possible
}

/// The links of least total cost. Paths that no possible link joins are solved apart, so that the tracks of a whole day
/// need no matrix of all with all.
fn best_links(possible: &[Link], max_distance: f64) -> Vec<(usize, usize)> {
    let mut assigner = Assigner::default();
    let mut links = Vec::new();
    for group in groups(possible) {
        let (mut ends, mut starts): (Vec<usize>, Vec<usize>) = group.iter().map(|&(a, b, _)| (a, b)).unzip();
        for list in [&mut ends, &mut starts] {
            list.sort_unstable();
            list.dedup();
        }
        let mut cost = Array2::from_elem((ends.len(), starts.len()), f32::INFINITY);
        for &(a, b, distance) in &group {
            if let (Ok(row), Ok(column)) = (ends.binary_search(&a), starts.binary_search(&b)) {
                cost[(row, column)] = distance;
            }
        }
        let solved = assigner.solve(cost.view(), max_distance as f32);
        links.extend(solved.iter().map(|&(row, column)| (ends[row], starts[column])));
    }
    links
}

/// Splits links into groups that share no end and no start.
fn groups(links: &[Link]) -> Vec<Vec<Link>> {
    // The group of each end and each start; a link that joins two groups merges the smaller into the larger.
    let (mut of_end, mut of_start) = (BTreeMap::<usize, usize>::new(), BTreeMap::<usize, usize>::new());
    let mut groups: Vec<Vec<Link>> = Vec::new();
    for &link in links {
        let known = [of_end.get(&link.0).copied(), of_start.get(&link.1).copied()];
        let group = match known {
            [Some(one), Some(other)] if one != other => {
                let (from, to) = if groups[one].len() < groups[other].len() { (one, other) } else { (other, one) };
                let moved = std::mem::take(&mut groups[from]);
                for &(end, start, _) in &moved {
                    of_end.insert(end, to);
                    of_start.insert(start, to);
                }
                groups[to].extend(moved);
                to
            }
            [Some(group), _] | [None, Some(group)] => group,
            [None, None] => {
                groups.push(Vec::new());
                groups.len() - 1
            }
        };
        of_end.insert(link.0, group);
        of_start.insert(link.1, group);
        groups[group].push(link);
    }
    groups.retain(|group| !group.is_empty());
    groups
}

/// How far apart two paths are where they should meet, in box heights; `None` where they cannot be one object.
fn link_distance(a: &Path, b: &Path, spans: &Spans) -> Option<f64> {
    let (end, start) = (a.seen.last()?, b.seen.first()?);
    let gap = start.0.checked_sub(end.0).filter(|gap| *gap > 0)? as f64;
    let (height_a, height_b) = (end.1[3], start.1[3]);
    if gap > spans.link || height_a.max(height_b) > MAX_HEIGHT_RATIO * height_a.min(height_b) {
        return None;
    }
    let (forward, backward) = (a.velocity_at_end(spans.velocity), b.velocity_at_start(spans.velocity));
    let distance = |scale: f64| {
        let off = |i: usize| {
            let meet_a = end.1[i] + forward[i] * gap * scale;
            let meet_b = start.1[i] - backward[i] * gap * scale;
            // Each predicts the other's end; the mean of both errors.
            ((meet_a - start.1[i]) + (end.1[i] - meet_b)) / 2.0
        };
        off(0).hypot(off(1))
    };
    // Either walked on or stood still behind something.
    Some(distance(1.0).min(distance(0.0)) / ((height_a + height_b) / 2.0))
}

impl Path {
    fn last_frame(&self) -> usize {
        self.seen.last().map_or(0, |seen| seen.0)
    }

    fn first_frame(&self) -> usize {
        self.seen.first().map_or(0, |seen| seen.0)
    }

    /// Frames from the first sight to the last.
    fn span(&self) -> f64 {
        (self.last_frame() - self.first_frame()) as f64
    }

    fn velocity_at_end(&self, span: f64) -> State {
        let last = self.last_frame();
        slope(self.seen.iter().rev().take_while(|seen| (last - seen.0) as f64 <= span))
    }

    fn velocity_at_start(&self, span: f64) -> State {
        let first = self.first_frame();
        slope(self.seen.iter().take_while(|seen| (seen.0 - first) as f64 <= span))
    }

    /// The boxes of every frame: gaps filled, all smoothed, the unbelieved beginning given back.
    fn refined(&self, spans: &Spans) -> Vec<TrackPoint> {
        let filled = fill(&self.seen, spans.fill);
        let smooth = Smoother { samples: &filled, sigma: spans.smooth };
        let mut points = Vec::with_capacity(filled.len() + self.tail.len());
        if let Some(&(first, _, score)) = filled.first() {
            let early = self.began.max(first.saturating_sub(spans.fps as usize))..first;
            points.extend(early.map(|frame| self.point(frame, smooth.at(frame), score)));
        }
        points.extend(filled.iter().map(|&(frame, _, score)| self.point(frame, smooth.at(frame), score)));
        points.extend(self.tail.iter().map(|point| TrackPoint { id: self.id, ..*point }));
        points
    }

    fn point(&self, frame: usize, [cx, cy, width, height]: State, score: f32) -> TrackPoint {
        let bbox = BBox::from_cxcywh(cx as f32, cy as f32, width.max(1.0) as f32, height.max(1.0) as f32);
        TrackPoint { frame, id: self.id, bbox, score, seen: true, began: self.began }
    }
}

/// Straight lines across gaps of at most `longest` frames.
fn fill(seen: &[(usize, State, f32)], longest: f64) -> Vec<(usize, State, f32)> {
    let mut filled = Vec::with_capacity(seen.len());
    for (&now, next) in seen.iter().zip(seen.iter().skip(1).map(Some).chain([None])) {
        filled.push(now);
        let Some(next) = next.filter(|next| (next.0 - now.0) as f64 <= longest) else { continue };
        filled.extend((now.0 + 1..next.0).map(|frame| {
            let share = (frame - now.0) as f64 / (next.0 - now.0) as f64;
            (frame, std::array::from_fn(|i| now.1[i] + (next.1[i] - now.1[i]) * share), now.2.min(next.2))
        }));
    }
    filled
}

/// Local linear regression under a Gaussian window.
struct Smoother<'a> {
    samples: &'a [(usize, State, f32)],
    /// Standard deviation of the window, frames; 0 leaves samples as they are.
    sigma: f64,
}

impl Smoother<'_> {
    /// The smoothed state at `frame`; before the first sample, the line through the first ones carried on.
    fn at(&self, frame: usize) -> State {
        let sigma = self.sigma.max(1e-3);
        let reach = (WINDOW * sigma).ceil() as usize + 1;
        // A frame before all samples is seen from the first one.
        let center = frame.max(self.samples.first().map_or(frame, |sample| sample.0));
        let from = self.samples.partition_point(|sample| sample.0 + reach < center);
        let to = self.samples.partition_point(|sample| sample.0 <= center + reach);
        let weighted = self.samples[from..to].iter().map(|&(at, state, _)| {
            let off = at as f64 - center as f64;
            (at as f64 - frame as f64, (-0.5 * (off / sigma).powi(2)).exp(), state)
        });
        let (mut w, mut t, mut tt) = (0.0, 0.0, 0.0);
        let (mut y, mut ty) = ([0.0; 4], [0.0; 4]);
        for (time, weight, state) in weighted {
            w += weight;
            t += weight * time;
            tt += weight * time * time;
            for i in 0..4 {
                y[i] += weight * state[i];
                ty[i] += weight * time * state[i];
            }
        }
        let spread = w * tt - t * t;
        // One sample alone, or none near: no line to fit.
        let flat = spread < 1e-9 * w * w;
        std::array::from_fn(|i| if flat { y[i] / w } else { (tt * y[i] - t * ty[i]) / spread })
    }
}

/// Slope of a regression line through the states; 0 for a single one.
fn slope<'a>(states: impl Iterator<Item = &'a (usize, State, f32)>) -> State {
    let (mut n, mut t, mut tt) = (0.0, 0.0, 0.0);
    let (mut y, mut ty) = ([0.0; 4], [0.0; 4]);
    let mut origin = None;
    for &(frame, state, _) in states {
        let time = frame as f64 - *origin.get_or_insert(frame) as f64;
        n += 1.0;
        t += time;
        tt += time * time;
        for i in 0..4 {
            y[i] += state[i];
            ty[i] += time * state[i];
        }
    }
    let spread = n * tt - t * t;
    std::array::from_fn(|i| if spread > 0.0 { (n * ty[i] - t * y[i]) / spread } else { 0.0 })
}

fn state_of(bbox: &BBox) -> State {
    let (cx, cy) = bbox.center();
    [cx, cy, bbox.width(), bbox.height()].map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A walker of 40 x 100 pixels, 3 pixels a frame.
    fn walk(id: u64, frames: std::ops::Range<usize>) -> Vec<TrackPoint> {
        let began = frames.start;
        let bbox = |frame: usize| BBox::from_cxcywh(3.0 * frame as f32, 200.0, 40.0, 100.0);
        frames
            .map(|frame| TrackPoint { frame, id: TrackId(id), bbox: bbox(frame), score: 0.9, seen: true, began })
            .collect()
    }

    fn settings() -> TrackSettings {
        TrackSettings {
            refine_link_gap: Duration::from_secs(2),
            refine_fill_gap: Duration::from_secs(2),
            refine_link_distance: 0.5,
            refine_min_length: Duration::ZERO,
            ..TrackSettings::default()
        }
    }

    #[test]
    fn two_halves_of_a_walk_become_one_without_a_gap() {
        let points = [walk(1, 0..30), walk(2, 50..80)].concat();
        let refined = refine(&points, 25.0, &settings());
        assert_eq!(
            refined.iter().map(|p| (p.frame, p.id.0)).collect::<Vec<_>>(),
            (0..80).map(|f| (f, 1)).collect::<Vec<_>>()
        );
        for point in refined {
            assert!((point.bbox.center().0 - 3.0 * point.frame as f32).abs() < 0.1, "{point:?}");
        }
    }

    #[test]
    fn walks_far_apart_in_time_or_place_stay_two() {
        let late = [walk(1, 0..30), walk(2, 150..180)].concat();
        let mut aside = [walk(1, 0..30), walk(2, 50..80)].concat();
        for point in aside.iter_mut().filter(|p| p.id.0 == 2) {
            point.bbox = BBox::from_cxcywh(900.0, 500.0, 40.0, 100.0);
        }
        for points in [late, aside] {
            let refined = refine(&points, 25.0, &settings());
            assert!(refined.iter().any(|p| p.id.0 == 1) && refined.iter().any(|p| p.id.0 == 2));
        }
    }

    #[test]
    fn three_parts_in_a_row_chain_to_the_first() {
        let points = [walk(3, 0..20), walk(1, 30..50), walk(2, 60..80)].concat();
        let refined = refine(&points, 25.0, &settings());
        assert_eq!(refined.len(), 80);
        assert!(refined.iter().all(|p| p.id.0 == 3));
    }

    #[test]
    fn links_in_groups_cost_as_little_as_links_all_at_once() {
        let mut state = 7u64;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f32 / (1u64 << 31) as f32
        };
        for _ in 0..50 {
            let mut cost = Array2::from_elem((9, 9), f32::INFINITY);
            let mut links = Vec::new();
            for _ in 0..12 {
                let (a, b, distance) = ((random() * 9.0) as usize, (random() * 9.0) as usize, random());
                if cost[(a, b)].is_infinite() {
                    cost[(a, b)] = distance;
                    links.push((a, b, distance));
                }
            }
            // What is saved against linking nothing.
            let saved = |pairs: &[(usize, usize)]| pairs.iter().map(|&pair| 1.0 - cost[pair]).sum::<f32>();
            let whole = saved(Assigner::default().solve(cost.view(), 1.0));
            assert!((saved(&best_links(&links, 1.0)) - whole).abs() < 1e-5);
        }
    }

    #[test]
    fn the_beginning_before_a_track_was_believed_is_given_back() {
        let mut points = walk(1, 2..30);
        for point in &mut points {
            point.began = 0;
        }
        let refined = refine(&points, 25.0, &settings());
        assert_eq!(refined.len(), 30);
        assert!((refined[0].bbox.center().0).abs() < 0.5, "{:?}", refined[0]);
    }

    #[test]
    fn nothing_in_nothing_out_and_single_boxes_stay() {
        assert!(refine(&[], 25.0, &settings()).is_empty());
        assert_eq!(refine(&walk(1, 5..6), 25.0, &settings()).len(), 1);
    }
}
