//! The section `media`: types of events, and whether those who are to be protected will be found at all.

use super::{
    check::duration,
    fault::{Fault, KeyPath},
    plan::StreamPlan,
    plan_media::{Blur, ClipPlan, KeepPlan, MediaPlan, PrivacyPlan},
    raw::Raw,
    raw_media::BlurWord,
    sinks::{Known, event_type},
};

/// What is kept, and everything that is wrong with it.
pub(super) fn media(raw: &Raw, path: &KeyPath, known: &Known<'_>, faults: &mut Vec<Fault>) -> MediaPlan {
    let media = &raw.media;
    for (key, types) in [("frames", &media.frames), ("clips", &media.clips)] {
        for (index, kind) in types.iter().enumerate() {
            if let Err(problem) = event_type(kind) {
                faults.push(Fault::new(path.key(key).index(index), problem));
            }
        }
    }
    if media.privacy.blur != BlurWord::Nobody {
        privacy(raw, &path.key("privacy"), known, faults);
    }
    let blur = match media.privacy.blur {
        BlurWord::Nobody => Blur::Nobody,
        BlurWord::Heads => Blur::Heads,
        BlurWord::Persons => Blur::Whole,
    };
    MediaPlan {
        snapshots: media.snapshots,
        frames: media.frames.clone(),
        clips: ClipPlan { types: media.clips.clone(), before: duration(&media.before), after: duration(&media.after) },
        keep: KeepPlan { max_age: duration(&media.max_age), max_bytes: u64::from(media.max_size_mb) * 1_000_000 },
        privacy: PrivacyPlan {
            blur,
            classes: media.privacy.classes.clone(),
            open_zones: media.privacy.open_zones.clone(),
        },
    }
}

/// Whoever is to be blurred must be found first, and must not be shown elsewhere.
fn privacy(raw: &Raw, path: &KeyPath, known: &Known<'_>, faults: &mut Vec<Fault>) {
    let privacy = &raw.media.privacy;
    for (index, class) in privacy.classes.iter().enumerate() {
        let path = path.key("classes").index(index);
        if let Some(Err(fault)) = known.classes.map(|classes| classes.id(class)) {
            faults.push(Fault { path, ..fault });
            continue;
        }
        let left_out = |classes: &[String]| !classes.is_empty() && !classes.contains(class);
        let why = "which is then not looked for and would not be blurred";
        if left_out(&raw.detect.classes) {
            faults.push(Fault::new(path, format!("detect.classes leaves out {class:?}, {why}")));
        } else if let Some(stream) = known.streams.iter().find(|stream| left_out(&stream.filter.classes)) {
            faults
                .push(Fault::new(path, format!("the classes of stream {:?} leave out {class:?}, {why}", stream.name)));
        }
    }
    if let Some(stream) = known.streams.iter().find(|stream| !stream.watch.regions.is_empty()) {
        let problem =
            format!("stream {:?} looks at a part of its picture, people elsewhere would stay visible", stream.name);
        faults.push(Fault::new(path.key("blur"), problem));
    }
    let is_zone = |name: &String| known.streams.iter().any(|stream| stream.zones.iter().any(|zone| zone.name == *name));
    for (index, zone) in privacy.open_zones.iter().enumerate().filter(|(_, zone)| !is_zone(zone)) {
        faults.push(Fault::new(path.key("open_zones").index(index), format!("{zone:?}, which is no zone here")));
    }
    if !raw.media.clips.is_empty() {
        let problem = "clips show everybody as the camera did";
        faults.push(Fault::new(path.key("blur"), problem).with_hint(Some("leave out media.clips".to_owned())));
    }
    let is_recording = |stream: &StreamPlan| stream.live.is_none();
    if raw.output.video && known.streams.iter().any(is_recording) {
        let problem = "annotated.mp4 would show everybody as they are";
        let hint = Some("set output.video: false".to_owned());
        faults.push(Fault::new(path.key("blur"), problem).with_hint(hint));
    }
}
