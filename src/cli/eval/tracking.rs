//! `eyeline eval --task tracking`: table, JSON and the list of mistakes.

use super::{
    COMBINED, EvalArgs, Inputs, Report, ResultSet,
    table::{Table, percent},
};
use crate::eval::{
    hota::{ALPHAS, PerAlpha, mean},
    mistakes::MistakeList,
    sequence::Sequence,
    tracking::{self, TrackingScores},
};
use anyhow::Context;
use serde_json::{Map, Value, json};
use std::{
    fs::File,
    io::{self, BufWriter, Write},
};

/// Scores of one result set.
pub struct Scored<'a> {
    pub set: &'a ResultSet,
    /// In order of the sequences.
    scores: Vec<TrackingScores>,
    mistakes: Vec<MistakeList>,
}

/// Scores every result set and writes the mistakes where they are wanted.
pub fn report(args: &EvalArgs, inputs: &Inputs) -> anyhow::Result<Report> {
    let scored: Vec<_> = inputs.sets.iter().map(|set| score(set, args, inputs)).collect::<anyhow::Result<_>>()?;
    if let Some(path) = &args.errors {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        write_mistakes(&mut BufWriter::new(file), inputs, &scored).with_context(|| path.display().to_string())?;
    }
    #[cfg(feature = "line")]
    if let (Some(video), Some(out)) = (&args.overlay, &args.out) {
        super::overlay::draw(inputs, &scored, args.min_iou, video, out)?;
    }
    Ok(Report { table: table(inputs, &scored), json: json_report(args, inputs, &scored) })
}

fn score<'a>(set: &'a ResultSet, args: &EvalArgs, inputs: &Inputs) -> anyhow::Result<Scored<'a>> {
    let mut scored = Scored { set, scores: Vec::new(), mistakes: Vec::new() };
    for (truth, results) in inputs.sequences.iter().zip(&set.files) {
        let sequence = Sequence::new(&truth.truth, results, truth.format, truth.length)?;
        let mut mistakes = MistakeList::default();
        let scores = tracking::evaluate(&sequence, args.min_iou, &mut |frame, bbox, mistake| {
            if args.errors.is_some() {
                mistakes.push(frame, bbox, mistake);
            }
        });
        scored.scores.push(scores);
        scored.mistakes.push(mistakes);
    }
    Ok(scored)
}

fn table(inputs: &Inputs, scored: &[Scored<'_>]) -> Table {
    let names: &[&str] = if scored.len() > 1 { &["sequence", "results"] } else { &["sequence"] };
    let figures =
        ["HOTA", "DetA", "AssA", "LocA", "MOTA", "MOTP", "IDF1", "IDP", "IDR", "IDSW", "Frag", "MT", "ML", "FP", "FN"];
    let mut table = Table::new(names, &figures);
    let mut push = |sequence: &str, set: &ResultSet, scores: &TrackingScores| {
        let mut row = vec![sequence.to_owned()];
        if scored.len() > 1 {
            row.push(set.name.clone());
        }
        row.extend(cells(scores));
        table.push(row);
    };
    for (index, sequence) in inputs.sequences.iter().enumerate() {
        for of_set in scored {
            push(&sequence.name, of_set.set, &of_set.scores[index]);
        }
    }
    for of_set in scored {
        push(COMBINED, of_set.set, &tracking::combine(&of_set.scores));
    }
    table
}

fn cells(scores: &TrackingScores) -> impl Iterator<Item = String> {
    let TrackingScores { hota, clear, identity, .. } = scores;
    let ratios = [&hota.hota, &hota.det_a, &hota.ass_a, &hota.loc_a].map(mean).into_iter();
    let ratios = ratios.chain([clear.mota, clear.motp, identity.idf1, identity.precision, identity.recall]);
    let c = &clear.counts;
    let counts =
        [c.switches, c.fragmentations, c.mostly_tracked, c.mostly_lost, c.false_positives, c.misses].into_iter();
    ratios.map(percent).chain(counts.map(|count| count.to_string()))
}

fn json_report(args: &EvalArgs, inputs: &Inputs, scored: &[Scored<'_>]) -> Value {
    let set = |of_set: &Scored<'_>| {
        let names = inputs.sequences.iter().map(|sequence| sequence.name.clone());
        let sequences: Map<String, Value> = names.zip(of_set.scores.iter().map(scores_json)).collect();
        json!({
            "name": of_set.set.name,
            "path": of_set.set.path,
            "sequences": sequences,
            "combined": scores_json(&tracking::combine(&of_set.scores)),
        })
    };
    json!({ "task": "tracking", "min_iou": args.min_iou, "results": scored.iter().map(set).collect::<Vec<_>>() })
}

/// TrackEval's names; HOTA's values as the mean over its thresholds, and each of them under `HOTA_per_alpha`.
fn scores_json(scores: &TrackingScores) -> Value {
    let mut json = json!(scores);
    let per_alpha = json["HOTA"].take();
    let values = |value: &Value| serde_json::from_value::<PerAlpha>(value.clone()).unwrap_or([f64::NAN; ALPHAS]);
    let fields = per_alpha.as_object().into_iter().flatten();
    let mut means: Map<String, Value> =
        fields.map(|(name, value)| (name.clone(), json!(mean(&values(value))))).collect();
    let (hota_at_0, loc_a_at_0) = (scores.hota.hota[0], scores.hota.loc_a[0]);
    means.insert("HOTA(0)".to_owned(), json!(hota_at_0));
    means.insert("LocA(0)".to_owned(), json!(loc_a_at_0));
    means.insert("HOTALocA(0)".to_owned(), json!(hota_at_0 * loc_a_at_0));
    json["HOTA"] = means.into();
    json["HOTA_per_alpha"] = per_alpha;
    json
}

/// One row for each mistake, or run of the same in consecutive frames.
fn write_mistakes(to: &mut impl Write, inputs: &Inputs, scored: &[Scored<'_>]) -> io::Result<()> {
    writeln!(to, "results,sequence,kind,first_frame,last_frame,truth_id,result_id,previous_id,left,top,width,height")?;
    for of_set in scored {
        for (sequence, mistakes) in inputs.sequences.iter().zip(&of_set.mistakes) {
            let (set, sequence) = (quoted(&of_set.set.name), quoted(&sequence.name));
            for run in mistakes.runs() {
                let [truth, result, previous] =
                    run.mistake.ids().map(|id| id.map_or_else(String::new, |id| id.to_string()));
                let kind = run.mistake.kind();
                let [left, top, width, height] = run.bbox.tlwh();
                let (first, last) = (run.first_frame, run.last_frame);
                write!(to, "{set},{sequence},{kind},{first},{last},{truth},{result},{previous},")?;
                writeln!(to, "{left:.2},{top:.2},{width:.2},{height:.2}")?;
            }
        }
    }
    to.flush()
}

/// A CSV field, in quotes where it needs them (RFC 4180).
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
