//! A model's file on disk: read whole, with the sha256 that names it in every summary.

use crate::config::zoo::ZooFile;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
};

/// No model eyeline runs is larger; keeps a video given by mistake out of memory.
const MAX_BYTES: u64 = 2 << 30;

/// A file that was read.
pub struct ModelFile {
    /// Where it lies.
    pub path: PathBuf,
    /// All of it.
    pub bytes: Vec<u8>,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

impl ModelFile {
    /// Reads a file; what is wrong with it comes back as a sentence with the remedy.
    pub fn read(path: &Path) -> Result<Self, String> {
        let name = path.display();
        // Asked before it is opened: opening a pipe would wait for its other end.
        let meta = fs::metadata(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => format!(
                "{name} is not there; run `make setup` or `eyeline models fetch`, or give the path of a model file"
            ),
            _ => format!("{name} cannot be read ({error}); check its permissions"),
        })?;
        if !meta.is_file() {
            return Err(format!("{name} is not a file; give the path of a model file"));
        }
        if meta.len() > MAX_BYTES {
            return Err(format!("{name} has {} bytes, a model has at most {MAX_BYTES}; is it a video?", meta.len()));
        }
        let unreadable = |error: io::Error| format!("{name} cannot be read ({error}); check its permissions");
        let mut file = File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::with_capacity(meta.len() as usize);
        file.read_to_end(&mut bytes).map_err(unreadable)?;
        let sha256 = sha256(&bytes);
        Ok(Self { path: path.to_owned(), bytes, sha256 })
    }

    /// Reads a file the zoo knows from a folder of models and makes sure that it is that file.
    pub fn read_known(models: &Path, known: &ZooFile) -> Result<Self, String> {
        let file = Self::read(&models.join(&known.file))?;
        let Some(expected) = known.sha256.as_ref().filter(|sha256| **sha256 != file.sha256) else { return Ok(file) };
        let (name, got) = (file.path.display(), &file.sha256);
        Err(format!("{name} has sha256 {got}, expected {expected}: it is damaged; remove it and run `make setup`"))
    }

    /// The file's content as text.
    pub fn text(&self) -> Result<&str, String> {
        let wrong = |_| format!("{} is not a text file, expected a Darknet cfg", self.path.display());
        std::str::from_utf8(&self.bytes).map_err(wrong)
    }
}

/// The digest of bytes, lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_with_its_digest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m");
        std::fs::write(&path, "abc").unwrap();
        let file = ModelFile::read(&path).unwrap();
        assert_eq!(file.text().unwrap(), "abc");
        // Source: FIPS 180-2, appendix B.1.
        assert_eq!(file.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_known_file_must_be_the_one_that_is_known() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("m"), "abd").unwrap();
        let known = ZooFile { file: "m".into(), sha256: Some("ba78".into()) };
        let error = ModelFile::read_known(dir.path(), &known).err().unwrap();
        let sha256 = "a52d159f262b2c6ddb724a61840befc36eb30c88877a4030b65cbe86298449c9";
        let expected = format!("m has sha256 {sha256}, expected ba78: it is damaged; remove it and run `make setup`");
        assert!(error.ends_with(&expected), "{error}");
    }

    #[test]
    fn what_is_wrong_comes_with_a_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let missing = ModelFile::read(&dir.path().join("m")).err().unwrap();
        assert!(
            missing.ends_with(
                "m is not there; run `make setup` or `eyeline models fetch`, or give the path of a model file"
            ),
            "{missing}"
        );
        let folder = ModelFile::read(dir.path()).err().unwrap();
        assert!(folder.ends_with("is not a file; give the path of a model file"), "{folder}");
    }
}
