//! What operators see and do while the line runs: HTTP API, web page, live views, metrics.
//!
//! `operate` is the contract with the line: everything here goes through that trait, and `fake` implements it without a
//! line, for tests. The line hands pictures to a `view` and news to a `broadcast`, and neither ever waits for a reader.
//! `server` answers HTTP on a thread of its own, `api` says what is answered.

#[cfg(feature = "serve")]
mod api;
pub mod broadcast;
pub mod fake;
#[cfg(feature = "serve")]
mod jpeg;
pub mod operate;
#[cfg(feature = "serve")]
mod server;
pub mod view;

#[cfg(feature = "serve")]
pub use self::{
    api::Gate,
    server::{Listen, ServeError, Server, Tls},
};
