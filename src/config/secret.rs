//! Secrets: passwords, tokens, keys. They come from environment variables or files and never show in a log, an error or
//! `Debug`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, fs, io, path::PathBuf};

/// Longest file of a secret or of certificates that is read, bytes: a bundle of all public authorities has 200 KB.
pub const MAX_SECRET_BYTES: u64 = 1024 * 1024;

/// A secret as a pipeline file or a request says it. In a file it is a variable, `${NAME}`; no message repeats it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-secret" = true, "writeOnly" = true))]
pub struct SecretText(pub String);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "***" })
    }
}

/// Where a secret comes from. Files are read at every use, so that a rotated secret is picked up at the next connection.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// Its text, from a variable.
    Text(String),
    /// The file that holds it; one line end at its end does not belong to it.
    File(PathBuf),
}

impl Secret {
    /// The secret itself: for the client that needs it, and for nothing that prints.
    ///
    /// Errors: the file cannot be read; the message names the file only.
    pub fn reveal(&self) -> io::Result<String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => {
                let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
                let mut text = fs::read_to_string(path).map_err(named)?;
                let sound = text.trim_end_matches(['\r', '\n']).len();
                text.truncate(sound);
                Ok(text)
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Secret(…)"),
            Self::File(path) => write!(f, "Secret({})", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let secret = Secret::Text("hunter2".into());
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "Secret(…) Some(Secret(…))");
        assert_eq!(format!("{:?} {:?}", SecretText("hunter2".into()), SecretText::default()), "*** none");
    }

    #[test]
    fn a_file_is_read_at_every_use_without_its_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        let secret = Secret::File(path.clone());
        assert!(secret.reveal().unwrap_err().to_string().contains("password"));
        for (content, expected) in [("one\n", "one"), ("two \r\n", "two "), ("three", "three")] {
            fs::write(&path, content).unwrap();
            assert_eq!(secret.reveal().unwrap(), expected);
        }
    }
}
