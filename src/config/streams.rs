//! The streams of a file: which videos, under which names, with which zones.

use super::{
    camera,
    check::{Host, light},
    fault::{Fault, KeyPath},
    places::{ground, lines, polygon_problem, zones},
    plan::{FilterPlan, LinePlan, LivePlan, StreamPlan, ZonePlan},
    raw::Stream,
    raw_look::RegionOfInterest,
};
use crate::{
    analyze::ground::Ground,
    detect::{
        attention::AttentionSettings,
        watch::{View, WatchSettings},
    },
    preprocess::illumination::LightSettings,
};
use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

/// A `StreamId` counts to here.
const MAX_STREAMS: usize = 1 << 16;

/// Longest name of a stream, bytes: a folder's name is at most 255, and a number may be added.
const MAX_NAME: usize = 200;

/// The streams that can run and a fault for each that cannot because its video is not there. What was `reported` of a
/// stream's source is not reported again.
pub(super) fn streams(
    raw: &[Stream],
    all: &LookOfAll,
    path: &KeyPath,
    host: &dyn Host,
    reported: &[Fault],
    faults: &mut Vec<Fault>,
) -> (Vec<StreamPlan>, Vec<Fault>) {
    given_names(raw, path, faults);
    let (mut found, mut unusable) = (Vec::new(), Vec::new());
    for (index, stream) in raw.iter().enumerate() {
        let path = path.index(index);
        let zones = zones(&stream.zones, &path.key("zones"), faults);
        let lines = lines(&stream.lines, &path.key("lines"), faults);
        let ground = ground(&stream.ground, &path.key("ground"), faults);
        regions(stream, &path, faults);
        let live = camera::live(stream, &path, faults);
        if source_problem(stream, &path, reported, faults) {
            continue;
        }
        if live.as_ref().is_some_and(|live| live.camera.is_some()) {
            found.push(Found { stream, video: PathBuf::new(), is_itself: true, zones, lines, ground, live });
            continue;
        }
        match host.videos(&stream.file) {
            Ok(videos) if videos.is_empty() => {
                unusable.push(Fault::new(path.key("file"), format!("{}: no video", stream.file)));
            }
            Err(problem) => unusable.push(Fault::new(path.key("file"), problem)),
            Ok(videos) => {
                let is_itself = matches!(&*videos, [video] if *video == Path::new(&stream.file));
                let one = |video| {
                    let (zones, lines, ground, live) = (zones.clone(), lines.clone(), ground.clone(), live.clone());
                    Found { stream, video, is_itself, zones, lines, ground, live }
                };
                found.extend(videos.into_iter().map(one));
            }
        }
    }
    if found.len() > MAX_STREAMS {
        faults.push(Fault::new(path.clone(), format!("{} streams, at most {MAX_STREAMS}", found.len())));
        found.clear();
    }
    let names = names(&found);
    let plan = |(found, name): (Found<'_>, String)| StreamPlan {
        name,
        file: found.video,
        repeat: found.stream.repeat,
        live: found.live,
        filter: FilterPlan { classes: found.stream.classes.clone(), min_score: found.stream.min_score as f32 },
        zones: found.zones,
        lines: found.lines,
        ground: found.ground,
        watch: watch(found.stream, all),
    };
    (found.into_iter().zip(names).map(plan).collect(), unusable)
}

/// What holds for all streams about how they are looked at.
pub(super) struct LookOfAll {
    pub light: LightSettings,
    pub attention: AttentionSettings,
}

fn watch(stream: &Stream, all: &LookOfAll) -> WatchSettings {
    let corners = |region: &RegionOfInterest| region.0.iter().map(|corner| corner.0).collect();
    WatchSettings {
        light: stream.light.as_ref().map_or_else(|| all.light.clone(), light),
        attention: all.attention.clone(),
        regions: stream.regions.iter().map(corners).collect(),
        view: if stream.crop_to_regions { View::AroundRegions } else { View::Whole },
    }
}

fn regions(stream: &Stream, path: &KeyPath, faults: &mut Vec<Fault>) {
    for (index, region) in stream.regions.iter().enumerate() {
        let path = path.key("regions").index(index);
        faults.extend(polygon_problem(&region.0).map(|(problem, hint)| Fault::new(path, problem).with_hint(hint)));
    }
    if stream.crop_to_regions && stream.regions.is_empty() {
        faults
            .push(Fault::new(path.key("crop_to_regions"), "there are no regions to crop to; give them under regions"));
    }
}

/// Reports a stream that has not exactly one source, and says whether it cannot be played.
fn source_problem(stream: &Stream, path: &KeyPath, reported: &[Fault], faults: &mut Vec<Fault>) -> bool {
    let known = |key: &str| {
        let path = path.key(key);
        reported.iter().chain(faults.iter()).any(|fault| fault.path == path)
    };
    let was_reported = known("file") || known("url") || reported.iter().any(|fault| fault.path == *path);
    let problem = match (stream.file.is_empty(), stream.url.0.is_empty()) {
        (true, true) if !was_reported => {
            Fault::new(path.key("file"), "missing, expected a video here or a camera in url")
        }
        (false, false) => Fault::new(path.key("url"), "there is a file already; a stream has a file or a url"),
        _ => return was_reported,
    };
    faults.push(problem);
    true
}

/// A video of a stream, or a camera.
struct Found<'a> {
    stream: &'a Stream,
    /// Empty for a camera.
    video: PathBuf,
    /// Whether `file` names this very video rather than a folder or a glob.
    is_itself: bool,
    zones: Vec<ZonePlan>,
    lines: Vec<LinePlan>,
    ground: Option<Ground>,
    live: Option<LivePlan>,
}

impl Found<'_> {
    /// What a stream is called that was given no name.
    fn stem(&self) -> String {
        match self.live.as_ref().and_then(|live| live.camera.as_ref()) {
            Some(camera) => camera.address.suggested_name(),
            None => self.video.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }
}

/// A name for each: the given one; given and stem where one `file` gives several; else the stem. Where several would be
/// called the same, those not named outright get their folder's name in front, then a number behind. Names differ by
/// more than case: some disks do not keep case apart.
fn names(found: &[Found<'_>]) -> Vec<String> {
    let outright = |found: &Found<'_>| found.stream.name.clone().filter(|_| found.is_itself);
    let stem = |found: &Found<'_>| found.stem();
    let first_choice = |found: &Found<'_>| match (outright(found), &found.stream.name) {
        (Some(name), _) => name,
        (None, Some(prefix)) => folder_name(&format!("{prefix}-{}", stem(found))),
        (None, None) => folder_name(&stem(found)),
    };
    let wanted: Vec<_> = found.iter().map(first_choice).collect();
    let mut wishes: HashMap<String, usize> = HashMap::new();
    wanted.iter().for_each(|name| *wishes.entry(name.to_lowercase()).or_default() += 1);
    let is_free = |found: &Found<'_>, name: &str| outright(found).is_some() || wishes[&name.to_lowercase()] == 1;
    let mut taken: HashSet<String> = found
        .iter()
        .zip(&wanted)
        .filter(|(found, name)| is_free(found, name))
        .map(|(_, name)| name.to_lowercase())
        .collect();
    // Where counting goes on for each base, so that many of one name do not each count from the beginning.
    let mut numbers: HashMap<String, u64> = HashMap::new();
    let chosen = found.iter().zip(&wanted).map(|(found, name)| {
        if is_free(found, name) {
            return name.clone();
        }
        let folder = found.video.parent().and_then(Path::file_name).map(|folder| folder.to_string_lossy());
        let base = folder.map_or_else(|| name.clone(), |folder| folder_name(&format!("{folder}-{name}")));
        let number = numbers.entry(base.clone()).or_insert(1u64);
        loop {
            let name = if *number == 1 { base.clone() } else { format!("{base}-{number}") };
            *number += 1;
            if taken.insert(name.to_lowercase()) {
                return name;
            }
        }
    });
    chosen.collect()
}

/// Reports names that were given twice or cannot be a folder's.
fn given_names(raw: &[Stream], path: &KeyPath, faults: &mut Vec<Fault>) {
    for (index, stream) in raw.iter().enumerate() {
        let Some(name) = &stream.name else { continue };
        let path = path.index(index).key("name");
        if folder_name(name) != *name {
            let problem = format!("{name:?} cannot be a folder's name, expected at most {MAX_NAME} bytes, no / or \\");
            let hint = format!("for example {:?}", folder_name(name));
            faults.push(Fault::new(path.clone(), problem).with_hint(hint));
        }
        let same =
            |earlier: &Stream| earlier.name.as_ref().is_some_and(|other| other.to_lowercase() == name.to_lowercase());
        if let Some(first) = raw[..index].iter().position(same) {
            faults.push(Fault::new(path, format!("{name:?} is already the name of streams[{first}]")));
        }
    }
}

/// `name` made fit for a folder: no separators or control characters, not points alone, neither empty nor too long.
fn folder_name(name: &str) -> String {
    let fit = |c: char| if c.is_control() || matches!(c, '/' | '\\') { '_' } else { c };
    let mut fitting: String = name.chars().map(fit).collect();
    if fitting.chars().all(|c| c == '.') {
        fitting = "_".repeat(fitting.len());
    }
    while fitting.len() > MAX_NAME {
        fitting.pop();
    }
    if fitting.is_empty() { "stream".into() } else { fitting }
}
