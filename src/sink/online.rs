//! A tokio runtime for one client. Its single thread keeps the connection alive (pings, answers) while the follower waits
//! for events, which a runtime that only runs within `deliver` could not.

use super::deliver::Refusal;
use std::{future::Future, io, time::Duration};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

/// The runtime of the sink `name`.
///
/// Errors: the thread cannot be started.
pub fn runtime(name: &str) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(2)
        .thread_name(format!("io-{name}"))
        .enable_all()
        .build()
}

/// `work`, or a refusal if it takes longer than `limit`; `doing` says what it is.
pub async fn within<T>(
    limit: Duration,
    doing: &str,
    work: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let late = || Refusal::server(format!("{doing}: no answer within {} s", limit.as_secs_f64()));
    timeout(limit, work).await.unwrap_or_else(|_| Err(late()))
}
