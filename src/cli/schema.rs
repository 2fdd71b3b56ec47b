//! `eyeline schema`: the JSON Schema of pipeline files or of events, or the reference file made from the first.

use crate::{
    config::{reference::reference_text, schema::schema_text},
    event::payload::{self, Format},
};
use clap::Args;
use std::{
    io::{Write, stdout},
    process::ExitCode,
};

/// Print the JSON Schema of pipeline files, or of events (draft 2020-12)
///
/// Editors complete and check pipeline files by it: begin a file with the line
///   # yaml-language-server: $schema=eyeline.schema.json
///
/// Examples:
///   eyeline schema > pipelines/eyeline.schema.json
///   eyeline schema --reference > pipelines/reference.yml
///   eyeline schema --event compact > docs/schema/compact.v1.json
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct SchemaArgs {
    /// Print instead a pipeline file with every key, explained and at its default
    #[arg(long)]
    reference: bool,
    /// Print instead the schema of events in this format
    #[arg(long, value_name = "FORMAT", value_parser = Format::ALL.map(Format::name), conflicts_with = "reference")]
    event: Option<String>,
}

/// Prints one of them.
pub fn run(args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    let named = |name: &String| Format::ALL.into_iter().find(|format| format.name() == name);
    let text = match args.event.as_ref().and_then(named) {
        Some(format) => payload::schema_text(format),
        None if args.reference => reference_text(),
        None => schema_text(),
    };
    stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
