//! `seqinfo.ini`: what a MOTChallenge sequence says of itself.

use super::mot_io::{MotError, read};
use crate::frame::ImageSize;
use std::path::Path;

/// What the file says; every entry is optional.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeqInfo {
    /// Name of the sequence.
    pub name: Option<String>,
    /// Frames per second.
    pub frame_rate: Option<f64>,
    /// Number of frames.
    pub length: Option<u64>,
    /// Size of the pictures.
    pub size: Option<ImageSize>,
}

impl SeqInfo {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self, MotError> {
        Self::parse(path, &String::from_utf8_lossy(&read(path)?))
    }

    /// As [`Self::read`], from the file's content. Keys are case-insensitive; unknown ones and sections are passed over.
    pub fn parse(path: &Path, content: &str) -> Result<Self, MotError> {
        let mut info = Self::default();
        let (mut width, mut height) = (None, None);
        for (index, text) in content.lines().enumerate() {
            let Some((key, value)) = text.split_once('=') else { continue };
            let entry = Entry { path, line: index + 1, value: value.trim() };
            match key.trim().to_ascii_lowercase().as_str() {
                "name" => info.name = Some(entry.value.to_owned()),
                "framerate" => info.frame_rate = Some(entry.rate()?),
                "seqlength" => info.length = Some(entry.count("seqLength")?),
                "imwidth" => width = Some(entry.count("imWidth")?),
                "imheight" => height = Some(entry.count("imHeight")?),
                _ => {}
            }
        }
        info.size = width.zip(height).map(|(width, height)| ImageSize { width, height });
        Ok(info)
    }
}

struct Entry<'a> {
    path: &'a Path,
    line: usize,
    value: &'a str,
}

impl Entry<'_> {
    fn rate(&self) -> Result<f64, MotError> {
        let rate = self.value.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
        rate.ok_or_else(|| self.wrong("frameRate", "a number above 0"))
    }

    fn count<T: TryFrom<u64>>(&self, key: &'static str) -> Result<T, MotError> {
        let count = self.value.parse().ok().and_then(|count: u64| T::try_from(count).ok());
        count.ok_or_else(|| self.wrong(key, "a whole number from 0"))
    }

    fn wrong(&self, column: &'static str, expected: &str) -> MotError {
        let got = self.value.chars().take(40).collect();
        MotError::Value { path: self.path.to_owned(), line: self.line, column, expected: expected.to_owned(), got }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entries_are_read_and_unknown_ones_passed_over() {
        let text = "[Sequence]\r\nname = gate\nimDir=img1\nFrameRate=29.97\nseqLength=179\nimWidth=640\nimHeight=480\n";
        let info = SeqInfo::parse(Path::new("seqinfo.ini"), text).unwrap();
        let size = Some(ImageSize { width: 640, height: 480 });
        assert_eq!(info, SeqInfo { name: Some("gate".into()), frame_rate: Some(29.97), length: Some(179), size });
        assert_eq!(SeqInfo::parse(Path::new("seqinfo.ini"), "").unwrap(), SeqInfo::default());
    }

    #[test]
    fn errors_name_file_line_and_key() {
        let cases = [
            ("x\nseqLength=-3", r#"seqinfo.ini line 2, seqLength: expected a whole number from 0, got "-3""#),
            ("frameRate=inf", r#"seqinfo.ini line 1, frameRate: expected a number above 0, got "inf""#),
            (
                "imWidth=99999999999",
                r#"seqinfo.ini line 1, imWidth: expected a whole number from 0, got "99999999999""#,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(SeqInfo::parse(Path::new("seqinfo.ini"), text).unwrap_err().to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(name|frameRate|seqLength|imWidth|\\PC){0,3}=\\PC{0,9}\n?") {
            let _ = SeqInfo::parse(Path::new("seqinfo.ini"), &text);
        }
    }
}
