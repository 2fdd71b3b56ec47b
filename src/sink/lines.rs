//! A text file that holds whole lines only, whatever happens: a reader may look at it, and the disk may fill, at any time.

use super::SinkError;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Appends lines; they reach the file together at `flush`.
#[derive(Debug)]
pub struct LineFile {
    path: PathBuf,
    file: File,
    pending: Vec<u8>,
    /// Length of the file up to the last whole line.
    sound_len: u64,
}

impl LineFile {
    /// Creates the file, and its folder where missing; an old one is emptied.
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        let make = || {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            File::create(path)
        };
        let file = make().map_err(|source| SinkError::File { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file, pending: Vec::new(), sound_len: 0 })
    }

    /// Adds one line; `write` must write no line end.
    pub fn line(&mut self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Result<(), SinkError> {
        let before = self.pending.len();
        if let Err(source) = write(&mut self.pending) {
            self.pending.truncate(before);
            return Err(SinkError::File { path: self.path.clone(), source });
        }
        self.pending.push(b'\n');
        Ok(())
    }

    /// Writes the pending lines. If only a part fits, the file is cut back to whole lines.
    pub fn flush(&mut self) -> Result<(), SinkError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.pending);
        let len = self.pending.len() as u64;
        self.pending.clear();
        match written {
            Ok(()) => {
                self.sound_len += len;
                Ok(())
            }
            Err(source) => {
                // The write's error is the one that matters; a device that cannot be cut holds no half line either.
                let _ = self.file.set_len(self.sound_len);
                Err(SinkError::File { path: self.path.clone(), source })
            }
        }
    }
}
