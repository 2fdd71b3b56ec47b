//! Clips: whatever the codec, and what a source gives that no file can hold.

use super::{
    JPEG_LOSS, Picture, cameras, events, eyeline, of_type, people, pipeline, recorded,
    support::{PATIENCE, decode, temp_dir},
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

/// A program that does not outlive the test.
struct Running(Child);

impl Running {
    /// Ends it as Ctrl-C does.
    fn interrupt(&mut self) {
        assert!(Command::new("kill").args(["-s", "INT", &self.0.id().to_string()]).status().unwrap().success());
        assert_eq!(self.0.wait().unwrap().code(), Some(130));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = (self.0.kill(), self.0.wait());
    }
}

#[test]
fn a_clip_begins_before_its_event_and_is_what_the_camera_sent() {
    clip_of(|folder| people(folder, 100), "mp4", 10);
}

#[test]
fn a_clip_of_h265_is_what_the_camera_sent() {
    let encode =
        "x265enc speed-preset=ultrafast key-int-max=10 option-string=\"bframes=0:open-gop=0\" ! h265parse ! mp4mux";
    clip_of(|folder| recorded(folder, 100, "people.mp4", encode), "mp4", 10);
}

#[test]
fn a_clip_of_mjpeg_is_what_the_camera_sent() {
    clip_of(|folder| recorded(folder, 100, "people.avi", "jpegenc ! avimux"), "mkv", 1);
}

/// A clip out of a live replay of 100 frames that `record` made, a key picture every `between_keys`.
fn clip_of(record: impl FnOnce(&Path) -> PathBuf, extension: &str, between_keys: usize) {
    let folder = temp_dir();
    let video = record(folder.path());
    let (clip, at) = first_clip(folder.path(), &video);
    assert_eq!(clip.extension(), Some(extension.as_ref()));
    let source = pictures(&video);
    let is_shown = |picture: &Picture| source.iter().position(|known| known.rgb == picture.rgb);
    let places: Vec<usize> = pictures(&clip).iter().map(|p| is_shown(p).expect("sent, to the bit")).collect();
    assert!(places.windows(2).all(|pair| pair[1] == pair[0] + 1), "one after the other: {places:?}");
    assert_eq!(places[0] % between_keys, 0, "begins with a key picture");
    assert!(places.len() >= 15 && places[0] + 8 <= at && places[places.len() - 1] >= at + 5, "{at} in {places:?}");
}

/// The first clip of a live replay of `video` whose second before it was played, and the frame of its event.
fn first_clip(folder: &Path, video: &Path) -> (PathBuf, usize) {
    let mut running = replay(folder, video, |_| {});
    let clip = |events: &[Value]| {
        let late =
            of_type(events, "track.started").into_iter().find(|event| event["time_seconds"].as_f64() > Some(1.5));
        // Written while the camera goes on.
        let file = folder.join("out").join(late?["files"]["clip"].as_str()?);
        file.is_file().then(|| (file, late.cloned()))
    };
    let began = Instant::now();
    let (clip, event) = loop {
        if let Some((file, Some(event))) = clip(&events(folder)) {
            break (file, event);
        }
        assert!(began.elapsed() < PATIENCE, "no clip: {:#?}", events(folder));
        thread::sleep(Duration::from_millis(50));
    };
    running.interrupt();
    (clip, (event["time_seconds"].as_f64().unwrap() * 10.0).round() as usize % 100)
}

/// A run that plays `video` as a camera and wants clips of tracks.
fn replay(folder: &Path, video: &Path, set_up: impl FnOnce(&mut Command)) -> Running {
    let media = "media: { clips: [track.started], before: 1s, after: 1s }\n";
    let file = pipeline(folder, video, ", live: true", media);
    let mut command = eyeline(&["run", "--quiet", file.to_str().unwrap()]);
    set_up(&mut command);
    Running(command.spawn().unwrap())
}

/// Every picture of a video, which must be whole.
fn pictures(video: &Path) -> Vec<Picture> {
    let decoded = decode(video);
    assert!(matches!(decoded.end, Ok(None)), "{:?}", decoded.end);
    decoded.frames.iter().map(Picture::of).collect()
}

#[test]
fn a_clip_of_raw_pictures_is_encoded() {
    encoded_clip_of("video/x-raw,format=I420 ! avimux", "people.avi");
}

#[test]
fn a_clip_of_what_no_file_of_ours_holds_is_encoded() {
    encoded_clip_of("avenc_flv bitrate=8000000 ! flvmux", "people.flv");
}

/// The clip of what `encode` makes of 100 frames shows them, encoded anew, from a second before the event to one after it.
fn encoded_clip_of(encode: &str, name: &str) {
    let folder = temp_dir();
    let video = recorded(folder.path(), 100, name, encode);
    let (clip, at) = first_clip(folder.path(), &video);
    assert_eq!(clip.extension(), Some("mp4".as_ref()));
    // One value of many is enough to tell pictures apart.
    let few = |video: &Path| -> Vec<Vec<u8>> {
        pictures(video).iter().map(|picture| picture.rgb.iter().step_by(61).copied().collect()).collect()
    };
    let source = few(&video);
    let apart = |one: &[u8], other: &[u8]| {
        one.iter().zip(other).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / one.len() as f64
    };
    let nearest = |picture: &Vec<u8>| {
        let all = source.iter().enumerate().map(|(place, known)| (place, apart(picture, known)));
        let (place, difference) = all.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        assert!(difference < JPEG_LOSS, "no picture of the source: {difference}");
        place
    };
    let places: Vec<usize> = few(&clip).iter().map(nearest).collect();
    assert!(places.windows(2).all(|pair| pair[1] >= pair[0]), "one after the other: {places:?}");
    // A busy machine leaves out pictures, but not the time they showed.
    assert!(places.len() >= 5 && places[0] + 8 <= at && places[places.len() - 1] >= at + 5, "{at} in {places:?}");
}

#[test]
fn without_an_encoder_events_of_raw_pictures_have_no_clip_and_it_is_told_why() {
    let folder = temp_dir();
    let video = recorded(folder.path(), 100, "people.avi", "video/x-raw,format=I420 ! avimux");
    let plugins = folder.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    let encoder = gstreamer::Registry::get().find_plugin("openh264").unwrap().filename().unwrap();
    for plugin in fs::read_dir(encoder.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()) {
        if plugin.extension().is_some_and(|extension| extension == "so") && plugin != encoder {
            std::os::unix::fs::symlink(&plugin, plugins.join(plugin.file_name().unwrap())).unwrap();
        }
    }
    let said = folder.path().join("said.txt");
    let mut running = replay(folder.path(), &video, |command| {
        command.env("GST_PLUGIN_SYSTEM_PATH_1_0", &plugins).env("GST_REGISTRY_1_0", folder.path().join("registry"));
        command.env("EYELINE_LOG", "warn").stderr(fs::File::create(&said).unwrap());
    });
    let began = Instant::now();
    while of_type(&events(folder.path()), "track.started").is_empty() {
        assert!(began.elapsed() < PATIENCE, "{}", fs::read_to_string(&said).unwrap());
        thread::sleep(Duration::from_millis(50));
    }
    running.interrupt();
    let started = events(folder.path());
    assert!(of_type(&started, "track.started").iter().all(|event| event["files"]["clip"].is_null()));
    let said = fs::read_to_string(&said).unwrap();
    assert_eq!(said.matches("no clips").count(), 1, "{said}");
    assert!(said.contains("openh264enc") && said.contains("install gstreamer1.0-plugins-bad"), "{said}");
}

#[test]
fn clips_of_cameras_play_whatever_the_codec() {
    const CODECS: [(&str, &str); 3] = [("h264", "mp4"), ("h265", "mp4"), ("jpeg", "mkv")];
    let servers = CODECS.map(|(codec, _)| {
        cameras::Server::start(cameras::free_port(), &cameras::Spec { codec, ..cameras::Spec::default() })
    });
    let folder = temp_dir();
    let zone = "zones: [{name: all, polygon: [[0, 0], [1, 0], [1, 1], [0, 1]]}]";
    let streams: String = CODECS
        .iter()
        .zip(&servers)
        .map(|((codec, _), cameras::Server { port, .. })| {
            format!("  - {{name: {codec}, url: \"rtsp://127.0.0.1:{port}/cam\", {zone}}}\n")
        })
        .collect();
    let file = folder.path().join("run.yml");
    let text = format!(
        "version: 1\nstreams:\n{streams}detect: {{classes: [person], input_px: 320}}\nembed: none\n\
         events: {{counts: 2s}}\nmedia: {{clips: [counts], before: 1s, after: 1s}}\noutput: {{dir: \"{}\"}}\n",
        folder.path().join("out").display()
    );
    fs::write(&file, text).unwrap();
    let mut running = Running(eyeline(&["run", "--quiet", file.to_str().unwrap()]).spawn().unwrap());
    // The second one of each: a whole second was seen before it.
    let clip_of = |codec: &str, extension: &str| {
        let text = fs::read_to_string(folder.path().join(format!("out/{codec}/events.jsonl"))).unwrap_or_default();
        let counts = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let second = counts.filter(|event| event["type"] == "counts").nth(1)?;
        let file = second["files"]["clip"].as_str().unwrap_or_else(|| panic!("no clip: {second}")).to_owned();
        assert!(file.ends_with(extension), "{file}");
        Some(folder.path().join("out").join(file)).filter(|path| path.is_file())
    };
    let began = Instant::now();
    for (codec, extension) in CODECS {
        let clip = loop {
            if let Some(clip) = clip_of(codec, extension) {
                break clip;
            }
            assert!(began.elapsed() < PATIENCE, "no clip of {codec}");
            thread::sleep(Duration::from_millis(50));
        };
        let shown = decode(&clip);
        assert!(matches!(shown.end, Ok(None)), "{codec}: {:?}", shown.end);
        assert!(shown.frames.len() >= 12, "{codec}: {} pictures", shown.frames.len());
        let size = cameras::Spec::default().size;
        assert!(shown.frames.iter().all(|frame| frame.meta.size == size), "{codec}");
        let length = shown.frames[shown.frames.len() - 1].meta.pts.since(shown.frames[0].meta.pts).as_secs_f64();
        assert!((1.0..15.0).contains(&length), "{codec}: {length} s");
    }
    running.interrupt();
}
