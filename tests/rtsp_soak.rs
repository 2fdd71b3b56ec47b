//! The promise: a stream that is connected again and again, and streams that come and go, leave nothing behind. Alone in
//! its program, because threads and files of other tests would be counted.
//!
//! Short by default; `EYELINE_SOAK=1` runs 1,000 reconnects, 500 add/remove cycles and 1,000 attempts to reach a camera that
//! is away and, with `EYELINE_SOAK_CSV=FILE`, writes the curve.

#![cfg(feature = "line")]

mod cameras;
mod footprint;

use cameras::{PATIENCE, Seen, Server, Spec, Watch, free_port, on_port};
use eyeline::{config::plan::Transport, frame::StreamId, pipeline::stats::Stretch, track::TrackId};
use footprint::Footprint;
use std::{fmt::Write as _, fs, time::Duration};

/// Not a test: the camera's own process.
#[test]
fn camera_process() {
    cameras::be_a_camera();
}

/// Runs `cycle` so often and looks at the process fifty times on the way. The first fifth warms up: pools of threads and
/// memory are as large as they get.
fn soak(name: &str, cycles: usize, curve: &mut String, mut cycle: impl FnMut(usize)) {
    let mut seen = Vec::new();
    for index in 0..cycles {
        cycle(index);
        if index % cycles.div_ceil(50) == 0 || index + 1 == cycles {
            let now @ Footprint { resident_kib, threads, files } = Footprint::here();
            writeln!(curve, "{name},{},{resident_kib},{threads},{files}", index + 1).expect("text");
            seen.push((index, now));
        }
    }
    let (_, warm) = *seen.iter().find(|(index, _)| index * 5 >= cycles).expect("cycles");
    let (_, last) = *seen.last().expect("cycles");
    println!("{name}: {cycles} cycles, {warm:?} to {last:?}");
    // 2 %, and what a pool may still grow by in a short run.
    let allowed_kib = warm.resident_kib / 50 + 4 * 1024;
    assert!(last.resident_kib <= warm.resident_kib + allowed_kib, "{name}: {warm:?} grew to {last:?}");
    assert!(last.threads <= warm.threads + 3 && last.files <= warm.files + 6, "{name}: {warm:?} grew to {last:?}");
}

/// Frames of an epoch whose tracks are compared.
const COMPARED: usize = 8;

/// The track in each of the first frames after the connection is made anew.
fn tracked_after_a_restart(watch: &Watch, stream: StreamId) -> Vec<(TrackId, [i32; 4])> {
    let before = watch.frames(0).last().expect("frames").epoch;
    watch.running.control.restart(stream).expect("steered");
    let of_next = || watch.frames(0).into_iter().filter(|frame| frame.epoch > before);
    cameras::wait_until("frames of the next epoch", || of_next().count() >= COMPARED);
    let only = |frame: Seen| match frame.tracks[..] {
        [track] => track,
        _ => panic!("one thing is in the picture: {frame:?}"),
    };
    let tracks = of_next().take(COMPARED).map(only).collect();
    watch.forget();
    tracks
}

#[test]
fn coming_and_going_leaves_nothing_behind() {
    let is_long = std::env::var_os("EYELINE_SOAK").is_some();
    let (reconnects, changes, attempts) = if is_long { (1000, 500, 1000) } else { (25, 15, 25) };
    let (port, spec) = (free_port(), Spec { fps: 25, ..Spec::default() });
    let _server = Server::start(port, &spec);
    let watch = Watch::start(vec![on_port("stays", port, Transport::Tcp)]);
    watch.wait_frames(0, 1);
    let control = watch.running.control.clone();
    let stays = control.roster().find("stays").expect("known");
    let tracked_at_first = tracked_after_a_restart(&watch, stays);
    let mut curve = "what,cycle,resident_kib,threads,files\n".to_owned();
    soak("reconnect", reconnects, &mut curve, |_| {
        control.restart(stays).expect("steered");
        let epoch = watch.frames(0).last().expect("frames").epoch;
        cameras::wait_until("a frame of the next epoch", || watch.frames(0).last().is_some_and(|f| f.epoch > epoch));
        watch.forget();
    });
    let connection = watch.counters(0).connection();
    assert_eq!(connection.losses, 0, "{connection:?}");
    soak("add and remove", changes, &mut curve, |index| {
        let plan = on_port(&format!("guest {index}"), port, Transport::Tcp);
        let guest = control.add(plan.clone(), |stream| cameras::opener(stream, &plan)).expect("added");
        let counters = watch.running.stats.stream(guest);
        let done = || counters.done.load(std::sync::atomic::Ordering::SeqCst);
        cameras::wait_until("a frame of the guest", || done() > 0);
        control.remove(guest, PATIENCE).expect("removed");
        watch.forget();
    });
    let mut absent = on_port("absent", free_port(), Transport::Tcp);
    absent.live.as_mut().expect("live").max_backoff = Duration::from_millis(20);
    let opened = absent.clone();
    let absent = control.add(absent, |stream| cameras::opener(stream, &opened)).expect("added");
    let refused = || watch.running.stats.line().stage(Stretch::Decode).errors().get("open").copied().unwrap_or(0);
    soak("camera absent", attempts, &mut curve, |_| {
        let before = refused();
        cameras::wait_until("an attempt", || refused() > before);
        watch.forget();
    });
    control.remove(absent, PATIENCE).expect("removed");
    if let Some(path) = std::env::var_os("EYELINE_SOAK_CSV") {
        fs::write(path, curve).expect("written");
    }
    // The line works as on the first day: from the first frame on, the one thing in the picture has one track in the same place.
    // Without a look to know it by that is a new one, whose number was never used.
    let tracked_at_last = tracked_after_a_restart(&watch, stays);
    for tracked in [&tracked_at_first, &tracked_at_last] {
        assert!(tracked.iter().all(|(id, _)| *id == tracked[0].0), "{tracked:?}");
    }
    assert!(tracked_at_last[0].0 > tracked_at_first[0].0, "{tracked_at_first:?}, {tracked_at_last:?}");
    let places = |tracked: &[(TrackId, [i32; 4])]| tracked.iter().map(|(_, place)| *place).collect::<Vec<_>>();
    assert_eq!(places(&tracked_at_last), places(&tracked_at_first));
    assert_eq!(watch.counters(0).open_tracks.load(std::sync::atomic::Ordering::SeqCst), 1);
    watch.stop();
}
