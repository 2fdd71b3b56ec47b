//! Draws what was found onto a picture: zones, lines with their counts, trails, boxes, labels. Knows nothing of files or
//! encoders, so that a video, a snapshot and a live view look alike.

use super::{
    line_counts::LineCounts,
    palette::{Rgb, colour_of, ink_on},
    placement::Placement,
    trails::Trails,
    zone_fill::ZoneFill,
};
use crate::{
    config::plan::{LinePlan, StreamPlan, ZonePlan},
    event::{Direction, Event},
    frame::FrameMeta,
    geometry::BBox,
    track::{Track, TrackState},
};
use opencv::{
    core::{Mat, Point, Rect, Scalar, Size, ToInputOutputArray, Vec3b, Vector},
    imgproc,
};
use std::{sync::Arc, time::Duration};

/// Shorter side of the picture for which strokes and letters have their plain size; others scale with it.
const PLAIN_SHORT_SIDE_PX: f32 = 540.0;

/// Letters of 768x576 are then 9 pixels high, and none is ever under 7.
const LETTER_SCALES: (f32, f32) = (0.38, 1.6);
const PLAIN_LETTER_SCALE: f64 = 0.42;
const LETTERS: i32 = imgproc::FONT_HERSHEY_SIMPLEX;

/// Positions are drawn to this fraction of a pixel (as a power of two), so that trails are smooth.
const SUBPIXEL_BITS: i32 = 3;

/// Coordinates beyond are cut, since OpenCV counts in fixed point and overflows.
const FAR_OUTSIDE_PX: f32 = 20_000.0;

/// Length of the mark on a line that points where `in` is, in letters' heights of plain size.
const IN_MARK_PX: f32 = 14.0;

/// Zone colours come from another part of the palette than those of the first tracks.
const ZONE_COLOURS_FROM: u64 = 1_000_003;

const CAPTION_COLOUR: Rgb = [32, 32, 32];

/// What an overlay shows beside boxes.
#[derive(Clone, Debug, PartialEq)]
pub struct OverlaySettings {
    /// Class names by `ClassId`.
    pub classes: Arc<[String]>,
    /// Zones of the stream.
    pub zones: Vec<ZonePlan>,
    /// Lines of the stream.
    pub lines: Vec<LinePlan>,
    /// How far back trails reach; zero draws none.
    pub trail: Duration,
}

impl OverlaySettings {
    /// What is drawn of a stream: its zones and lines.
    pub fn of(stream: &StreamPlan, classes: &Arc<[String]>, trail: Duration) -> Self {
        let (zones, lines) = (stream.zones.clone(), stream.lines.clone());
        Self { classes: Arc::clone(classes), zones, lines, trail }
    }
}

/// The overlay of one stream.
#[derive(Debug)]
pub struct Overlay {
    settings: OverlaySettings,
    trails: Trails,
    epoch: Option<u32>,
    /// Crossings so far, if they are known.
    counts: Option<LineCounts>,
    /// Zones as they lie on the canvas last drawn on.
    fills: Option<(Placement, Vec<ZoneFill>)>,
}

impl Overlay {
    /// An overlay that has seen no frame.
    pub fn new(settings: OverlaySettings) -> Self {
        let trails = Trails::new(settings.trail);
        Self { settings, trails, epoch: None, counts: None, fills: None }
    }

    /// Takes in what the stream tells: lines are drawn with their counts from then on.
    pub fn follow(&mut self, events: &[Event]) {
        self.counts.get_or_insert_default().follow(events);
    }

    /// The same from somebody who took it in.
    pub fn set_counts(&mut self, counts: LineCounts) {
        self.counts = Some(counts);
    }

    /// Draws onto `canvas`, 8-bit RGB rows without padding that hold the picture of `meta` as `placement` says.
    ///
    /// Frames must come in order, tracks as a tracker gives them. Unsound boxes are left out.
    pub fn draw(
        &mut self,
        canvas: &mut [u8],
        placement: &Placement,
        meta: &FrameMeta,
        tracks: &[Track],
    ) -> opencv::Result<()> {
        if self.epoch.replace(meta.epoch) != Some(meta.epoch) {
            self.trails.clear();
        }
        self.trails.update(meta.pts, tracks);
        self.fill_zones(canvas, placement);
        let (rows, columns) = (placement.canvas.height as i32, placement.canvas.width as i32);
        let mut image = Mat::new_rows_cols_with_bytes_mut::<Vec3b>(rows, columns, canvas)?;
        let mut pen = Pen::new(&mut image, placement);
        for (index, zone) in self.settings.zones.iter().enumerate() {
            pen.zone_border(zone, zone_colour(index))?;
        }
        for (index, line) in self.settings.lines.iter().enumerate() {
            pen.counting_line(line, self.counts.as_ref(), zone_colour(self.settings.zones.len() + index))?;
        }
        let shown = tracks.iter().filter(|track| track.shown && track.bbox.is_sound());
        for track in shown.clone() {
            let trail: Vec<_> = self.trails.of(track.id).map(|point| (point.x, point.y)).collect();
            pen.trail(&trail, colour_of(track.id.0))?;
        }
        // Boxes that were seen cover those that are only expected.
        let (seen, expected): (Vec<&Track>, Vec<&Track>) =
            shown.partition(|track| track.state == TrackState::Confirmed);
        for track in expected.into_iter().chain(seen) {
            let class = self.settings.classes.get(usize::from(track.class.0)).map_or("?", String::as_str);
            let label = format!("#{} {class} {:.2}", track.id.0, track.score);
            match track.state {
                TrackState::Confirmed => pen.solid_box(&track.bbox, colour_of(track.id.0))?,
                _ => pen.dashed_box(&track.bbox, colour_of(track.id.0))?,
            }
            let corner = pen.pixel((track.bbox.left, track.bbox.top));
            pen.label(corner, LabelSide::Above, colour_of(track.id.0), &label)?;
        }
        Ok(())
    }

    fn fill_zones(&mut self, canvas: &mut [u8], placement: &Placement) {
        if self.fills.as_ref().is_none_or(|(known, _)| known != placement) {
            let zones = self.settings.zones.iter().enumerate();
            let fills = zones.map(|(index, zone)| ZoneFill::new(zone, zone_colour(index), placement)).collect();
            self.fills = Some((*placement, fills));
        }
        for fill in self.fills.iter().flat_map(|(_, fills)| fills) {
            fill.blend(canvas);
        }
    }
}

/// A box with a label, whatever it stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Where, pixels of the picture.
    pub bbox: BBox,
    /// Of lines and label.
    pub colour: Rgb,
    /// How its lines look.
    pub line: MarkLine,
    /// Printable ASCII; empty for none.
    pub label: String,
}

/// How the lines of a mark look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkLine {
    /// As a track that was seen; its label stands above.
    Solid,
    /// As a track that is only expected; its label hangs from the lower edge, out of the way of solid ones.
    Dashed,
    /// Twice as wide as solid.
    Bold,
}

/// Draws marks in their order, and a caption in the upper left corner, onto a canvas as `Overlay::draw` takes it.
pub fn draw_marks(canvas: &mut [u8], placement: &Placement, marks: &[Mark], caption: &str) -> opencv::Result<()> {
    let (rows, columns) = (placement.canvas.height as i32, placement.canvas.width as i32);
    let mut image = Mat::new_rows_cols_with_bytes_mut::<Vec3b>(rows, columns, canvas)?;
    let mut pen = Pen::new(&mut image, placement);
    for mark in marks.iter().filter(|mark| mark.bbox.is_sound()) {
        let Mark { bbox, colour, line, label } = mark;
        match line {
            MarkLine::Solid => pen.solid_box(bbox, *colour)?,
            MarkLine::Dashed => pen.dashed_box(bbox, *colour)?,
            MarkLine::Bold => {
                pen.stroke_px *= 2;
                pen.solid_box(bbox, *colour)?;
                pen.stroke_px /= 2;
            }
        }
        if label.is_empty() {
            continue;
        }
        let (y, side) = match line {
            MarkLine::Dashed => (bbox.bottom, LabelSide::Below),
            MarkLine::Solid | MarkLine::Bold => (bbox.top, LabelSide::Above),
        };
        let corner = pen.pixel((bbox.left, y));
        pen.label(corner, side, *colour, label)?;
    }
    pen.label(Point::new(0, 0), LabelSide::Below, CAPTION_COLOUR, caption)
}

fn zone_colour(index: usize) -> Rgb {
    colour_of(ZONE_COLOURS_FROM + index as u64)
}

/// Draws on one canvas, in the coordinates of the picture on it.
struct Pen<'a, Image> {
    image: &'a mut Image,
    placement: &'a Placement,
    stroke_px: i32,
    letter_scale: f64,
    letter_stroke_px: i32,
}

impl<'a, Image: ToInputOutputArray> Pen<'a, Image> {
    fn new(image: &'a mut Image, placement: &'a Placement) -> Self {
        let short_side = placement.canvas.width.min(placement.canvas.height) as f32;
        let (least, most) = LETTER_SCALES;
        let unit = short_side / PLAIN_SHORT_SIDE_PX;
        let letter_scale = (PLAIN_LETTER_SCALE * f64::from(unit)).clamp(f64::from(least), f64::from(most));
        let stroke_px = ((1.6 * unit).round() as i32).clamp(1, 6);
        let letter_stroke_px = if letter_scale >= 0.8 { 2 } else { 1 };
        Self { image, placement, stroke_px, letter_scale, letter_stroke_px }
    }

    fn zone_border(&mut self, zone: &ZonePlan, colour: Rgb) -> opencv::Result<()> {
        let size = self.placement.source;
        let corner = |x_norm: f32, y_norm: f32| (x_norm * size.width as f32, y_norm * size.height as f32);
        let corners: Vec<_> = zone.polygon.iter().map(|c| corner(c.x_norm, c.y_norm)).collect();
        self.line(&corners, true, self.stroke_px, colour)?;
        let Some(top) = corners.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)) else { return Ok(()) };
        let at = self.pixel(top);
        self.label(Point::new(at.x + 2, at.y + 2), LabelSide::Below, colour, &zone.name)
    }

    /// A line, a mark that points where `in` is, and its name and counts beside the middle.
    fn counting_line(&mut self, line: &LinePlan, counts: Option<&LineCounts>, colour: Rgb) -> opencv::Result<()> {
        let size = self.placement.source;
        let [from, to] =
            [line.from, line.to].map(|end| (end.x_norm * size.width as f32, end.y_norm * size.height as f32));
        self.line(&[from, to], false, 2 * self.stroke_px, colour)?;
        let middle = ((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0);
        let (across, along) = (to.0 - from.0, to.1 - from.1);
        let length = across.hypot(along).max(f32::EPSILON);
        // To the right of somebody who looks from the first end to the second; y grows downwards.
        let reach = IN_MARK_PX * size.width.min(size.height) as f32 / PLAIN_SHORT_SIDE_PX / length;
        let tip = (middle.0 - along * reach, middle.1 + across * reach);
        self.line(&[middle, tip], false, 2 * self.stroke_px, colour)?;
        let count = |direction| counts.map_or(0, |counts| counts.of(&line.name, direction));
        let told = counts.map(|_| format!(" in {} out {}", count(Direction::In), count(Direction::Out)));
        let at = self.pixel(middle);
        let text = format!("{}{}", line.name, told.unwrap_or_default());
        self.label(Point::new(at.x + 4, at.y + 4), LabelSide::Below, colour, &text)
    }

    fn trail(&mut self, points: &[(f32, f32)], colour: Rgb) -> opencv::Result<()> {
        // The older half is thinner, so that the direction shows.
        let (older, newer) = points.split_at(points.len() / 2);
        let joined: Vec<_> = older.iter().chain(newer.first()).copied().collect();
        self.line(&joined, false, (self.stroke_px / 2).max(1), colour)?;
        self.line(newer, false, self.stroke_px, colour)
    }

    fn solid_box(&mut self, bbox: &BBox, colour: Rgb) -> opencv::Result<()> {
        let (a, b) = (self.pixel((bbox.left, bbox.top)), self.pixel((bbox.right, bbox.bottom)));
        let rect = Rect::new(a.x, a.y, (b.x - a.x).max(1), (b.y - a.y).max(1));
        imgproc::rectangle(self.image, rect, scalar(colour), self.stroke_px, imgproc::LINE_8, 0)
    }

    fn dashed_box(&mut self, bbox: &BBox, colour: Rgb) -> opencv::Result<()> {
        let (a, b) = (self.pixel((bbox.left, bbox.top)), self.pixel((bbox.right, bbox.bottom)));
        let [width, height] = [self.placement.canvas.width as i32, self.placement.canvas.height as i32];
        let dash = 3 * self.stroke_px.max(2);
        let mut dashes = Vec::new();
        for y in [a.y, b.y].into_iter().filter(|y| (0..height).contains(y)) {
            let starts = (a.x..b.x).step_by(2 * dash as usize).filter(|x| *x + dash >= 0 && *x < width);
            dashes.extend(starts.map(|x| (Point::new(x, y), Point::new((x + dash).min(b.x), y))));
        }
        for x in [a.x, b.x].into_iter().filter(|x| (0..width).contains(x)) {
            let starts = (a.y..b.y).step_by(2 * dash as usize).filter(|y| *y + dash >= 0 && *y < height);
            dashes.extend(starts.map(|y| (Point::new(x, y), Point::new(x, (y + dash).min(b.y)))));
        }
        for (from, to) in dashes {
            imgproc::line(self.image, from, to, scalar(colour), self.stroke_px, imgproc::LINE_8, 0)?;
        }
        Ok(())
    }

    /// Text on a ground of `colour`, kept inside the canvas where it can be.
    fn label(&mut self, corner: Point, side: LabelSide, colour: Rgb, text: &str) -> opencv::Result<()> {
        // Hershey fonts hold ASCII only.
        let text: String = text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
        let mut below_line = 0;
        let Size { width, height } =
            imgproc::get_text_size(&text, LETTERS, self.letter_scale, self.letter_stroke_px, &mut below_line)?;
        let margin = self.stroke_px + 1;
        let ground = Size::new(width + 2 * margin, height + below_line + margin);
        let canvas = Size::new(self.placement.canvas.width as i32, self.placement.canvas.height as i32);
        let above = corner.y - ground.height;
        let y = match side {
            LabelSide::Above if above >= 0 => above,
            _ => corner.y,
        };
        let x = (corner.x - self.stroke_px / 2).clamp(0, (canvas.width - ground.width).max(0));
        let y = y.clamp(0, (canvas.height - ground.height).max(0));
        let rect = Rect::from_point_size(Point::new(x, y), ground);
        imgproc::rectangle(self.image, rect, scalar(colour), imgproc::FILLED, imgproc::LINE_8, 0)?;
        let baseline = Point::new(x + margin, y + height + margin / 2 + 1);
        let ink = scalar(ink_on(colour));
        let stroke = self.letter_stroke_px;
        imgproc::put_text(self.image, &text, baseline, LETTERS, self.letter_scale, ink, stroke, imgproc::LINE_AA, false)
    }

    fn line(&mut self, points: &[(f32, f32)], closed: bool, stroke_px: i32, colour: Rgb) -> opencv::Result<()> {
        if points.len() < 2 {
            return Ok(());
        }
        let scale = (1 << SUBPIXEL_BITS) as f32;
        let fixed = |point: &(f32, f32)| {
            let (x, y) = self.inside((point.0, point.1));
            Point::new((x * scale).round() as i32, (y * scale).round() as i32)
        };
        let points: Vector<Point> = points.iter().map(fixed).collect();
        imgproc::polylines(self.image, &points, closed, scalar(colour), stroke_px, imgproc::LINE_AA, SUBPIXEL_BITS)
    }

    fn pixel(&self, point: (f32, f32)) -> Point {
        let (x, y) = self.inside(point);
        Point::new(x.round() as i32, y.round() as i32)
    }

    /// A point of the picture on the canvas, not too far outside.
    fn inside(&self, point: (f32, f32)) -> (f32, f32) {
        let (x, y) = self.placement.canvas_from_source(point);
        (x.clamp(-FAR_OUTSIDE_PX, FAR_OUTSIDE_PX), y.clamp(-FAR_OUTSIDE_PX, FAR_OUTSIDE_PX))
    }
}

/// Where a label goes from the corner it belongs to.
enum LabelSide {
    Above,
    Below,
}

fn scalar([red, green, blue]: Rgb) -> Scalar {
    Scalar::new(f64::from(red), f64::from(green), f64::from(blue), 0.0)
}
