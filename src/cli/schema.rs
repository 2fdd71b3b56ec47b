//! `eyeline schema`: the JSON Schema of pipeline files.

use clap::Args;
use std::{io::Write, process::ExitCode};

/// Print the JSON Schema of pipeline files (draft 2020-12).
///
/// Editors complete and check pipeline files by it: begin a file with the line
/// `# yaml-language-server: $schema=eyeline.schema.json`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  eyeline schema > pipelines/eyeline.schema.json")]
pub struct SchemaArgs {}

/// Prints the schema.
pub fn run(_: SchemaArgs) -> anyhow::Result<ExitCode> {
    std::io::stdout().lock().write_all(crate::config::schema::schema_text().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
