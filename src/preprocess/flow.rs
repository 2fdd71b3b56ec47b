//! Measures camera motion by sparse optical flow between frames and RANSAC (Aharon et al. 2022, BoT-SORT, section 3.2).
//!
//! Differs from the source: what detections cover is left out, points are followed from frame to frame and looked for anew
//! only when they run out, and a still camera is merely glanced at (`camera_motion`). Deterministic: OpenCV seeds each of
//! its RANSACs alike.

use super::{
    PreprocessError,
    camera_motion::{CameraMotion, MeasureCamera, Similarity, Vigilance},
    resize::with_rgb,
};
use crate::{
    detect::Detection,
    frame::{Frame, ImageSize},
    geometry::BBox,
};
use opencv::{
    calib3d,
    core::{self, Mat, MatTraitConst, Point2f, Rect, Scalar, Size, TermCriteria, Vector},
    imgproc, video,
};

/// Longest side of the picture flow is measured on; the factor between is whole.
const MAX_SMALL_PX: u32 = 480;
/// Smaller pictures hold too little to measure.
const MIN_SMALL_PX: u32 = 48;
/// Points followed; BoT-SORT takes 1,000 on larger pictures, of which far fewer do.
const MAX_POINTS: i32 = 160;
/// Fewer points that agree mean new ones are looked for.
const FEW_POINTS: usize = 80;
/// Followed points are replaced after so many looks, so that parts of the scene that came into view take part.
const MAX_LOOKS: u32 = 15;
/// Least cornerness, as a share of the best corner's. BoT-SORT takes 0.01, which on asphalt leaves corners of cars only.
const CORNER_QUALITY: f64 = 0.003;
/// Least distance of points, as a share of the longer side: spreads them over the scene, so that no clock or logo in a
/// corner outvotes it.
const POINT_DISTANCE: f64 = 1.0 / 40.0;
/// Side of the window that is compared, and halvings of the picture before: motions up to about a tenth of the picture.
const WINDOW_PX: i32 = 15;
const LEVELS: i32 = 3;
/// How far a point may be off the common motion, pixels of the small picture.
const MAX_RESIDUAL_PX: f64 = 0.8;
const RANSAC_ROUNDS: usize = 500;
const RANSAC_CONFIDENCE: f64 = 0.99;
const REFINE_ROUNDS: usize = 10;
/// Points that must agree, how many and which share of those found again.
const MIN_AGREEING: usize = 12;
const MIN_AGREEING_SHARE: f64 = 0.5;
/// Cells of a grid over the picture, and how many must hold a point that agrees: fewer may all lie on some moving thing.
const CELLS: (usize, usize) = (8, 6);
const MIN_CELLS: usize = 13;
/// A point that went less stands still, pixels of the small picture; where this share of the points does, so does the
/// camera, whatever the others do.
const STANDING_PX: f32 = 0.1;
const STANDING_SHARE: f64 = 0.3;
/// Detections below are too doubtful to hide the scene behind them.
const MIN_FOREGROUND_SCORE: f32 = 0.2;
/// Share by which boxes are grown, since limbs and shadows reach out.
const FOREGROUND_MARGIN: f32 = 0.1;

/// Camera motion of one stream.
pub struct FlowCamera {
    vigilance: Vigilance,
    kept: Option<Look>,
}

/// What is kept of the frame last looked at.
struct Look {
    /// Size of the frame, and of the small picture.
    source: ImageSize,
    small: ImageSize,
    pyramid: Vector<Mat>,
    points: Vector<Point2f>,
    /// How many looks ago the points were looked for.
    age: u32,
}

impl FlowCamera {
    /// For a stream that has not begun.
    pub fn new(mode: CameraMotion) -> Self {
        Self { vigilance: Vigilance::new(mode), kept: None }
    }
}

impl MeasureCamera for FlowCamera {
    fn measure(&mut self, frame: &Frame, foreground: &[Detection]) -> Result<Option<[f32; 6]>, PreprocessError> {
        let source = frame.meta.size;
        let factor = source.width.max(source.height).div_ceil(MAX_SMALL_PX).max(1);
        let small = ImageSize { width: source.width / factor, height: source.height / factor };
        if small.width.min(small.height) < MIN_SMALL_PX || !self.vigilance.looks(frame.meta.pts) {
            return Ok(None);
        }
        let luma = small_luma(frame, small, factor)?;
        let covered = covered(foreground, small, factor);
        let kept = self.kept.take().filter(|kept| kept.source == source);
        let opencv = |error: opencv::Error| PreprocessError::OpenCv(error.message);
        let (look, motion) = look(&luma, source, small, kept, &covered).map_err(opencv)?;
        self.kept = Some(look);
        let moved = self.vigilance.learn(frame.meta.pts, motion.map(|motion| motion.reach(small)));
        Ok(motion.filter(|_| moved).map(|motion| motion.enlarged(f64::from(factor))))
    }

    fn restart(&mut self) {
        self.kept = None;
        self.vigilance.restart();
    }
}

/// The picture in grey, `factor` times smaller; rows and columns beyond a multiple of it are cut off.
fn small_luma(frame: &Frame, small: ImageSize, factor: u32) -> Result<Mat, PreprocessError> {
    let mut luma = Mat::default();
    with_rgb(frame.pixels.plane(0), frame.meta.size, |picture| {
        let whole = Rect::new(0, 0, (small.width * factor) as i32, (small.height * factor) as i32);
        let mut coloured = Mat::default();
        let size = Size::new(small.width as i32, small.height as i32);
        imgproc::resize(&Mat::roi(picture, whole)?, &mut coloured, size, 0.0, 0.0, imgproc::INTER_AREA)?;
        imgproc::cvt_color_def(&coloured, &mut luma, imgproc::COLOR_RGB2GRAY)
    })?;
    Ok(luma)
}

/// Boxes of the small picture that hide the scene.
fn covered(foreground: &[Detection], small: ImageSize, factor: u32) -> Vec<BBox> {
    let shrink = 1.0 / factor as f32;
    let sure = foreground.iter().filter(|found| found.score >= MIN_FOREGROUND_SCORE && found.bbox.is_sound());
    let boxes = sure.map(|found| {
        let (x, y) = found.bbox.center();
        let grown = shrink * (1.0 + 2.0 * FOREGROUND_MARGIN);
        BBox::from_cxcywh(x * shrink, y * shrink, found.bbox.width() * grown, found.bbox.height() * grown)
    });
    boxes.map(|bbox| bbox.clipped_to(small)).filter(BBox::is_sound).collect()
}

/// Compares a picture with the one kept, and gives what to keep of it.
fn look(
    luma: &Mat,
    source: ImageSize,
    small: ImageSize,
    kept: Option<Look>,
    covered: &[BBox],
) -> opencv::Result<(Look, Option<Similarity>)> {
    let window = Size::new(WINDOW_PX, WINDOW_PX);
    let mut pyramid = Vector::<Mat>::new();
    let (constant, replicate) = (core::BORDER_CONSTANT, core::BORDER_REFLECT_101);
    video::build_optical_flow_pyramid(luma, &mut pyramid, window, LEVELS, true, replicate, constant, true)?;
    let (mut points, mut motion, mut age) = (Vector::new(), None, 0);
    if let Some(kept) = kept
        && kept.points.len() >= MIN_AGREEING
    {
        let (from, to) = follow(&kept, &pyramid, covered)?;
        (motion, points) = common_motion(&from, &to, small)?;
        age = kept.age + 1;
    }
    if points.len() < FEW_POINTS || age >= MAX_LOOKS {
        points = corners(luma, small, covered)?;
        age = 0;
    }
    Ok((Look { source, small, pyramid, points, age }, motion))
}

/// Where the kept points went: those found again, before and after.
fn follow(kept: &Look, pyramid: &Vector<Mat>, covered: &[BBox]) -> opencv::Result<(Vector<Point2f>, Vector<Point2f>)> {
    let (mut arrived, mut found, mut error) = (Vector::<Point2f>::new(), Vector::<u8>::new(), Vector::<f32>::new());
    let until = TermCriteria::new(core::TermCriteria_COUNT | core::TermCriteria_EPS, 20, 0.01)?;
    video::calc_optical_flow_pyr_lk(
        &kept.pyramid,
        pyramid,
        &kept.points,
        &mut arrived,
        &mut found,
        &mut error,
        Size::new(WINDOW_PX, WINDOW_PX),
        LEVELS,
        until,
        0,
        1e-4,
    )?;
    let inside = |p: &Point2f| {
        let (width, height) = (kept.small.width as f32, kept.small.height as f32);
        (0.0..width).contains(&p.x) && (0.0..height).contains(&p.y)
    };
    let hidden =
        |p: &Point2f| covered.iter().any(|b| p.x >= b.left && p.x <= b.right && p.y >= b.top && p.y <= b.bottom);
    let pairs = kept.points.iter().zip(arrived).zip(found);
    let sound = pairs.filter(|((_, to), found)| *found == 1 && inside(to) && !hidden(to));
    Ok(sound.map(|(pair, _)| pair).unzip())
}

/// The motion most points agree on, if it can be trusted, and where those points are now.
fn common_motion(
    from: &Vector<Point2f>,
    to: &Vector<Point2f>,
    small: ImageSize,
) -> opencv::Result<(Option<Similarity>, Vector<Point2f>)> {
    if from.len() < MIN_AGREEING {
        return Ok((None, Vector::new()));
    }
    let standing = from.iter().zip(to).filter(|(from, to)| (from.x - to.x).hypot(from.y - to.y) < STANDING_PX).count();
    if standing as f64 >= STANDING_SHARE * from.len() as f64 {
        return Ok((Some(Similarity::NONE), to.clone()));
    }
    let mut agree = Vector::<u8>::new();
    let map = calib3d::estimate_affine_partial_2d(
        from,
        to,
        &mut agree,
        calib3d::RANSAC,
        MAX_RESIDUAL_PX,
        RANSAC_ROUNDS,
        RANSAC_CONFIDENCE,
        REFINE_ROUNDS,
    )?;
    let agreeing: Vector<Point2f> = to.iter().zip(agree).filter(|(_, agrees)| *agrees == 1).map(|(to, _)| to).collect();
    let enough = agreeing.len() >= MIN_AGREEING && agreeing.len() as f64 >= MIN_AGREEING_SHARE * from.len() as f64;
    if map.empty() || !enough || cells(&agreeing, small) < MIN_CELLS {
        return Ok((None, agreeing));
    }
    let at = |row, column| map.at_2d::<f64>(row, column).copied();
    let motion = Similarity { a: at(0, 0)?, b: at(1, 0)?, c: at(0, 2)?, f: at(1, 2)? };
    Ok((Some(motion), agreeing))
}

/// How many cells of a grid over the picture hold a point.
fn cells(points: &Vector<Point2f>, small: ImageSize) -> usize {
    let (columns, rows) = CELLS;
    let mut taken = [false; CELLS.0 * CELLS.1];
    for point in points {
        let cell = |at: f32, px: u32, cells: usize| ((at / px as f32 * cells as f32) as usize).min(cells - 1);
        taken[cell(point.y, small.height, rows) * columns + cell(point.x, small.width, columns)] = true;
    }
    taken.into_iter().filter(|&taken| taken).count()
}

/// Points worth following, none of them on something found.
fn corners(luma: &Mat, small: ImageSize, covered: &[BBox]) -> opencv::Result<Vector<Point2f>> {
    let (rows, columns) = (small.height as i32, small.width as i32);
    let mut free = Mat::new_rows_cols_with_default(rows, columns, core::CV_8UC1, Scalar::all(255.0))?;
    for bbox in covered {
        let (left, top) = (bbox.left.floor() as i32, bbox.top.floor() as i32);
        let rect = Rect::new(left, top, bbox.width().ceil() as i32 + 1, bbox.height().ceil() as i32 + 1);
        imgproc::rectangle(&mut free, rect, Scalar::all(0.0), imgproc::FILLED, imgproc::LINE_8, 0)?;
    }
    let mut points = Vector::new();
    let distance = f64::from(small.width.max(small.height)) * POINT_DISTANCE;
    imgproc::good_features_to_track(luma, &mut points, MAX_POINTS, CORNER_QUALITY, distance, &free, 3, false, 0.04)?;
    Ok(points)
}
