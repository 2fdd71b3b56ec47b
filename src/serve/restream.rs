//! Annotated pictures as RTSP, for players and recorders that know nothing of eyeline: `rtsp://ADDRESS/NAME` for every
//! stream. A picture is drawn and encoded only while somebody watches, once for all who do.

use super::{
    api::percent_encoded,
    operate::Operate,
    view::{Looked, Picture, ViewSize, Viewer},
};
use crate::{
    frame::ImageSize,
    source::gst::{InitError, init},
};
use gstreamer as gst;
use gstreamer::{glib, prelude::*};
use gstreamer_app::AppSrc;
use gstreamer_rtsp::RTSPAuthMethod;
use gstreamer_rtsp_server::{
    RTSP_PERM_MEDIA_FACTORY_ACCESS, RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, RTSP_TOKEN_MEDIA_FACTORY_ROLE, RTSPAuth,
    RTSPMedia, RTSPMediaFactory, RTSPMountPoints, RTSPServer, RTSPToken, prelude::*,
};
use gstreamer_video::{VideoFormat, VideoFrameFlags, VideoMeta};
use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// The user that players log in as; the password is the API's token.
pub const USER: &str = "eyeline";

/// How often streams that came or went are looked for, and watchers that fell silent.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How soon feeding ends once nobody watches any more.
const FEED_WAIT: Duration = Duration::from_millis(200);

/// From pictures to RTP. OpenH264, as for recorded video, at its least effort; a key frame every two seconds or so, so that who
/// comes later sees a picture soon. Of pictures that wait for the encoder the newest stays.
const LAUNCH: &str = "( appsrc name=pictures is-live=true format=time do-timestamp=true max-buffers=1 leaky-type=downstream \
     ! videoconvert ! video/x-raw,format=I420 \
     ! openh264enc complexity=low bitrate=2500000 gop-size=50 multi-thread=1 \
     ! video/x-h264,profile=constrained-baseline ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )";

/// Why pictures cannot be restreamed.
#[derive(Debug, thiserror::Error)]
pub enum RestreamError {
    /// GStreamer does not start.
    #[error("restream: {0}")]
    Init(#[from] InitError),
    /// The port is taken, or the address is not of this machine.
    #[error("restream: cannot listen on {0}; choose another api.restream")]
    Listen(SocketAddr),
    /// The system gives no thread.
    #[error("restream: cannot start: {0}")]
    Start(#[from] io::Error),
}

/// An RTSP server at work. Dropped, it stops.
#[derive(Debug)]
pub struct Restream {
    address: SocketAddr,
    main_loop: glib::MainLoop,
    server: RTSPServer,
    thread: Option<JoinHandle<()>>,
}

impl Restream {
    /// Serves every stream of `operate` on `address` (port 0 takes a free one), to those who know `token` if there is one.
    pub fn start(address: SocketAddr, token: Option<&str>, operate: Arc<dyn Operate>) -> Result<Self, RestreamError> {
        init()?;
        let server = RTSPServer::new();
        server.set_address(&address.ip().to_string());
        server.set_service(&address.port().to_string());
        if let Some(token) = token {
            server.set_auth(Some(&auth(token)));
        }
        let context = glib::MainContext::new();
        server.attach(Some(&context)).map_err(|_| RestreamError::Listen(address))?;
        let port = u16::try_from(server.bound_port()).map_err(|_| RestreamError::Listen(address))?;
        let address = SocketAddr::new(address.ip(), port);
        follow_streams(&server, operate, &context);
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let running = main_loop.clone();
        let run = move || {
            // Fails where another thread owns the context: none does, it was made here.
            let ran = context.with_thread_default(|| running.run());
            if ran.is_err() {
                tracing::error!("restreaming stopped");
            }
        };
        let thread = thread::Builder::new().name("restream".into()).spawn(run)?;
        tracing::info!(%address, "restreaming annotated pictures");
        Ok(Self { address, main_loop, server, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Restream {
    fn drop(&mut self) {
        // Every client is let go; that unprepares what they watched.
        self.server.client_filter(Some(&mut |_, _| gstreamer_rtsp_server::RTSPFilterResult::Remove));
        self.main_loop.quit();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("restreaming panicked");
        }
    }
}

/// Digest only: the token itself never crosses the network.
fn auth(token: &str) -> RTSPAuth {
    let auth = RTSPAuth::new();
    let role = RTSPToken::builder().field_with_static(RTSP_TOKEN_MEDIA_FACTORY_ROLE, USER).build();
    auth.set_supported_methods(RTSPAuthMethod::Digest);
    auth.add_digest(USER, token, &role);
    auth
}

/// Mounts streams as they come and unmounts them as they go.
fn follow_streams(server: &RTSPServer, operate: Arc<dyn Operate>, context: &glib::MainContext) {
    let Some(mounts) = server.mount_points() else { return };
    let mut mounted = BTreeSet::new();
    follow_once(&mounts, &operate, &mut mounted);
    let sessions = server.session_pool();
    let look = move || {
        follow_once(&mounts, &operate, &mut mounted);
        if let Some(sessions) = &sessions {
            sessions.cleanup();
        }
        glib::ControlFlow::Continue
    };
    let source = glib::timeout_source_new(LOOK_INTERVAL, None, glib::Priority::DEFAULT, look);
    source.attach(Some(context));
}

fn follow_once(mounts: &RTSPMountPoints, operate: &Arc<dyn Operate>, mounted: &mut BTreeSet<String>) {
    let now: BTreeSet<String> = operate.streams().into_iter().map(|stream| stream.name).collect();
    for gone in mounted.difference(&now) {
        mounts.remove_factory(&path_of(gone));
    }
    for new in now.difference(mounted) {
        mounts.add_factory(&path_of(new), factory(new, Arc::clone(operate)));
    }
    *mounted = now;
}

fn path_of(name: &str) -> String {
    format!("/{}", percent_encoded(name))
}

fn factory(name: &str, operate: Arc<dyn Operate>) -> RTSPMediaFactory {
    let factory = RTSPMediaFactory::new();
    factory.set_launch(LAUNCH);
    factory.set_shared(true);
    let role = gst::Structure::builder(USER)
        .field_with_static(RTSP_PERM_MEDIA_FACTORY_ACCESS, true)
        .field_with_static(RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, true)
        .build();
    factory.add_role_from_structure(&role);
    let name = name.to_owned();
    factory.connect_media_configure(move |_, media| feed(&name, media, &*operate));
    factory
}

/// Feeds a media with the stream's pictures until nobody watches it any more.
fn feed(name: &str, media: &RTSPMedia, operate: &dyn Operate) {
    let element = media.element();
    let appsrc = element.downcast_ref::<gst::Bin>().and_then(|bin| bin.by_name("pictures"));
    let appsrc = appsrc.and_then(|element| element.downcast::<AppSrc>().ok());
    let (Some(appsrc), Ok(viewer)) = (appsrc, operate.view(name, ViewSize::Large)) else {
        tracing::warn!(stream = name, "nothing to restream");
        return;
    };
    let stopping = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&stopping);
    media.connect_unprepared(move |_| stop.store(true, Ordering::Relaxed));
    let run = move || push_pictures(viewer, &appsrc, &stopping);
    if let Err(error) = thread::Builder::new().name("restream-feed".into()).spawn(run) {
        tracing::error!(stream = name, %error, "cannot restream");
    }
}

fn push_pictures(mut viewer: Viewer, appsrc: &AppSrc, stopping: &AtomicBool) {
    let mut size = None;
    while !stopping.load(Ordering::Relaxed) {
        let picture = match viewer.wait(FEED_WAIT) {
            None => continue,
            Some(Looked::Picture(picture)) => picture,
            Some(Looked::Closed) => {
                // Fails where nobody watches any more, which ends it too.
                let _ = appsrc.end_of_stream();
                return;
            }
        };
        if size.replace(picture.size) != Some(picture.size) {
            appsrc.set_caps(Some(&caps(picture.size)));
        }
        let pushed = buffer(picture).map(|buffer| appsrc.push_buffer(buffer));
        match pushed {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return,
            Err(error) => {
                tracing::warn!(%error, "a picture cannot be restreamed");
                return;
            }
        }
    }
}

fn caps(size: ImageSize) -> gst::Caps {
    gst::Caps::builder("video/x-raw")
        .field("format", "RGB")
        .field("width", size.width as i32)
        .field("height", size.height as i32)
        .field("framerate", gst::Fraction::new(0, 1))
        .build()
}

/// The picture as a buffer that shares its memory.
fn buffer(picture: Arc<Picture>) -> Result<gst::Buffer, glib::BoolError> {
    struct Shared(Arc<Picture>);
    impl AsRef<[u8]> for Shared {
        fn as_ref(&self) -> &[u8] {
            &self.0.rgb
        }
    }
    let ImageSize { width, height } = picture.size;
    let mut buffer = gst::Buffer::from_slice(Shared(picture));
    if let Some(writable) = buffer.get_mut() {
        let format = VideoFormat::Rgb;
        VideoMeta::add_full(writable, VideoFrameFlags::empty(), format, width, height, &[0], &[(width * 3) as i32])?;
    }
    Ok(buffer)
}
