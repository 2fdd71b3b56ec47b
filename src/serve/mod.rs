//! What operators see and do while the line runs: HTTP API, web page, live views, metrics.
//!
//! `operate` is the contract with the line: everything here goes through that trait, and `fake` implements it without a
//! line, for tests. The line hands pictures to a `view` and news to a `broadcast`, and neither ever waits for a reader.

pub mod broadcast;
pub mod fake;
pub mod operate;
pub mod view;
