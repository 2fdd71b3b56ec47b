//! SIGINT and SIGTERM: the first stops in order, the second at once.

use crate::pipeline::Faults;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{io, thread};

/// Exit code of an interrupted run, as shells use it for SIGINT.
pub const INTERRUPTED: u8 = 130;

/// Watches for signals on a thread of its own for as long as the process lives.
pub fn stop_on_signal(faults: Faults) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in signals.forever() {
            if faults.is_stopped() {
                std::process::exit(i32::from(INTERRUPTED));
            }
            eprintln!("eyeline: stopping; what was read so far is being written (once more to stop at once)");
            faults.stop();
        }
    })?;
    Ok(())
}
