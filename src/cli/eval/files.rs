//! Which file holds what: pairs the truth of each sequence with each result set.

use super::{EvalArgs, Task};
use crate::eval::{
    mot_io::{MotFormat, MotRows, ResultRow, TruthRow},
    seqinfo::SeqInfo,
};
use anyhow::{Context, bail, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A sequence and its truth.
pub struct TruthSequence {
    pub name: String,
    pub truth: MotRows<TruthRow>,
    pub format: MotFormat,
    /// Number of frames, where `seqinfo.ini` gives it.
    pub length: Option<u64>,
}

/// Results of one tracker or detector.
pub struct ResultSet {
    pub name: String,
    pub path: PathBuf,
    /// One file for each sequence, in their order.
    pub files: Vec<MotRows<ResultRow>>,
}

/// Everything there is to score.
pub struct Inputs {
    pub sequences: Vec<TruthSequence>,
    pub sets: Vec<ResultSet>,
    /// What the user should know of files left out.
    pub notes: Vec<String>,
}

impl Inputs {
    pub fn find(args: &EvalArgs) -> anyhow::Result<Self> {
        for path in args.results.iter().chain([&args.truth]) {
            ensure!(path.exists(), "{}: no such file or folder", path.display());
        }
        let found = find_truth(&args.truth)?;
        let places = choose(found, args)?;
        let mut notes = Vec::new();
        let sets = args.results.iter().zip(set_names(&args.results));
        let sets = sets.map(|(path, name)| ResultSet::read(path, name, &places, args, &mut notes));
        let sets = sets.collect::<anyhow::Result<_>>()?;
        let sequences = places.iter().map(|place| place.read(args)).collect::<anyhow::Result<_>>()?;
        Ok(Self { sequences, sets, notes })
    }
}

/// Where the truth of a sequence is.
#[derive(Clone, Debug, PartialEq)]
struct TruthPlace {
    name: String,
    truth: PathBuf,
    seqinfo: PathBuf,
}

impl TruthPlace {
    fn in_dir(dir: &Path) -> Self {
        Self { name: name_of(dir), truth: dir.join("gt").join("gt.txt"), seqinfo: dir.join("seqinfo.ini") }
    }

    /// SEQ/gt/gt.txt and SEQ/gt.txt are named after their folder, any other file after itself.
    fn of_file(file: &Path) -> Self {
        let file_dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let dir = if file_dir.file_name() == Some("gt".as_ref()) { file_dir.join("..") } else { file_dir.to_owned() };
        let is_gt = file.file_stem() == Some("gt".as_ref());
        let name = if is_gt { name_of(&dir) } else { stem(file) };
        Self { name, truth: file.to_owned(), seqinfo: dir.join("seqinfo.ini") }
    }

    fn read(&self, args: &EvalArgs) -> anyhow::Result<TruthSequence> {
        let format = args.format.map(MotFormat::from);
        let (truth, format) = MotRows::read_truth(&self.truth, format, &self.name)?;
        let length = if self.seqinfo.is_file() { SeqInfo::read(&self.seqinfo)?.length } else { None };
        Ok(TruthSequence { name: self.name.clone(), truth, format, length })
    }
}

fn find_truth(path: &Path) -> anyhow::Result<Vec<TruthPlace>> {
    if !path.is_dir() {
        return Ok(vec![TruthPlace::of_file(path)]);
    }
    let itself = TruthPlace::in_dir(path);
    if itself.truth.is_file() {
        return Ok(vec![itself]);
    }
    let entries = fs::read_dir(path).with_context(|| path.display().to_string())?;
    let mut places = Vec::new();
    for entry in entries {
        let place = TruthPlace::in_dir(&entry.with_context(|| path.display().to_string())?.path());
        if place.truth.is_file() {
            places.push(place);
        }
    }
    ensure!(!places.is_empty(), "{}: no truth there; expected {0}/SEQ/gt/gt.txt or {0}/gt/gt.txt", path.display());
    places.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(places)
}

/// The sequences asked for; where the results are one file, the sequence named like it.
fn choose(mut places: Vec<TruthPlace>, args: &EvalArgs) -> anyhow::Result<Vec<TruthPlace>> {
    let known = |places: &[TruthPlace]| places.iter().map(|p| p.name.clone()).collect::<Vec<_>>().join(", ");
    if !args.sequences.is_empty() {
        for name in &args.sequences {
            let is_known = places.iter().any(|place| place.name == *name);
            ensure!(is_known, "--sequences {name}: no such truth; {} has {}", args.truth.display(), known(&places));
        }
        places.retain(|place| args.sequences.contains(&place.name));
    }
    let files = args.results.iter().filter(|path| !path.is_dir());
    for file in files {
        if places.len() > 1 {
            let all = known(&places);
            places.retain(|place| place.name == stem(file));
            ensure!(!places.is_empty(), "{}: of which sequence? Name it SEQ.txt after one of {all}", file.display());
        }
    }
    Ok(places)
}

impl ResultSet {
    fn read(
        path: &Path,
        name: String,
        places: &[TruthPlace],
        args: &EvalArgs,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<Self> {
        let mut files = Vec::with_capacity(places.len());
        for place in places {
            files.push(MotRows::read_results(&find_results(path, &place.name, args.task)?)?);
        }
        if path.is_dir() && args.sequences.is_empty() {
            notes.extend(without_truth(path, places)?);
        }
        Ok(Self { name, path: path.to_owned(), files })
    }
}

/// File with the results of a sequence.
fn find_results(path: &Path, sequence: &str, task: Task) -> anyhow::Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let mut candidates = vec![path.join(format!("{sequence}.txt"))];
    if task == Task::Detection {
        candidates.push(path.join(sequence).join("det").join("det.txt"));
    }
    if let Some(found) = candidates.iter().find(|candidate| candidate.is_file()) {
        return Ok(found.clone());
    }
    let expected: Vec<String> = candidates.iter().map(|candidate| candidate.display().to_string()).collect();
    bail!(
        "no results for {sequence}: expected {}; to score a part of the truth, name it with --sequences",
        expected.join(" or ")
    )
}

/// Says which result files stay unscored, so that a mistyped name does not pass unnoticed.
fn without_truth(dir: &Path, places: &[TruthPlace]) -> anyhow::Result<Vec<String>> {
    let mut notes = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry.with_context(|| dir.display().to_string())?.path();
        let is_results = path.is_file() && path.extension() == Some("txt".as_ref());
        if is_results && !places.iter().any(|place| place.name == stem(&path)) {
            notes.push(format!("{}: not scored, there is no truth for it", path.display()));
        }
    }
    notes.sort();
    Ok(notes)
}

/// A short name for each result set; the path as given where short ones repeat.
fn set_names(paths: &[PathBuf]) -> Vec<String> {
    let short: Vec<String> = paths.iter().map(|path| if path.is_dir() { name_of(path) } else { stem(path) }).collect();
    let is_unique = |name: &String| short.iter().filter(|other| *other == name).count() == 1;
    let name = |(name, path): (&String, &PathBuf)| {
        if is_unique(name) { name.clone() } else { path.display().to_string() }
    };
    short.iter().zip(paths).map(name).collect()
}

/// Name of a folder, also where it is given as `.` or `..`.
fn name_of(dir: &Path) -> String {
    let real = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    real.file_name().map_or_else(|| dir.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}
