//! What `process` and `watch` both ask: which models look for what.

use crate::config::raw::{Embed, Embedder, InputPx, Off, Raw};
use clap::Args;

/// Which networks look for which objects.
#[derive(Args, Debug)]
pub struct FindArgs {
    /// Detector: a name from models/zoo.yml or a model file
    #[arg(long, value_name = "NAME|FILE")]
    detector: Option<String>,
    /// Side of the detector's input, pixels, a multiple of 32; larger finds smaller objects and takes longer
    #[arg(long, value_name = "PX")]
    input_px: Option<u32>,
    /// Embedder: a name from models/zoo.yml, a model file, or none to track by motion alone
    #[arg(long, value_name = "NAME|FILE|none")]
    embedder: Option<String>,
    /// Classes to report, by name; all by default
    #[arg(long, value_delimiter = ',', value_name = "CLASS")]
    classes: Vec<String>,
    /// Least score of a detection, 0..1
    #[arg(long, value_name = "SCORE")]
    min_score: Option<f64>,
}

impl FindArgs {
    /// Puts what was asked for into a pipeline; the rest stays.
    pub fn fill(&self, raw: &mut Raw) {
        let detect = &mut raw.detect;
        detect.classes.clone_from(&self.classes);
        if let Some(detector) = &self.detector {
            detect.model.clone_from(detector);
        }
        detect.min_score = self.min_score.unwrap_or(detect.min_score);
        detect.input_px = self.input_px.map_or(detect.input_px, InputPx::Px);
        match self.embedder.as_deref() {
            None => {}
            Some("none") => raw.embed = Embed::Off(Off::None),
            Some(model) => raw.embed = Embed::On(Embedder { model: model.to_owned(), ..Embedder::default() }),
        }
    }
}
