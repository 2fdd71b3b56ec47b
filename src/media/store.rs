//! Where pictures and clips are kept: files beside each other, the oldest of which go by age and by size.

use crate::config::plan_media::KeepPlan;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

/// How often files are counted and old ones removed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// What a file shows; the name of its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The best picture of a track.
    Snapshot,
    /// The whole picture of an event.
    Frame,
    /// What happened around an event.
    Clip,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Snapshot, Self::Frame, Self::Clip];

    const fn folder(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshots",
            Self::Frame => "frames",
            Self::Clip => "clips",
        }
    }
}

/// The files of all streams, `STREAM/snapshots/NAME` and so on below one folder.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    failing: AtomicBool,
    lost: AtomicU64,
    /// Dropped, it ends the thread that removes old files.
    _sweeping: Sender<()>,
}

impl Store {
    /// Keeps files below `root`, and starts the thread that removes those beyond `keep`.
    ///
    /// Errors: the thread cannot be started.
    pub fn open(root: &Path, keep: &KeepPlan) -> io::Result<Arc<Self>> {
        let (_sweeping, ends) = bounded::<()>(1);
        let (root, keep) = (root.to_owned(), keep.clone());
        let swept = root.clone();
        let sweep_again = move || {
            loop {
                if let Err(error) = sweep(&swept, &keep, SystemTime::now()) {
                    tracing::warn!(folder = %swept.display(), %error, "old pictures cannot be removed");
                }
                if ends.recv_timeout(SWEEP_INTERVAL) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
            }
        };
        thread::Builder::new().name("media-sweep".into()).spawn(sweep_again)?;
        Ok(Arc::new(Self { root, failing: AtomicBool::new(false), lost: AtomicU64::new(0), _sweeping }))
    }

    /// Keeps a file: it is there whole or not at all. Gives where, below the store's folder; `None` where it could not be
    /// written, which is told once until it goes well again, and counted.
    pub fn put(&self, stream: &str, kind: Kind, name: &str, bytes: &[u8]) -> Option<String> {
        let relative = self.path_of(stream, kind, name);
        self.write_with(&relative, |path| fs::write(path, bytes)).then_some(relative)
    }

    /// The same for what `write` writes to the path it is given. Gives whether it went well.
    pub fn write_with<E: fmt::Display>(&self, relative: &str, write: impl FnOnce(&Path) -> Result<(), E>) -> bool {
        let path = self.root.join(relative);
        let fresh = path.with_extension("part");
        let made = path.parent().map_or(Ok(()), fs::create_dir_all).map_err(|error| error.to_string());
        let written = made.and_then(|()| write(&fresh).map_err(|error| error.to_string()));
        match written.and_then(|()| fs::rename(&fresh, &path).map_err(|error| error.to_string())) {
            Ok(()) => {
                self.failing.store(false, Ordering::Relaxed);
                true
            }
            Err(problem) => {
                // Half a file helps nobody; it may not be there at all.
                let _ = fs::remove_file(&fresh);
                self.failed(relative, &problem);
                false
            }
        }
    }

    /// Where a file of this name is or will be, below the store's folder.
    pub fn path_of(&self, stream: &str, kind: Kind, name: &str) -> String {
        format!("{stream}/{}/{name}", kind.folder())
    }

    /// Notes that a file could not be written.
    pub fn failed(&self, relative: &str, error: &dyn fmt::Display) {
        let lost_in_all = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(file = relative, %error, lost_in_all, "a picture cannot be kept; the line goes on without");
        }
    }

    /// Files that could not be written.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

struct Found {
    path: PathBuf,
    bytes: u64,
    modified: SystemTime,
}

/// Removes, oldest first, what is older than `keep` allows and what is too much. Gives how many files went.
fn sweep(root: &Path, keep: &KeepPlan, now: SystemTime) -> io::Result<usize> {
    let mut found = found(root)?;
    found.sort_by_key(|file| file.modified);
    let mut total: u64 = found.iter().map(|file| file.bytes).sum();
    let is_old = |file: &Found| now.duration_since(file.modified).is_ok_and(|age| age > keep.max_age);
    let mut removed = 0;
    for file in found {
        if !is_old(&file) && total <= keep.max_bytes {
            break;
        }
        match fs::remove_file(&file.path) {
            Ok(()) => removed += 1,
            // Somebody else removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        total -= file.bytes;
    }
    Ok(removed)
}

fn found(root: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for stream in entries(root)? {
        for kind in Kind::ALL {
            for path in entries(&stream.join(kind.folder()))? {
                // A file may go while it is looked at.
                let Ok(about) = fs::metadata(&path) else { continue };
                if about.is_file() {
                    let modified = about.modified()?;
                    found.push(Found { path, bytes: about.len(), modified });
                }
            }
        }
    }
    Ok(found)
}

/// What is in a folder; nothing where there is no such folder.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(max_age_seconds: u64, max_bytes: u64) -> KeepPlan {
        KeepPlan { max_age: Duration::from_secs(max_age_seconds), max_bytes }
    }

    /// Ten pictures of 100 bytes, number 0 the oldest: as many minutes old as are behind it. And a file of the user's.
    fn pictures(root: &Path) -> SystemTime {
        let now = SystemTime::now();
        let store = Store::open(root, &keep(1 << 30, 1 << 30)).unwrap();
        for number in 0..10 {
            let kind = Kind::ALL[number % 3];
            let path = store.put("gate", kind, &format!("{number}.jpg"), &[7; 100]).unwrap();
            let age = Duration::from_secs(60 * (9 - number as u64));
            let file = fs::File::options().write(true).open(root.join(path)).unwrap();
            file.set_modified(now.checked_sub(age).unwrap()).unwrap();
        }
        fs::write(root.join("gate/events.jsonl"), "{}").unwrap();
        now
    }

    fn left(root: &Path) -> Vec<usize> {
        let number = |file: &Found| file.path.file_stem()?.to_str()?.parse().ok();
        let mut left: Vec<usize> = found(root).unwrap().iter().filter_map(number).collect();
        left.sort();
        left
    }

    #[test]
    fn the_oldest_go_by_age_and_by_size_and_nothing_else_does() {
        for (keep, expected) in [
            (keep(1 << 30, 1000), (0..10).collect::<Vec<_>>()),
            (keep(1 << 30, 999), (1..10).collect()),
            (keep(1 << 30, 250), vec![8, 9]),
            (keep(150, 1000), vec![7, 8, 9]),
            (keep(150, 100), vec![9]),
            (keep(0, 0), vec![]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let now = pictures(folder.path());
            // Files have the times of the disk, a little behind.
            let removed = sweep(folder.path(), &keep, now + Duration::from_millis(1)).unwrap();
            assert_eq!((left(folder.path()), removed), (expected.clone(), 10 - expected.len()), "{keep:?}");
            assert!(folder.path().join("gate/events.jsonl").exists());
        }
        assert_eq!(sweep(Path::new("/no/such/folder"), &keep(0, 0), SystemTime::now()).unwrap(), 0);
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("gate"), "in the way").unwrap();
        let store = Store::open(folder.path(), &keep(1000, 1000)).unwrap();
        assert_eq!(store.put("gate", Kind::Frame, "1.jpg", b"x"), None);
        assert_eq!(store.lost(), 1);
        assert_eq!(store.put("yard", Kind::Frame, "1.jpg", b"x").as_deref(), Some("yard/frames/1.jpg"));
        assert_eq!(fs::read_dir(folder.path().join("yard/frames")).unwrap().count(), 1);
    }
}
