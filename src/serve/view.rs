//! Pictures of a stream for those who look: a slot that holds the newest one. The line asks `is_watched` before it draws
//! anything and never waits; a viewer that is slow skips pictures.

use crate::frame::ImageSize;
use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime},
};

/// How large a viewer wants its pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ViewSize {
    /// For a wall of many: at most 640 pixels along the longer side.
    Small,
    /// For one alone: at most 1280.
    Large,
}

impl ViewSize {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Small, Self::Large];

    /// Most pixels along the longer side; even, as chroma wants it.
    pub const fn most_px(self) -> u32 {
        match self {
            Self::Small => 640,
            Self::Large => 1280,
        }
    }
}

/// A picture with its overlay.
pub struct Picture {
    /// 8-bit RGB, rows without padding: `width * height * 3` bytes.
    pub rgb: Vec<u8>,
    /// Its size.
    pub size: ImageSize,
    /// Frame of the stream it shows.
    pub frame: u64,
    /// When the camera captured it, or else when it arrived.
    pub captured: SystemTime,
    encoded: OnceLock<Arc<[u8]>>,
}

impl Picture {
    /// A picture of `rgb`, `width * height * 3` bytes.
    pub fn new(rgb: Vec<u8>, size: ImageSize, frame: u64, captured: SystemTime) -> Self {
        Self { rgb, size, frame, captured, encoded: OnceLock::new() }
    }

    /// The picture as `encode` writes it: once, however many look.
    pub fn encoded(&self, encode: impl FnOnce(&Self) -> Vec<u8>) -> Arc<[u8]> {
        Arc::clone(self.encoded.get_or_init(|| encode(self).into()))
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Picture").field("size", &self.size).field("frame", &self.frame).finish_non_exhaustive()
    }
}

/// Where the line puts a stream's pictures: one slot a size. Clones share the slots.
#[derive(Clone, Debug, Default)]
pub struct Views(Arc<[Slot; ViewSize::ALL.len()]>);

#[derive(Debug, Default)]
struct Slot {
    viewers: AtomicUsize,
    state: Mutex<SlotState>,
    fresh: Condvar,
}

#[derive(Debug, Default)]
struct SlotState {
    newest: Option<Arc<Picture>>,
    /// Pictures shown so far.
    shown: u64,
    closed: bool,
    wakers: Vec<Waker>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Views {
    /// Whether anybody looks at pictures of this size.
    pub fn is_watched(&self, size: ViewSize) -> bool {
        self.slot(size).viewers.load(Ordering::Relaxed) > 0
    }

    /// Puts a picture in place of the last one.
    pub fn show(&self, size: ViewSize, picture: Picture) {
        let slot = self.slot(size);
        let mut state = lock(&slot.state);
        // Checked under the lock: the last viewer empties the slot, and it must stay empty then.
        if slot.viewers.load(Ordering::Relaxed) > 0 {
            state.newest = Some(Arc::new(picture));
            state.shown += 1;
            slot.wake(state);
        }
    }

    /// Tells viewers that nothing follows: the stream was removed.
    pub fn close(&self) {
        for slot in self.0.iter() {
            let mut state = lock(&slot.state);
            state.closed = true;
            slot.wake(state);
        }
    }

    /// A viewer of pictures from the newest on.
    pub fn viewer(&self, size: ViewSize) -> Viewer {
        self.slot(size).viewers.fetch_add(1, Ordering::Relaxed);
        Viewer { views: self.clone(), size, seen: 0 }
    }

    fn slot(&self, size: ViewSize) -> &Slot {
        &self.0[size as usize]
    }
}

impl Slot {
    fn wake(&self, mut state: MutexGuard<'_, SlotState>) {
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.fresh.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl SlotState {
    fn newer_than(&self, seen: &mut u64) -> Option<Looked> {
        if let Some(newest) = self.newest.as_ref().filter(|_| self.shown > *seen) {
            *seen = self.shown;
            return Some(Looked::Picture(Arc::clone(newest)));
        }
        self.closed.then_some(Looked::Closed)
    }
}

/// What a viewer sees.
#[derive(Clone, Debug)]
pub enum Looked {
    /// A picture newer than the last it saw.
    Picture(Arc<Picture>),
    /// The stream was removed.
    Closed,
}

/// Somebody who looks at a stream. Pictures are drawn as long as one lives.
#[derive(Debug)]
pub struct Viewer {
    views: Views,
    size: ViewSize,
    seen: u64,
}

impl Viewer {
    /// The next picture, waiting at most `wait`; `None` if none came.
    pub fn wait(&mut self, wait: Duration) -> Option<Looked> {
        let deadline = Instant::now() + wait;
        let slot = self.views.slot(self.size);
        let mut state = lock(&slot.state);
        loop {
            if let Some(looked) = state.newer_than(&mut self.seen) {
                return Some(looked);
            }
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            state = slot.fresh.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The next picture, for asynchronous viewers.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Looked> {
        let mut state = lock(&self.views.slot(self.size).state);
        if let Some(looked) = state.newer_than(&mut self.seen) {
            return Poll::Ready(looked);
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let slot = self.views.slot(self.size);
        let mut state = lock(&slot.state);
        if slot.viewers.fetch_sub(1, Ordering::Relaxed) == 1 {
            // Whoever looks next shall not see an old picture.
            state.newest = None;
            state.wakers.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const SOON: Duration = Duration::from_secs(20);

    fn picture(frame: u64) -> Picture {
        Picture::new(vec![0; 12], ImageSize { width: 2, height: 2 }, frame, SystemTime::UNIX_EPOCH)
    }

    fn frame_seen(looked: Option<Looked>) -> Option<u64> {
        looked.map(|looked| match looked {
            Looked::Picture(picture) => picture.frame,
            Looked::Closed => u64::MAX,
        })
    }

    #[test]
    fn a_viewer_gets_the_newest_and_each_once() {
        let views = Views::default();
        let mut viewer = views.viewer(ViewSize::Small);
        assert!(views.is_watched(ViewSize::Small) && !views.is_watched(ViewSize::Large));
        views.show(ViewSize::Small, picture(1));
        views.show(ViewSize::Small, picture(2));
        views.show(ViewSize::Large, picture(9));
        assert_eq!(frame_seen(viewer.wait(SOON)), Some(2));
        assert_eq!(frame_seen(viewer.wait(Duration::ZERO)), None);
        views.close();
        assert_eq!(frame_seen(viewer.wait(SOON)), Some(u64::MAX));
    }

    #[test]
    fn nothing_is_kept_once_nobody_looks() {
        let views = Views::default();
        let viewer = views.viewer(ViewSize::Large);
        views.show(ViewSize::Large, picture(1));
        drop(viewer);
        assert!(!views.is_watched(ViewSize::Large));
        views.show(ViewSize::Large, picture(2));
        assert_eq!(frame_seen(views.viewer(ViewSize::Large).wait(Duration::ZERO)), None);
    }

    #[test]
    fn a_picture_is_encoded_once_for_all() {
        let picture = picture(1);
        let first = picture.encoded(|picture| picture.rgb[..1].to_vec());
        let second = picture.encoded(|_| panic!("encoded twice"));
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn waiting_ends_with_the_next_picture() {
        let views = Views::default();
        let mut viewer = views.viewer(ViewSize::Small);
        let waiting = thread::spawn(move || frame_seen(viewer.wait(SOON)));
        views.show(ViewSize::Small, picture(7));
        assert_eq!(waiting.join().unwrap(), Some(7));
    }
}
