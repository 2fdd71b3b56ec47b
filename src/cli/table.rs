//! The short table at the end of a run.

use crate::sink::summary::Summary;
use std::{
    io::{self, Write},
    path::Path,
};

/// Prints one row an input on stdout, then where the files are.
pub fn print(summaries: &[Summary], out: &Path) {
    // A closed stdout (`eyeline … | head`) is no reason to fail a run that is already complete.
    let _ = write(&mut io::stdout().lock(), summaries, out);
}

fn write(to: &mut impl Write, summaries: &[Summary], out: &Path) -> io::Result<()> {
    let width = summaries.iter().map(|s| s.stream.chars().count()).max().unwrap_or(0).max("input".len());
    writeln!(
        to,
        "{:width$}  {:>8}  {:>8}  {:>7}  {:>6}  {:>6}  result",
        "input", "frames", "seconds", "fps", "tracks", "events"
    )?;
    for s in summaries {
        let Summary { stream, frames, seconds, fps, tracks, events, result, .. } = s;
        let result = if s.fault.is_some() && *result == "end_of_stream" { "damaged" } else { result };
        writeln!(to, "{stream:width$}  {frames:8}  {seconds:8.1}  {fps:7.1}  {tracks:6}  {events:6}  {result}")?;
    }
    for s in summaries {
        let dir = out.join(&s.stream);
        if s.frames > 0 {
            writeln!(to, "{}: {}", s.stream, files(&dir)?.join("  "))?;
        }
    }
    Ok(())
}

/// The result files in a stream's folder, with their folder.
fn files(dir: &Path) -> io::Result<Vec<String>> {
    const NAMES: [&str; 5] = ["annotated.mp4", "events.jsonl", "tracks.txt", "detections.txt", "summary.json"];
    Ok(NAMES
        .iter()
        .map(|name| dir.join(name))
        .filter(|path| path.is_file())
        .map(|path| path.display().to_string())
        .collect())
}
