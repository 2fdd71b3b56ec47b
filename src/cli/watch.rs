//! `eyeline watch URL...`: the short form for cameras.

use super::{
    Session,
    execute::{self, Extras},
    find_args::FindArgs,
};
use crate::config::{
    self,
    host::ThisMachine,
    raw::{Address, Raw, Stream},
    raw_camera::{Camera, Transport},
    secret::SecretText,
};
use crate::source::address;
use clap::{Args, ValueEnum};
use std::{path::PathBuf, process::ExitCode};

/// Watch cameras, for as long as they are there and beyond
///
/// Detects and tracks in live streams and tells what happens in events. A camera that is lost is connected again; when
/// there are more frames than can be worked on, old ones are dropped, evenly over all streams. Runs until Ctrl-C.
/// Exit code: 130 interrupted, 1 the line broke, 2 wrong usage.
///
/// User and password come from --user and the environment variable EYELINE_CAMERA_PASSWORD, and appear nowhere.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  eyeline watch rtsp://10.0.0.5/stream1 --classes person,car --events events.jsonl
  EYELINE_CAMERA_PASSWORD=... eyeline watch --user viewer rtsp://gate/main rtsp://yard/main --api 127.0.0.1:8080
  eyeline watch recording.mp4              a file, played over and over as if it were a camera
  eyeline watch /dev/video0 http://10.0.0.7/mjpeg https://example.com/live.m3u8
Everything else (zones, schedules, sinks, patience with each camera) through a pipeline file: see pipelines/cameras.yml.")]
pub struct WatchArgs {
    /// Cameras: rtsp://, rtsps://, http://, https://, /dev/video0; or a file to play as one
    #[arg(required = true, value_name = "URL")]
    cameras: Vec<String>,
    #[command(flatten)]
    find: FindArgs,
    /// Write the events of all streams to one file, one a line; by default to OUT/NAME/events.jsonl
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Folder for the events
    #[arg(long, default_value = "out", value_name = "DIR")]
    out: String,
    /// Serve the HTTP interface and its page here; for other machines to reach it, a token in EYELINE_API_TOKEN
    #[arg(long, value_name = "ADDRESS:PORT")]
    api: Option<String>,
    /// User to log in with
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// What RTSP carries the video in
    #[arg(long, value_enum, default_value_t = Carrier::Tcp)]
    transport: Carrier,
    /// Most frames a second that are looked at of each camera
    #[arg(long, value_name = "N")]
    max_fps: Option<f64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Carrier {
    /// Within the RTSP connection: nothing gets lost
    Tcp,
    /// Packets of their own
    Udp,
    /// Within HTTP
    Http,
}

/// Holds the password of every camera named on the command line.
const PASSWORD: &str = "EYELINE_CAMERA_PASSWORD";

impl WatchArgs {
    /// What the arguments would be in a pipeline file.
    fn raw(&self) -> Raw {
        let mut raw = config::defaults();
        raw.streams = self.cameras.iter().map(|camera| self.stream(camera)).collect();
        self.find.fill(&mut raw);
        raw.output.dir.clone_from(&self.out);
        raw.output.video = false;
        raw.api.listen = self.api.clone().unwrap_or_default();
        raw
    }

    fn stream(&self, camera: &str) -> Stream {
        let max_fps = self.max_fps.unwrap_or(0.0);
        if !camera.contains("://") && !camera.starts_with("/dev/") {
            return Stream { file: camera.to_owned(), live: true, max_fps, ..Stream::default() };
        }
        let transport = match self.transport {
            Carrier::Tcp => Transport::Tcp,
            Carrier::Udp => Transport::Udp,
            Carrier::Http => Transport::Http,
        };
        let mut reached = Camera { transport, ..Camera::default() };
        // A login in the address goes before the one for all.
        let has_login = address::Address::parse(camera).is_ok_and(|address| address.login().is_some());
        if let Some(user) = self.user.as_ref().filter(|_| !has_login) {
            reached.user.clone_from(user);
            reached.password = SecretText(std::env::var(PASSWORD).unwrap_or_default());
        }
        Stream { url: Address(camera.to_owned()), max_fps, camera: reached, ..Stream::default() }
    }
}

/// Checks the arguments and runs them.
pub fn run(args: &WatchArgs, session: &Session) -> anyhow::Result<ExitCode> {
    match config::check::plan(&args.raw(), &ThisMachine) {
        Ok(checked) => {
            let extras = Extras { events: args.events.clone(), ..Extras::default() };
            execute::execute(checked, session, &extras)
        }
        Err(faults) => {
            for fault in &faults.0 {
                eprintln!("eyeline: {fault}");
            }
            Ok(ExitCode::from(2))
        }
    }
}
