//! Zones and lines of a stream: what they mean, and what is wrong with them.

use super::{
    events::objects,
    fault::{Fault, KeyPath},
    plan::{LinePlan, ZonePlan, ZonePoint},
    raw::{self, Line, Point, Zone},
    span,
};
use crate::{
    analyze::{area::HeadingRule, ground::Ground},
    geometry::{PolygonFault, polygon_fault},
};

/// What the zones of a stream mean.
pub(super) fn zones(raw: &[Zone], path: &KeyPath, faults: &mut Vec<Fault>) -> Vec<ZonePlan> {
    let names: Vec<&str> = raw.iter().map(|zone| zone.name.as_str()).collect();
    same_names(&names, "zones", path, faults);
    for (index, zone) in raw.iter().enumerate() {
        let path = path.index(index).key("polygon");
        faults.extend(polygon_problem(&zone.polygon).map(|(problem, hint)| Fault::new(path, problem).with_hint(hint)));
    }
    raw.iter().map(zone_plan).collect()
}

/// What the lines of a stream mean.
pub(super) fn lines(raw: &[Line], path: &KeyPath, faults: &mut Vec<Fault>) -> Vec<LinePlan> {
    let names: Vec<&str> = raw.iter().map(|line| line.name.as_str()).collect();
    same_names(&names, "lines", path, faults);
    let mut plans = Vec::new();
    for (index, line) in raw.iter().enumerate() {
        // Another number of points was reported already.
        let [from, to] = *line.points.as_slice() else { continue };
        if from == to {
            faults.push(Fault::new(path.index(index).key("points"), "points 0 and 1 are the same point"));
        }
        plans.push(LinePlan { name: line.name.clone(), from: point(&from), to: point(&to) });
    }
    plans
}

fn same_names(names: &[&str], what: &str, path: &KeyPath, faults: &mut Vec<Fault>) {
    for (index, name) in names.iter().enumerate() {
        let earlier = names[..index].iter().position(|earlier| earlier == name && !name.is_empty());
        if let Some(first) = earlier {
            let problem = format!("{name:?} is already the name of {what}[{first}]");
            faults.push(Fault::new(path.index(index).key("name"), problem));
        }
    }
}

/// What is wrong with a polygon, and what to do about it.
pub(super) fn polygon_problem(polygon: &[Point]) -> Option<(String, Option<String>)> {
    let corners: Vec<[f64; 2]> = polygon.iter().map(|point| point.0).collect();
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
    ZonePlan {
        name: zone.name.clone(),
        polygon: zone.polygon.iter().map(point).collect(),
        dwell: zone.dwell.as_ref().and_then(|dwell| span::parse(&dwell.0)),
        max_occupancy: zone.max_occupancy,
        heading: zone.heading.map(|degrees| HeadingRule { degrees, tolerance: zone.heading_tolerance }),
        kept: objects(&zone.removed),
    }
}

/// What the ground of a stream means.
pub(super) fn ground(raw: &raw::Ground, path: &KeyPath, faults: &mut Vec<Fault>) -> Option<Ground> {
    if *raw == raw::Ground::default() {
        return None;
    }
    let corners: Vec<[f64; 2]> = raw.corners.iter().map(|corner| corner.0).collect();
    let made = match (&*corners, &*raw.edges_m, &*raw.homography) {
        (&[a, b, c, d], &[e, f, g, h], []) => Ground::from_edges([a, b, c, d], [e, f, g, h]),
        ([], [], &[a, b, c]) => Ground::from_homography([a, b, c]),
        _ => {
            let problem = "neither four corners and four edges_m nor a homography of three rows";
            faults.push(Fault::new(path.clone(), problem));
            return None;
        }
    };
    made.map_err(|fault| faults.push(Fault::new(path.clone(), fault.to_string()))).ok()
}

const fn point(Point([x, y]): &Point) -> ZonePoint {
    ZonePoint { x_norm: *x as f32, y_norm: *y as f32 }
}
