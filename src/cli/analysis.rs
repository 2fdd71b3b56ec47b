//! What is told of the streams of a plan, and the log that keeps it.

use crate::{
    analyze::AnalysisSettings,
    config::plan::{EventsPlan, LogPlan, Plan, StreamPlan},
    event::{
        ModelRef,
        log::{EventLog, LogError, LogSettings},
    },
    pipeline::BuildAnalysis,
    sink::summary::ModelCard,
    track::TrackIds,
};

/// Opens the event log a plan asks for.
pub(super) fn open_log(plan: &Plan) -> Result<Option<EventLog>, LogError> {
    let Some(LogPlan { path, keep, max_bytes }) = &plan.events.log else { return Ok(None) };
    let site = plan.events.site.clone();
    EventLog::open(LogSettings { keep: *keep, max_bytes: *max_bytes, site, ..LogSettings::at(path) }).map(Some)
}

/// What is told of each stream: its zones and lines, from where its log stands.
pub(super) fn build(events: &EventsPlan, models: &[ModelCard], log: Option<EventLog>) -> BuildAnalysis {
    let model = |card: &ModelCard| ModelRef { name: card.name.clone(), sha256: card.sha256.clone() };
    let models: Vec<ModelRef> = models.iter().map(model).collect();
    let (site, rules) = (events.site.clone(), events.rules.clone());
    Box::new(move |plan| {
        let resumed = log.as_ref().map(|log| log.resume(&plan.name)).unwrap_or_default();
        AnalysisSettings {
            site: site.clone(),
            models: models.clone(),
            rules: rules.clone(),
            first_sequence: resumed.next_sequence,
            totals: resumed.totals,
            ..AnalysisSettings::of(plan)
        }
    })
}

/// Track ids of a stream, none of which was told of before.
///
/// A recording is a world of its own: its ids begin at 1, or where its log says, whatever is processed beside it. Live
/// streams share theirs.
pub(super) fn track_ids(log: Option<EventLog>) -> impl Fn(&StreamPlan) -> TrackIds + Send {
    let shared = TrackIds::starting_at(log.as_ref().map_or(1, EventLog::next_track_of_all));
    move |plan| match (&plan.live, &log) {
        (Some(_), _) => shared.clone(),
        (None, Some(log)) => TrackIds::starting_at(log.next_track(&plan.name)),
        (None, None) => TrackIds::default(),
    }
}
