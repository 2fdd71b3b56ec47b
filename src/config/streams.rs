//! The streams of a file: which videos, under which names, with which zones.

use super::{
    check::Host,
    fault::{Fault, KeyPath},
    plan::{StreamPlan, ZonePlan, ZonePoint},
    raw::{Stream, Zone},
};
use crate::geometry::{PolygonFault, polygon_fault};
use std::{
    collections::HashSet,
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
    let mut names = Names { taken: raw.iter().filter_map(|stream| stream.name.clone()).collect() };
    let (mut plans, mut unusable) = (Vec::new(), Vec::new());
    for (index, stream) in raw.iter().enumerate() {
        let path = path.index(index);
        let zones = zones(&stream.zones, &path.key("zones"), faults);
        // An empty `file` was reported already.
        let videos = if stream.file.is_empty() { Ok(Vec::new()) } else { host.videos(&stream.file) };
        match videos {
            Err(problem) => unusable.push(Fault::new(path.key("file"), problem)),
            Ok(videos) => plans.extend(videos.iter().map(|video| StreamPlan {
                name: names.for_video(stream, video, videos.len()),
                file: video.clone(),
                repeat: stream.repeat,
                zones: zones.clone(),
            })),
        }
    }
    if plans.len() > MAX_STREAMS {
        faults.push(Fault::new(path.clone(), format!("{} streams, at most {MAX_STREAMS}", plans.len())));
    }
    (plans, unusable)
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
        if let Some(first) = raw[..index].iter().position(|earlier| earlier.name.as_ref() == Some(name)) {
            faults.push(Fault::new(path, format!("{name:?} is already the name of streams[{first}]")));
        }
    }
}

/// Names used so far.
struct Names {
    taken: HashSet<String>,
}

impl Names {
    /// The name of one of the `count` videos of `stream`: the given one, else the file's stem, numbered from the second
    /// time on.
    fn for_video(&mut self, stream: &Stream, video: &Path, count: usize) -> String {
        let is_itself = count == 1 && video == PathBuf::from(&stream.file);
        let stem = video.file_stem().unwrap_or_default().to_string_lossy();
        let wanted = match &stream.name {
            Some(name) if is_itself => return name.clone(),
            Some(name) => folder_name(&format!("{name}-{stem}")),
            None => folder_name(&stem),
        };
        let numbered = (2..).map(|number| format!("{wanted}-{number}"));
        let free = std::iter::once(wanted.clone()).chain(numbered).find(|name| !self.taken.contains(name));
        let free = free.unwrap_or(wanted);
        self.taken.insert(free.clone());
        free
    }
}

/// `name` made fit for a folder: no separators or control characters, no point in front, neither empty nor too long.
fn folder_name(name: &str) -> String {
    let fit = |c: char| if c.is_control() || matches!(c, '/' | '\\') { '_' } else { c };
    let mut fitting: String = name.chars().map(fit).collect();
    if fitting.starts_with('.') {
        fitting.replace_range(..1, "_");
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
    ZonePlan { name: zone.name.clone(), polygon: zone.polygon.iter().map(|corner| point(corner.0)).collect() }
}
