//! Raw -> Plan: what a file means, and every fault the schema cannot see. Pure: asks the machine only through `Host`.

use super::{
    api::api,
    conform::conform,
    env::Lookup,
    events::{default_log, events},
    fault::{Fault, Faults, KeyPath},
    media::media,
    models::{Classes, Models, NO_EMBEDDER},
    plan::{DetectPlan, EmbedPlan, OutputPlan, Plan, RuntimePlan, StreamPlan},
    raw::{Detect, Embed, InputPx, Output, Raw, SoftNms, Span, Suppress},
    raw_events::UpdateOn,
    raw_look::{Correction, Light, LightPolicy},
    raw_runtime::{Runtime, Threads},
    raw_track::{KnobValue, Track},
    schema::schema,
    sinks::{Known, sinks},
    span,
    streams::{LookOfAll, streams},
};
use crate::{
    detect::{
        attention::AttentionSettings,
        nms::{Overlapped, Scope},
        watch::WatchSettings,
    },
    embed::worth::WorthSettings,
    preprocess::{
        camera_motion::CameraMotion,
        illumination::{self, LightSettings},
        tiles::TileGrid,
    },
    track::settings::{Algorithm, Knob, TrackSettings},
};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What a check may ask the machine it runs on.
pub trait Host {
    /// The videos that a file, a folder or a glob stands for, sorted; at least one.
    ///
    /// Errors: why there is none, naming `input`.
    fn videos(&self, input: &str) -> Result<Vec<PathBuf>, String>;
    /// Whether this is a file.
    fn is_file(&self, path: &Path) -> bool;
    /// Number of CPUs this process may use, >= 1.
    fn cpus(&self) -> usize;
    /// Whether a file that holds a secret or a certificate can be read and has a sensible length.
    ///
    /// Errors: why not, naming the file and nothing of what it holds.
    fn secret_file(&self, path: &Path) -> Result<(), String> {
        Err(format!("{}: no such file", path.display()))
    }
    /// An environment variable.
    fn variable(&self, name: &str) -> Option<String>;
}

/// A sound configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// What to run; at least one stream.
    pub plan: Plan,
    /// Streams that are not in the plan because their video is not there. The others can run; `eyeline check` calls it a
    /// fault.
    pub unusable: Vec<Fault>,
}

/// The plan of settings that a program put together. Text is taken as it is: no variables.
///
/// Errors: every fault, no key left out; also when the video of no stream is there.
pub fn plan(raw: &Raw, host: &dyn Host) -> Result<Checked, Faults> {
    let tree =
        serde_json::to_value(raw).map_err(|error| Faults(vec![Fault::new(KeyPath::root(), error.to_string())]))?;
    plan_of_tree(tree, None, host)
}

/// The plan of a parsed file; `variables` expands `${NAME}`.
///
/// Errors: as for `plan`.
pub(super) fn plan_of_tree(mut tree: Value, variables: Option<Lookup<'_>>, host: &dyn Host) -> Result<Checked, Faults> {
    let mut faults = conform(&mut tree, schema(), variables);
    // What conforms can be read; should the two ever disagree, that is a fault too and no panic.
    let raw: Raw = serde_json::from_value(tree).unwrap_or_else(|error| {
        faults.push(Fault::new(KeyPath::root(), error.to_string()));
        Raw::default()
    });
    let (checked, meant) = meaning(&raw, host, &faults);
    faults.extend(meant);
    if !faults.is_empty() || checked.plan.streams.is_empty() {
        faults.extend(checked.unusable.iter().cloned());
    }
    if faults.is_empty() { Ok(checked) } else { Err(Faults(faults)) }
}

/// Keys that are sound alone and not together.
fn contradictions(raw: &Raw, streams: &[StreamPlan], faults: &mut Vec<Fault>) {
    let root = KeyPath::root();
    let mut found =
        |group: &str, key: &str, problem: String| faults.push(Fault::new(root.key(group).key(key), problem));
    if raw.runtime.device == "cpu" && raw.runtime.precision == "fp16" {
        found("runtime", "precision", "fp16 needs a GPU; expected auto, fp32, bf16 or int8 on the cpu".into());
    }
    if raw.runtime.device.starts_with("cuda") && raw.runtime.precision == "int8" {
        found("runtime", "precision", "int8 runs on the cpu; expected auto, fp32, bf16 or fp16 on a GPU".into());
    }
    if let (true, Some(live)) = (raw.output.refine, streams.iter().find(|stream| stream.live.is_some())) {
        let problem = format!("true, expected false: stream {:?} is live and has no end to look back from", live.name);
        found("output", "refine", problem);
    }
    if raw.events.update_on == UpdateOn::Change && span::parse(&raw.events.updates.0).is_some_and(|span| span.is_zero())
    {
        let problem = "change, but updates is 0s and nothing is told; give updates how often at most, as 1s";
        found("events", "update_on", problem.into());
    }
}

/// The plan and everything that is wrong with it beyond what was `reported`. Where `raw` lacks something, that was reported
/// before.
fn meaning(raw: &Raw, host: &dyn Host, reported: &[Fault]) -> (Checked, Vec<Fault>) {
    let mut faults = Vec::new();
    let root = KeyPath::root();
    let all = LookOfAll { light: light(&raw.preprocess.light), attention: attention(&raw.detect) };
    let (streams, unusable) = streams(&raw.streams, &all, &root.key("streams"), host, reported, &mut faults);
    let mut models = Models { host, faults: &mut faults };
    let classes = models.detector(&raw.detect, &root.key("detect"));
    models.stream_classes(&raw.streams, &raw.detect, classes, &root.key("streams"));
    models.embedder(&raw.embed, classes, &root.key("embed"));
    let track = track(&raw.track, classes, &root.key("track"), &mut faults);
    contradictions(raw, &streams, &mut faults);
    let known = Known { streams: &streams, classes, host };
    let sinks = sinks(&raw.sinks, &root.key("sinks"), &known, &mut faults);
    let media = media(raw, &root.key("media"), &known, &mut faults);
    let (output, api) = (output(&raw.output), api(&raw.api, &root.key("api"), host, &mut faults));
    let log = default_log(&streams, &sinks, api.as_ref(), &output);
    let plan = Plan {
        streams,
        detect: detect(&raw.detect),
        embed: embed(&raw.embed),
        watch: WatchSettings { light: all.light, attention: all.attention, ..WatchSettings::default() },
        track,
        camera_motion: camera_motion(&raw.track),
        events: events(&raw.events, log),
        output,
        media,
        sinks,
        api,
        runtime: runtime(&raw.runtime, host),
    };
    (Checked { plan, unusable }, faults)
}

pub(super) fn detect(raw: &Detect) -> DetectPlan {
    DetectPlan {
        model: raw.model.clone(),
        input_px: match raw.input_px {
            InputPx::Auto(_) => None,
            InputPx::Px(side_px) => Some(side_px),
        },
        classes: raw.classes.clone(),
        min_score: raw.min_score as f32,
        min_score_by_class: raw.min_score_by_class.iter().map(|(name, score)| (name.clone(), *score as f32)).collect(),
        max_iou: raw.max_iou as f32,
        suppress: match raw.suppress {
            Suppress::WithinClass => Scope::WithinClass,
            Suppress::AcrossClasses => Scope::AcrossClasses,
        },
        overlapped: match raw.soft_nms {
            SoftNms::Off => Overlapped::Goes,
            SoftNms::Linear => Overlapped::FadesLinearly,
            SoftNms::Gaussian => Overlapped::FadesSmoothly,
        },
        max_detections: raw.max_detections as usize,
        max_batch: raw.max_batch as usize,
        tiles: TileGrid { columns: raw.tiles[0].0, rows: raw.tiles[1].0, overlap: raw.tile_overlap as f32 },
        also: raw.also.clone(),
    }
}

fn attention(raw: &Detect) -> AttentionSettings {
    AttentionSettings { every: raw.every, min_motion: raw.min_motion as f32, recheck: duration(&raw.recheck) }
}

/// What a file says of light, meant.
pub(super) fn light(raw: &Light) -> LightSettings {
    let meant = |correction: &Correction| match correction {
        Correction::Stretch => illumination::Correction::Stretch,
        Correction::Gamma => illumination::Correction::Gamma,
        Correction::Clahe => illumination::Correction::Clahe,
        Correction::WhiteBalance => illumination::Correction::WhiteBalance,
    };
    match raw {
        Light::Policy(LightPolicy::Auto) => LightSettings::Auto,
        Light::Policy(LightPolicy::Off) => LightSettings::Off,
        Light::Always(corrections) => LightSettings::Always(corrections.iter().map(meant).collect()),
    }
}

fn embed(raw: &Embed) -> Option<EmbedPlan> {
    match raw {
        Embed::Off(_) => None,
        Embed::On(raw) => Some(EmbedPlan {
            model: raw.model.clone(),
            by_class: raw.by_class.iter().map(|(class, model)| (class.clone(), embedder_of_class(model))).collect(),
            worth: WorthSettings {
                min_score: raw.min_score as f32,
                settled_after: raw.settled_after,
                interval: duration(&raw.interval),
            },
            max_batch: raw.max_batch as usize,
        }),
    }
}

fn embedder_of_class(model: &str) -> Option<String> {
    (model != NO_EMBEDDER).then(|| model.to_owned())
}

fn track(raw: &Track, classes: Option<Classes<'_>>, path: &KeyPath, faults: &mut Vec<Fault>) -> TrackSettings {
    // A name that is none was reported with the schema's other words.
    let mut settings = TrackSettings::of(raw.algorithm.parse().unwrap_or(Algorithm::Eyeline));
    for (name, value) in &raw.knobs {
        let number = match value {
            KnobValue::Number(number) => *number,
            KnobValue::Span(text) => duration(text).as_secs_f64(),
        };
        let set = Knob::named(name).and_then(|knob| knob.set(&mut settings, number));
        faults.extend(set.err().map(|error| Fault::new(path.key(name), error.to_string())));
    }
    let path = path.key("max_absent_by_class");
    for (class, span) in &raw.max_absent_by_class {
        match classes.map(|classes| classes.id(class)) {
            Some(Ok(id)) => settings.max_absent_by_class.push((id, duration(span))),
            Some(Err(fault)) => faults.push(Fault { path: path.key(class), ..fault }),
            None => faults.push(Fault::new(path.key(class), "the classes of this detector are not known beforehand")),
        }
    }
    settings
}

/// Our own tracker alone knows what to do with it; the others are as their authors left them. A word that is none was
/// reported with the schema's other words.
fn camera_motion(raw: &Track) -> CameraMotion {
    let used = raw.algorithm == Algorithm::Eyeline.name();
    if used { raw.camera_motion.parse().unwrap_or_default() } else { CameraMotion::Off }
}

fn output(raw: &Output) -> OutputPlan {
    OutputPlan {
        dir: PathBuf::from(&raw.dir),
        video: raw.video,
        detections: raw.detections,
        refine: raw.refine,
        trail: duration(&raw.trail),
    }
}

fn runtime(raw: &Runtime, host: &dyn Host) -> RuntimePlan {
    RuntimePlan {
        threads: match raw.threads {
            Threads::Auto(_) => host.cpus().max(1),
            Threads::Count(count) => count as usize,
        },
        // Words that are none were reported with the schema's.
        device: raw.device.parse().unwrap_or_default(),
        precision: raw.precision.parse().unwrap_or_default(),
        max_wait: duration(&raw.max_wait),
        shutdown: duration(&raw.shutdown),
    }
}

/// The duration that `raw` says. What says none was reported with the schema's other words and never comes here.
pub(super) fn duration(raw: &Span) -> Duration {
    span::parse(&raw.0).unwrap_or_default()
}
