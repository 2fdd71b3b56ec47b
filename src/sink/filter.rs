//! Which events a sink gets, and how they are written.

use super::deliver::Message;
use crate::{
    config::{plan_sinks::FilterPlan, raw_sinks::Format},
    event::{Event, log::Logged},
};
use serde_json::json;

/// A sink's choice of events.
#[derive(Clone, Debug, Default)]
pub struct Filter(FilterPlan);

impl Filter {
    /// The filter a plan asks for.
    pub fn new(plan: FilterPlan) -> Self {
        Self(plan)
    }

    /// The entry as the sink gets it; `None` if it is not for this sink.
    pub fn message(&self, entry: Logged, format: Format) -> Option<Message> {
        let Logged { position, event } = entry;
        self.accepts(&event).then(|| Message { position, payload: payload(&event, format), event })
    }

    /// Whether the sink gets an event.
    pub fn accepts(&self, event: &Event) -> bool {
        let FilterPlan { streams, types, classes, zones } = &self.0;
        let kind = event.kind();
        let is_type = |wanted: &String| match wanted.strip_suffix(".*") {
            Some(subject) => kind.strip_prefix(subject).is_some_and(|rest| rest.starts_with('.')),
            None => wanted == kind,
        };
        let seen = event.what.seen();
        let inside = |wanted: &String| seen.is_some_and(|seen| seen.zones.contains(wanted));
        let in_zone = |wanted: &String| event.what.zone() == Some(wanted) || inside(wanted);
        (streams.is_empty() || streams.contains(&event.stream))
            && (types.is_empty() || types.iter().any(is_type))
            && (classes.is_empty() || seen.is_some_and(|seen| classes.contains(&seen.class)))
            && (zones.is_empty() || zones.iter().any(in_zone))
    }
}

/// The event as a server gets it.
fn payload(event: &Event, format: Format) -> Vec<u8> {
    let written = match format {
        // The event itself keeps the order of its keys.
        Format::Compact => serde_json::to_vec(event),
        Format::CloudEvents => serde_json::to_vec(&json!({
            "specversion": "1.0",
            "id": event.id,
            "source": format!("/eyeline/streams/{}", event.stream),
            "type": format!("eyeline.{}", event.kind()),
            "datacontenttype": "application/json",
            "data": event,
        })),
    };
    // Events hold plain values and text keys only: nothing JSON cannot say.
    written.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{EventBox, TrackSeen, What},
        sink::follower::tests::event,
    };

    fn entered(zone: &str, inside: &[&str]) -> Event {
        let bbox = EventBox { left: 0.0, top: 0.0, width: 1.0, height: 1.0 };
        let seen = TrackSeen {
            track: 1,
            class: "person".into(),
            score: 0.5,
            bbox,
            bbox_norm: bbox,
            zones: inside.iter().map(|zone| zone.to_string()).collect(),
            speed_mps: None,
            embedding: None,
        };
        Event { what: What::ZoneEntered { seen, zone: zone.into(), occupancy: 1 }, ..event("gate", 0) }
    }

    #[test]
    fn a_filter_asks_for_stream_type_class_and_zone() {
        let list = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let event_in_zone = entered("door", &["hall"]);
        let none = FilterPlan::default;
        let cases = [
            (none(), true),
            (FilterPlan { streams: list(&["yard", "gate"]), ..none() }, true),
            (FilterPlan { streams: list(&["yard"]), ..none() }, false),
            (FilterPlan { types: list(&["zone.*"]), ..none() }, true),
            (FilterPlan { types: list(&["zone.entered"]), ..none() }, true),
            (FilterPlan { types: list(&["zone.ent.*"]), ..none() }, false),
            (FilterPlan { types: list(&["zon.*"]), ..none() }, false),
            (FilterPlan { classes: list(&["person"]), ..none() }, true),
            (FilterPlan { classes: list(&["car"]), ..none() }, false),
            (FilterPlan { zones: list(&["door"]), ..none() }, true),
            (FilterPlan { zones: list(&["hall"]), ..none() }, true),
            (FilterPlan { zones: list(&["yard"]), ..none() }, false),
            (FilterPlan { streams: list(&["gate"]), classes: list(&["car"]), ..none() }, false),
        ];
        for (filter, expected) in cases {
            assert_eq!(Filter::new(filter.clone()).accepts(&event_in_zone), expected, "{filter:?}");
        }
        assert!(!Filter::new(FilterPlan { classes: list(&["person"]), ..none() }).accepts(&event("gate", 0)));
    }
}
