//! Recorded files through GStreamer: whatever it can decode, as 8-bit RGB frames in decoding order, none dropped.
//!
//! `gst_decode` runs the pipeline, `timeline` makes media time of its time stamps; here they become frames, epochs and
//! errors that say what to do.

use super::{
    OpenSource, Pull, Source, SourceError, SourceInfo,
    container::{self, ContainerFault},
    gst_decode::{Decode, Decoded, Failure, Picture},
    gst_frame::GstPixels,
    timeline::Timeline,
};
use crate::frame::{Frame, FrameMeta, ImageSize, StreamId};
use std::{
    collections::VecDeque,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

pub use super::gst_faults::{InitError, init};

/// Wait for one frame after which a file counts as stalled: a disk may have to spin up, a network share to reconnect.
const STALLED_AFTER: Duration = Duration::from_secs(20);

/// One thread decodes 768x576 H.264 at some 1,000 frames a second, while inference wants the other cores.
const DECODER_THREADS: u32 = 1;

/// Pictures looked at for the frame rate where the container names none.
const RATE_PICTURES: usize = 8;

/// Frame rates outside come from time stamps mistaken for a rate (1000 in WebM made by browsers).
const PLAUSIBLE_FPS: std::ops::RangeInclusive<f64> = 0.05..=480.0;

/// Opens one video file.
#[derive(Clone, Debug)]
pub struct FileOpener {
    /// The file; any container and codec GStreamer has plug-ins for.
    pub path: PathBuf,
    /// Stream its frames belong to.
    pub stream: StreamId,
    /// How many times it is played, as one stream: `seq` and media time go on from one pass to the next. At least 1.
    pub repeat: u32,
    /// Most threads the decoder may use, >= 1; the pictures are the same with any number.
    pub decoder_threads: u32,
    /// Longest wait for one frame.
    pub stalled_after: Duration,
}

impl FileOpener {
    /// Plays `path` once as `stream`.
    pub fn new(path: impl Into<PathBuf>, stream: StreamId) -> Self {
        Self { path: path.into(), stream, repeat: 1, decoder_threads: DECODER_THREADS, stalled_after: STALLED_AFTER }
    }
}

impl OpenSource for FileOpener {
    fn open(&self, epoch: u32, first_seq: u64) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(FileSource::open(self.clone(), epoch, first_seq)?))
    }
}

/// An open video file.
pub struct FileSource {
    opener: FileOpener,
    info: SourceInfo,
    /// `None` once the end is reached or decoding has failed.
    decode: Option<Decode>,
    /// Decoded while opening, not yet pulled.
    early: VecDeque<Picture>,
    timeline: Timeline,
    size: ImageSize,
    first_seq: u64,
    /// Frames delivered over all passes.
    delivered: u64,
    passes_left: u32,
    /// Where the pictures of this pass end so far, by the container's time.
    pass_length: Duration,
    /// The first damage found, over all passes.
    damage: Option<SourceError>,
    waited: Duration,
}

impl FileSource {
    /// Opens the file and waits until its first frame is decoded.
    pub fn open(opener: FileOpener, epoch: u32, first_seq: u64) -> Result<Self, SourceError> {
        let fault = |error| open_error(&opener.path, error);
        check_is_file(&opener.path).map_err(fault)?;
        init().map_err(|error| open_error(&opener.path, error.to_string()))?;
        let decode = Decode::start(&opener.path, opener.decoder_threads);
        let mut decode = decode.map_err(|failure| unopened(&opener.path, failure))?;
        let mut early = VecDeque::new();
        let first = first_picture(&mut decode, &opener)?;
        let stated_fps = stated_fps(&first);
        let size = size_of(&first);
        early.push_back(first);
        while stated_fps.is_none() && early.len() < RATE_PICTURES {
            match decode.pull(opener.stalled_after) {
                Decoded::Picture(picture) => early.push_back(picture),
                // Whatever this is, pulling reports it again after these pictures.
                Decoded::Nothing | Decoded::End | Decoded::Failed(_) => break,
            }
        }
        let fps = stated_fps.or_else(|| measured_fps(&early));
        let info = SourceInfo { size, fps, frames: frames(&decode, fps, opener.repeat), codec: decode.codec() };
        let mut timeline = Timeline::new(epoch);
        if let Some(fps) = fps {
            timeline.set_interval(Duration::from_secs_f64(1.0 / fps));
        }
        let passes_left = opener.repeat.saturating_sub(1);
        Ok(Self {
            opener,
            info,
            decode: Some(decode),
            early,
            timeline,
            size,
            first_seq,
            delivered: 0,
            passes_left,
            pass_length: Duration::ZERO,
            damage: None,
            waited: Duration::ZERO,
        })
    }

    fn frame(&mut self, picture: Picture) -> Result<Pull, SourceError> {
        let size = size_of(&picture);
        if size != self.size {
            self.size = size;
            self.timeline.begin_epoch();
        }
        let stamp = self.timeline.stamp(picture.source_nanos);
        let duration = picture.buffer.duration().map_or(0, |duration| duration.nseconds());
        let began = picture.source_nanos.and_then(|nanos| u64::try_from(nanos).ok()).unwrap_or_default();
        self.pass_length = self.pass_length.max(Duration::from_nanos(began.saturating_add(duration)));
        let Some(pixels) = GstPixels::map(picture.buffer, &picture.info) else {
            self.decode = None;
            return Err(self.damaged(format!("a decoded picture does not hold {size} RGB pixels")));
        };
        let meta = FrameMeta {
            stream: self.opener.stream,
            epoch: stamp.epoch,
            seq: self.first_seq + self.delivered,
            pts: stamp.pts,
            captured: None,
            arrived: Instant::now(),
            size,
        };
        self.delivered += 1;
        Ok(Pull::Frame(Frame { meta, pixels: Arc::new(pixels) }))
    }

    /// Counts a wait that gave nothing.
    fn nothing_for(&mut self, waited: Duration) -> Result<Pull, SourceError> {
        self.waited += waited;
        if self.waited < self.opener.stalled_after {
            return Ok(Pull::Pending);
        }
        self.decode = None;
        Err(SourceError::Stalled {
            source_name: self.name(),
            frames: self.delivered,
            waited_secs: self.waited.as_secs(),
        })
    }

    /// Ends one pass over the file: starts the next, or says that it was the last.
    fn end_pass(&mut self, decode: Decode) -> Result<Option<Pull>, SourceError> {
        self.note_damage(&decode);
        drop(decode);
        if self.passes_left == 0 {
            return Ok(Some(Pull::End { damage: self.damage.take() }));
        }
        self.passes_left -= 1;
        self.pass_length = Duration::ZERO;
        self.timeline.splice();
        let next = Decode::start(&self.opener.path, self.opener.decoder_threads);
        self.decode = Some(next.map_err(|failure| self.broken(failure))?);
        Ok(None)
    }

    fn note_damage(&mut self, decode: &Decode) {
        if self.damage.is_some() {
            return;
        }
        let tally = decode.tally();
        let least_length = decode.least_length().filter(|&least| self.pass_length < least);
        let first_pass = self.opener.repeat.saturating_sub(self.passes_left) <= 1;
        let before_pass = if first_pass { 0 } else { self.delivered.saturating_sub(tally.decoded) };
        self.damage = if let Some(fault) = container_fault(&self.opener.path) {
            Some(self.damaged(fault.to_string()))
        } else if let Some((decoded, what)) = tally.first {
            let problem = format!(
                "{} of {} coded pictures are damaged (the decoder says: {what}); frames from there on may be wrong or \
                 missing: copy or record the file again",
                tally.faulty, tally.fed
            );
            Some(SourceError::Damaged { source_name: self.name(), frames: before_pass + decoded, problem })
        } else {
            least_length.and(decode.duration()).map(|stated| {
                let (got, stated) = (self.pass_length.as_secs_f64(), stated.as_secs_f64());
                let problem = format!(
                    "its pictures end after {got:.1} s of the {stated:.1} s its header states; copy or record it again"
                );
                self.damaged(problem)
            })
        };
    }

    fn broken(&self, failure: Failure) -> SourceError {
        let (Failure::NoVideo(what) | Failure::Broken(what) | Failure::Unusable(what)) = failure;
        self.damaged(format!("{}; copy or record the file again", what.trim_end_matches('.')))
    }

    fn damaged(&self, problem: String) -> SourceError {
        SourceError::Damaged { source_name: self.name(), frames: self.delivered, problem }
    }
}

impl Source for FileSource {
    fn name(&self) -> String {
        self.opener.path.display().to_string()
    }

    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn pull(&mut self, wait: Duration) -> Result<Pull, SourceError> {
        if let Some(picture) = self.early.pop_front() {
            return self.frame(picture);
        }
        loop {
            let Some(mut decode) = self.decode.take() else { return Ok(Pull::End { damage: None }) };
            let asked = Instant::now();
            match decode.pull(wait) {
                Decoded::Picture(picture) => {
                    self.decode = Some(decode);
                    self.waited = Duration::ZERO;
                    return self.frame(picture);
                }
                Decoded::Nothing => {
                    self.decode = Some(decode);
                    return self.nothing_for(asked.elapsed());
                }
                Decoded::End => {
                    if let Some(end) = self.end_pass(decode)? {
                        return Ok(end);
                    }
                }
                Decoded::Failed(failure) => return Err(self.broken(failure)),
            }
        }
    }
}

/// Only regular files: a pipe or device could block for ever.
fn check_is_file(path: &Path) -> Result<(), String> {
    let advice = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied; make it readable for this user".to_owned(),
        _ => error.to_string(),
    };
    let metadata = path.metadata().map_err(advice)?;
    if metadata.is_dir() {
        return Err("it is a directory; name a video file in it".into());
    }
    if !metadata.is_file() {
        return Err("it is no regular file".into());
    }
    File::open(path).map_err(advice)?;
    if metadata.len() == 0 {
        return Err("the file is empty".into());
    }
    Ok(())
}

/// Waits for the first picture. A file that ends without one is looked into for the reason.
fn first_picture(decode: &mut Decode, opener: &FileOpener) -> Result<Picture, SourceError> {
    let source_name = opener.path.display().to_string();
    match decode.pull(opener.stalled_after) {
        Decoded::Picture(picture) => Ok(picture),
        Decoded::Nothing => {
            Err(SourceError::Stalled { source_name, frames: 0, waited_secs: opener.stalled_after.as_secs() })
        }
        Decoded::End => {
            let problem = match decode.tally() {
                tally if tally.fed == 0 => "it holds no pictures: record or convert it again".to_owned(),
                tally => format!(
                    "none of its {} coded pictures can be decoded{}: copy or record it again",
                    tally.fed,
                    tally.first.map(|(_, what)| format!(" (the decoder says: {what})")).unwrap_or_default()
                ),
            };
            Err(container_error(&opener.path).unwrap_or(SourceError::NoVideo { source_name, problem }))
        }
        Decoded::Failed(failure) => Err(unopened(&opener.path, failure)),
    }
}

/// The error of a file that gave no picture at all. What its own headers say goes before what the demuxer made of them.
fn unopened(path: &Path, failure: Failure) -> SourceError {
    let source_name = path.display().to_string();
    container_error(path).unwrap_or(match failure {
        Failure::NoVideo(problem) => SourceError::NoVideo { source_name, problem },
        Failure::Broken(problem) => {
            let problem = format!("{}; convert or record it again", problem.trim_end_matches('.'));
            SourceError::NoVideo { source_name, problem }
        }
        Failure::Unusable(problem) => SourceError::Open { source_name, problem },
    })
}

fn container_error(path: &Path) -> Option<SourceError> {
    let problem = container_fault(path)?.to_string();
    Some(SourceError::NoVideo { source_name: path.display().to_string(), problem })
}

fn container_fault(path: &Path) -> Option<ContainerFault> {
    File::open(path).and_then(|mut file| container::fault_of(&mut file)).ok().flatten()
}

fn open_error(path: &Path, problem: String) -> SourceError {
    SourceError::Open { source_name: path.display().to_string(), problem }
}

fn size_of(picture: &Picture) -> ImageSize {
    ImageSize { width: picture.info.width(), height: picture.info.height() }
}

fn stated_fps(picture: &Picture) -> Option<f64> {
    let fps = picture.info.fps();
    let fps = f64::from(fps.numer()) / f64::from(fps.denom());
    PLAUSIBLE_FPS.contains(&fps).then_some(fps)
}

/// Rate of the first pictures by their time stamps.
fn measured_fps(pictures: &VecDeque<Picture>) -> Option<f64> {
    let stamps: Vec<_> = pictures.iter().filter_map(|picture| picture.source_nanos).collect();
    let span = stamps.last()? - stamps.first()?;
    let fps = (stamps.len() - 1) as f64 * 1e9 / span as f64;
    PLAUSIBLE_FPS.contains(&fps).then_some(fps)
}

fn frames(decode: &Decode, fps: Option<f64>, repeat: u32) -> Option<u64> {
    let once = (decode.duration()?.as_secs_f64() * fps?).round();
    Some((once as u64).saturating_mul(u64::from(repeat.max(1))))
}
