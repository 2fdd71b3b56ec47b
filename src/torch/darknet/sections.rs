//! The text of a cfg: `[section]` lines, each followed by `key = value` lines. Knows no layer.

use super::cfg::CfgError;
use std::str::FromStr;

/// One `[section]` and its options.
pub(super) struct Section<'a> {
    /// Name without the brackets.
    pub kind: &'a str,
    /// Line of the header, from 1.
    pub line: usize,
    options: Vec<(&'a str, &'a str, usize)>,
}

/// Splits a cfg into sections. Empty lines and those after `#` or `;` are comments.
pub(super) fn split(text: &str) -> Result<Vec<Section<'_>>, CfgError> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for (index, raw) in text.lines().enumerate() {
        let number = index + 1;
        let line = raw.split('#').next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with(';') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            let kind = header.strip_suffix(']').ok_or_else(|| CfgError::at(number, format!("{line:?} lacks its ]")))?;
            sections.push(Section { kind: kind.trim(), line: number, options: Vec::new() });
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .ok_or_else(|| CfgError::at(number, format!("expected [section] or key=value, got {:?}", shorten(line))))?;
        let section =
            sections.last_mut().ok_or_else(|| CfgError::at(number, "an option before the first [section]".into()))?;
        section.options.push((key.trim(), value.trim(), number));
    }
    Ok(sections)
}

/// A line of some other kind of file may be long; the first characters tell what it is.
fn shorten(line: &str) -> String {
    line.chars().take(40).collect()
}

impl Section<'_> {
    /// An error at this section's header.
    pub fn error(&self, problem: impl Into<String>) -> CfgError {
        CfgError { line: self.line, section: self.kind.to_owned(), problem: problem.into() }
    }

    /// The first value of a key, as Darknet takes it, and its line.
    fn find(&self, key: &str) -> Option<(&str, usize)> {
        self.options.iter().find(|(name, ..)| *name == key).map(|(_, value, line)| (*value, *line))
    }

    /// An error at the line of `key`, or at the header where the key is missing.
    pub fn error_at(&self, key: &str, problem: impl Into<String>) -> CfgError {
        let line = self.find(key).map_or(self.line, |(_, line)| line);
        CfgError { line, section: self.kind.to_owned(), problem: problem.into() }
    }

    fn parse<T: FromStr>(&self, key: &str, expected: &str) -> Result<Option<T>, CfgError> {
        let Some((value, _)) = self.find(key) else { return Ok(None) };
        let wrong = |_| self.error_at(key, format!("{key} = {value:?}, expected {expected}"));
        value.parse().map(Some).map_err(wrong)
    }

    /// A whole number between `least` and `MAX_COUNT`; `default` where the key is missing.
    pub fn count(&self, key: &str, least: usize, default: usize) -> Result<usize, CfgError> {
        let expected = format!("a whole number from {least} to {MAX_COUNT}");
        let value = self.parse::<usize>(key, &expected)?.unwrap_or(default);
        if !(least..=MAX_COUNT).contains(&value) {
            return Err(self.error_at(key, format!("{key} = {value}, expected {expected}")));
        }
        Ok(value)
    }

    /// A switch, 0 or 1; off where the key is missing.
    pub fn switch(&self, key: &str) -> Result<bool, CfgError> {
        match self.parse::<u8>(key, "0 or 1")? {
            None | Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(other) => Err(self.error_at(key, format!("{key} = {other}, expected 0 or 1"))),
        }
    }

    /// A finite number above 0; `default` where the key is missing.
    pub fn positive(&self, key: &str, default: f32) -> Result<f32, CfgError> {
        let value = self.parse::<f32>(key, "a number above 0")?.unwrap_or(default);
        if value.is_finite() && value > 0.0 {
            return Ok(value);
        }
        Err(self.error_at(key, format!("{key} = {value}, expected a number above 0")))
    }

    /// A comma-separated list; an error where the key is missing or the list is empty.
    pub fn list<T: FromStr>(&self, key: &str, expected: &str) -> Result<Vec<T>, CfgError> {
        let Some((text, _)) = self.find(key) else {
            return Err(self.error(format!("{key} is missing, expected {expected}")));
        };
        let item = |part: &str| {
            let part = part.trim();
            part.parse().map_err(|_| self.error_at(key, format!("{key} holds {part:?}, expected {expected}")))
        };
        // Darknet itself tolerates a comma at the end.
        text.trim_end_matches(',').split(',').map(item).collect()
    }

    /// The text of a key, or `default`.
    pub fn text<'b>(&'b self, key: &str, default: &'b str) -> &'b str {
        self.find(key).map_or(default, |(value, _)| value)
    }

    /// Refuses keys that change what the layer computes in ways not built here, unless they hold their neutral value.
    pub fn refuse(&self, neutral: &[(&str, &str)]) -> Result<(), CfgError> {
        for (key, harmless) in neutral {
            let value = self.text(key, harmless);
            if value != *harmless {
                return Err(self.error_at(key, format!("{key} = {value} is not supported (only {harmless})")));
            }
        }
        Ok(())
    }
}

/// No real network has more of anything (the largest published layer has 2,048 filters); keeps products in range.
const MAX_COUNT: usize = 65_536;
