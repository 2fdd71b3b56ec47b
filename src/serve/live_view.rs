//! Draws what viewers look at: one thread named `view` for all streams, fed by the line with its newest frames. The line
//! never waits for it, and nothing is drawn of a stream nobody looks at.

use super::view::{Picture, ViewSize, Viewer, Views};
use crate::{
    config::plan::{LinePlan, ZonePlan},
    event::Event,
    frame::Frame,
    sink::{
        canvas::copy_onto,
        line_counts::LineCounts,
        overlay::{Overlay, OverlaySettings},
        placement::{CanvasLimits, Placement},
    },
    track::Track,
};
use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

/// Pictures of a view come no faster: what is beyond costs the line's CPU and nobody sees it.
const fn least_interval(size: ViewSize) -> Duration {
    match size {
        ViewSize::Small => Duration::from_millis(60),
        ViewSize::Large => Duration::from_millis(30),
    }
}

/// The thread that draws. Dropped, it ends, and views of its streams with it.
#[derive(Debug)]
pub struct LiveViews {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopping: bool,
    /// Streams with something to draw or to forget, in the order they asked.
    waiting: Vec<Arc<Desk>>,
}

/// What the line left of one stream.
#[derive(Debug)]
struct Desk {
    views: Views,
    newest: Mutex<Newest>,
}

#[derive(Debug)]
struct Newest {
    /// The newest frame not drawn yet.
    frame: Option<(Frame, Vec<Track>)>,
    settings: OverlaySettings,
    counts: LineCounts,
    /// Grows with every change of the settings.
    generation: u64,
    /// Whether the stream stands in `State::waiting`.
    is_waiting: bool,
    brushes: [Option<Brush>; ViewSize::ALL.len()],
}

/// An overlay of one size, as long as somebody looks.
#[derive(Debug)]
struct Brush {
    overlay: Overlay,
    generation: u64,
    not_before: Instant,
}

/// One stream's views. The line offers frames, operators look. Dropped, viewers hear that the stream is gone.
#[derive(Debug)]
pub struct StreamView {
    shared: Arc<Shared>,
    desk: Arc<Desk>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LiveViews {
    /// Starts the thread.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let at_work = Arc::clone(&shared);
        let thread = thread::Builder::new().name("view".into()).spawn(move || at_work.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A stream that is drawn as `settings` say.
    pub fn stream(&self, settings: OverlaySettings) -> StreamView {
        let (counts, brushes) = Default::default();
        let newest = Newest { frame: None, settings, counts, generation: 0, is_waiting: false, brushes };
        let desk = Desk { views: Views::default(), newest: Mutex::new(newest) };
        StreamView { shared: Arc::clone(&self.shared), desk: Arc::new(desk) }
    }
}

impl Drop for LiveViews {
    fn drop(&mut self) {
        lock(&self.shared.state).stopping = true;
        self.shared.work.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("drawing live views panicked");
        }
    }
}

impl StreamView {
    /// Somebody looks from now on.
    pub fn viewer(&self, size: ViewSize) -> Viewer {
        self.desk.views.viewer(size)
    }

    /// Leaves a tracked frame to be drawn, in place of one that was not drawn yet. Returns at once; where nobody looks, it
    /// does nothing.
    pub fn offer(&self, frame: &Frame, tracks: &[Track]) {
        let now = Instant::now();
        let mut newest = lock(&self.desk.newest);
        let mut is_due = false;
        for size in ViewSize::ALL {
            let is_watched = self.desk.views.is_watched(size);
            let brush = &mut newest.brushes[size as usize];
            if !is_watched {
                *brush = None;
            }
            is_due |= is_watched && brush.as_ref().is_none_or(|brush| brush.not_before <= now);
        }
        if !is_due {
            return;
        }
        newest.frame = Some((frame.clone(), tracks.to_vec()));
        if !std::mem::replace(&mut newest.is_waiting, true) {
            drop(newest);
            lock(&self.shared.state).waiting.push(Arc::clone(&self.desk));
            self.shared.work.notify_one();
        }
    }

    /// Tells viewers that nothing follows.
    pub fn close(&self) {
        lock(&self.desk.newest).frame = None;
        self.desk.views.close();
    }

    /// Takes in what the stream tells, whether or not somebody looks.
    pub fn follow(&self, events: &[Event]) {
        if !events.is_empty() {
            lock(&self.desk.newest).counts.follow(events);
        }
    }

    /// Draws these zones and lines from now on.
    pub fn set_places(&self, zones: Vec<ZonePlan>, lines: Vec<LinePlan>) {
        let mut newest = lock(&self.desk.newest);
        (newest.settings.zones, newest.settings.lines) = (zones, lines);
        newest.generation += 1;
    }
}

impl Drop for StreamView {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn run(&self) {
        while let Some(desks) = self.next() {
            desks.iter().for_each(|desk| desk.draw());
        }
    }

    /// The streams that wait, once any does; `None` at the end.
    fn next(&self) -> Option<Vec<Arc<Desk>>> {
        let mut state = lock(&self.state);
        while state.waiting.is_empty() && !state.stopping {
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        (!state.stopping).then(|| std::mem::take(&mut state.waiting))
    }
}

impl Desk {
    fn draw(&self) {
        let (frame, tracks, settings, counts, generation, mut brushes) = {
            let mut newest = lock(&self.newest);
            newest.is_waiting = false;
            let Some((frame, tracks)) = newest.frame.take() else { return };
            let (settings, counts) = (newest.settings.clone(), newest.counts.clone());
            (frame, tracks, settings, counts, newest.generation, std::mem::take(&mut newest.brushes))
        };
        let now = Instant::now();
        for size in ViewSize::ALL.into_iter().filter(|size| self.views.is_watched(*size)) {
            let brush = &mut brushes[size as usize];
            if brush.as_ref().is_some_and(|brush| brush.not_before > now && brush.generation == generation) {
                continue;
            }
            if brush.as_ref().is_none_or(|brush| brush.generation != generation) {
                *brush = Some(Brush { overlay: Overlay::new(settings.clone()), generation, not_before: now });
            }
            if let Some(brush) = brush {
                brush.not_before = now + least_interval(size);
                brush.overlay.set_counts(counts.clone());
                match picture(&frame, &tracks, &mut brush.overlay, size) {
                    Ok(picture) => self.views.show(size, picture),
                    Err(problem) => tracing::warn!(frame = frame.meta.seq, problem, "a live view cannot be drawn"),
                }
            }
        }
        lock(&self.newest).brushes = brushes;
    }
}

fn picture(frame: &Frame, tracks: &[Track], overlay: &mut Overlay, size: ViewSize) -> Result<Picture, String> {
    let limits = CanvasLimits { least_px: 16, most_long_px: size.most_px(), most_short_px: size.most_px() };
    let canvas_size = limits.canvas_for(frame.meta.size);
    let placement = Placement::fit(frame.meta.size, canvas_size);
    let mut canvas = vec![0; canvas_size.width as usize * canvas_size.height as usize * 3];
    copy_onto(frame, &placement, &mut canvas)?;
    overlay.draw(&mut canvas, &placement, &frame.meta, tracks).map_err(|error| format!("drawing: {error}"))?;
    let arrived = || SystemTime::now() - frame.meta.arrived.elapsed();
    let captured = frame.meta.captured.unwrap_or_else(arrived);
    Ok(Picture::new(canvas, canvas_size, frame.meta.seq, captured))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        detect::ClassId,
        frame::{FrameMeta, ImageSize, OwnedPixels, StreamId},
        geometry::BBox,
        serve::view::Looked,
        time::MediaTime,
        track::{TrackId, TrackState},
    };

    const SOON: Duration = Duration::from_secs(20);

    fn settings() -> OverlaySettings {
        let classes = Arc::from(vec!["person".to_owned()]);
        OverlaySettings { classes, zones: Vec::new(), lines: Vec::new(), trail: Duration::ZERO }
    }

    fn frame(seq: u64, width: u32, height: u32) -> Frame {
        let meta = FrameMeta {
            stream: StreamId(0),
            epoch: 0,
            seq,
            pts: MediaTime(seq as i64 * 100_000_000),
            captured: None,
            arrived: Instant::now(),
            size: ImageSize { width, height },
        };
        let data = vec![40; width as usize * height as usize * 3];
        Frame { meta, pixels: Arc::new(OwnedPixels { data, stride: width as usize * 3 }) }
    }

    fn track() -> Track {
        Track {
            id: TrackId(1),
            state: TrackState::Confirmed,
            bbox: BBox::new(100.0, 100.0, 900.0, 700.0),
            class: ClassId(0),
            score: 0.9,
            detection: Some(0),
            first_seen: MediaTime(0),
            last_seen: MediaTime(0),
            reidentified_from: None,
            shown: true,
        }
    }

    fn seen(viewer: &mut Viewer) -> Arc<Picture> {
        match viewer.wait(SOON) {
            Some(Looked::Picture(picture)) => picture,
            other => panic!("no picture: {other:?}"),
        }
    }

    #[test]
    fn viewers_see_the_frame_scaled_with_its_tracks() {
        let views = LiveViews::start().unwrap();
        let stream = views.stream(settings());
        let (mut small, mut large) = (stream.viewer(ViewSize::Small), stream.viewer(ViewSize::Large));
        stream.offer(&frame(5, 1600, 900), &[track()]);
        let (small, large) = (seen(&mut small), seen(&mut large));
        assert_eq!(
            (small.size, large.size),
            (ImageSize { width: 640, height: 360 }, ImageSize { width: 1280, height: 720 })
        );
        assert_eq!((small.frame, large.frame), (5, 5));
        for picture in [small, large] {
            let drawn = picture.rgb.chunks_exact(3).filter(|pixel| **pixel != [40, 40, 40]).count();
            assert!((100..picture.rgb.len() / 6).contains(&drawn), "{drawn} pixels of {picture:?}");
        }
    }

    #[test]
    fn nothing_is_kept_for_a_stream_nobody_looks_at() {
        let views = LiveViews::start().unwrap();
        let stream = views.stream(settings());
        let unwatched = frame(1, 64, 48);
        stream.offer(&unwatched, &[]);
        assert_eq!(Arc::strong_count(&unwatched.pixels), 1);
        let mut viewer = stream.viewer(ViewSize::Small);
        stream.offer(&frame(2, 64, 48), &[]);
        assert_eq!(seen(&mut viewer).frame, 2);
        drop(stream);
        assert!(matches!(viewer.wait(SOON), Some(Looked::Closed)));
    }

    #[test]
    fn the_line_never_waits_and_the_newest_frame_is_drawn() {
        let views = LiveViews::start().unwrap();
        let stream = views.stream(settings());
        let mut viewer = stream.viewer(ViewSize::Small);
        // Far more than can be drawn; the pause between pictures has the rest passed over.
        (0..1000).for_each(|seq| stream.offer(&frame(seq, 64, 48), &[]));
        let first = seen(&mut viewer).frame;
        thread::sleep(least_interval(ViewSize::Small));
        stream.offer(&frame(2000, 64, 48), &[]);
        let mut last = first;
        while last != 2000 {
            last = seen(&mut viewer).frame;
        }
    }
}
