//! The streams of a file: which videos, under which names, with which zones.

use super::{
    check::Host,
    events::lines,
    fault::{Fault, KeyPath},
    plan::{LinePlan, StreamPlan, ZonePlan, ZonePoint},
    raw::{Stream, Zone},
    span,
};
use crate::geometry::{PolygonFault, polygon_fault};
use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

/// A `StreamId` counts to here.
const MAX_STREAMS: usize = 1 << 16;

/// Longest name of a stream, bytes: a folder's name is at most 255, and a number may be added.
const MAX_NAME: usize = 200;

/// The streams that can run and a fault for each that cannot because its video is not there.
pub(super) fn streams(
    raw: &[Stream],
    path: &KeyPath,
    host: &dyn Host,
    faults: &mut Vec<Fault>,
) -> (Vec<StreamPlan>, Vec<Fault>) {
    given_names(raw, path, faults);
    let (mut found, mut unusable) = (Vec::new(), Vec::new());
    for (index, stream) in raw.iter().enumerate() {
        let path = path.index(index);
        let zones = zones(&stream.zones, &path.key("zones"), faults);
        let lines = lines(&stream.lines, &path.key("lines"), faults);
        if stream.file.is_empty() {
            continue; // reported already
        }
        match host.videos(&stream.file) {
            Ok(videos) if videos.is_empty() => {
                unusable.push(Fault::new(path.key("file"), format!("{}: no video", stream.file)));
            }
            Err(problem) => unusable.push(Fault::new(path.key("file"), problem)),
            Ok(videos) => {
                let is_itself = matches!(&*videos, [video] if *video == Path::new(&stream.file));
                found.extend(videos.into_iter().map(|video| Found {
                    stream,
                    video,
                    is_itself,
                    zones: zones.clone(),
                    lines: lines.clone(),
                }));
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
        zones: found.zones,
        lines: found.lines,
    };
    (found.into_iter().zip(names).map(plan).collect(), unusable)
}

/// A video of a stream.
struct Found<'a> {
    stream: &'a Stream,
    video: PathBuf,
    /// Whether `file` names this very video rather than a folder or a glob.
    is_itself: bool,
    zones: Vec<ZonePlan>,
    lines: Vec<LinePlan>,
}

/// A name for each: the given one; given and stem where one `file` gives several; else the stem. Where several would be
/// called the same, those not named outright get their folder's name in front, then a number behind. Names differ by
/// more than case: some disks do not keep case apart.
fn names(found: &[Found<'_>]) -> Vec<String> {
    let outright = |found: &Found<'_>| found.stream.name.clone().filter(|_| found.is_itself);
    let stem = |found: &Found<'_>| found.video.file_stem().unwrap_or_default().to_string_lossy().into_owned();
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

fn zones(raw: &[Zone], path: &KeyPath, faults: &mut Vec<Fault>) -> Vec<ZonePlan> {
    for (index, zone) in raw.iter().enumerate() {
        let path = path.index(index);
        let same_name = raw[..index].iter().position(|earlier| earlier.name == zone.name && !zone.name.is_empty());
        if let Some(first) = same_name {
            faults.push(Fault::new(path.key("name"), format!("{:?} is already the name of zones[{first}]", zone.name)));
        }
        faults.extend(
            polygon_problem(zone).map(|(problem, hint)| Fault::new(path.key("polygon"), problem).with_hint(hint)),
        );
    }
    raw.iter().map(zone_plan).collect()
}

fn polygon_problem(zone: &Zone) -> Option<(String, Option<String>)> {
    let corners: Vec<[f64; 2]> = zone.polygon.iter().map(|point| point.0).collect();
    // Fewer corners were reported already.
    let fault = (corners.len() >= 3).then(|| polygon_fault(&corners)).flatten()?;
    Some(match fault {
        PolygonFault::RepeatedCorner(last, 0) => (
            format!("corners {last} and 0 are the same point"),
            Some("leave the last one out, a polygon closes itself".into()),
        ),
        PolygonFault::RepeatedCorner(first, second) => {
            (format!("corners {first} and {second} are the same point"), None)
        }
        PolygonFault::CrossingEdges(first, second) => (
            format!("the edges from corners {first} and {second} cross or touch"),
            Some("give the corners in order around the zone".into()),
        ),
    })
}

fn zone_plan(zone: &Zone) -> ZonePlan {
    let point = |[x, y]: [f64; 2]| ZonePoint { x_norm: x as f32, y_norm: y as f32 };
    ZonePlan {
        name: zone.name.clone(),
        polygon: zone.polygon.iter().map(|corner| point(corner.0)).collect(),
        dwell: zone.dwell.as_ref().and_then(|dwell| span::parse(&dwell.0)),
        max_occupancy: zone.max_occupancy,
    }
}
