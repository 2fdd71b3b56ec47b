//! One file from an address: into a `.part` first, resumed where that is safe, and under its name only once it is whole.

use sha2::{Digest, Sha256};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};
use ureq::{Agent, http::StatusCode};

/// How long a server may take to answer, and between two pieces of its answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// No connection, or it broke.
    #[error("{url}: {problem}; what came so far is kept, run the command again to go on")]
    Network {
        /// The address.
        url: String,
        /// What happened.
        problem: String,
    },
    /// The server has no such file, or does not give it.
    #[error("{url}: the server answers {status}")]
    Status {
        /// The address.
        url: String,
        /// Its answer.
        status: StatusCode,
    },
    /// Another file than was expected.
    #[error("{url}: has sha256 {got}, expected {expected}; nothing was kept of it")]
    Checksum {
        /// The address.
        url: String,
        /// What came.
        got: String,
        /// What should have come.
        expected: String,
    },
    /// The file cannot be written here.
    #[error("{path}: {error}", path = .path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// A file to fetch.
pub struct Download<'a> {
    /// Where from.
    pub url: &'a str,
    /// Where to; its folder is made.
    pub to: &'a Path,
    /// Its sha256, hexadecimal. A part of a file can be resumed only where this is known.
    pub sha256: Option<&'a str>,
}

impl Download<'_> {
    /// Fetches the file and gives its sha256. `progress` hears of bytes there and, where the server says, bytes in all.
    pub fn run(&self, progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<String, DownloadError> {
        if let Some(folder) = self.to.parent() {
            fs::create_dir_all(folder).map_err(|error| self.disk(folder, error))?;
        }
        let part = self.part();
        let resumed = self.receive(&part, progress)?;
        let mut got = self.digest(&part)?;
        if resumed && self.sha256.is_some_and(|expected| expected != got) {
            // The beginning was of another file; once from the start, then.
            fs::remove_file(&part).map_err(|error| self.disk(&part, error))?;
            self.receive(&part, progress)?;
            got = self.digest(&part)?;
        }
        if let Some(expected) = self.sha256.filter(|expected| *expected != got) {
            fs::remove_file(&part).map_err(|error| self.disk(&part, error))?;
            return Err(DownloadError::Checksum { url: self.url.into(), got, expected: expected.into() });
        }
        fs::rename(&part, self.to).map_err(|error| self.disk(self.to, error))?;
        Ok(got)
    }

    fn part(&self) -> PathBuf {
        let mut name = self.to.as_os_str().to_owned();
        name.push(".part");
        name.into()
    }

    /// Receives the rest of the file, or all of it. Whether something was there before.
    fn receive(&self, part: &Path, progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<bool, DownloadError> {
        let there = fs::metadata(part).map_or(0, |meta| meta.len());
        let there = if self.sha256.is_some() { there } else { 0 };
        let network = |problem: String| DownloadError::Network { url: self.url.into(), problem };
        let agent = Agent::config_builder()
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .http_status_as_error(false)
            .build();
        let mut request = Agent::from(agent).get(self.url);
        if there > 0 {
            request = request.header("Range", format!("bytes={there}-"));
        }
        let response = request.call().map_err(|error| network(error.to_string()))?;
        let from = match response.status() {
            StatusCode::PARTIAL_CONTENT if there > 0 => there,
            StatusCode::OK => 0,
            // All of it is there already.
            StatusCode::RANGE_NOT_SATISFIABLE if there > 0 => return Ok(true),
            status => return Err(DownloadError::Status { url: self.url.into(), status }),
        };
        let rest: Option<u64> =
            response.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
        let total = rest.map(|rest| from + rest);
        let mut options = OpenOptions::new();
        let options = if from > 0 { options.append(true) } else { options.write(true).create(true).truncate(true) };
        let mut file = options.open(part).map_err(|error| self.disk(part, error))?;
        let (mut body, mut buffer, mut done) = (response.into_body().into_reader(), vec![0; 1 << 16], from);
        loop {
            progress(done, total);
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => return Err(network(error.to_string())),
            };
            file.write_all(&buffer[..count]).map_err(|error| self.disk(part, error))?;
            done += count as u64;
        }
        match total.filter(|total| *total != done) {
            Some(total) => Err(network(format!("the connection ended after {done} of {total} bytes"))),
            None => file.sync_all().map(|()| from > 0).map_err(|error| self.disk(part, error)),
        }
    }

    fn digest(&self, part: &Path) -> Result<String, DownloadError> {
        let hash = || -> io::Result<String> {
            let (mut file, mut hasher, mut buffer) = (File::open(part)?, Sha256::new(), vec![0; 1 << 16]);
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    count => hasher.update(&buffer[..count]),
                }
            }
            Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
        };
        hash().map_err(|error| self.disk(part, error))
    }

    fn disk(&self, path: &Path, error: io::Error) -> DownloadError {
        DownloadError::Disk { path: path.to_owned(), error }
    }
}
