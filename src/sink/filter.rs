//! Which events a sink gets, and how they are written.

use super::deliver::{Entry, Message};
use crate::{
    config::{plan_sinks::FilterPlan, raw_sinks::Format},
    event::Event,
};
use serde_json::{Value, json};

/// A sink's choice of events.
#[derive(Clone, Debug, Default)]
pub struct Filter(FilterPlan);

impl Filter {
    /// The filter a plan asks for.
    pub fn new(plan: FilterPlan) -> Self {
        Self(plan)
    }

    /// The entry as the sink gets it; `None` if it is not for this sink.
    pub fn message(&self, entry: Entry, format: Format) -> Option<Message> {
        let Entry { position, event } = entry;
        let body = serde_json::to_value(&event).unwrap_or_default();
        let message = |body: Value| {
            let kind = text(&body, "type").to_owned();
            let zone = body.get("zone").and_then(Value::as_str).map(str::to_owned);
            let payload = payload(&event, &kind, &body, format);
            Message { position, kind, zone, payload, event }
        };
        self.accepts(&body).then(|| message(body))
    }

    /// Whether the sink gets an event, as JSON.
    fn accepts(&self, body: &Value) -> bool {
        let FilterPlan { streams, types, classes, zones } = &self.0;
        let kind = text(body, "type");
        let is_type = |wanted: &String| match wanted.strip_suffix(".*") {
            Some(subject) => kind.strip_prefix(subject).is_some_and(|rest| rest.starts_with('.')),
            None => wanted == kind,
        };
        let inside = |zone: &String| body["zones"].as_array().into_iter().flatten().any(|inside| inside == zone);
        let in_zone = |wanted: &String| body["zone"] == **wanted || inside(wanted);
        let is = |key: &str, wanted: &[String]| wanted.is_empty() || wanted.iter().any(|wanted| body[key] == **wanted);
        is("stream", streams)
            && is("class", classes)
            && (types.is_empty() || types.iter().any(is_type))
            && (zones.is_empty() || zones.iter().any(in_zone))
    }
}

fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body[key].as_str().unwrap_or_default()
}

/// The event as a server gets it.
fn payload(event: &Event, kind: &str, body: &Value, format: Format) -> Vec<u8> {
    let written = match format {
        // The event itself keeps the order of its keys.
        Format::Compact => serde_json::to_vec(event),
        Format::CloudEvents => serde_json::to_vec(&json!({
            "specversion": "1.0",
            "id": event.id,
            "source": format!("/eyeline/streams/{}", event.stream),
            "type": format!("eyeline.{kind}"),
            "datacontenttype": "application/json",
            "data": body,
        })),
    };
    // Events hold plain values and text keys only: nothing JSON cannot say.
    written.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(filter: FilterPlan, body: Value) -> bool {
        Filter::new(filter).accepts(&body)
    }

    #[test]
    fn a_filter_asks_for_stream_type_class_and_zone() {
        let list = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let body =
            json!({"stream": "gate", "type": "zone.entered", "class": "person", "zone": "door", "zones": ["hall"]});
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
            assert_eq!(passes(filter.clone(), body.clone()), expected, "{filter:?}");
        }
        assert!(!passes(FilterPlan { classes: list(&["person"]), ..none() }, json!({"type": "stream.started"})));
    }
}
