//! `eyeline track`: runs a tracker alone over detections in a file.

use crate::{
    detect::{ClassId, Detection},
    embed::Embedding,
    eval::mot_io::MotRow,
    geometry::BBox,
    track::{
        replay::{RecordedFrame, Recording, TrackPoint, replay},
        settings::{Algorithm, Knob, TrackSettings},
    },
};
use anyhow::{Context, bail, ensure};
use clap::Args;
use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Tracks detections from a file; prints the speed of tracking alone.
#[derive(Args, Debug)]
#[command(after_help = "Example: eyeline track --detections det.txt --fps 30 --gmc gmc.txt --out tracks.txt")]
pub struct TrackArgs {
    /// Detections, MOTChallenge rows: frame,-1,left,top,width,height,score
    #[arg(long, value_name = "FILE")]
    detections: PathBuf,
    /// Frames a second
    #[arg(long, value_name = "N")]
    fps: f64,
    /// Embeddings, .npy of float32 (detections, D), row i for row i of the detections
    #[arg(long, value_name = "FILE")]
    embeddings: Option<PathBuf>,
    /// Camera motion: frame,a,b,c,d,e,f maps x' = a·x + b·y + c, y' = d·x + e·y + f from the frame before
    #[arg(long, value_name = "FILE")]
    gmc: Option<PathBuf>,
    /// eyeline, bytetrack, ocsort or sort
    #[arg(long, value_name = "NAME", default_value = "eyeline")]
    tracker: Algorithm,
    /// Changes one tracker setting; may be given again
    #[arg(long, value_name = "SETTING=VALUE")]
    set: Vec<String>,
    /// Where the tracks go, MOTChallenge rows
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs the subcommand.
pub fn run(args: &TrackArgs) -> anyhow::Result<ExitCode> {
    let settings = settings(args.tracker, &args.set)?;
    ensure!(args.fps.is_finite() && args.fps > 0.0, "--fps {}: expected a number above 0", args.fps);
    let recording = read_recording(args)?;
    let replayed = replay(&settings, &recording);
    write_points(&args.out, &replayed.points)?;
    let (frames, seconds) = (recording.frames.len(), replayed.tracking.as_secs_f64());
    println!("frames {frames}  seconds {seconds:.4}  frames per second {:.0}", frames as f64 / seconds.max(1e-9));
    Ok(ExitCode::SUCCESS)
}

/// The algorithm's settings, changed as asked.
pub(super) fn settings(algorithm: Algorithm, changes: &[String]) -> anyhow::Result<TrackSettings> {
    let mut settings = TrackSettings::of(algorithm);
    for change in changes {
        let (name, value) =
            change.split_once('=').with_context(|| format!("--set {change}: expected SETTING=VALUE"))?;
        let number: f64 = value.trim().parse().with_context(|| format!("--set {change}: {value:?} is no number"))?;
        Knob::named(name.trim())?.set(&mut settings, number)?;
    }
    Ok(settings)
}

fn read_recording(args: &TrackArgs) -> anyhow::Result<Recording> {
    let rows = read_csv(&args.detections, 7)?;
    let embeddings = args.embeddings.as_deref().map(read_embeddings).transpose()?;
    if let Some(embeddings) = &embeddings {
        ensure!(
            embeddings.len() == rows.len(),
            "{} embeddings for {} detections; expected as many",
            embeddings.len(),
            rows.len()
        );
    }
    let mut frames: Vec<RecordedFrame> = Vec::new();
    for (row, values) in rows.iter().enumerate() {
        let frame = frame_at(&mut frames, values[0], &args.detections)?;
        let bbox = BBox::from_tlwh(values[2] as f32, values[3] as f32, values[4] as f32, values[5] as f32);
        frame.detections.push(Detection { bbox, class: ClassId(0), score: values[6] as f32 });
        frame.embeddings.extend(embeddings.as_ref().map(|e| Some(e[row].clone())));
    }
    if let Some(path) = &args.gmc {
        let known = frames.len();
        for values in read_csv(path, 7)? {
            // A file may say more than the detections need.
            if values[0] <= known as f64 {
                frame_at(&mut frames, values[0], path)?.camera = Some(std::array::from_fn(|i| values[i + 1] as f32));
            }
        }
    }
    Ok(Recording { fps: args.fps, frames })
}

/// Most frames a file may have: ten days at 30 Hz. A frame number beyond is a fault in the file, not a reason to take
/// all memory.
const MAX_FRAMES: f64 = 26e6;

/// The frame of a number from 1, made with all before it where it is new.
fn frame_at<'a>(frames: &'a mut Vec<RecordedFrame>, number: f64, path: &Path) -> anyhow::Result<&'a mut RecordedFrame> {
    ensure!((1.0..=MAX_FRAMES).contains(&number), "{}: frame {number}, expected 1 to {MAX_FRAMES}", path.display());
    let index = number as usize - 1;
    if index >= frames.len() {
        frames.resize_with(index + 1, RecordedFrame::default);
    }
    Ok(&mut frames[index])
}

/// Rows of at least `columns` numbers, separated by commas.
fn read_csv(path: &Path, columns: usize) -> anyhow::Result<Vec<Vec<f64>>> {
    let text = fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let values: Result<Vec<f64>, _> = line.split(',').map(|field| field.trim().parse()).collect();
            match values {
                Ok(values) if values.len() >= columns => Ok(values),
                _ => bail!("{}:{}: expected {columns} numbers, got {line:?}", path.display(), number + 1),
            }
        })
        .collect()
}

fn read_embeddings(path: &Path) -> anyhow::Result<Vec<Embedding>> {
    let file = File::open(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let npy = npyz::NpyFile::new(BufReader::new(file)).with_context(|| format!("{}: no .npy file", path.display()))?;
    let &[rows, dim] = npy.shape() else {
        bail!("{}: shape {:?}, expected (detections, D)", path.display(), npy.shape());
    };
    ensure!(npy.order() == npyz::Order::C, "{}: Fortran order, expected C order", path.display());
    let values: Vec<f32> = npy.into_vec().with_context(|| format!("{}: expected float32 values", path.display()))?;
    ensure!(
        dim > 0 && values.len() as u64 == rows * dim,
        "{}: {} values for shape {rows}x{dim}",
        path.display(),
        values.len()
    );
    Ok(values.chunks_exact(dim as usize).map(|row| Embedding(row.into())).collect())
}

fn write_points(path: &Path, points: &[TrackPoint]) -> anyhow::Result<()> {
    let doing = || format!("{}: cannot be written", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(doing)?);
    for &TrackPoint { frame, id, bbox, score } in points {
        let row = MotRow { frame: frame as u64 + 1, id: id.0 as i64, bbox, score };
        writeln!(file, "{row}").with_context(doing)?;
    }
    file.flush().with_context(doing)
}
