//! Which head decodes a network's outputs: what the zoo or a `.model.yml` says, else what the shapes say, and where those
//! leave a choice the values for a grey picture. Pure.

mod fastestdet;
mod ssd;

use super::heads::{
    Head, Order, Output, Scores, cells,
    end_to_end::{EndToEndForm, EndToEndHead},
    nanodet::{NanodetForm, NanodetHead},
    ssd::Prior,
    torchvision::TorchvisionHead,
    yolov5::{V5_ANCHORS, Yolov5Form, Yolov5Head, anchors},
    yolov8::{DFL_BINS, Yolov8Form, Yolov8Head},
    yolox::{YoloxForm, YoloxHead},
};
use crate::{
    config::zoo::{Colours, Fit, HeadSpec, InputSpec},
    frame::ImageSize,
};

/// What is known of a network.
pub struct Facts<'a> {
    /// Outputs for a grey picture, maps channels innermost.
    pub outputs: &'a [Output<'a>],
    /// Size of its input.
    pub input: ImageSize,
    /// What the zoo or a `.model.yml` says.
    pub spec: Option<&'a HeadSpec>,
    /// Number of classes, where their names are known.
    pub classes: Option<usize>,
    /// Whether outputs are of another length for each picture.
    pub varies: bool,
    /// Prior boxes that came with the model.
    pub priors: Option<&'a [Prior]>,
}

/// A head that fits.
#[derive(Debug)]
pub struct Choice {
    /// The head.
    pub head: Box<dyn Head>,
    /// Which outputs it reads, in its order.
    pub outputs: Vec<usize>,
    /// Why it is this one, for people.
    pub reason: String,
    /// How networks of this form are fed, where that is not as usual in the family.
    pub fit: Option<Fit>,
}

/// Sizes of cells networks are built with: up to 32 pixels, or to 64 for large inputs.
const STRIDES: [&[u32]; 2] = [&[8, 16, 32], &[8, 16, 32, 64]];

/// A network that reports each object once gives no more boxes. Source: 300 in RT-DETR and YOLOv10, 1000 at most elsewhere.
const MOST_QUERIES: usize = 1000;

/// Labels of COCO, background and gaps included.
const COCO_LABELS: usize = 91;
/// Classes of COCO.
const COCO_CLASSES: usize = 80;

/// Chooses the head.
///
/// Errors: the shapes of the outputs and what was expected.
pub fn choose(facts: &Facts<'_>) -> Result<Choice, String> {
    type Try = fn(&Facts<'_>) -> Option<Choice>;
    let tries: [(&str, Try); 8] = [
        ("torchvision", torchvision),
        ("ssd", ssd::ssd),
        ("nanodet", nanodet),
        ("yolov5", yolov5),
        ("yolox", yolox),
        ("fastestdet", fastestdet::fastestdet),
        ("yolov8", yolov8),
        ("end_to_end", end_to_end),
    ];
    let wanted = |family: &str| facts.spec.is_none_or(|spec| spec.family() == family);
    let found = tries.iter().filter(|(family, _)| wanted(family)).find_map(|(_, choose)| choose(facts));
    found.ok_or_else(|| {
        let shapes: Vec<String> = facts.outputs.iter().map(|output| shape_text(output.shape)).collect();
        let (shapes, input) = (shapes.join(", "), facts.input);
        match facts.spec {
            Some(spec) => format!("outputs {shapes} for an input of {input} do not fit a head of the family {}", spec.family()),
            None => format!(
                "outputs {shapes} for an input of {input} fit no head; say which in a .model.yml beside it (models/README.md)"
            ),
        }
    })
}

/// How networks of a family are usually fed, for a model that comes without a word about it.
pub fn usual_input(family: &str, size: ImageSize) -> InputSpec {
    let plain = InputSpec { fill: 114, ..InputSpec::plain(size) };
    match family {
        "yolox" => InputSpec { fit: Fit::LetterboxCorner, colours: Colours::Bgr, white: 255.0, ..plain },
        "nanodet" => InputSpec {
            fit: Fit::Stretch,
            colours: Colours::Bgr,
            white: 255.0,
            // Written for blue, green, red in its own configuration files: 103.53, 116.28, 123.675.
            mean: [123.675, 116.28, 103.53],
            std: [58.395, 57.12, 57.375],
            ..plain
        },
        "ssd" => InputSpec { fit: Fit::Stretch, mean: [0.5; 3], std: [0.5; 3], ..plain },
        "torchvision" => InputSpec { fit: Fit::Stretch, ..plain },
        "fastestdet" => InputSpec { fit: Fit::Stretch, colours: Colours::Bgr, ..plain },
        _ => plain,
    }
}

fn shape_text(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("({})", sizes.join(", "))
}

fn choice(head: impl Head + 'static, outputs: Vec<usize>, reason: impl Into<String>) -> Option<Choice> {
    Some(Choice { head: Box::new(head), outputs, reason: reason.into(), fit: None })
}

impl Facts<'_> {
    /// Every table (rows, columns) with its number.
    fn tables(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        self.outputs.iter().enumerate().filter_map(|(index, output)| match *output.shape {
            [rows, columns] if rows > 0 && columns > 0 => Some((index, rows, columns)),
            _ => None,
        })
    }

    /// The sizes of cells of which there are `count`, each `boxes` boxes.
    fn strides(&self, count: usize, boxes: usize) -> Option<&'static [u32]> {
        STRIDES.into_iter().find(|strides| boxes * cells(self.input, strides) == count)
    }

    fn is_classes(&self, classes: usize) -> bool {
        classes > 0 && self.classes.is_none_or(|known| known == classes)
    }

    /// Whether columns `from..to` of a table hold probabilities only.
    fn are_probabilities(&self, index: usize, from: usize, to: usize) -> bool {
        let [_, columns] = *self.outputs[index].shape else { return false };
        let rows = self.outputs[index].values().chunks_exact(columns.max(1));
        rows.flat_map(|row| &row[from..to]).all(|value| (0.0..=1.0).contains(value))
    }

    /// A table of four columns and one of classes with as many rows, as (boxes, scores).
    fn pair(&self) -> Option<(usize, usize, usize, usize)> {
        let tables: Vec<_> = self.tables().collect();
        let [a, b] = *tables.as_slice() else { return None };
        let (boxes, scores) = if a.2 == 4 { (a, b) } else { (b, a) };
        (boxes.2 == 4 && boxes.1 == scores.1 && self.is_classes(scores.2))
            .then_some((boxes.0, scores.0, boxes.1, scores.2))
    }
}

fn torchvision(facts: &Facts<'_>) -> Option<Choice> {
    let boxes = facts.outputs.iter().position(|output| matches!(output.shape, [_, 4]))?;
    let lists: Vec<usize> = (0..facts.outputs.len()).filter(|&index| facts.outputs[index].shape.len() == 1).collect();
    let [first, second] = *lists.as_slice() else { return None };
    let count = facts.outputs[boxes].shape[0];
    if [first, second].iter().any(|&list| facts.outputs[list].shape != [count]) {
        return None;
    }
    // Labels are whole numbers; an empty list leaves the order torchvision uses.
    let is_whole = |index: usize| facts.outputs[index].values().iter().all(|value| value.fract() == 0.0);
    let (labels, scores) = if is_whole(first) || !is_whole(second) { (first, second) } else { (second, first) };
    let background = match facts.spec {
        Some(HeadSpec::Torchvision { background: Some(background) }) => *background,
        // Networks with a fixed number of queries were trained without one.
        _ => facts.varies,
    };
    let classes = facts.classes.unwrap_or(if background { COCO_LABELS } else { COCO_CLASSES });
    let what = if background { "label 0 is nothing" } else { "no label is nothing" };
    let reason = format!("lists of boxes, labels and scores, {what}");
    choice(TorchvisionHead { classes, background }, vec![boxes, labels, scores], reason)
}

fn nanodet(facts: &Facts<'_>) -> Option<Choice> {
    let center = |strides: &[u32]| match facts.spec {
        Some(HeadSpec::Nanodet { center }) => *center,
        _ if strides.len() == 3 => 0.5,
        _ => 0.0,
    };
    let head = |form, strides: &[u32], classes, bins| {
        let strides = strides.to_vec();
        NanodetHead { form, center: center(&strides), strides, bins, classes, input: facts.input }
    };
    if let [(index, count, numbers)] = *facts.tables().collect::<Vec<_>>() {
        let strides = facts.strides(count, 1)?;
        // The classes end where values are no probabilities any more.
        let classes = facts.classes.or_else(|| (1..numbers).rev().find(|&to| facts.are_probabilities(index, 0, to)))?;
        let rest = numbers.checked_sub(classes).filter(|rest| *rest >= 8 && rest % 4 == 0)?;
        if !facts.are_probabilities(index, 0, classes) || facts.are_probabilities(index, classes, numbers) {
            return None;
        }
        let reason = format!("{classes} probabilities and 4 x {} logits for each of {count} cells", rest / 4);
        return choice(head(NanodetForm::Joined, strides, classes, rest / 4), vec![index], reason);
    }
    let tables: Vec<_> = facts.tables().collect();
    let strides = STRIDES.into_iter().find(|strides| 2 * strides.len() == tables.len())?;
    let (mut scores, mut sides) = (Vec::new(), Vec::new());
    for &stride in strides {
        let mut of_scale = tables.iter().filter(|(_, rows, _)| *rows == cells(facts.input, &[stride]));
        let (a, b) = (of_scale.next()?, of_scale.next()?);
        let is_scores = |table: &(usize, usize, usize)| facts.are_probabilities(table.0, 0, table.2);
        let (score, side) = if is_scores(a) { (a, b) } else { (b, a) };
        scores.push(*score);
        sides.push(*side);
    }
    let (classes, numbers) = (scores[0].2, sides[0].2);
    let alike = scores.iter().all(|table| table.2 == classes) && sides.iter().all(|table| table.2 == numbers);
    if !alike || !facts.is_classes(classes) || numbers < 8 || numbers % 4 != 0 {
        return None;
    }
    let outputs = scores.iter().chain(&sides).map(|table| table.0).collect();
    let reason =
        format!("{classes} probabilities and 4 x {} logits a cell, apart, on {} scales", numbers / 4, strides.len());
    choice(head(NanodetForm::Split, strides, classes, numbers / 4), outputs, reason)
}

fn yolov5(facts: &Facts<'_>) -> Option<Choice> {
    let decoded = facts.tables().find(|&(_, boxes, numbers)| {
        numbers > 5
            && facts.is_classes(numbers - 5)
            && (facts.strides(boxes, 3).is_some() || (facts.spec.is_some() && boxes > numbers))
    });
    if let Some((index, boxes, numbers)) = decoded {
        let head = Yolov5Head { form: Yolov5Form::Decoded, classes: numbers - 5, input: facts.input };
        return choice(head, vec![index], format!("{boxes} boxes, three a cell, of 5 + {} numbers", numbers - 5));
    }
    let maps = maps(facts, &|shape| match *shape {
        [count, rows, columns, numbers] if numbers > 5 => Some((rows, columns, (count, numbers - 5))),
        [rows, columns, channels] if channels % 3 == 0 && channels > 15 => Some((rows, columns, (3, channels / 3 - 5))),
        _ => None,
    })?;
    let (count, classes) = maps.numbers;
    let published = || V5_ANCHORS.iter().map(|scale| scale.to_vec()).collect();
    let lists: Vec<Vec<f32>> = match facts.spec {
        Some(HeadSpec::Yolov5 { anchors: Some(lists) }) => lists.clone(),
        _ => published(),
    };
    let anchors: Vec<_> = lists.iter().map(|pairs| anchors(pairs)).collect();
    let known = facts.classes.or(facts.spec.map(|_| classes)).unwrap_or(COCO_CLASSES);
    if known != classes || anchors.len() != maps.outputs.len() || anchors.iter().any(|list| list.len() != count) {
        return None;
    }
    let reason = format!("{} maps of {count} x (5 + {classes}) logits a cell, not decoded", maps.outputs.len());
    choice(Yolov5Head { form: Yolov5Form::Maps(anchors), classes, input: facts.input }, maps.outputs, reason)
}

fn yolox(facts: &Facts<'_>) -> Option<Choice> {
    if facts.pair().is_some() {
        return None;
    }
    let (index, boxes, numbers) = facts.tables().find(|&(index, boxes, numbers)| {
        numbers > 5
            && facts.is_classes(numbers - 5)
            && facts.strides(boxes, 1).is_some()
            && facts.are_probabilities(index, 4, numbers)
    })?;
    let strides = facts.strides(boxes, 1)?.to_vec();
    let rows = facts.outputs[index].values().chunks_exact(numbers);
    let middle = rows.map(|row| (row[0] + row[1]) / 2.0).sum::<f32>() / boxes as f32;
    let is_decoded = match facts.spec {
        Some(HeadSpec::Yolox { decoded }) => *decoded,
        // Centres in pixels average to the middle of the picture, offsets within a cell to less than one.
        _ => middle > 8.0,
    };
    let form = if is_decoded { YoloxForm::Decoded } else { YoloxForm::Offsets };
    let what = if is_decoded { "boxes in pixels" } else { "offsets from its cell" };
    let reason = format!("one box of 5 + {} numbers for each of {boxes} cells, {what}", numbers - 5);
    choice(YoloxHead { form, strides, classes: numbers - 5, input: facts.input }, vec![index], reason)
}

fn yolov8(facts: &Facts<'_>) -> Option<Choice> {
    let head = |form, classes| Yolov8Head { form, classes, input: facts.input };
    if let Some((boxes, scores, count, classes)) = facts.pair()
        && facts.strides(count, 1).is_some()
    {
        let reason = format!("corners and {classes} probabilities for each of {count} cells");
        return choice(head(Yolov8Form::Corners, classes), vec![boxes, scores], reason);
    }
    let is_cells =
        |count: usize, numbers: usize| facts.strides(count, 1).is_some() || (facts.spec.is_some() && count > numbers);
    for (index, rows, columns) in facts.tables() {
        let (order, boxes, numbers) = match (is_cells(columns, rows), is_cells(rows, columns)) {
            (true, _) => (Order::BoxesInner, columns, rows),
            (_, true) => (Order::BoxesOuter, rows, columns),
            _ => continue,
        };
        let classes = facts.classes.unwrap_or(numbers.saturating_sub(4));
        if classes == 0 || numbers < 4 + classes {
            continue;
        }
        let extra = numbers - 4 - classes;
        let reason = format!("one box of 4 + {classes} numbers for each of {boxes} cells, {extra} more passed over");
        return choice(head(Yolov8Form::Decoded { order, extra }, classes), vec![index], reason);
    }
    let maps = maps(facts, &|shape| match *shape {
        [rows, columns, channels] if channels > 4 * DFL_BINS => Some((rows, columns, (1, channels - 4 * DFL_BINS))),
        _ => None,
    })?;
    let (scales, classes) = (maps.outputs.len(), maps.numbers.1);
    if !facts.is_classes(classes) {
        return None;
    }
    let reason = format!("{scales} maps of 4 x {DFL_BINS} + {classes} logits a cell, not decoded");
    choice(head(Yolov8Form::Maps { scales, bins: DFL_BINS }, classes), maps.outputs, reason)
}

fn end_to_end(facts: &Facts<'_>) -> Option<Choice> {
    let head = |form, classes| EndToEndHead { form, classes, input: facts.input };
    let kind = |probable: bool| if probable { Scores::Probability } else { Scores::Logit };
    // RT-DETR and its kin see every picture stretched. Source: `RTDetrImageProcessor` (transformers), lyuwenyu/RT-DETR
    // (`rtdetr_r50vd.yml`), Ultralytics (`models/rtdetr/predict.py`).
    let stretched = |choice: Choice| Choice { fit: Some(Fit::Stretch), ..choice };
    if let Some((boxes, scores, count, classes)) = facts.pair()
        && count <= MOST_QUERIES
        && facts.are_probabilities(boxes, 0, 4)
    {
        let scored = kind(facts.are_probabilities(scores, 0, classes));
        let reason = format!("{count} queries, boxes as shares of the input, {classes} classes");
        return choice(head(EndToEndForm::Queries(scored), classes), vec![scores, boxes], reason).map(stretched);
    }
    let (index, count, numbers) = facts.tables().find(|(_, count, _)| *count <= MOST_QUERIES)?;
    if numbers == 6 {
        let classes = facts.classes.unwrap_or(COCO_CLASSES);
        // Of hundreds of corners in pixels some are above 1.
        if facts.are_probabilities(index, 0, 4) {
            let reason = format!("{count} rows of centre and size as shares of the input, score, class");
            return choice(head(EndToEndForm::ShareRows, classes), vec![index], reason).map(stretched);
        }
        let reason = format!("{count} rows of corners, score, class");
        return choice(head(EndToEndForm::Rows, classes), vec![index], reason);
    }
    if numbers > 6 && facts.is_classes(numbers - 4) && facts.are_probabilities(index, 0, 4) {
        let scored = kind(facts.are_probabilities(index, 4, numbers));
        let reason = format!("{count} queries, boxes as shares of the input and {} classes in one", numbers - 4);
        let head = head(EndToEndForm::JoinedQueries(scored), numbers - 4);
        return choice(head, vec![index], reason).map(stretched);
    }
    None
}

/// Outputs that are maps of cells, the finest first.
struct Maps {
    outputs: Vec<usize>,
    /// Boxes a cell and classes.
    numbers: (usize, usize),
}

/// The outputs `read` takes for maps (rows, columns, numbers), if they agree and their cells are as large as usual.
fn maps(facts: &Facts<'_>, read: &dyn Fn(&[usize]) -> Option<(usize, usize, (usize, usize))>) -> Option<Maps> {
    let mut found = Vec::new();
    for (index, output) in facts.outputs.iter().enumerate() {
        if let Some((rows, columns, numbers)) = read(output.shape) {
            found.push((rows * columns, index, numbers));
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    let numbers = found.first()?.2;
    let strides = STRIDES.into_iter().find(|strides| strides.len() == found.len())?;
    let is_map = |((count, _, of), stride): (&(usize, usize, (usize, usize)), &u32)| {
        *count == cells(facts.input, &[*stride]) && *of == numbers
    };
    let all = found.iter().zip(strides).all(is_map);
    all.then(|| Maps { outputs: found.iter().map(|(_, index, _)| *index).collect(), numbers })
}

#[cfg(test)]
mod tests;
