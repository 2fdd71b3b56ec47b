//! The section `media`: unknown types of events, and people who would be seen although they must not be.

use super::{faults, with};

#[test]
fn types_of_events_and_spans_are_checked() {
    let cases = [
        ("media: {frames: [track.startd]}", "media.frames[0]: ", "track.started"),
        ("media: {clips: [zones.*]}", "media.clips[0]: ", "zone.*"),
        ("media: {before: 31s}", "media.before: ", "30s"),
        ("media: {after: 0s}", "media.after: ", "1s"),
        ("media: {max_size_mb: 5}", "media.max_size_mb: 5, ", "10"),
        ("media: {privacy: {blur: head}}", "media.privacy.blur: \"head\", ", "heads"),
        ("media: {snapshot: true}", "media.snapshot: unknown key; ", "snapshots"),
    ];
    for (lines, path, named) in cases {
        let found = faults(&with(lines));
        assert_eq!(found.len(), 1, "{lines}: {found:#?}");
        assert!(found[0].contains(path) && found[0].contains(named), "{lines}: {found:#?}");
    }
}

#[test]
fn whoever_is_to_be_blurred_is_looked_for_and_shown_nowhere_else() {
    const QUIET: &str = "output: {video: false}\n";
    let cases = [
        ("media: {privacy: {blur: heads}}", "annotated.mp4 would show everybody as they are; set output.video: false"),
        (
            "detect: {classes: [car]}\nmedia: {privacy: {blur: heads}}\noutput: {video: false}",
            "detect.classes leaves out \"person\"",
        ),
        ("media: {privacy: {blur: heads, classes: [persn]}}\noutput: {video: false}", "did you mean person?"),
        (
            "media: {privacy: {blur: heads, open_zones: [street]}}\noutput: {video: false}",
            "\"street\", which is no zone here",
        ),
        (
            "media: {clips: [track.started], privacy: {blur: persons}}\noutput: {video: false}",
            "clips show everybody as the camera did; leave out media.clips",
        ),
    ];
    for (lines, said) in cases {
        let found = faults(&with(lines));
        assert!(found.len() == 1 && found[0].contains(said), "{lines}: {found:#?}");
    }
    for (stream, said) in [
        ("classes: [car]", "the classes of stream \"gate\" leave out \"person\""),
        ("regions: [[[0, 0], [1, 0], [0, 1]]]", "stream \"gate\" looks at a part of its picture"),
    ] {
        let text = format!(
            "version: 1\nstreams: [{{name: gate, file: a.mp4, {stream}}}]\nmedia: {{privacy: {{blur: heads}}}}\n{QUIET}"
        );
        let found = faults(&text);
        assert!(found.len() == 1 && found[0].contains(said), "{stream}: {found:#?}");
    }
    assert_eq!(faults(&with(&format!("media: {{snapshots: true, privacy: {{blur: heads}}}}\n{QUIET}"))), [""; 0]);
}
