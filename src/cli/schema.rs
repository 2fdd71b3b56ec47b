//! `eyeline schema`: the JSON Schema of pipeline files, or the reference file made from it.

use crate::config::{reference::reference_text, schema::schema_text};
use clap::Args;
use std::{
    io::{Write, stdout},
    process::ExitCode,
};

/// Print the JSON Schema of pipeline files (draft 2020-12)
///
/// Editors complete and check pipeline files by it: begin a file with the line
///   # yaml-language-server: $schema=eyeline.schema.json
///
/// Examples:
///   eyeline schema > pipelines/eyeline.schema.json
///   eyeline schema --reference > pipelines/reference.yml
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct SchemaArgs {
    /// Print instead a pipeline file with every key, explained and at its default
    #[arg(long)]
    reference: bool,
}

/// Prints one of the two.
pub fn run(args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    let text = if args.reference { reference_text() } else { schema_text() };
    stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
