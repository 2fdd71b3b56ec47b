//! `/metrics`: what the line counts and measures, in Prometheus' text format 0.0.4.

use super::{Api, problem::Problem};
use crate::serve::operate::{LineStatus, Percentiles, StreamState, StreamStatus};
use axum::{
    extract::State,
    http::{HeaderName, header},
};
use std::{collections::BTreeMap, fmt::Write, fs, time::SystemTime};

/// What the line counts and measures, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses(
        (status = 200, description = "Prometheus text format", body = String, content_type = "text/plain"),
        (status = "4XX", response = Problem),
    ))]
pub(super) async fn metrics(State(api): State<Api>) -> ([(HeaderName, &'static str); 1], String) {
    let text = text(&api.operate.streams(), &api.operate.line());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

fn text(streams: &[StreamStatus], line: &LineStatus) -> String {
    let mut page = Page::default();
    of_streams(&mut page, streams);
    of_line(&mut page, line);
    of_process(&mut page);
    page.text()
}

fn of_streams(page: &mut Page, streams: &[StreamStatus]) {
    for stream in streams {
        let mut on = |family: &Family, value: f64| page.sample(family, &[("stream", &stream.name)], value);
        on(&gauge("eyeline_stream_up", "1 while frames come, else 0"), f64::from(stream.state == StreamState::Live));
        on(&gauge("eyeline_stream_fps", "Frames processed a second, lately"), stream.fps);
        on(&counter("eyeline_frames_received_total", "Frames the decoder gave"), stream.received as f64);
        on(&counter("eyeline_frames_processed_total", "Frames whose tracks were told"), stream.processed as f64);
        on(&gauge("eyeline_stream_tracks", "Tracks that are open"), stream.tracks as f64);
        on(&counter("eyeline_events_total", "Events told"), stream.events as f64);
        on(&counter("eyeline_stream_losses_total", "Times the connection was lost"), stream.losses as f64);
        on(&gauge("eyeline_stream_uptime_seconds", "Time since the connection was made"), stream.uptime_seconds);
        let watched = &stream.watched;
        on(&counter("eyeline_frames_not_looked_total", "Frames spared the detector"), watched.not_looked as f64);
        on(&counter("eyeline_frames_relit_total", "Frames whose light was corrected"), watched.relit as f64);
        on(&counter("eyeline_light_changes_total", "Changes of the light told"), watched.light_changes as f64);
        on(&counter("eyeline_light_seconds_total", "Time spent on light"), watched.light_seconds);
        on(&counter("eyeline_embedded_total", "Detections embedded"), watched.embedded as f64);
        let name = &*stream.name;
        for state in StreamState::ALL {
            let family = gauge("eyeline_stream_state", "1 for the state a stream is in, 0 for the others");
            let labels = [("stream", name), ("state", state.as_str())];
            page.sample(&family, &labels, f64::from(state == stream.state));
        }
        let dropped = counter("eyeline_frames_dropped_total", "Frames dropped, by reason");
        page.by_key(&dropped, ("stream", name), "reason", &stream.dropped);
        if let Some(age) = stream.age {
            let family = gauge("eyeline_stream_age_seconds", "Age of a frame when its tracks are told");
            page.quantiles(&family, &[("stream", name)], age);
        }
        for stage in &stream.stages {
            let labels = [("stream", name), ("stage", &*stage.stage)];
            page.quantiles(
                &gauge("eyeline_stage_age_seconds", "Age of a frame that leaves a stage"),
                &labels,
                stage.age,
            );
            page.quantiles(&gauge("eyeline_stage_busy_seconds", "Time a stage spends on a frame"), &labels, stage.busy);
        }
    }
}

fn of_line(page: &mut Page, line: &LineStatus) {
    page.sample(&gauge("eyeline_ready", "1 where the line is ready"), &[], f64::from(line.not_ready.is_none()));
    for stage in &line.stages {
        let name = ("stage", &*stage.stage);
        page.sample(&counter("eyeline_stage_received_total", "Items a stage took in"), &[name], stage.received as f64);
        page.sample(&counter("eyeline_stage_sent_total", "Items a stage handed on"), &[name], stage.sent as f64);
        page.sample(&gauge("eyeline_stage_queue_depth", "Items waiting before a stage"), &[name], stage.queued as f64);
        let dropped = counter("eyeline_stage_dropped_total", "Items a stage dropped, by reason");
        page.by_key(&dropped, name, "reason", &stage.dropped);
        page.by_key(&counter("eyeline_stage_errors_total", "Items that failed, by kind"), name, "kind", &stage.errors);
    }
    for sink in &line.sinks {
        let name = ("sink", &*sink.sink);
        page.sample(&counter("eyeline_sink_delivered_total", "Events delivered"), &[name], sink.delivered as f64);
        page.sample(&gauge("eyeline_sink_lag_events", "Events yet to be delivered"), &[name], sink.lag as f64);
        let waits = gauge("eyeline_sink_lag_seconds", "Time the oldest event being delivered has waited");
        page.sample(&waits, &[name], sink.lag_seconds);
        let is_well = gauge("eyeline_sink_up", "1 unless the last delivery failed");
        page.sample(&is_well, &[name], f64::from(sink.trouble.is_none()));
        page.sample(&counter("eyeline_sink_errors_total", "Failed deliveries"), &[name], sink.errors as f64);
        page.by_key(&counter("eyeline_sink_dropped_total", "Events given up"), name, "reason", &sink.dropped);
    }
    if let Some(log) = &line.log {
        page.sample(&counter("eyeline_log_kept_total", "Events kept in the log"), &[], log.kept as f64);
        page.sample(&counter("eyeline_log_lost_total", "Events the disk had no room for"), &[], log.lost as f64);
        page.sample(
            &counter("eyeline_log_discarded_total", "Events removed by age or size"),
            &[],
            log.discarded as f64,
        );
        page.sample(&gauge("eyeline_log_bytes", "Size of the log on the disk"), &[], log.bytes as f64);
    }
}

/// The process itself, under the names every exporter uses.
fn of_process(page: &mut Page) {
    page.sample(&gauge("eyeline_build_info", "Always 1"), &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let number = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    if let Some(kibibytes) = number("VmRSS:") {
        let family = gauge("process_resident_memory_bytes", "Memory in RAM");
        page.sample(&family, &[], kibibytes * 1024.0);
    }
    if let Some(threads) = number("Threads:") {
        page.sample(&gauge("process_threads", "Threads"), &[], threads);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        page.sample(&gauge("process_open_fds", "Open file descriptors"), &[], open.count() as f64);
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    page.sample(&gauge("eyeline_time_seconds", "Time of this answer"), &[], now.as_secs_f64());
}

/// Name, kind and meaning of a metric.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: "gauge", help }
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: "counter", help }
}

/// Samples by family: the format wants those of one family together.
#[derive(Default)]
struct Page(BTreeMap<&'static str, String>);

impl Page {
    fn sample(&mut self, family: &Family, labels: &[(&str, &str)], value: f64) {
        let Family { name, kind, help } = family;
        let lines = self.0.entry(name).or_insert_with(|| format!("# HELP {name} {help}.\n# TYPE {name} {kind}\n"));
        let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        // Writing to a String does not fail.
        let _ = writeln!(lines, "{name}{labels} {value}");
    }

    fn by_key(&mut self, family: &Family, of: (&str, &str), key: &str, values: &BTreeMap<String, u64>) {
        for (reason, count) in values {
            self.sample(family, &[of, (key, reason)], *count as f64);
        }
    }

    fn quantiles(&mut self, family: &Family, labels: &[(&str, &str)], times: Percentiles) {
        for (quantile, millis) in [("0.5", times.p50_ms), ("0.99", times.p99_ms)] {
            let labels: Vec<_> = labels.iter().copied().chain([("quantile", quantile)]).collect();
            self.sample(family, &labels, millis / 1000.0);
        }
    }

    fn text(self) -> String {
        self.0.into_values().collect()
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::operate::{LogStatus, SinkStatus, StageAge, StageStatus, Watched};
    use std::collections::HashSet;

    fn stream(name: &str) -> StreamStatus {
        let times = Percentiles { p50_ms: 20.0, p99_ms: 45.5 };
        StreamStatus {
            name: name.into(),
            address: "rtsp://camera/1".into(),
            state: StreamState::Live,
            width: Some(640),
            height: Some(480),
            fps: 9.5,
            nominal_fps: Some(10.0),
            received: 100,
            processed: 97,
            dropped: BTreeMap::from([("overload".to_owned(), 3)]),
            age: Some(times),
            stages: vec![StageAge { stage: "detect".into(), busy: times, age: times }],
            tracks: 2,
            events: 7,
            losses: 1,
            watched: Watched { not_looked: 40, relit: 9, light_changes: 2, light_seconds: 0.25, embedded: 60 },
            last_fault: None,
            uptime_seconds: 12.5,
            zones: Vec::new(),
            lines: Vec::new(),
            classes: Vec::new(),
            min_score: 0.1,
        }
    }

    fn sample_line() -> LineStatus {
        let stage = StageStatus { stage: "detect".into(), received: 5, sent: 4, queued: 1, ..StageStatus::default() };
        let sink = SinkStatus { sink: "mqtt".into(), delivered: 5, lag: 2, errors: 1, ..SinkStatus::default() };
        let log = Some(LogStatus { kept: 9, lost: 1, ..LogStatus::default() });
        LineStatus { not_ready: None, stages: vec![stage], sinks: vec![sink], log }
    }

    #[test]
    fn every_sample_follows_its_type_and_is_unique() {
        let page = text(&[stream("gate"), stream("a \"b\" \\ \n")], &sample_line());
        let (mut typed, mut seen, mut current) = (HashSet::new(), HashSet::new(), "");
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                current = rest.split(' ').next().unwrap();
                assert!(typed.insert(current), "{current} is typed twice");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').unwrap();
                assert_eq!(series.split('{').next(), Some(current), "{line}");
                assert!(value.parse::<f64>().is_ok() && seen.insert(series), "{line}");
            }
        }
    }

    #[test]
    fn counts_and_ages_are_told() {
        let page = text(&[stream("gate")], &sample_line());
        for line in [
            "eyeline_frames_dropped_total{stream=\"gate\",reason=\"overload\"} 3",
            "eyeline_stage_age_seconds{stream=\"gate\",stage=\"detect\",quantile=\"0.99\"} 0.0455",
            "eyeline_stream_state{stream=\"gate\",state=\"lost\"} 0",
            "eyeline_stage_queue_depth{stage=\"detect\"} 1",
            "eyeline_sink_lag_events{sink=\"mqtt\"} 2",
            "eyeline_sink_up{sink=\"mqtt\"} 1",
            "eyeline_log_lost_total 1",
            "eyeline_ready 1",
            "eyeline_frames_relit_total{stream=\"gate\"} 9",
            "eyeline_light_seconds_total{stream=\"gate\"} 0.25",
        ] {
            assert!(page.lines().any(|told| told == line), "{line} is missing from\n{page}");
        }
    }
}
