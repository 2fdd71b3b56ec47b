//! `eyeline events`: looks into an event log, whether or not a run is writing it.

mod export;

use crate::{
    config::span,
    event::{
        Timestamp, What,
        log::{Bookmark, Filter, LogError, LogReader, Logged, Page},
    },
};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
    thread,
    time::Duration,
};

/// Events read at a time.
const PAGE: usize = 1000;

/// How often the log of another program is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Look into an event log
///
/// Reads the log of a finished run or of one that is going on: events.sqlite in its output folder, unless `events.log` of its
/// pipeline file says otherwise.
#[derive(Args, Debug)]
pub struct EventsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Tail(TailArgs),
    Query(QueryArgs),
    Export(ExportArgs),
}

/// Which log and which of its events
#[derive(Args, Debug)]
struct Which {
    /// The log
    #[arg(long, value_name = "FILE", default_value = "out/events.sqlite")]
    log: PathBuf,
    /// Not before this time (2026-03-01T08:30:00Z) or this long ago (1h30m)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Before this time, or this long ago
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Of this stream
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// Of this type (track.ended); may be given several times
    #[arg(long = "type", value_name = "TYPE", value_parser = kind)]
    kinds: Vec<String>,
    /// Told of this zone
    #[arg(long, value_name = "NAME")]
    zone: Option<String>,
    /// Told of this line
    #[arg(long, value_name = "NAME", conflicts_with = "zone")]
    line: Option<String>,
    /// Told of this track
    #[arg(long, value_name = "ID")]
    track: Option<u64>,
}

/// Print the newest events, one JSON object a line
#[derive(Args, Debug)]
struct TailArgs {
    #[command(flatten)]
    which: Which,
    /// How many of those already there; with --since all since then
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 10)]
    lines: usize,
    /// Go on printing what happens from now on
    #[arg(short, long)]
    follow: bool,
}

/// Print events in the order of their times, or how many there are
#[derive(Args, Debug)]
struct QueryArgs {
    #[command(flatten)]
    which: Which,
    /// Most events to print
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Only say how many there are of each type in each stream
    #[arg(long)]
    count: bool,
}

/// Write events to a file, in the order of their times
#[derive(Args, Debug)]
struct ExportArgs {
    #[command(flatten)]
    which: Which,
    /// The file; its extension says the format: .jsonl, .csv or .parquet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Does what the arguments ask for.
pub fn run(args: &EventsArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Tail(args) => tail(args)?,
        Command::Query(args) => query(args)?,
        Command::Export(args) => {
            let (reader, filter) = args.which.open()?;
            let count = export::export(&reader, &filter, &args.out)?;
            eprintln!("eyeline: {count} events written to {}", args.out.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tail(args: &TailArgs) -> anyhow::Result<()> {
    let (reader, filter) = args.which.open()?;
    let head = reader.head()?;
    let mut out = io::stdout().lock();
    if filter.since.is_some() {
        print_all(&reader, &filter, None, &mut out)?;
    } else {
        for logged in reader.newest(&filter, args.lines)? {
            print(&mut out, &logged)?;
        }
    }
    out.flush()?;
    let mut position = head;
    if !args.follow {
        return Ok(());
    }
    loop {
        let events = reader.read_after(position, PAGE)?;
        for logged in &events {
            position = logged.position;
            if filter.accepts(&logged.event) {
                print(&mut out, logged)?;
            }
        }
        out.flush()?;
        if events.is_empty() {
            thread::sleep(LOOK_INTERVAL);
        }
    }
}

fn query(args: &QueryArgs) -> anyhow::Result<()> {
    let (reader, filter) = args.which.open()?;
    let mut out = BufWriter::new(io::stdout().lock());
    if args.count {
        for count in reader.counts(&filter)? {
            writeln!(out, "{}\t{}\t{}", count.stream, count.kind, count.count)?;
        }
    } else {
        print_all(&reader, &filter, args.limit, &mut out)?;
    }
    out.flush()?;
    Ok(())
}

fn print(out: &mut impl Write, logged: &Logged) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, &logged.event).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// Prints every event a filter is about, as it stands in the log, in the order of their times. Gives how many.
fn print_all(reader: &LogReader, filter: &Filter, limit: Option<usize>, out: &mut impl Write) -> anyhow::Result<u64> {
    let page = |from, most| reader.bodies(filter, from, most);
    each(page, limit, |body| Ok(writeln!(out, "{body}")?))
}

/// Gives every event a filter is about to `take`, in the order of their times. Gives how many.
fn each_event(
    reader: &LogReader,
    filter: &Filter,
    take: impl FnMut(&Logged) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    each(|from, most| reader.query(filter, from, most), None, take)
}

/// Gives what pages hold to `take`: a page at a time is in memory, and none keeps the log's writer from tidying up.
fn each<T>(
    page: impl Fn(Bookmark, usize) -> Result<Page<T>, LogError>,
    limit: Option<usize>,
    mut take: impl FnMut(&T) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let (mut from, mut left) = (Bookmark::default(), limit.unwrap_or(usize::MAX));
    let mut count = 0;
    while left > 0 {
        let Page { events, next } = page(from, PAGE.min(left))?;
        if next == from {
            break;
        }
        (from, left) = (next, left.saturating_sub(events.len()));
        count += events.len() as u64;
        events.iter().try_for_each(&mut take)?;
    }
    Ok(count)
}

impl Which {
    fn open(&self) -> anyhow::Result<(LogReader, Filter)> {
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since >= until
        {
            bail!("--since {since} is not before --until {until}");
        }
        let reader = LogReader::open(&self.log).context("choose another --log")?;
        let filter = Filter {
            since: self.since,
            until: self.until,
            stream: self.stream.clone(),
            kinds: self.kinds.clone(),
            zone: self.zone.clone(),
            line: self.line.clone(),
            track: self.track,
        };
        Ok((reader, filter))
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    match span::parse(text) {
        Some(ago) => Ok(Timestamp::now().before(ago)),
        None => text.parse().map_err(|error: crate::event::NoTimestamp| format!("{error} or 1h30m")),
    }
}

fn kind(text: &str) -> Result<String, String> {
    let known = What::KINDS.contains(&text);
    known.then(|| text.to_owned()).ok_or_else(|| format!("expected one of {}", What::KINDS.join(", ")))
}
