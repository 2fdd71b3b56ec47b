//! A line that is none: streams are entries in a table, pictures are drawn on request. For tests of everything that
//! stands on `Operate`.

use super::{
    broadcast::{Broadcast, Subscription},
    operate::{Change, FrameTracks, LineStatus, News, Operate, OperateError, StreamState, StreamStatus, Watched},
    view::{Picture, ViewSize, Viewer, Views},
};
use crate::{
    config::{
        check::{self, Host},
        fault::{Fault, Faults, KeyPath},
        raw::{Raw, Stream},
    },
    frame::ImageSize,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// News kept for slow readers.
const NEWS_KEPT: usize = 256;

/// The line. Clones share it.
#[derive(Clone, Debug)]
pub struct FakeLine {
    streams: Arc<Mutex<Vec<FakeStream>>>,
    line: Arc<Mutex<LineStatus>>,
    news: Broadcast<News>,
}

#[derive(Debug)]
struct FakeStream {
    status: StreamStatus,
    tracks: FrameTracks,
    views: Views,
}

impl Default for FakeLine {
    fn default() -> Self {
        Self { streams: Arc::default(), line: Arc::default(), news: Broadcast::new(NEWS_KEPT) }
    }
}

/// A machine that has every file.
struct EveryFile;

impl Host for EveryFile {
    fn videos(&self, input: &str) -> Result<Vec<PathBuf>, String> {
        Ok(vec![PathBuf::from(input)])
    }

    fn is_file(&self, _path: &Path) -> bool {
        true
    }

    fn cpus(&self) -> usize {
        1
    }

    fn variable(&self, _name: &str) -> Option<String> {
        None
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeLine {
    /// Changes a stream's status as if the line had. Panics if there is none of this name.
    pub fn set(&self, name: &str, change: impl FnOnce(&mut StreamStatus)) {
        let changed = self.with(name, |stream| {
            change(&mut stream.status);
            Ok(stream.status.clone())
        });
        changed.expect("the test named a stream it had added");
    }

    /// Tells the tracks of a frame.
    pub fn track(&self, tracks: FrameTracks) {
        if let Some(stream) = lock(&self.streams).iter_mut().find(|stream| stream.status.name == tracks.stream) {
            stream.tracks = tracks.clone();
        }
        self.news.send(News::Tracks(Arc::new(tracks)));
    }

    /// Tells anything.
    pub fn tell(&self, news: News) {
        self.news.send(news);
    }

    /// Says what the line as a whole is like.
    pub fn set_line(&self, line: LineStatus) {
        *lock(&self.line) = line;
    }

    /// Shows a plain picture of `size`, bright where `frame` says, to those who look at the stream.
    pub fn show(&self, name: &str, frame: u64, size: ImageSize) {
        let views = lock(&self.streams).iter().find(|stream| stream.status.name == name).map(|s| s.views.clone());
        let Some(views) = views else { return };
        for view in ViewSize::ALL.into_iter().filter(|view| views.is_watched(*view)) {
            views.show(view, Picture::new(bar_at(frame, size), size, frame, SystemTime::now()));
        }
    }

    /// Whether anybody looks at the stream.
    pub fn is_watched(&self, name: &str) -> bool {
        let streams = lock(&self.streams);
        let found = streams.iter().find(|stream| stream.status.name == name);
        found.is_some_and(|stream| ViewSize::ALL.into_iter().any(|size| stream.views.is_watched(size)))
    }

    fn with(
        &self,
        name: &str,
        act: impl FnOnce(&mut FakeStream) -> Result<StreamStatus, OperateError>,
    ) -> Result<StreamStatus, OperateError> {
        let mut streams = lock(&self.streams);
        let found = streams.iter_mut().find(|stream| stream.status.name == name);
        let status = act(found.ok_or_else(|| OperateError::unknown(name))?)?;
        self.news.send(News::Stream(Arc::new(status.clone())));
        Ok(status)
    }

    fn turn(&self, name: &str, state: StreamState) -> Result<StreamStatus, OperateError> {
        self.with(name, |stream| {
            if stream.status.state == StreamState::Ended {
                return Err(OperateError::Ended { name: name.into() });
            }
            stream.status.state = state;
            Ok(stream.status.clone())
        })
    }
}

impl Operate for FakeLine {
    fn streams(&self) -> Vec<StreamStatus> {
        lock(&self.streams).iter().map(|stream| stream.status.clone()).collect()
    }

    fn add(&self, stream: &Stream) -> Result<StreamStatus, OperateError> {
        let raw = Raw { streams: vec![stream.clone()], ..Raw::default() };
        let checked = check::plan(&raw, &EveryFile).map_err(OperateError::Invalid)?;
        let name = checked.plan.streams.first().map(|plan| plan.name.clone()).unwrap_or_default();
        let mut streams = lock(&self.streams);
        if streams.iter().any(|known| known.status.name.to_lowercase() == name.to_lowercase()) {
            return Err(OperateError::NameTaken { name });
        }
        let status = new_status(&name, stream);
        let tracks = FrameTracks { stream: name, ..FrameTracks::default() };
        streams.push(FakeStream { status: status.clone(), tracks, views: Views::default() });
        self.news.send(News::Stream(Arc::new(status.clone())));
        Ok(status)
    }

    fn remove(&self, name: &str) -> Result<(), OperateError> {
        let mut streams = lock(&self.streams);
        let found = streams.iter().position(|stream| stream.status.name == name);
        let removed = streams.remove(found.ok_or_else(|| OperateError::unknown(name))?);
        removed.views.close();
        self.news.send(News::Removed(name.into()));
        Ok(())
    }

    fn pause(&self, name: &str) -> Result<StreamStatus, OperateError> {
        self.turn(name, StreamState::Paused)
    }

    fn resume(&self, name: &str) -> Result<StreamStatus, OperateError> {
        self.turn(name, StreamState::Live)
    }

    fn restart(&self, name: &str) -> Result<StreamStatus, OperateError> {
        self.turn(name, StreamState::Connecting)
    }

    fn change(&self, name: &str, change: &Change) -> Result<StreamStatus, OperateError> {
        let unknown = change.classes.iter().flatten().find(|class| class.as_str() != "person");
        if let Some(class) = unknown {
            let path = KeyPath::root().key("classes");
            let fault = Fault::new(path, format!("{class:?} is no class of this detector, expected \"person\""));
            return Err(OperateError::Invalid(Faults(vec![fault])));
        }
        self.with(name, |stream| {
            let status = &mut stream.status;
            if let Some(zones) = &change.zones {
                status.zones = zones.iter().map(|zone| zone.name.clone()).collect();
            }
            if let Some(lines) = &change.lines {
                status.lines = lines.iter().map(|line| line.name.clone()).collect();
            }
            status.classes = change.classes.clone().unwrap_or_else(|| status.classes.clone());
            status.min_score = change.min_score.unwrap_or(status.min_score);
            Ok(status.clone())
        })
    }

    fn tracks(&self, name: &str) -> Result<FrameTracks, OperateError> {
        let streams = lock(&self.streams);
        let found = streams.iter().find(|stream| stream.status.name == name);
        found.map(|stream| stream.tracks.clone()).ok_or_else(|| OperateError::unknown(name))
    }

    fn view(&self, name: &str, size: ViewSize) -> Result<Viewer, OperateError> {
        let streams = lock(&self.streams);
        let found = streams.iter().find(|stream| stream.status.name == name);
        found.map(|stream| stream.views.viewer(size)).ok_or_else(|| OperateError::unknown(name))
    }

    fn subscribe(&self) -> Subscription<News> {
        self.news.subscribe()
    }

    fn line(&self) -> LineStatus {
        lock(&self.line).clone()
    }
}

fn new_status(name: &str, stream: &Stream) -> StreamStatus {
    StreamStatus {
        name: name.into(),
        address: stream.file.clone(),
        state: StreamState::Connecting,
        width: None,
        height: None,
        fps: 0.0,
        nominal_fps: None,
        received: 0,
        processed: 0,
        dropped: BTreeMap::new(),
        age: None,
        stages: Vec::new(),
        tracks: 0,
        events: 0,
        losses: 0,
        watched: Watched::default(),
        last_fault: None,
        uptime_seconds: 0.0,
        zones: stream.zones.iter().map(|zone| zone.name.clone()).collect(),
        lines: stream.lines.iter().map(|line| line.name.clone()).collect(),
        classes: Vec::new(),
        min_score: 0.1,
    }
}

/// RGB of a grey picture with a bright upright bar that moves with `frame`.
fn bar_at(frame: u64, size: ImageSize) -> Vec<u8> {
    const STEP_PX: u64 = 8;
    let (width, height) = (size.width as usize, size.height as usize);
    let left = (frame * STEP_PX) as usize % width.max(1);
    let mut rgb = vec![60; width * height * 3];
    for row in rgb.chunks_exact_mut(width * 3) {
        row[left * 3..(left + STEP_PX as usize).min(width) * 3].fill(220);
    }
    rgb
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::{broadcast::Heard, view::Looked};
    use std::time::Duration;

    fn named(name: &str) -> Stream {
        Stream { name: Some(name.into()), file: "gate.mp4".into(), ..Stream::default() }
    }

    #[test]
    fn streams_come_and_go_and_it_is_told() {
        let line = FakeLine::default();
        let mut news = line.subscribe();
        line.add(&named("gate")).unwrap();
        assert_eq!(line.add(&named("GATE")), Err(OperateError::NameTaken { name: "GATE".into() }));
        assert_eq!(line.pause("gate").unwrap().state, StreamState::Paused);
        line.remove("gate").unwrap();
        assert_eq!(line.pause("gate"), Err(OperateError::unknown("gate")));
        let mut heard = || match news.wait(Duration::ZERO) {
            Some(Heard::Item(news)) => format!("{} {}", news.stream(), matches!(news, News::Removed(_))),
            other => format!("{other:?}"),
        };
        assert_eq!([heard(), heard(), heard(), heard()], ["gate false", "gate false", "gate true", "None"]);
    }

    #[test]
    fn pictures_are_drawn_for_those_who_look() {
        let line = FakeLine::default();
        line.add(&named("gate")).unwrap();
        let mut viewer = line.view("gate", ViewSize::Small).unwrap();
        assert!(line.is_watched("gate"));
        line.show("gate", 3, ImageSize { width: 64, height: 48 });
        let Some(Looked::Picture(picture)) = viewer.wait(Duration::ZERO) else { panic!("no picture") };
        assert_eq!((picture.frame, picture.rgb.len()), (3, 64 * 48 * 3));
        drop(viewer);
        assert!(!line.is_watched("gate"));
    }
}
