//! Draws what was found: zones, trails, boxes, labels. OpenCV draws, on pixels that somebody else owns.

use super::{SinkError, canvas::Canvas, palette::colour_of};
use crate::{
    config::plan::{ZonePlan, anchor_point},
    frame::ImageSize,
    time::MediaTime,
    track::{Track, TrackState},
};
use opencv::{
    core::{Mat, Point, Rect, Scalar, Vec3b, Vector},
    imgproc,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

const FONT: i32 = imgproc::FONT_HERSHEY_SIMPLEX;
const ZONE_COLOUR: [u8; 3] = [255, 200, 40];
/// Space between a label's text and its edge, pixels.
const LABEL_MARGIN: i32 = 3;

/// Draws on one stream's pictures.
pub struct Overlay {
    classes: Arc<[String]>,
    zones: Vec<ZonePlan>,
    /// Per zone: its outline and the runs of pixels inside, on the canvas the masks were made for.
    shapes: Vec<ZoneShape>,
    trail: Duration,
    /// Where each track was, by id; source pixels.
    trails: BTreeMap<u64, VecDeque<(MediaTime, (f32, f32))>>,
}

struct ZoneShape {
    outline: Vector<Point>,
    /// Byte ranges of a packed RGB picture.
    runs: Vec<std::ops::Range<usize>>,
}

impl Overlay {
    /// Draws tracks of `classes`, their trails over the last `trail`, and `zones`.
    pub fn new(classes: Arc<[String]>, zones: &[ZonePlan], trail: Duration) -> Self {
        Self { classes, zones: zones.to_vec(), shapes: Vec::new(), trail, trails: BTreeMap::new() }
    }

    /// A new epoch begins, on `canvas`: zones are laid out anew and trails end.
    pub fn begin(&mut self, canvas: &Canvas) -> Result<(), SinkError> {
        self.trails.clear();
        let shapes: opencv::Result<Vec<ZoneShape>> = self.zones.iter().map(|zone| shape(zone, canvas)).collect();
        self.shapes = shapes.map_err(draw_error)?;
        Ok(())
    }

    /// Draws on `pixels`, packed RGB of the canvas's size, what `tracks` are at `at`.
    pub fn draw(
        &mut self,
        pixels: &mut [u8],
        canvas: &Canvas,
        at: MediaTime,
        tracks: &[Track],
    ) -> Result<(), SinkError> {
        for run in self.shapes.iter().flat_map(|shape| &shape.runs) {
            tint(&mut pixels[run.clone()]);
        }
        self.follow(at, tracks);
        let ImageSize { width, height } = canvas.size;
        let drawn = Mat::new_rows_cols_with_bytes_mut::<Vec3b>(height as i32, width as i32, pixels)
            .and_then(|mut picture| self.draw_on(&mut picture, canvas, tracks));
        drawn.map_err(draw_error)
    }

    fn draw_on(
        &self,
        picture: &mut impl opencv::core::ToInputOutputArray,
        canvas: &Canvas,
        tracks: &[Track],
    ) -> opencv::Result<()> {
        // Lines and text in keeping with the picture: 1 for 768 pixels across.
        let unit = (canvas.size.width.max(canvas.size.height) as f64 / 768.0).clamp(0.6, 4.0);
        for (zone, shape) in self.zones.iter().zip(&self.shapes) {
            imgproc::polylines(picture, &shape.outline, true, scalar(ZONE_COLOUR), thick(unit), imgproc::LINE_AA, 0)?;
            if let Ok(corner) = shape.outline.get(0) {
                label(picture, &zone.name, (corner.x, corner.y), ZONE_COLOUR, unit, canvas)?;
            }
        }
        for track in tracks.iter().filter(|track| track.shown) {
            self.draw_trail(picture, canvas, track, unit)?;
        }
        for track in tracks.iter().filter(|track| track.shown) {
            let colour = colour_of(track.id.0);
            let [left, top, right, bottom] = canvas.corners(&track.bbox);
            let seen = track.state == TrackState::Confirmed;
            let line = if seen { thick(unit * 2.0) } else { 1 };
            let area = Rect::new(left, top, (right - left).max(1), (bottom - top).max(1));
            imgproc::rectangle(picture, area, scalar(colour), line, imgproc::LINE_8, 0)?;
            let class = self.classes.get(usize::from(track.class.0)).map_or("", String::as_str);
            let text = format!("#{} {class} {:.2}", track.id.0, track.score);
            label(picture, &text, (left, top), colour, unit, canvas)?;
        }
        Ok(())
    }

    fn draw_trail(
        &self,
        picture: &mut impl opencv::core::ToInputOutputArray,
        canvas: &Canvas,
        track: &Track,
        unit: f64,
    ) -> opencv::Result<()> {
        let Some(trail) = self.trails.get(&track.id.0) else { return Ok(()) };
        let points: Vector<Point> =
            trail.iter().map(|&(_, at)| canvas.point(at)).map(|(x, y)| Point::new(x, y)).collect();
        let colour = scalar(colour_of(track.id.0));
        imgproc::polylines(picture, &points, false, colour, thick(unit), imgproc::LINE_AA, 0)
    }

    /// Adds where each track is now, and forgets what is older than the trail.
    fn follow(&mut self, at: MediaTime, tracks: &[Track]) {
        for track in tracks.iter().filter(|track| track.shown) {
            let here = anchor_point(&track.bbox);
            if here.0.is_finite() && here.1.is_finite() {
                self.trails.entry(track.id.0).or_default().push_back((at, here));
            }
        }
        let trail = self.trail;
        self.trails.retain(|_, points| {
            while points.front().is_some_and(|(then, _)| at.since(*then) > trail) {
                points.pop_front();
            }
            !points.is_empty()
        });
    }
}

/// A zone on the canvas.
fn shape(zone: &ZonePlan, canvas: &Canvas) -> opencv::Result<ZoneShape> {
    let corner = |at: &crate::config::plan::ZonePoint| canvas.point_from_norm(at.x_norm, at.y_norm);
    let outline: Vector<Point> = zone.polygon.iter().map(corner).map(|(x, y)| Point::new(x, y)).collect();
    let ImageSize { width, height } = canvas.size;
    let mut inside = vec![0u8; width as usize * height as usize];
    let mut mask = Mat::new_rows_cols_with_bytes_mut::<u8>(height as i32, width as i32, &mut inside)?;
    imgproc::fill_poly_def(&mut mask, &outline, Scalar::all(255.0))?;
    drop(mask);
    let mut runs = Vec::new();
    for (y, row) in inside.chunks_exact(width as usize).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|a, b| a == b) {
            if run[0] != 0 {
                let start = (y * width as usize + x) * 3;
                runs.push(start..start + run.len() * 3);
            }
            x += run.len();
        }
    }
    Ok(ZoneShape { outline, runs })
}

/// Mixes an eighth of the zone colour into pixels.
fn tint(pixels: &mut [u8]) {
    for pixel in pixels.chunks_exact_mut(3) {
        for (value, zone) in pixel.iter_mut().zip(ZONE_COLOUR) {
            *value = ((u16::from(*value) * 7 + u16::from(zone)) / 8) as u8;
        }
    }
}

/// Text on a ground of `colour`, its lower left corner at `at`, moved to where all of it can be read.
fn label(
    picture: &mut impl opencv::core::ToInputOutputArray,
    text: &str,
    at: (i32, i32),
    colour: [u8; 3],
    unit: f64,
    canvas: &Canvas,
) -> opencv::Result<()> {
    // OpenCV's built-in font knows ASCII only.
    let text: String = text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
    let scale = 0.42 * unit;
    let mut below = 0;
    let size = imgproc::get_text_size(&text, FONT, scale, thick(unit), &mut below)?;
    let (width, height) = (size.width + 2 * LABEL_MARGIN, size.height + 2 * LABEL_MARGIN);
    let (most_left, most_top) = (canvas.size.width as i32 - width, canvas.size.height as i32 - height);
    let (left, top) = (at.0.min(most_left).max(0), (at.1 - height).min(most_top).max(0));
    imgproc::rectangle(
        picture,
        Rect::new(left, top, width, height),
        scalar(colour),
        imgproc::FILLED,
        imgproc::LINE_8,
        0,
    )?;
    let origin = Point::new(left + LABEL_MARGIN, top + LABEL_MARGIN + size.height);
    let ink = Scalar::all(0.0);
    imgproc::put_text(picture, &text, origin, FONT, scale, ink, thick(unit), imgproc::LINE_AA, false)
}

fn thick(unit: f64) -> i32 {
    (unit.round() as i32).max(1)
}

fn scalar(colour: [u8; 3]) -> Scalar {
    let [red, green, blue] = colour.map(f64::from);
    Scalar::new(red, green, blue, 0.0)
}

fn draw_error(error: opencv::Error) -> SinkError {
    SinkError::Draw(error.message)
}
