//! Illumination normalization: what a network sees of a stream looks like daylight, whatever the light is.
//!
//! One `Illumination` a stream measures every frame, in order, on a sparse grid, and gives the `Light` in which detector
//! and embedder are to see it: one table a colour, and where asked for a grid of curves (CLAHE). It travels with the
//! frame's pixels (`LitPixels`), is applied in one pass to what was letterboxed or cropped already, and never touches the
//! frame itself. State depends on the frames and their media time alone, so a file gives the same on every run.
//!
//! Steadiness is built in: measurements are smoothed, a correction begins and ends at different limits, tables are made
//! anew only when the light has moved noticeably, and no entry of a table moves faster than `MAX_SPEED`. A switch (infrared
//! at night, a lamp) is followed at once, after it has lasted for `SWITCH_AFTER`.

mod clahe;
mod policy;
mod stats;
mod table;

pub use policy::LightState;
pub use stats::LightStats;

use crate::{
    frame::{Frame, ImageSize, PixelBuffer, PixelFormat, Plane},
    preprocess::Region,
    time::MediaTime,
};
use clahe::LocalCurves;
use policy::{Policy, Target};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use table::{Curves, Table};

/// Fastest change of any entry of a table, grey levels a second: at 10 Hz less than the noise of most cameras at night.
pub const MAX_SPEED: f32 = 64.0;
/// Time constant of the measurements, seconds.
const SMOOTHING_SECS: f32 = 1.0;
/// A light this far from the smoothed one is another light, grey levels. Clouds and passing lorries stay below.
const SWITCH_DISTANCE: f32 = 36.0;
/// How long another light must last to be believed: longer than a flash.
const SWITCH_AFTER: Duration = Duration::from_millis(200);
/// A pause after which nothing is known of the light any more.
const FORGET_AFTER: Duration = Duration::from_secs(10);

/// One way to correct the light.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Correction {
    /// The darkest and the brightest hundredth become black and white.
    Stretch,
    /// The mean luma becomes `policy::TARGET_MEAN`.
    Gamma,
    /// Contrast-limited adaptive histogram equalization of the luma.
    Clahe,
    /// Gray-world: the means of the colours become equal.
    WhiteBalance,
}

/// What is to be done about the light of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LightSettings {
    /// Nothing; nothing is measured either.
    Off,
    /// What the measurements ask for, and nothing while they lie within the usual.
    #[default]
    Auto,
    /// These, always.
    Always(Vec<Correction>),
}

/// In which light frames are to be seen. Shared by the frames that follow one another in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Light {
    table: Table,
    local: Option<LocalCurves>,
}

impl Light {
    /// The light in which everything looks as it is.
    pub fn identity() -> Self {
        Self { table: Table::identity(), local: None }
    }

    /// Whether applying it changes nothing.
    pub fn is_identity(&self) -> bool {
        self.local.is_none() && self.table.is_identity()
    }

    /// What becomes of grey level `level` of colour 0 (red) to 2 (blue), local curves aside.
    pub fn level(&self, colour: usize, level: u8) -> u8 {
        self.table.0[colour][usize::from(level)]
    }
}

/// A light and which part of the picture it falls on.
#[derive(Clone, Copy, Debug)]
pub struct PartLight<'a> {
    /// The light.
    pub light: &'a Light,
    /// The part of the whole picture that the pixels are.
    pub part: Region,
    /// The whole picture.
    pub whole: ImageSize,
    /// Adds up what applying it takes, nanoseconds.
    pub spent: &'a AtomicU64,
}

impl PartLight<'_> {
    /// Lights up what was drawn into `region` of a canvas: red, green, blue, rows of `canvas.width`, the first row first.
    /// `drawn` is the part of these pixels that was drawn there. Nothing outside the region changes.
    pub fn apply(&self, pixels: &mut [u8], canvas: ImageSize, region: Region, drawn: Region) {
        let began = Instant::now();
        let row_bytes = canvas.width as usize * 3;
        let (from, bytes) = (region.left as usize * 3, region.size.width as usize * 3);
        let rows = pixels.chunks_exact_mut(row_bytes).skip(region.top as usize).take(region.size.height as usize);
        let rows = rows.map(|row| &mut row[from..from + bytes]);
        match &self.light.local {
            None => rows.for_each(|row| self.light.table.apply(row)),
            Some(local) => {
                let placed = Region { left: self.part.left + drawn.left, top: self.part.top + drawn.top, ..drawn };
                let mut grid = local.over(placed, self.whole, region.size);
                rows.enumerate().for_each(|(y, row)| {
                    self.light.table.apply(row);
                    grid.apply(y, row);
                });
            }
        }
        add_nanos(self.spent, began);
    }
}

fn add_nanos(spent: &AtomicU64, began: Instant) {
    let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    spent.fetch_add(nanos, Ordering::Relaxed);
}

/// Pixels together with the light they are to be seen in; the pixels themselves are as they were.
pub struct LitPixels {
    pixels: Arc<dyn PixelBuffer>,
    light: Arc<Light>,
    size: ImageSize,
    spent: Arc<AtomicU64>,
}

impl PixelBuffer for LitPixels {
    fn format(&self) -> PixelFormat {
        self.pixels.format()
    }

    fn plane(&self, index: usize) -> Plane<'_> {
        self.pixels.plane(index)
    }

    fn light(&self) -> Option<PartLight<'_>> {
        let part = Region { left: 0, top: 0, size: self.size };
        Some(PartLight { light: &self.light, part, whole: self.size, spent: &self.spent })
    }
}

/// The light of a stream has changed, and what is done about it.
#[derive(Clone, Debug, PartialEq)]
pub struct LightChange {
    /// What the light was.
    pub was: LightState,
    /// What it is.
    pub now: LightState,
    /// Smoothed measurements.
    pub stats: LightStats,
    /// Contrast added: grey levels a grey level, 1 is none.
    pub gain: f32,
    /// Exponent: below 1 brightens.
    pub gamma: f32,
}

/// Whose light a measurement shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The light as it was, perhaps moved a little.
    Same,
    /// A flash, or the beginning of another light: not taken in.
    Unclear,
    /// Another light.
    Another,
}

/// Follows the light of one stream.
#[derive(Debug)]
pub struct Illumination {
    policy: Policy,
    clahe: bool,
    smoothed: Option<LightStats>,
    latest: MediaTime,
    /// Since when the light has been far from the smoothed one.
    strange_since: Option<MediaTime>,
    target: Target,
    curves: Curves,
    local: Option<LocalCurves>,
    light: Arc<Light>,
    state: LightState,
    spent: Arc<AtomicU64>,
}

impl Illumination {
    /// Follows what `settings` ask for; `None` if nothing is to be done.
    pub fn new(settings: &LightSettings) -> Option<Self> {
        let policy = Policy::new(settings)?;
        Some(Self {
            clahe: policy.wants(Correction::Clahe),
            policy,
            smoothed: None,
            latest: MediaTime::default(),
            strange_since: None,
            target: Target::default(),
            curves: Curves::identity(),
            local: None,
            light: Arc::new(Light::identity()),
            state: LightState::Normal,
            spent: Arc::default(),
        })
    }

    /// Forgets the light: the next frame's is taken as it is.
    pub fn restart(&mut self) {
        self.smoothed = None;
    }

    /// The light to see frames in at this moment.
    pub fn light(&self) -> &Arc<Light> {
        &self.light
    }

    /// Time spent so far, measuring and where its frames were lit up.
    pub fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Ordering::Relaxed))
    }

    /// Measures the next frame and lights it up where its light calls for it; tells if the light has changed.
    pub fn observe(&mut self, frame: &mut Frame) -> Option<LightChange> {
        let began = Instant::now();
        let samples = stats::sample(frame)?;
        let seconds = frame.meta.pts.since(self.latest).as_secs_f32();
        let change = self.follow(&LightStats::of(&samples), frame.meta.pts);
        if self.clahe {
            self.follow_locally(&samples, seconds);
        }
        if !self.light.is_identity() {
            let (pixels, light, spent) = (Arc::clone(&frame.pixels), Arc::clone(&self.light), Arc::clone(&self.spent));
            frame.pixels = Arc::new(LitPixels { pixels, light, size: frame.meta.size, spent });
        }
        add_nanos(&self.spent, began);
        change
    }

    /// Takes in what was measured of the frame shown at `at`.
    pub fn follow(&mut self, measured: &LightStats, at: MediaTime) -> Option<LightChange> {
        let passed = at.since(self.latest);
        let known = self.smoothed.take().filter(|_| passed <= FORGET_AFTER);
        let verdict = known.as_ref().map_or(Verdict::Another, |known| self.judge(measured.distance(known), at));
        let seconds = passed.as_secs_f32();
        let smoothed = match (known, verdict) {
            (Some(known), Verdict::Same) => known.towards(measured, 1.0 - (-seconds / SMOOTHING_SECS).exp()),
            (Some(known), Verdict::Unclear) => known,
            _ => measured.clone(),
        };
        let switched = verdict == Verdict::Another;
        self.latest = at;
        self.target = self.policy.target(&smoothed, &self.target, switched);
        let wanted = self.target.curves();
        if switched {
            self.curves = wanted;
            self.local = None;
        } else {
            self.curves.approach(&wanted, MAX_SPEED * seconds);
        }
        let table = self.curves.table();
        if table != self.light.table || self.local.is_none() && self.light.local.is_some() {
            self.light = Arc::new(Light { table, local: self.local.clone() });
        }
        let now = self.policy.state(&smoothed, self.state, switched);
        self.smoothed = Some(smoothed.clone());
        let was = std::mem::replace(&mut self.state, now);
        (was != now).then(|| LightChange {
            was,
            now,
            stats: smoothed,
            gain: self.target.gain(),
            gamma: self.target.gamma,
        })
    }

    /// What to make of light at `distance` from the smoothed one.
    fn judge(&mut self, distance: f32, at: MediaTime) -> Verdict {
        if distance < SWITCH_DISTANCE {
            self.strange_since = None;
            return Verdict::Same;
        }
        let since = *self.strange_since.get_or_insert(at);
        if at.since(since) < SWITCH_AFTER {
            return Verdict::Unclear;
        }
        self.strange_since = None;
        Verdict::Another
    }

    /// Adapts the grid of local curves to the frame, which `follow` has seen, `seconds` after the one before.
    fn follow_locally(&mut self, samples: &stats::Samples, seconds: f32) {
        let wanted = LocalCurves::of(samples, &self.light.table);
        match &mut self.local {
            Some(local) => local.approach(&wanted, MAX_SPEED * seconds),
            none => *none = Some(wanted),
        }
        if self.light.local != self.local {
            self.light = Arc::new(Light { table: self.light.table.clone(), local: self.local.clone() });
        }
    }
}

#[cfg(test)]
mod tests;
