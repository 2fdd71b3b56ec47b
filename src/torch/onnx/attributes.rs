//! Attributes of a node, read by name and type. One that no builder asked for is a fault: it would change the result.

use super::{
    proto::{AttributeProto, GraphProto, NodeProto, attribute_type},
    value::StoredTensor,
};
use std::cell::RefCell;

/// The attributes of one node.
pub(super) struct Attributes<'a> {
    all: &'a [AttributeProto],
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Attributes<'a> {
    pub fn new(node: &'a NodeProto) -> Self {
        Self { all: &node.attribute, asked: RefCell::default() }
    }

    fn find(&self, name: &'static str, kind: i32) -> Result<Option<&'a AttributeProto>, String> {
        self.asked.borrow_mut().push(name);
        match self.all.iter().find(|attribute| attribute.name == name) {
            // Files before IR version 2 leave the type out.
            Some(found) if found.r#type != kind && found.r#type != 0 => {
                Err(format!("attribute {name} has type {}, expected {kind}", found.r#type))
            }
            found => Ok(found),
        }
    }

    pub fn int(&self, name: &'static str, default: i64) -> Result<i64, String> {
        Ok(self.find(name, attribute_type::INT)?.map_or(default, |found| found.i))
    }

    pub fn float(&self, name: &'static str, default: f64) -> Result<f64, String> {
        Ok(self.find(name, attribute_type::FLOAT)?.map_or(default, |found| f64::from(found.f)))
    }

    pub fn ints(&self, name: &'static str) -> Result<Option<Vec<i64>>, String> {
        Ok(self.find(name, attribute_type::INTS)?.map(|found| found.ints.clone()))
    }

    pub fn floats(&self, name: &'static str) -> Result<Option<Vec<f32>>, String> {
        Ok(self.find(name, attribute_type::FLOATS)?.map(|found| found.floats.clone()))
    }

    pub fn text(&self, name: &'static str, default: &str) -> Result<String, String> {
        let found = self.find(name, attribute_type::STRING)?;
        Ok(found.map_or_else(|| default.to_owned(), |found| String::from_utf8_lossy(&found.s).into_owned()))
    }

    /// A flag written as 0 or 1.
    pub fn flag(&self, name: &'static str) -> Result<bool, String> {
        Ok(self.int(name, 0)? != 0)
    }

    pub fn tensor(&self, name: &'static str) -> Result<Option<StoredTensor>, String> {
        let Some(found) = self.find(name, attribute_type::TENSOR)? else { return Ok(None) };
        let proto = found.t.clone().ok_or_else(|| format!("attribute {name} is empty"))?;
        StoredTensor::read(proto, &format!("attribute {name}")).map(Some).map_err(|error| error.to_string())
    }

    /// A graph that the node runs; it must be there.
    pub fn graph(&self, name: &'static str) -> Result<&'a GraphProto, String> {
        let found = self.find(name, attribute_type::GRAPH)?.and_then(|found| found.g.as_deref());
        found.ok_or_else(|| format!("it has no {name}"))
    }

    /// Says that attributes are known and do not matter here.
    pub fn ignore(&self, names: &[&'static str]) {
        self.asked.borrow_mut().extend(names);
    }

    /// Names the attributes nobody asked for.
    pub fn check_all_asked(&self) -> Result<(), String> {
        let asked = self.asked.borrow();
        let unknown = self.all.iter().map(|attribute| attribute.name.as_str()).filter(|name| !asked.contains(name));
        match unknown.collect::<Vec<_>>().as_slice() {
            [] => Ok(()),
            unknown => Err(format!("attributes {} are not known", unknown.join(", "))),
        }
    }
}
