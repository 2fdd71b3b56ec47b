//! Do the models of a file exist, and do they know the classes it asks for?

use super::{
    check::Host,
    fault::{Fault, KeyPath},
    raw::{Detect, Embed, Stream},
    suggest::nearest,
    zoo::{Task, Zoo, ZooEntry},
};
use crate::detect::ClassId;
use std::{collections::BTreeMap, path::Path};

/// What stands for an embedder where a class is to have none.
pub(super) const NO_EMBEDDER: &str = "none";

/// Collects the faults of the models.
pub(super) struct Models<'a> {
    /// Where model files lie.
    pub host: &'a dyn Host,
    /// What was found so far.
    pub faults: &'a mut Vec<Fault>,
}

impl Models<'_> {
    /// Checks the detector and the classes to report. Returns its classes if they are known.
    pub fn detector<'r>(&mut self, raw: &'r Detect, path: &KeyPath) -> Option<Classes<'r>> {
        let entry = self.model(&raw.model, Task::Detect, &path.key("model"));
        let names = entry.and_then(|entry| Zoo::builtin().classes(entry.classes.as_deref()?));
        let known = names.map(|names| Classes { model: &raw.model, names });
        for (index, class) in raw.classes.iter().enumerate() {
            let path = path.key("classes").index(index);
            if let Some(first) = raw.classes[..index].iter().position(|earlier| earlier == class) {
                self.faults.push(Fault::new(path, format!("{class:?} is already classes[{first}]")));
            } else if let Some(Err(fault)) = known.map(|known| known.id(class)) {
                self.faults.push(Fault { path, ..fault });
            }
        }
        self.classes_of_keys(&raw.min_score_by_class, known, &path.key("min_score_by_class"));
        for (index, model) in raw.also.iter().enumerate() {
            self.model(model, Task::Detect, &path.key("also").index(index));
        }
        known
    }

    /// Checks the classes that streams report: known to the detector and among those it reports at all.
    pub fn stream_classes(&mut self, streams: &[Stream], detect: &Detect, known: Option<Classes<'_>>, path: &KeyPath) {
        for (index, stream) in streams.iter().enumerate() {
            let path = path.index(index).key("classes");
            for (index, class) in stream.classes.iter().enumerate() {
                let fault = match known.map(|known| known.id(class)) {
                    Some(Err(fault)) => Some(fault),
                    _ if detect.classes.is_empty() || detect.classes.contains(class) => None,
                    _ => Some(Fault::new(KeyPath::root(), format!("{class:?} is not among detect.classes"))),
                };
                self.faults.extend(fault.map(|fault| Fault { path: path.index(index), ..fault }));
            }
        }
    }

    /// Checks the embedders, also those of classes, among those that the detector knows.
    pub fn embedder(&mut self, raw: &Embed, classes: Option<Classes<'_>>, path: &KeyPath) {
        let Embed::On(raw) = raw else { return };
        self.model(&raw.model, Task::Embed, &path.key("model"));
        let path = path.key("by_class");
        self.classes_of_keys(&raw.by_class, classes, &path);
        for (class, model) in raw.by_class.iter().filter(|(_, model)| *model != NO_EMBEDDER) {
            self.model(model, Task::Embed, &path.key(class));
        }
    }

    /// Reports keys that are no class of the detector, as far as its classes are known.
    fn classes_of_keys<V>(&mut self, keys: &BTreeMap<String, V>, classes: Option<Classes<'_>>, path: &KeyPath) {
        for class in keys.keys() {
            if let Some(Err(fault)) = classes.map(|classes| classes.id(class)) {
                self.faults.push(Fault { path: path.key(class), ..fault });
            }
        }
    }

    /// The zoo's entry for `model`; `None` for a file, and for what is neither after it was reported.
    fn model(&mut self, model: &str, task: Task, path: &KeyPath) -> Option<&'static ZooEntry> {
        let zoo = Zoo::builtin();
        let found = zoo.find(model);
        if found.is_some_and(|entry| entry.task == task) {
            return found;
        }
        if found.is_none() && self.host.is_file(Path::new(model)) {
            return None;
        }
        let names: Vec<_> = zoo.entries().iter().filter(|entry| entry.task == task).map(|entry| &*entry.name).collect();
        let what = match task {
            Task::Detect => "detector",
            Task::Embed => "embedder",
        };
        let problem = format!("{model:?}, expected the {what} {} or a model file", names.join(", "));
        let hint = match found {
            Some(_) => Some(format!("{model} is no {what}")),
            None => nearest(model, names.iter().copied()).map(|near| format!("did you mean {near}?")),
        };
        self.faults.push(Fault::new(path.clone(), problem).with_hint(hint));
        None
    }
}

/// The classes a detector tells apart.
#[derive(Clone, Copy)]
pub(super) struct Classes<'a> {
    model: &'a str,
    names: &'a [String],
}

impl Classes<'_> {
    /// The id of a class; for an unknown name the fault, without a path.
    pub fn id(&self, class: &str) -> Result<ClassId, Fault> {
        if let Some(index) = self.names.iter().position(|name| name == class) {
            return Ok(ClassId(index as u16));
        }
        let hint = match nearest(class, self.names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("it knows {}", self.names.join(", ")),
        };
        Err(Fault::new(KeyPath::root(), format!("{class:?}, which {} does not know", self.model)).with_hint(hint))
    }
}
