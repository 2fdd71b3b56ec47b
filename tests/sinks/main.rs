//! Delivery: real servers, started here on free ports, that are absent, hang, are killed, are slow, refuse the login. No
//! event is lost, every stream keeps its order, what comes twice has the same id. `EYELINE_SOAK=1` makes outages last 60 s.

#![cfg(feature = "delivery")]

mod certs;
#[path = "../footprint/mod.rs"]
mod footprint;
#[path = "../json_schema/mod.rs"]
mod json_schema;
mod kafka;
mod memory;
mod mqtt;
mod nats;
mod postgres;
mod process;
mod proxy;
mod redis;
mod scene;
mod webhook;
