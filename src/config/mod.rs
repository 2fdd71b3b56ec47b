//! YAML -> `raw` (what was written) -> `check` (is it sound?) -> `plan` (what it means).
//!
//! `yaml` reads text into a tree, `conform` holds the tree against the schema that is derived from `raw`, serde fills
//! `raw`, `check` gives it a meaning. Programs that put a `Raw` together themselves (`eyeline process`) enter with
//! `check::plan` and hear of the same faults in the same words.

pub mod api;
mod camera;
pub mod check;
mod conform;
mod constraint;
pub mod endpoint;
pub mod env;
mod events;
pub mod fault;
pub mod home;
pub mod host;
mod locate;
mod media;
pub mod model_spec;
mod models;
pub mod part;
mod places;
pub mod plan;
pub mod plan_events;
pub mod plan_media;
pub mod plan_sinks;
pub mod raw;
pub mod raw_api;
pub mod raw_camera;
pub mod raw_events;
pub mod raw_look;
pub mod raw_media;
pub mod raw_runtime;
pub mod raw_sinks;
mod raw_sinks_defaults;
pub mod raw_track;
pub mod reference;
pub mod schedule;
pub mod schema;
pub mod secret;
mod sinks;
pub mod span;
mod streams;
pub mod suggest;
pub mod template;
pub mod yaml;
pub mod zoo;

pub use check::{Checked, Host};
pub use fault::{Fault, Faults};

use fault::{KeyPath, Location};
use std::{fs::File, io::Read, path::Path};

/// Most faults that are looked up in the text: each costs one pass through it.
const MAX_LOCATED: usize = 100;

/// Every key at its default. It has no streams yet, so it is no pipeline.
pub fn defaults() -> raw::Raw {
    raw::Raw::default()
}

/// Reads and checks a pipeline file.
///
/// Errors: the file cannot be read, or every fault in it.
pub fn load(file: &Path, host: &dyn Host) -> Result<Checked, Faults> {
    let fault = |problem: String| Faults(vec![Fault::new(KeyPath::root(), problem)]);
    let mut bytes = Vec::new();
    // A video or a device given by mistake is not read to its end; `yaml` refuses what is one byte too long.
    let part = File::open(file).and_then(|file| file.take(yaml::MAX_BYTES as u64 + 1).read_to_end(&mut bytes));
    part.map_err(|error| fault(format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| fault(format!("not UTF-8 text: {}", error.utf8_error())))?;
    read(&text, host)
}

/// Checks a pipeline as YAML text.
///
/// Errors: every fault with its place in the text, in the order of the text.
pub fn read(text: &str, host: &dyn Host) -> Result<Checked, Faults> {
    let tree = yaml::tree(text).map_err(|fault| Faults(vec![fault]))?;
    let mut result = check::plan_of_tree(tree, Some(&|name: &str| host.variable(name)), host);
    let faults = match &mut result {
        Ok(checked) => &mut checked.unusable,
        Err(Faults(faults)) => faults,
    };
    for fault in faults.iter_mut().take(MAX_LOCATED) {
        fault.at = fault.at.or_else(|| locate::locate(text, &fault.path));
    }
    let end = Location { line: usize::MAX, column: 0 };
    faults.sort_by_key(|fault| fault.at.unwrap_or(end));
    result
}
