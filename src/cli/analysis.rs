//! What is told of the streams of a plan, and the log that keeps it.

use crate::{
    analyze::{AnalysisSettings, area::AreaRule, line::LineRule},
    config::plan::{LinePlan, LogPlan, Plan, StreamPlan, ZonePlan, ZonePoint},
    event::{
        Keep, ModelRef,
        log::{EventLog, LogError, LogSettings},
    },
    pipeline::AnalyzePart,
    sink::summary::ModelCard,
};

/// Opens the event log a plan asks for.
pub(super) fn open_log(plan: &Plan) -> Result<Option<EventLog>, LogError> {
    let Some(LogPlan { path, keep, max_bytes }) = &plan.events.log else { return Ok(None) };
    EventLog::open(LogSettings { keep: *keep, max_bytes: *max_bytes, ..LogSettings::at(path) }).map(Some)
}

/// The first track id of each stream: behind those an earlier run told of.
pub(super) fn first_tracks(plan: &Plan, log: Option<&EventLog>) -> Vec<u64> {
    plan.streams.iter().map(|stream| log.map_or(1, |log| log.next_track(&stream.name))).collect()
}

/// What is told of each stream: its zones and lines, from where its log stands.
pub(super) fn part(plan: &Plan, models: &[ModelCard], log: Option<&EventLog>) -> AnalyzePart {
    let model = |card: &ModelCard| ModelRef { name: card.name.clone(), sha256: card.sha256.clone() };
    let settings = |stream: &StreamPlan| AnalysisSettings {
        models: models.iter().map(model).collect(),
        areas: stream.zones.iter().map(area).collect(),
        lines: stream.lines.iter().map(line).collect(),
        anchor: plan.events.anchor,
        updates: plan.events.updates,
        counts: plan.events.counts,
        first_sequence: log.map_or(0, |log| log.next_sequence(&stream.name)),
        totals: log.map(|log| log.totals(&stream.name)).unwrap_or_default(),
        ..AnalysisSettings::default()
    };
    let streams = plan.streams.iter().map(settings).collect();
    AnalyzePart { streams, log: log.map(|log| Box::new(log.clone()) as Box<dyn Keep>) }
}

fn area(zone: &ZonePlan) -> AreaRule {
    AreaRule {
        name: zone.name.clone(),
        corners: zone.polygon.iter().map(point).collect(),
        dwell: zone.dwell,
        max_occupancy: zone.max_occupancy,
    }
}

fn line(line: &LinePlan) -> LineRule {
    LineRule { name: line.name.clone(), from: point(&line.from), to: point(&line.to) }
}

const fn point(point: &ZonePoint) -> [f32; 2] {
    [point.x_norm, point.y_norm]
}
