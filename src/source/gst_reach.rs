//! The GStreamer element that reaches a camera: protocol, login and trust. Logins are set as properties and never stand in an
//! address, where GStreamer would repeat them.

use super::{
    address::{Login, Scheme},
    gst_camera::CameraOpener,
};
use crate::config::plan::{CameraPlan, Transport, Trust};
use gstreamer as gst;
use gstreamer::{glib, prelude::*};
use gstreamer_rtsp_server::gio;

/// User and password, from wherever they are given.
pub(super) fn login(plan: &CameraPlan) -> Result<Login, String> {
    let given = plan.password.as_ref().map(|password| password.reveal()).transpose();
    let given = given.map_err(|error| format!("the password cannot be read: {error}"))?;
    Ok(match plan.address.login() {
        Some(login) if plan.user.is_empty() && given.is_none() => login.clone(),
        _ => Login { user: plan.user.clone(), password: given.unwrap_or_default() },
    })
}

pub(super) fn make(factory: &str) -> Result<gst::element_factory::ElementBuilder<'_>, String> {
    if gst::ElementFactory::find(factory).is_none() {
        return Err(format!("GStreamer has no {factory}; install the packages that `make setup` lists"));
    }
    Ok(gst::ElementFactory::make(factory))
}

pub(super) fn lacks(error: glib::BoolError) -> String {
    error.message.to_string()
}

/// The element that reaches a camera; one of RTSP has its pads later.
pub(super) fn source(opener: &CameraOpener, login: &Login) -> Result<gst::Element, String> {
    let address = &opener.plan.address;
    match address.scheme() {
        Scheme::Rtsp | Scheme::Rtsps => rtsp(opener, login),
        Scheme::Http | Scheme::Https => http(opener, login),
        Scheme::V4l2 => {
            let device = address.device_path().unwrap_or_default().display().to_string();
            make("v4l2src")?.property("device", device).build().map_err(lacks)
        }
    }
}

fn rtsp(opener: &CameraOpener, login: &Login) -> Result<gst::Element, String> {
    let CameraPlan { address, transport, jitter, trust, .. } = &opener.plan;
    let micros = u64::try_from(opener.connect_timeout.as_micros()).unwrap_or(u64::MAX);
    let carries = match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp-mcast+udp",
        // The scheme says that TCP runs within HTTP.
        Transport::Http => "tcp",
    };
    let location = match transport {
        Transport::Http => address.location().replacen("://", "h://", 1),
        Transport::Tcp | Transport::Udp => address.location(),
    };
    let source = make("rtspsrc")?
        .property("location", location)
        .property_from_str("protocols", carries)
        .property("latency", u32::try_from(jitter.as_millis()).unwrap_or(u32::MAX))
        .property("tcp-timeout", micros)
        .property("timeout", micros)
        .property("add-reference-timestamp-meta", true)
        .build()
        .map_err(lacks)?;
    set_login(&source, login);
    if address.scheme().is_tls() {
        set_trust(&source, trust)?;
    }
    // Sound is neither set up nor sent.
    source.connect("select-stream", false, |values| {
        let caps = values.get(2).and_then(|value| value.get::<gst::Caps>().ok());
        let media = caps.and_then(|caps| caps.structure(0)?.get::<String>("media").ok());
        Some(media.is_none_or(|media| media == "video").to_value())
    });
    Ok(source)
}

fn http(opener: &CameraOpener, login: &Login) -> Result<gst::Element, String> {
    let CameraPlan { address, trust, .. } = &opener.plan;
    let seconds = u32::try_from(opener.connect_timeout.as_secs().max(1)).unwrap_or(u32::MAX);
    let source = make("souphttpsrc")?
        .property("location", address.location())
        .property("is-live", true)
        .property("do-timestamp", true)
        .property("timeout", seconds)
        .property("retries", 0)
        .build()
        .map_err(lacks)?;
    set_login(&source, login);
    if address.scheme().is_tls() {
        match trust {
            Trust::System => {}
            Trust::File(_) => source.set_property("tls-database", certificates(trust)?),
            Trust::Anything => source.set_property("ssl-strict", false),
        }
    }
    Ok(source)
}

fn set_login(source: &gst::Element, login: &Login) {
    if !login.user.is_empty() || !login.password.is_empty() {
        source.set_property("user-id", &login.user);
        source.set_property("user-pw", &login.password);
    }
}

fn set_trust(source: &gst::Element, trust: &Trust) -> Result<(), String> {
    match trust {
        Trust::System => {}
        Trust::File(_) => source.set_property("tls-database", certificates(trust)?),
        Trust::Anything => source.set_property("tls-validation-flags", gio::TlsCertificateFlags::empty()),
    }
    Ok(())
}

/// The authorities in a file.
fn certificates(trust: &Trust) -> Result<Option<gio::TlsDatabase>, String> {
    let Trust::File(path) = trust else { return Ok(None) };
    let absolute = std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let fault = |error: glib::Error| format!("{}: no certificates: {}", path.display(), error.message());
    gio::TlsFileDatabase::new(&absolute).map(|database| Some(database.upcast())).map_err(fault)
}
