//! The events' part of a plan from that of a file.

use super::{
    fault::{Fault, KeyPath},
    plan::{EventsPlan, LinePlan, LogPlan, ZonePoint},
    raw::Span,
    raw_events::{Anchor, Events, Line},
    span,
};
use std::{path::PathBuf, time::Duration};

/// What `events` means. What is no duration was reported with the schema's other words.
pub(super) fn events(raw: &Events) -> EventsPlan {
    let duration = |text: &Span| span::parse(&text.0).unwrap_or_default();
    let unless_zero = |text: &Span| Some(duration(text)).filter(|span| *span > Duration::ZERO);
    let log = |path: &String| LogPlan {
        path: PathBuf::from(path),
        keep: duration(&raw.keep),
        max_bytes: u64::from(raw.max_megabytes) << 20,
    };
    EventsPlan {
        log: raw.log.as_ref().map(log),
        updates: unless_zero(&raw.updates),
        counts: unless_zero(&raw.counts),
        anchor: match raw.anchor {
            Anchor::Bottom => crate::analyze::Anchor::Bottom,
            Anchor::Center => crate::analyze::Anchor::Center,
            Anchor::Top => crate::analyze::Anchor::Top,
        },
    }
}

/// What the lines of a stream mean.
pub(super) fn lines(raw: &[Line], path: &KeyPath, faults: &mut Vec<Fault>) -> Vec<LinePlan> {
    let mut plans = Vec::new();
    for (index, line) in raw.iter().enumerate() {
        let path = path.index(index);
        let same_name = raw[..index].iter().position(|earlier| earlier.name == line.name && !line.name.is_empty());
        if let Some(first) = same_name {
            faults.push(Fault::new(path.key("name"), format!("{:?} is already the name of lines[{first}]", line.name)));
        }
        // Another number of points was reported already.
        let [from, to] = *line.points.as_slice() else { continue };
        if from == to {
            faults.push(Fault::new(path.key("points"), "points 0 and 1 are the same point"));
        }
        let point = |[x, y]: [f64; 2]| ZonePoint { x_norm: x as f32, y_norm: y as f32 };
        plans.push(LinePlan { name: line.name.clone(), from: point(from.0), to: point(to.0) });
    }
    plans
}
