//! YAML -> `raw` (what was written) -> `check` (is it sound?) -> `plan` (what it means).

pub mod plan;
pub mod zoo;
