//! Events as JSON lines in a file that is rotated by size and age. Holds whole lines at any moment.

use super::deliver::{Deliver, Message, Refusal};
use crate::config::plan_sinks::JsonlPlan;
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// How much of a file's end is read at once in search of its last line end.
const TAIL_BYTES: u64 = 64 * 1024;

/// The file of a sink. A full one becomes `PATH.1`, that `PATH.2`, and so on.
#[derive(Debug)]
pub struct RotatingFile {
    plan: JsonlPlan,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    file: File,
    /// Length up to the last whole line.
    len: u64,
    began: SystemTime,
}

impl RotatingFile {
    /// Nothing is opened before the first event.
    pub fn new(plan: JsonlPlan) -> Self {
        Self { plan, current: None }
    }

    fn write(&mut self, messages: &[Message]) -> io::Result<()> {
        let mut lines = Vec::with_capacity(messages.iter().map(|message| message.payload.len() + 1).sum());
        for message in messages {
            lines.extend_from_slice(&message.payload);
            lines.push(b'\n');
        }
        if self.current.as_ref().is_some_and(|current| current.is_full(&self.plan, lines.len() as u64)) {
            self.current = None;
            rotate(&self.plan)?;
        }
        let current = match &mut self.current {
            Some(current) => current,
            none => none.insert(Current::open(&self.plan.path)?),
        };
        let written = current.file.write_all(&lines);
        match written {
            Ok(()) => current.len += lines.len() as u64,
            // A device that cannot be cut back holds no half line either.
            Err(_) => _ = current.file.set_len(current.len),
        }
        written
    }
}

impl Deliver for RotatingFile {
    fn deliver(&mut self, messages: &[Message]) -> Result<(), Refusal> {
        self.write(messages).map_err(|error| {
            // Opened anew next time: somebody may have moved the file or the disk.
            self.current = None;
            Refusal::server(format!("{}: {error}", self.plan.path.display()))
        })
    }
}

impl Current {
    /// Opens the file to append, without the half line that a crash may have left at its end.
    fn open(path: &Path) -> io::Result<Self> {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let about = file.metadata()?;
        let len = whole_lines(&mut file, about.len())?;
        if len < about.len() {
            file.set_len(len)?;
        }
        let now = SystemTime::now();
        let began = if len == 0 { now } else { about.created().or_else(|_| about.modified()).unwrap_or(now) };
        Ok(Self { file, len, began })
    }

    fn is_full(&self, plan: &JsonlPlan, more: u64) -> bool {
        let age = self.began.elapsed().unwrap_or(Duration::ZERO);
        let is_over =
            plan.max_bytes.is_some_and(|max| self.len + more > max) || plan.max_age.is_some_and(|max| age > max);
        self.len > 0 && is_over
    }
}

/// Length of a file up to its last line end.
fn whole_lines(file: &mut File, len: u64) -> io::Result<u64> {
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(start))?;
        let mut part = Vec::new();
        (&mut *file).take(end - start).read_to_end(&mut part)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Moves every file one number up; the last goes.
fn rotate(plan: &JsonlPlan) -> io::Result<()> {
    let numbered = |number: u32| -> PathBuf {
        let mut name = OsString::from(&plan.path);
        name.push(format!(".{number}"));
        name.into()
    };
    if plan.keep == 0 {
        return fs::remove_file(&plan.path);
    }
    for number in (1..plan.keep).rev().filter(|number| numbered(*number).exists()) {
        fs::rename(numbered(number), numbered(number + 1))?;
    }
    fs::rename(&plan.path, numbered(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::follower::tests::message;

    fn plan(path: PathBuf, max_bytes: u64, keep: u32) -> JsonlPlan {
        JsonlPlan { path, max_bytes: Some(max_bytes), max_age: None, keep }
    }

    fn lines(path: &Path) -> usize {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
        text.lines().inspect(|line| assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}")).count()
    }

    #[test]
    fn a_full_file_moves_up_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/events.jsonl");
        let size = message("gate", 0).payload.len() as u64 + 1;
        let mut file = RotatingFile::new(plan(path.clone(), 2 * size + 1, 2));
        for sequence in 0..9 {
            file.deliver(&[message("gate", sequence)]).unwrap();
        }
        let count = |suffix: &str| lines(Path::new(&format!("{}{suffix}", path.display())));
        assert_eq!((count(""), count(".1"), count(".2")), (1, 2, 2));
        assert!(!dir.path().join("deep/events.jsonl.3").exists());
    }

    #[test]
    fn a_batch_larger_than_the_limit_still_goes_somewhere() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut file = RotatingFile::new(plan(path.clone(), 1, 1));
        for _ in 0..3 {
            file.deliver(&[message("gate", 0), message("gate", 1)]).unwrap();
        }
        assert_eq!(lines(&path), 2);
    }

    #[test]
    fn half_a_line_of_a_crash_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        for (before, expected) in [("{}\n{\"id\": \"ga", 2), ("{\"id", 1), ("", 1), ("{}\n", 2)] {
            fs::write(&path, before).unwrap();
            RotatingFile::new(plan(path.clone(), 1 << 20, 1)).deliver(&[message("gate", 0)]).unwrap();
            assert_eq!(lines(&path), expected, "{before:?}");
        }
        let long = format!("{{}}\n{}", "x".repeat(3 * TAIL_BYTES as usize));
        fs::write(&path, long).unwrap();
        RotatingFile::new(plan(path.clone(), 1 << 30, 1)).deliver(&[message("gate", 0)]).unwrap();
        assert_eq!(lines(&path), 2);
    }

    #[test]
    fn a_disk_that_refuses_loses_nothing() {
        let mut file = RotatingFile::new(plan("/dev/full".into(), 1 << 20, 1));
        let refusal = file.deliver(&[message("gate", 0)]).unwrap_err();
        assert!(refusal.problem.starts_with("/dev/full: "), "{refusal}");
    }
}
