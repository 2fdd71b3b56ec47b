//! Events as a table: JSON lines, CSV, Parquet.

use super::{each_event, print_all};
use crate::event::{
    Event, What,
    log::{Filter, LogReader, Logged},
};
use anyhow::{Context, bail};
use parquet::{
    basic::Compression,
    column::writer::ColumnWriter,
    data_type::ByteArray,
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::parser::parse_message_type,
};
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    sync::Arc,
};

/// The columns of a table, as a Parquet schema. `body` is the whole event as JSON.
const SCHEMA: &str = "message event {
    REQUIRED INT64 position;
    REQUIRED BYTE_ARRAY id (UTF8);
    REQUIRED BYTE_ARRAY stream (UTF8);
    REQUIRED INT64 sequence;
    REQUIRED BYTE_ARRAY type (UTF8);
    REQUIRED INT64 frame;
    REQUIRED DOUBLE time_seconds;
    OPTIONAL BYTE_ARRAY captured_at (UTF8);
    OPTIONAL INT64 track;
    OPTIONAL BYTE_ARRAY class (UTF8);
    OPTIONAL BYTE_ARRAY place (UTF8);
    REQUIRED BYTE_ARRAY body (UTF8);
}";

/// The same for CSV.
const HEADER: &str = "position,id,stream,sequence,type,frame,time_seconds,captured_at,track,class,place,body";

/// Events in a row group: columns compress well, and memory stays small.
const ROW_GROUP: usize = 50_000;

/// Writes what `filter` is about to `path`. Gives how many events that were.
pub(super) fn export(reader: &LogReader, filter: &Filter, path: &Path) -> anyhow::Result<u64> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let write = match extension.as_str() {
        "jsonl" => jsonl,
        "csv" => csv,
        "parquet" => parquet,
        _ => bail!("{}: expected a name that ends in .jsonl, .csv or .parquet", path.display()),
    };
    let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
    write(reader, filter, file).with_context(|| format!("{} is not complete", path.display()))
}

fn jsonl(reader: &LogReader, filter: &Filter, file: File) -> anyhow::Result<u64> {
    let mut out = BufWriter::new(file);
    let count = print_all(reader, filter, None, &mut out)?;
    out.flush()?;
    Ok(count)
}

fn csv(reader: &LogReader, filter: &Filter, file: File) -> anyhow::Result<u64> {
    let mut out = BufWriter::new(file);
    writeln!(out, "{HEADER}")?;
    let count = each_event(reader, filter, |logged| {
        let Row { position, event, track, class, place, body } = row(logged)?;
        let Event { sequence, frame, time_seconds, .. } = event;
        let (id, stream, kind) = (quoted(&event.id), quoted(&event.stream), event.kind());
        let captured_at = event.captured_at.map(|at| at.to_string()).unwrap_or_default();
        let track = track.map(|track| track.to_string()).unwrap_or_default();
        let (class, place) = (quoted(class.unwrap_or_default()), quoted(place.unwrap_or_default()));
        let body = quoted(&body);
        writeln!(
            out,
            "{position},{id},{stream},{sequence},{kind},{frame},{time_seconds},{captured_at},{track},{class},{place},{body}"
        )?;
        Ok(())
    })?;
    out.flush()?;
    Ok(count)
}

/// A field as RFC 4180 wants it.
fn quoted(text: &str) -> String {
    let needs_quotes = text.contains([',', '"', '\n', '\r']);
    if needs_quotes { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// An event as a row.
struct Row<'a> {
    position: u64,
    event: &'a Event,
    track: Option<u64>,
    class: Option<&'a str>,
    /// Its zone or line.
    place: Option<&'a str>,
    body: String,
}

fn row(logged: &Logged) -> anyhow::Result<Row<'_>> {
    let event = &logged.event;
    let seen = event.what.seen();
    let place = match &event.what {
        What::LineCrossed { line, .. } => Some(line.as_str()),
        what => what.zone(),
    };
    Ok(Row {
        position: logged.position,
        event,
        track: seen.map(|seen| seen.track),
        class: seen.map(|seen| seen.class.as_str()),
        place,
        body: serde_json::to_string(event)?,
    })
}

fn parquet(reader: &LogReader, filter: &Filter, file: File) -> anyhow::Result<u64> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = Arc::new(WriterProperties::builder().set_compression(Compression::SNAPPY).build());
    let mut writer = SerializedFileWriter::new(file, schema, properties)?;
    let mut waiting = Vec::new();
    let count = each_event(reader, filter, |logged| {
        waiting.push(logged.clone());
        if waiting.len() == ROW_GROUP {
            write_rows(writer.next_row_group()?, &std::mem::take(&mut waiting))?;
        }
        Ok(())
    })?;
    if !waiting.is_empty() {
        write_rows(writer.next_row_group()?, &waiting)?;
    }
    writer.close()?;
    Ok(count)
}

fn write_rows(mut group: SerializedRowGroupWriter<'_, File>, events: &[Logged]) -> anyhow::Result<()> {
    let rows = events.iter().map(row).collect::<anyhow::Result<Vec<_>>>()?;
    let mut next = |values: Values| -> Result<(), ParquetError> {
        let mut column = group.next_column()?.ok_or_else(|| ParquetError::General("a column is missing".into()))?;
        values.write(column.untyped())?;
        column.close()
    };
    let text = |of: &dyn Fn(&Row<'_>) -> Option<String>| Values::Text(rows.iter().map(of).collect());
    let whole = |of: &dyn Fn(&Row<'_>) -> Option<u64>| Values::Whole(rows.iter().map(of).collect());
    next(whole(&|row| Some(row.position)))?;
    next(text(&|row| Some(row.event.id.clone())))?;
    next(text(&|row| Some(row.event.stream.clone())))?;
    next(whole(&|row| Some(row.event.sequence)))?;
    next(text(&|row| Some(row.event.kind().into())))?;
    next(whole(&|row| Some(row.event.frame)))?;
    next(Values::Real(rows.iter().map(|row| row.event.time_seconds).collect()))?;
    next(text(&|row| row.event.captured_at.map(|at| at.to_string())))?;
    next(whole(&|row| row.track))?;
    next(text(&|row| row.class.map(Into::into)))?;
    next(text(&|row| row.place.map(Into::into)))?;
    next(text(&|row| Some(row.body.clone())))?;
    group.close()?;
    Ok(())
}

/// The values of a column, one a row.
enum Values {
    Text(Vec<Option<String>>),
    Whole(Vec<Option<u64>>),
    Real(Vec<f64>),
}

impl Values {
    fn write(self, column: &mut ColumnWriter<'_>) -> Result<(), ParquetError> {
        let levels = |are: Vec<bool>| are.into_iter().map(i16::from).collect::<Vec<i16>>();
        match (self, column) {
            (Self::Text(values), ColumnWriter::ByteArrayColumnWriter(column)) => {
                let levels = levels(values.iter().map(Option::is_some).collect());
                let values: Vec<ByteArray> =
                    values.into_iter().flatten().map(|text| ByteArray::from(text.into_bytes())).collect();
                column.write_batch(&values, Some(&levels), None)?;
            }
            (Self::Whole(values), ColumnWriter::Int64ColumnWriter(column)) => {
                let levels = levels(values.iter().map(Option::is_some).collect());
                let values: Vec<i64> = values.into_iter().flatten().map(|value| value as i64).collect();
                column.write_batch(&values, Some(&levels), None)?;
            }
            (Self::Real(values), ColumnWriter::DoubleColumnWriter(column)) => {
                column.write_batch(&values, None, None)?;
            }
            _ => return Err(ParquetError::General("a column of another type than its values".into())),
        }
        Ok(())
    }
}
