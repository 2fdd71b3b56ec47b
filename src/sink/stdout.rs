//! Events as JSON lines on standard output.

use super::deliver::{Deliver, Message, Refusal};
use std::io::{self, Write};

/// Standard output of this program.
#[derive(Debug)]
pub struct Stdout;

impl Deliver for Stdout {
    fn deliver(&mut self, messages: &[Message]) -> Result<(), Refusal> {
        let mut out = io::stdout().lock();
        let mut write = || {
            for message in messages {
                out.write_all(&message.payload)?;
                out.write_all(b"\n")?;
            }
            out.flush()
        };
        write().map_err(|error: io::Error| Refusal::server(format!("standard output: {error}")))
    }
}
