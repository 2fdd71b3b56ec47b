//! What operators see and do while the line runs: HTTP API, web page, live views, metrics.
//!
//! `operate` is the contract with the line: everything here goes through that trait, and `fake` implements it without a
//! line, for tests. The line hands frames to `live_view`, which draws them into a `view` for those who look, and news to a
//! `broadcast`; neither ever waits for a reader.
//! `server` answers HTTP on a thread of its own, `api` says what is answered.

#[cfg(feature = "serve")]
mod api;
pub mod broadcast;
pub mod fake;
#[cfg(feature = "serve")]
mod jpeg;
#[cfg(feature = "opencv")]
pub mod live_view;
#[cfg(feature = "serve")]
mod open;
pub mod operate;
#[cfg(all(feature = "serve", feature = "gst", feature = "opencv"))]
pub mod restream;
#[cfg(feature = "serve")]
mod server;
pub mod view;

#[cfg(feature = "serve")]
pub use self::{
    api::Gate,
    open::{Served, open},
    server::{Listen, ServeError, Server},
};
