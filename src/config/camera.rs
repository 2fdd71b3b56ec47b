//! The live half of a stream: which camera, how it is reached, when it is watched.

use super::{
    check::duration,
    fault::{Fault, KeyPath},
    plan::{CameraPlan, LivePlan, Secret, Trust},
    raw::Stream,
    raw_camera::{Camera, StallTimeout},
    schedule::{Schedule, Span},
};
use crate::source::address::Address;
use std::path::PathBuf;

/// How a live stream is played; `None` for a recording. `path` is the stream's.
pub(super) fn live(raw: &Stream, path: &KeyPath, faults: &mut Vec<Fault>) -> Option<LivePlan> {
    let spans = raw.active.iter().enumerate().filter_map(|(index, text)| {
        let span = Span::parse(text);
        let fault = |no_span| Fault::new(path.key("active").index(index), format!("{text:?}, {no_span}"));
        span.map_err(|no_span| faults.push(fault(no_span))).ok()
    });
    let schedule = Schedule::new(spans.collect());
    let camera = camera(raw, path, faults);
    if camera.is_none() && !raw.live {
        return None;
    }
    Some(LivePlan {
        camera,
        enabled: raw.enabled,
        max_fps: (raw.max_fps > 0.0).then_some(raw.max_fps),
        priority: raw.priority,
        schedule,
        connect_timeout: duration(&raw.camera.connect_timeout),
        stall_timeout: match &raw.camera.stall_timeout {
            StallTimeout::Auto(_) => None,
            StallTimeout::After(span) => Some(duration(span)),
        },
        max_backoff: duration(&raw.camera.max_backoff),
    })
}

/// The camera at `url`; `None` where there is none, or none that can be.
fn camera(raw: &Stream, path: &KeyPath, faults: &mut Vec<Fault>) -> Option<CameraPlan> {
    if raw.url.0.is_empty() {
        return None;
    }
    let address = match Address::parse(&raw.url.0) {
        Ok(address) => address,
        Err(fault) => {
            faults.push(Fault::new(path.key("url"), fault.to_string()));
            return None;
        }
    };
    let Camera { user, password, password_file, transport, jitter, verify, ca_file, .. } = &raw.camera;
    let path = path.key("camera");
    let given = !user.is_empty() || !password.0.is_empty() || !password_file.is_empty();
    if address.login().is_some() && given {
        faults.push(Fault::new(path.clone(), "the address has a user or password already; give them once"));
    }
    if !password.0.is_empty() && !password_file.is_empty() {
        faults.push(Fault::new(path.key("password_file"), "there is a password already; give one of the two"));
    }
    if !verify && !ca_file.is_empty() {
        faults.push(Fault::new(path.key("ca_file"), "is of no use with `verify: false`"));
    }
    let password = match (password_file.as_str(), password.0.as_str()) {
        ("", "") => None,
        ("", text) => Some(Secret::Text(text.to_owned())),
        (file, _) => Some(Secret::File(PathBuf::from(file))),
    };
    let trust = match (verify, ca_file.as_str()) {
        (false, _) => Trust::Anything,
        (true, "") => Trust::System,
        (true, file) => Trust::File(PathBuf::from(file)),
    };
    let user = user.clone();
    Some(CameraPlan { address, user, password, transport: *transport, jitter: duration(jitter), trust })
}
