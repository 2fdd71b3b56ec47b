//! An event as it is written for others: three forms, each with a JSON Schema in `docs/schema` that this module generates.
//!
//! Within a version a form only grows: new kinds and new keys come, none goes or changes its meaning. Whoever reads must
//! therefore pass over what it does not know. Anything else makes a new version and a new file beside the old.

use super::{Event, Timestamp};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of all three forms, in the names of their schemas.
pub const VERSION: u32 = 1;

/// Version that DeepStream's messages give themselves. Source: its minimal schema, DeepStream 5 to 7.
const DEEPSTREAM_VERSION: &str = "4.0";

/// Where the schemas are said to be, whoever keeps the files.
const SCHEMA_ID: &str = "urn:eyeline:schema";

/// How an event is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// CloudEvents 1.0, structured JSON.
    CloudEvents,
    /// The event alone.
    #[default]
    Compact,
    /// Like DeepStream's minimal message.
    Minimal,
}

impl Format {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Compact, Self::CloudEvents, Self::Minimal];

    /// Its name in a pipeline file and in the name of its schema.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::CloudEvents => "cloudevents",
            Self::Minimal => "minimal",
        }
    }

    /// File of its schema: `compact.v1.json`.
    pub fn schema_file(self) -> String {
        format!("{}.v{VERSION}.json", self.name())
    }

    fn schema_id(self) -> String {
        format!("{SCHEMA_ID}:{}:{VERSION}", self.name())
    }
}

/// `event` in UTF-8 JSON, without line breaks.
pub fn payload(event: &Event, format: Format) -> Vec<u8> {
    let written = match format {
        Format::Compact => serde_json::to_vec(event),
        Format::CloudEvents => serde_json::to_vec(&CloudEvent::of(event)),
        Format::Minimal => serde_json::to_vec(&Minimal::of(event)),
    };
    // Events hold plain values and text keys only: nothing JSON cannot say.
    written.unwrap_or_default()
}

/// The JSON Schema of a form, draft 2020-12.
pub fn schema(format: Format) -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let schema = match format {
        Format::Compact => generator.into_root_schema_for::<Event>(),
        Format::CloudEvents => generator.into_root_schema_for::<CloudEvent<'_>>(),
        Format::Minimal => generator.into_root_schema_for::<Minimal<'_>>(),
    };
    let mut schema = schema.to_value();
    tidy(&mut schema);
    schema["$id"] = format.schema_id().into();
    schema["title"] = format!("eyeline event, {}, version {VERSION}", format.name()).into();
    schema
}

/// The same as text: indented, with a newline at the end.
pub fn schema_text(format: Format) -> String {
    format!("{:#}\n", schema(format))
}

/// Takes away what schemars adds and JSON Schema does not know: Rust's number formats, line breaks of the source.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(node) => {
            node.retain(|word, value| word != "format" || value == "date-time");
            if let Some(Value::String(description)) = node.get_mut("description") {
                *description = description.replace('\n', " ");
            }
            node.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// A CloudEvents 1.0 envelope. `source` and `id` together are unique.
#[derive(Serialize, JsonSchema)]
struct CloudEvent<'a> {
    /// Version of CloudEvents.
    #[schemars(extend("const" = "1.0"))]
    specversion: &'static str,
    /// The event's id.
    id: &'a str,
    /// The stream: `/eyeline/streams/NAME`, the name percent-encoded; `/eyeline/SITE/streams/NAME` where `events.site`
    /// names one.
    source: String,
    /// `eyeline.` and the event's type.
    #[serde(rename = "type")]
    kind: String,
    /// What of the stream it is about: `tracks/17` or `zones/NAME`, percent-encoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// Wall-clock time of capture, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
    /// Media type of `data`.
    #[schemars(extend("const" = "application/json"))]
    datacontenttype: &'static str,
    /// Schema of `data`.
    dataschema: String,
    /// Extension `sequence`: the event's sequence number in 20 digits, so that its order is the order of texts.
    sequence: String,
    /// Extension `partitionkey`: the stream's name. Events of one key are in order.
    partitionkey: &'a str,
    /// The event.
    data: &'a Event,
}

impl<'a> CloudEvent<'a> {
    fn of(event: &'a Event) -> Self {
        Self {
            specversion: "1.0",
            id: &event.id,
            source: source(event),
            kind: format!("eyeline.{}", event.kind()),
            subject: subject(event),
            time: event.captured_at,
            datacontenttype: "application/json",
            dataschema: Format::Compact.schema_id(),
            sequence: format!("{:020}", event.sequence),
            partitionkey: &event.stream,
            data: event,
        }
    }
}

fn source(event: &Event) -> String {
    let site = event.site().map(|site| format!("/{}", segment(site))).unwrap_or_default();
    format!("/eyeline{site}/streams/{}", segment(&event.stream))
}

fn subject(event: &Event) -> Option<String> {
    let what = &event.what;
    let track = what.seen().map(|seen| format!("tracks/{}", seen.track));
    track.or_else(|| what.zone().map(|zone| format!("zones/{}", segment(zone))))
}

/// Text as one segment of a URI's path. Source: RFC 3986, 2.3: everything not unreserved is encoded.
fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// A message as DeepStream's minimal schema has it, with `event` and `place` beside: what a consumer of DeepStream's
/// messages reads stands where it looks for it. Durations, counts and paths have no place in it.
#[derive(Serialize, JsonSchema)]
struct Minimal<'a> {
    /// Version of DeepStream's schema.
    #[schemars(extend("const" = DEEPSTREAM_VERSION))]
    version: &'static str,
    /// Frame it happened in.
    id: String,
    /// Wall-clock time of capture, where known.
    #[serde(rename = "@timestamp", skip_serializing_if = "Option::is_none")]
    timestamp: Option<Timestamp>,
    /// Stream name.
    #[serde(rename = "sensorId")]
    sensor_id: &'a str,
    /// The track it is about, if it is about one:
    /// `track|left|top|right|bottom|class|#|score`, edges in pixels of the source.
    objects: Vec<String>,
    /// What happened.
    event: MinimalEvent<'a>,
    /// The zone or line it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<&'a str>,
}

/// What happened.
#[derive(Serialize, JsonSchema)]
struct MinimalEvent<'a> {
    /// The event's id.
    id: &'a str,
    /// Its type.
    #[serde(rename = "type")]
    kind: &'static str,
}

impl<'a> Minimal<'a> {
    fn of(event: &'a Event) -> Self {
        Self {
            version: DEEPSTREAM_VERSION,
            id: event.frame.to_string(),
            timestamp: event.captured_at,
            sensor_id: &event.stream,
            objects: event.what.seen().map(object).into_iter().collect(),
            event: MinimalEvent { id: &event.id, kind: event.kind() },
            place: event.what.zone().or(event.what.line()),
        }
    }
}

fn object(seen: &super::TrackSeen) -> String {
    let super::EventBox { left, top, width, height } = seen.bbox;
    let (right, bottom) = (left + width, top + height);
    let class = seen.class.replace('|', "_");
    format!("{}|{left:.2}|{top:.2}|{right:.2}|{bottom:.2}|{class}|#|{}", seen.track, seen.score)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{
        What,
        state::tests::{event, seen},
    };

    fn json(event: &Event, format: Format) -> Value {
        serde_json::from_slice(&payload(event, format)).unwrap()
    }

    #[test]
    fn a_cloud_event_names_stream_and_subject_as_uris() {
        let mut told = event("gate 1/ü", 7, What::TrackUpdated { seen: seen(17) });
        told.captured_at = Some(Timestamp(0));
        let cloud = json(&told, Format::CloudEvents);
        assert_eq!(cloud["source"], "/eyeline/streams/gate%201%2F%C3%BC");
        assert_eq!((&cloud["subject"], &cloud["time"]), (&"tracks/17".into(), &"1970-01-01T00:00:00.000Z".into()));
        assert_eq!(cloud["sequence"], "00000000000000000007");
        assert_eq!(cloud["data"], serde_json::to_value(&told).unwrap());
        let crowded = What::ZoneCrowded { zone: "a b".into(), occupancy: 3, limit: 2 };
        assert_eq!(json(&event("gate", 0, crowded), Format::CloudEvents)["subject"], "zones/a%20b");
    }

    #[test]
    fn events_of_two_deployments_are_told_apart() {
        let updated = || What::TrackUpdated { seen: seen(17) };
        let at = |site| Event { id: Event::id_at(site, "gate", 7), ..event("gate", 7, updated()) };
        assert_eq!((at(None).site(), at(Some("north")).site()), (None, Some("north")));
        let told = |site| {
            let cloud = json(&at(site), Format::CloudEvents);
            [&cloud["source"], &cloud["id"]].map(|text| text.as_str().unwrap_or_default().to_owned())
        };
        assert_eq!(told(None), ["/eyeline/streams/gate", "gate/7"]);
        assert_eq!(told(Some("north")), ["/eyeline/north/streams/gate", "north/gate/7"]);
    }

    #[test]
    fn a_minimal_message_has_one_object_at_most() {
        let updated = json(&event("gate", 7, What::TrackUpdated { seen: seen(17) }), Format::Minimal);
        assert_eq!(updated["objects"], serde_json::json!(["17|1.00|2.00|4.00|6.00|person|#|0.5"]));
        assert_eq!((&updated["id"], &updated["event"]["id"]), (&"7".into(), &"gate/7".into()));
        let lost = json(&event("gate", 8, What::StreamRecovered { outage_seconds: 1.0 }), Format::Minimal);
        assert_eq!(lost["objects"], serde_json::json!([]));
    }
}
