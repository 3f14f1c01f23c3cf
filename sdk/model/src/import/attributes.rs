//! A node's attributes, read by name and type. What an operator does not read is refused: an attribute that import
//! ignored could change what the model means.

use std::cell::RefCell;

use crate::error::Error;
use crate::onnx::{AttributeProto, NodeProto, attribute_type};

pub(super) struct Attributes<'a> {
    node: &'a NodeProto,
    read: RefCell<Vec<&'a str>>,
}

impl<'a> Attributes<'a> {
    pub(super) fn new(node: &'a NodeProto) -> Self {
        Self { node, read: RefCell::default() }
    }

    pub(super) fn int(&self, name: &'a str, default: i64) -> Result<i64, Error> {
        Ok(self.find(name, attribute_type::INT)?.map_or(default, |a| a.i))
    }

    pub(super) fn flag(&self, name: &'a str, default: bool) -> Result<bool, Error> {
        Ok(self.int(name, i64::from(default))? != 0)
    }

    pub(super) fn float(&self, name: &'a str, default: f32) -> Result<f32, Error> {
        Ok(self.find(name, attribute_type::FLOAT)?.map_or(default, |a| a.f))
    }

    pub(super) fn ints(&self, name: &'a str) -> Result<Option<&'a [i64]>, Error> {
        Ok(self.find(name, attribute_type::INTS)?.map(|a| a.ints.as_slice()))
    }

    pub(super) fn floats(&self, name: &'a str) -> Result<Option<&'a [f32]>, Error> {
        Ok(self.find(name, attribute_type::FLOATS)?.map(|a| a.floats.as_slice()))
    }

    pub(super) fn string(&self, name: &'a str) -> Result<Option<&'a str>, Error> {
        let Some(attribute) = self.find(name, attribute_type::STRING)? else { return Ok(None) };
        let text = std::str::from_utf8(&attribute.s);
        text.map(Some).map_err(|_| self.malformed(format!("attribute `{name}` is not UTF-8")))
    }

    pub(super) fn tensor(&self, name: &'a str) -> Result<Option<&'a crate::onnx::TensorProto>, Error> {
        Ok(self.find(name, attribute_type::TENSOR)?.and_then(|a| a.t.as_ref()))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.node.attribute.iter().any(|a| a.name == name)
    }

    /// Marks attributes that cannot change a result as read.
    pub(super) fn ignore(&self, name: &'a str) {
        self.read.borrow_mut().push(name);
    }

    /// Refuses what was not read.
    pub(super) fn finish(&self) -> Result<(), Error> {
        let read = self.read.borrow();
        match self.node.attribute.iter().find(|a| !read.contains(&a.name.as_str())) {
            None => Ok(()),
            Some(unread) => Err(Error::UnsupportedOp {
                node: super::lowering::node_name(self.node),
                op: self.node.op_type.clone(),
                reason: format!("attribute `{}`", unread.name),
                supported: if read.is_empty() { "no attributes".into() } else { read.join(", ") },
            }),
        }
    }

    fn find(&self, name: &'a str, expected: i32) -> Result<Option<&'a AttributeProto>, Error> {
        self.read.borrow_mut().push(name);
        let mut named = self.node.attribute.iter().filter(|a| a.name == name);
        let Some(attribute) = named.next() else { return Ok(None) };
        if named.next().is_some() {
            return Err(self.malformed(format!("attribute `{name}` is given twice")));
        }
        if attribute.r#type != expected {
            return Err(
                self.malformed(format!("attribute `{name}` has type {}, not {expected}", attribute.r#type))
            );
        }
        Ok(Some(attribute))
    }

    fn malformed(&self, reason: String) -> Error {
        Error::MalformedNode {
            node: super::lowering::node_name(self.node),
            op: self.node.op_type.clone(),
            reason,
        }
    }
}
