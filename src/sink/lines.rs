//! A text file that holds whole lines only, whatever happens: a reader may look at it, and the disk may fill, at any time.

use super::SinkError;
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
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

    /// Opens the file to go on behind its last whole line, which is given, without its end; a part of a line behind it is
    /// cut off. Creates the file, and its folder, where missing.
    pub fn resume(path: &Path) -> Result<(Self, Option<Vec<u8>>), SinkError> {
        let open = || {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            let file = File::options().create(true).read(true).append(true).open(path)?;
            let (sound_len, last) = last_line(&file)?;
            file.set_len(sound_len)?;
            Ok((file, sound_len, last))
        };
        let (file, sound_len, last) = open().map_err(|source| SinkError::File { path: path.to_owned(), source })?;
        Ok((Self { path: path.to_owned(), file, pending: Vec::new(), sound_len }, last))
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

/// Where the last whole line ends, and that line without its end.
fn last_line(file: &File) -> io::Result<(u64, Option<Vec<u8>>)> {
    let mut reader = BufReader::new(file);
    let (mut sound_len, mut last, mut line) = (0, None, Vec::new());
    while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        sound_len += line.len() as u64;
        line.pop();
        last = Some(std::mem::take(&mut line));
    }
    Ok((sound_len, last))
}
