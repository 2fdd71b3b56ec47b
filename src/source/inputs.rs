//! Which files input arguments mean: a file, a directory, a glob. Gives each a name of its own for its output.

use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

/// File name extensions a directory is searched for, in lower case.
pub const VIDEO_EXTENSIONS: [&str; 25] = [
    "264", "265", "3gp", "asf", "avi", "dav", "flv", "h264", "h265", "hevc", "m2ts", "m4v", "mjpeg", "mjpg", "mkv",
    "mov", "mp4", "mpeg", "mpg", "mts", "mxf", "ogv", "ts", "webm", "wmv",
];

/// Names this similar (Jaro-Winkler, 0..=1) are offered as what was meant.
const MIN_SIMILARITY: f64 = 0.8;

/// One video file to process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The file, as it was named or found.
    pub path: PathBuf,
    /// Name of its stream and output folder: its stem, with its folder's name or a number where another has that too.
    pub name: String,
}

/// What a list of arguments means. Faults do not keep the sound inputs from being processed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Files in the order of the arguments, those of one argument by name; none twice.
    pub found: Vec<Input>,
    /// Arguments that mean no file.
    pub faults: Vec<InputError>,
}

/// Why an argument means no file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// Neither a file nor a directory of that name.
    #[error("{argument}: no such file or directory{}", .nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    Missing {
        /// As given.
        argument: String,
        /// The most similar name in the same folder.
        nearest: Option<String>,
    },
    /// A directory without any video.
    #[error("{argument}: no video in this directory; looked for *.{{{}}}", VIDEO_EXTENSIONS.join(","))]
    NoVideos {
        /// As given.
        argument: String,
    },
    /// A pattern that fits no file.
    #[error("{argument}: no file matches this pattern")]
    NoMatch {
        /// As given.
        argument: String,
    },
    /// A pattern that is none.
    #[error("{argument}: not a pattern: {problem}")]
    BadPattern {
        /// As given.
        argument: String,
        /// What is wrong and where.
        problem: String,
    },
    /// Not allowed, or the disk failed.
    #[error("{argument}: cannot be read: {problem}")]
    Unreadable {
        /// As given.
        argument: String,
        /// The system's message.
        problem: String,
    },
}

/// Finds the files that `arguments` mean. A directory gives the videos in it (not below it) by name.
pub fn expand(arguments: &[String]) -> Inputs {
    let mut inputs = Inputs::default();
    let mut seen = HashSet::new();
    let mut paths = Vec::new();
    for argument in arguments {
        match files_of(argument) {
            Ok(files) => paths.extend(files.into_iter().filter(|path| seen.insert(identity(path)))),
            Err(fault) => inputs.faults.push(fault),
        }
    }
    let names = unique_names(&paths);
    inputs.found = paths.into_iter().zip(names).map(|(path, name)| Input { path, name }).collect();
    inputs
}

fn files_of(argument: &str) -> Result<Vec<PathBuf>, InputError> {
    let path = Path::new(argument);
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => videos_in(path, argument),
        Ok(_) => Ok(vec![path.to_owned()]),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unreadable(argument, &error)),
        Err(_) if argument.contains(['*', '?', '[']) => matches_of(argument),
        Err(_) => Err(InputError::Missing { argument: argument.to_owned(), nearest: nearest(path) }),
    }
}

fn videos_in(directory: &Path, argument: &str) -> Result<Vec<PathBuf>, InputError> {
    let mut videos = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| unreadable(argument, &error))? {
        let path = entry.map_err(|error| unreadable(argument, &error))?.path();
        let extension = path.extension().and_then(|e| e.to_str()).map(str::to_lowercase).unwrap_or_default();
        if VIDEO_EXTENSIONS.contains(&extension.as_str()) && path.is_file() {
            videos.push(path);
        }
    }
    if videos.is_empty() {
        return Err(InputError::NoVideos { argument: argument.to_owned() });
    }
    videos.sort();
    Ok(videos)
}

fn matches_of(pattern: &str) -> Result<Vec<PathBuf>, InputError> {
    let bad = |error: glob::PatternError| InputError::BadPattern {
        argument: pattern.to_owned(),
        problem: format!("{} at position {}", error.msg, error.pos),
    };
    let mut files = Vec::new();
    for entry in glob::glob(pattern).map_err(bad)? {
        let path = entry.map_err(|error| unreadable(pattern, error.error()))?;
        if path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(InputError::NoMatch { argument: pattern.to_owned() });
    }
    files.sort();
    Ok(files)
}

fn unreadable(argument: &str, error: &io::Error) -> InputError {
    InputError::Unreadable { argument: argument.to_owned(), problem: error.to_string() }
}

/// The most similar name beside a path that is not there.
fn nearest(missing: &Path) -> Option<String> {
    let wanted = missing.file_name()?.to_str()?;
    let folder = missing.parent()?;
    let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let names: BTreeSet<String> =
        fs::read_dir(listed).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let similarity = |name: &str| strsim::jaro_winkler(&name.to_lowercase(), &wanted.to_lowercase());
    let best = names.into_iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)))?;
    (similarity(&best) >= MIN_SIMILARITY).then(|| folder.join(&best).display().to_string())
}

/// One file under two names is one file.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// A name for each path: its stem; where several share that, with the name of the folder before it; where that does not
/// tell them apart either, with a number behind it. Names differ by more than case: some disks do not keep case apart.
fn unique_names(paths: &[PathBuf]) -> Vec<String> {
    let stems: Vec<_> = paths.iter().map(|path| stem(path)).collect();
    let shared = |stem: &str| stems.iter().filter(|other| other.to_lowercase() == stem.to_lowercase()).count() > 1;
    let mut taken: HashSet<String> =
        stems.iter().filter(|stem| !shared(stem)).map(|stem| stem.to_lowercase()).collect();
    let named = paths.iter().zip(&stems).map(|(path, stem)| {
        if !shared(stem) {
            return stem.clone();
        }
        let folder = identity(path).parent().and_then(Path::file_name).map(|f| f.to_string_lossy().into_owned());
        let base = folder.map_or_else(|| stem.clone(), |folder| format!("{folder}-{stem}"));
        let numbered = (2u64..).map(|number| format!("{base}-{number}"));
        let name = std::iter::once(base.clone()).chain(numbered).find(|name| taken.insert(name.to_lowercase()));
        name.unwrap_or(base)
    });
    named.collect()
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "video".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// A directory with these files in it, each with a byte in it.
    fn folder(files: &[&str]) -> TempDir {
        let folder = TempDir::new().expect("temporary directory");
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("inside")).expect("folder");
            fs::write(path, b"x").expect("file");
        }
        folder
    }

    fn expand_in(folder: &TempDir, arguments: &[&str]) -> Inputs {
        let full = |argument: &&str| folder.path().join(argument).display().to_string();
        expand(&arguments.iter().map(full).collect::<Vec<_>>())
    }

    fn names(inputs: &Inputs) -> Vec<&str> {
        inputs.found.iter().map(|input| input.name.as_str()).collect()
    }

    #[test]
    fn a_directory_gives_its_videos_by_name_and_not_those_below() {
        let folder = folder(&["b.mp4", "a.MKV", "notes.txt", "c.264", "deeper/d.mp4", "e.mp4/inside.mp4"]);
        let inputs = expand_in(&folder, &[""]);
        assert_eq!((names(&inputs), inputs.faults.len()), (vec!["a", "b", "c"], 0));
    }

    #[test]
    fn a_glob_gives_files_and_a_file_with_brackets_is_itself() {
        let folder = folder(&["a1.mp4", "a2.mp4", "b1.mp4", "take [3].mp4", "x/a9.mp4"]);
        assert_eq!(names(&expand_in(&folder, &["a*.mp4"])), ["a1", "a2"]);
        assert_eq!(names(&expand_in(&folder, &["take [3].mp4"])), ["take [3]"]);
        assert_eq!(names(&expand_in(&folder, &["**/a?.mp4"])), ["a1", "a2", "a9"]);
    }

    #[test]
    fn arguments_keep_their_order_and_no_file_comes_twice() {
        let folder = folder(&["b.mp4", "a.mp4"]);
        assert_eq!(names(&expand_in(&folder, &["b.mp4", "", "./a.mp4"])), ["b", "a"]);
    }

    #[test]
    fn equal_stems_get_different_names() {
        let folder = folder(&["gate/cam.mp4", "yard/cam.mp4", "yard/cam.avi", "yard/other.mp4", "yard/CAM.mkv"]);
        let inputs = expand_in(&folder, &["gate", "yard"]);
        assert_eq!(names(&inputs), ["gate-cam", "yard-CAM", "yard-cam-2", "yard-cam-3", "other"]);
    }

    #[test]
    fn a_made_up_name_does_not_collide_with_a_real_one() {
        let folder = folder(&["gate/cam.mp4", "yard/cam.mp4", "gate-cam.mp4"]);
        assert_eq!(
            names(&expand_in(&folder, &["gate", "yard", "gate-cam.mp4"])),
            ["gate-cam-2", "yard-cam", "gate-cam"]
        );
    }

    #[test]
    fn every_fault_is_told_and_sound_inputs_stay() {
        let folder = folder(&["gate.mp4", "empty/notes.txt"]);
        let inputs = expand_in(&folder, &["gaet.mp4", "empty", "*.avi", "a**b", "gate.mp4", "nothing-like-it"]);
        assert_eq!(names(&inputs), ["gate"]);
        let lines: Vec<_> = inputs.faults.iter().map(ToString::to_string).collect();
        let expected = [
            ("gaet.mp4: no such file or directory; did you mean ", "gate.mp4?"),
            ("empty: no video in this directory; looked for *.{264,265,", ",wmv}"),
            ("*.avi: no file matches this pattern", ""),
            ("a**b: not a pattern: ", ""),
            ("nothing-like-it: no such file or directory", ""),
        ];
        assert_eq!(lines.len(), expected.len(), "{lines:?}");
        for (line, (part, end)) in lines.iter().zip(expected) {
            assert!(line.contains(part) && line.ends_with(end), "{line}");
        }
    }
}
