//! What is wrong with a pipeline file, where, and what to do about it.

use std::{fmt, path::Path};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which key; the root where the file as a whole is meant.
    pub path: KeyPath,
    /// What is wrong with it: value and allowed range.
    pub problem: String,
    /// What to do, where that is known.
    pub hint: Option<String>,
    /// Where in the file, where that is known.
    pub at: Option<Location>,
}

impl Fault {
    /// A fault of the key at `path`.
    pub fn new(path: KeyPath, problem: impl Into<String>) -> Self {
        Self { path, problem: problem.into(), hint: None, at: None }
    }

    /// The same with advice.
    pub fn with_hint(self, hint: impl Into<Option<String>>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// The fault as compilers print theirs: `FILE:LINE:COLUMN: path: problem`.
    pub fn in_file(&self, file: &Path) -> String {
        let file = file.display();
        match self.at {
            Some(at) => format!("{file}:{}:{}: {self}", at.line, at.column),
            None => format!("{file}: {self}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_root() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.problem)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// A place in a text, both numbers from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// Everything that is wrong with one file, in the order of the file. Displays as one line a fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// One step down into a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a list, from 0.
    Index(usize),
}

/// Path to a key; displays as `streams[2].zones[0].polygon`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPath(Vec<Step>);

impl KeyPath {
    /// The file as a whole.
    pub fn root() -> Self {
        Self::default()
    }

    /// The entry `key` of the mapping at this path.
    pub fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.into()))
    }

    /// The entry `index` of the list at this path.
    pub fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    /// The same path seen from an entry of the top-level `list` where it leads into one.
    pub fn below_entry(&self, list: &str) -> Self {
        match &*self.0 {
            [Step::Key(key), Step::Index(_), below @ ..] if key == list => Self(below.to_vec()),
            _ => self.clone(),
        }
    }

    /// Whether this is the file as a whole.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// From the root downwards.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    fn then(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) => write!(f, "{}{}", if index == 0 { "" } else { "." }, shown_key(key))?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Longest part of a key or value that a message repeats, characters.
const MAX_SHOWN: usize = 60;

/// `text` cut to what fits into a message.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

/// A key as it can stand in a path: quoted if it is no plain word.
pub(super) fn shown_key(key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    shortened(&if plain { key.into() } else { format!("{key:?}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_as_path_problem_and_hint() {
        let path = KeyPath::root().key("streams").index(2).key("zones").index(0).key("polygon");
        let mut fault = Fault::new(path, "2 points, need at least 3");
        assert_eq!(fault.to_string(), "streams[2].zones[0].polygon: 2 points, need at least 3");
        fault.at = Some(Location { line: 12, column: 5 });
        let fault = fault.with_hint("draw a triangle".to_string());
        assert_eq!(
            fault.in_file(Path::new("a.yml")),
            "a.yml:12:5: streams[2].zones[0].polygon: 2 points, need at least 3; draw a triangle"
        );
        assert_eq!(Fault::new(KeyPath::root(), "empty").to_string(), "empty");
    }

    #[test]
    fn odd_keys_are_quoted_and_cut() {
        let shown = |key: &str| KeyPath::root().key("a").key(key).to_string();
        assert_eq!(shown("x\ny"), r#"a."x\ny""#);
        assert_eq!(shown(""), r#"a."""#);
        assert_eq!(shown(&"k".repeat(500)).chars().count(), "a.".len() + MAX_SHOWN + 1);
    }
}
