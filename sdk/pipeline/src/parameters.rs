//! `[parameters]` of `app.toml`: what an integrator may set, within which range, and where stages take it from.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::limits::{MAX_CHOICES, MAX_PARAMETER_NAME_BYTES, MAX_PARAMETER_TEXT_BYTES, MAX_PARAMETERS};
use crate::spec::Mode;

/// `[parameters.NAME]`: one thing that may be set. The vendor signs it with the rest of the pipeline.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "the fields are those of every kind: what is allowed, what holds if nobody says, for people"
)]
pub enum Parameter {
    /// A real number.
    Float { min: f64, max: f64, default: f64, description: String },
    /// A whole number.
    Int { min: i64, max: i64, default: i64, description: String },
    /// Yes or no.
    Bool { default: bool, description: String },
    /// One of several words.
    Choice { choices: Vec<String>, default: String, description: String },
    /// Some of the app's labels; none stands for all.
    Classes { default: Vec<String>, description: String },
    /// A part of the picture.
    Region { default: Region, description: String },
}

/// A rectangle in fractions of the picture: left, top, right, bottom, from 0 to 1.
pub type Region = [f64; 4];

/// What a parameter is set to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// For [`Parameter::Float`].
    Float(f64),
    /// For [`Parameter::Int`], and for floats.
    Int(i64),
    /// For [`Parameter::Bool`].
    Bool(bool),
    /// For [`Parameter::Choice`]; for every other kind its value as text, as a command line gives it.
    Text(String),
    /// For [`Parameter::Classes`].
    Classes(Vec<String>),
    /// For [`Parameter::Region`].
    Region(Region),
}

/// A field of a stage: a value, or the parameter that gives it, `{ parameter = "NAME" }`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged, expecting = "expected a value of the field's type, or { parameter = \"NAME\" }")]
pub enum Settable<T> {
    /// Fixed by the vendor.
    Fixed(T),
    /// Set by the integrator.
    Parameter(Reference),
}

/// `{ parameter = "NAME" }`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The name under `[parameters]`.
    pub parameter: String,
}

impl<T> Settable<T> {
    /// The name of the parameter that gives it.
    pub fn parameter(&self) -> Option<&str> {
        match self {
            Self::Fixed(_) => None,
            Self::Parameter(reference) => Some(&reference.parameter),
        }
    }
}

impl<T> From<T> for Settable<T> {
    fn from(value: T) -> Self {
        Self::Fixed(value)
    }
}

impl<T: Default> Default for Settable<T> {
    fn default() -> Self {
        Self::Fixed(T::default())
    }
}

impl Parameter {
    /// What it is for.
    pub fn description(&self) -> &str {
        match self {
            Self::Float { description, .. }
            | Self::Int { description, .. }
            | Self::Bool { description, .. }
            | Self::Choice { description, .. }
            | Self::Classes { description, .. }
            | Self::Region { description, .. } => description,
        }
    }

    /// What holds if nobody sets it.
    pub fn default(&self) -> Value {
        match self {
            Self::Float { default, .. } => Value::Float(*default),
            Self::Int { default, .. } => Value::Int(*default),
            Self::Bool { default, .. } => Value::Bool(*default),
            Self::Choice { default, .. } => Value::Text(default.clone()),
            Self::Classes { default, .. } => Value::Classes(default.clone()),
            Self::Region { default, .. } => Value::Region(*default),
        }
    }

    /// What it may be set to, in words.
    pub fn allowed(&self) -> String {
        match self {
            Self::Float { min, max, .. } => format!("a number from {min} to {max}"),
            Self::Int { min, max, .. } => format!("a whole number from {min} to {max}"),
            Self::Bool { .. } => "true or false".into(),
            Self::Choice { choices, .. } => format!("one of {}", choices.join(", ")),
            Self::Classes { .. } => "labels of the app, separated by semicolons; none for all".into(),
            Self::Region { .. } => "left,top,right,bottom in fractions of the picture".into(),
        }
    }

    /// `value` as this parameter's type; text is read as what it spells.
    ///
    /// # Errors
    /// [`Error::ParameterValue`] if it is of another type or out of range.
    pub fn accept(&self, name: &str, value: &Value) -> Result<Value> {
        let read = self.read(value).filter(|value| self.fits(value));
        read.ok_or_else(|| Error::ParameterValue {
            name: name.to_owned(),
            found: value.to_string().chars().take(MAX_PARAMETER_TEXT_BYTES).collect(),
            expected: self.allowed(),
        })
    }

    fn read(&self, value: &Value) -> Option<Value> {
        match (self, value) {
            (Self::Float { .. }, Value::Text(text)) => text.trim().parse().ok().map(Value::Float),
            #[expect(clippy::cast_precision_loss, reason = "what a float parameter takes is checked after")]
            (Self::Float { .. }, Value::Int(int)) => Some(Value::Float(*int as f64)),
            (Self::Int { .. }, Value::Text(text)) => text.trim().parse().ok().map(Value::Int),
            (Self::Bool { .. }, Value::Text(text)) => text.trim().parse().ok().map(Value::Bool),
            (Self::Classes { .. }, Value::Text(text)) => {
                let names = text.split(';').map(str::trim).filter(|name| !name.is_empty());
                Some(Value::Classes(names.map(str::to_owned).collect()))
            }
            (Self::Region { .. }, Value::Text(text)) => {
                let sides = text.split(',').map(|side| side.trim().parse().ok()).collect::<Option<Vec<_>>>();
                sides.and_then(|sides| Region::try_from(sides).ok()).map(Value::Region)
            }
            (Self::Float { .. }, Value::Float(_))
            | (Self::Int { .. }, Value::Int(_))
            | (Self::Bool { .. }, Value::Bool(_))
            | (Self::Choice { .. }, Value::Text(_))
            | (Self::Classes { .. }, Value::Classes(_))
            | (Self::Region { .. }, Value::Region(_)) => Some(value.clone()),
            _ => None,
        }
    }

    /// Whether a value of this type is in range. Whether a label exists is for the stage to say.
    fn fits(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Float { min, max, .. }, Value::Float(value)) => (*min..=*max).contains(value),
            (Self::Int { min, max, .. }, Value::Int(value)) => (*min..=*max).contains(value),
            (Self::Choice { choices, .. }, Value::Text(value)) => choices.contains(value),
            (_, Value::Region(region)) => is_region(region),
            _ => true,
        }
    }

    /// The values at the ends of what is allowed: where a stage takes these, it takes all of them.
    fn extremes(&self) -> Vec<Value> {
        match self {
            Self::Float { min, max, .. } => vec![Value::Float(*min), Value::Float(*max)],
            Self::Int { min, max, .. } => vec![Value::Int(*min), Value::Int(*max)],
            Self::Bool { .. } => vec![Value::Bool(false), Value::Bool(true)],
            Self::Choice { choices, .. } => choices.iter().cloned().map(Value::Text).collect(),
            Self::Classes { .. } | Self::Region { .. } => vec![self.default()],
        }
    }

    /// Checks the declaration alone.
    fn check(&self, name: &str) -> Result<()> {
        let wrong = |why: &str| Err(Error::Parameter { name: name.to_owned(), why: why.to_owned() });
        let mut chars = name.chars();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if name.len() > MAX_PARAMETER_NAME_BYTES
            || !chars.next().is_some_and(|first| first.is_ascii_lowercase())
            || !chars.all(plain)
        {
            return wrong("a name is a letter a-z, then letters, digits, '_' and '-', at most 63 in all");
        }
        let text = self.description();
        if text.len() > MAX_PARAMETER_TEXT_BYTES || text.chars().any(char::is_control) {
            return wrong("a description has at most 1024 bytes and no control characters");
        }
        if let Self::Choice { choices, .. } = self
            && (choices.is_empty() || choices.len() > MAX_CHOICES)
        {
            return wrong("1 to 64 choices are expected");
        }
        let limits = match self {
            Self::Float { min, max, .. } => min.is_finite() && max.is_finite() && min <= max,
            Self::Int { min, max, .. } => min <= max,
            _ => true,
        };
        if !limits {
            return wrong("its min is not at most its max");
        }
        self.accept(name, &self.default()).map(|_| ())
    }
}

/// Sides in order, inside the picture, and something between them.
pub(crate) fn is_region([left, top, right, bottom]: &Region) -> bool {
    let inside = |from: f64, to: f64| (0.0..1.0).contains(&from) && from < to && to <= 1.0;
    inside(*left, *right) && inside(*top, *bottom)
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Bool(value) => value.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Classes(names) if names.is_empty() => f.write_str("all"),
            Self::Classes(names) => f.write_str(&names.join("; ")),
            Self::Region([left, top, right, bottom]) => write!(f, "{left},{top},{right},{bottom}"),
        }
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<String>> for Value {
    fn from(names: Vec<String>) -> Self {
        Self::Classes(names)
    }
}

impl From<Region> for Value {
    fn from(region: Region) -> Self {
        Self::Region(region)
    }
}

/// The parameters of a pipeline with the values in force: what stages are made with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    parameters: BTreeMap<String, Parameter>,
    values: BTreeMap<String, Value>,
}

/// A type that a stage's field may have.
pub(crate) trait FromValue: Clone {
    fn from_value(value: &Value) -> Option<Self>;
}

impl Settings {
    /// Every parameter at its default. `used` are the names that stages refer to.
    pub(crate) fn new(parameters: &BTreeMap<String, Parameter>, used: &[&str]) -> Result<Self> {
        if parameters.len() > MAX_PARAMETERS {
            let why = format!("{} are declared, at most {MAX_PARAMETERS} may be", parameters.len());
            return Err(Error::Parameter { name: "…".to_owned(), why });
        }
        for (name, parameter) in parameters {
            parameter.check(name)?;
            if !used.contains(&name.as_str()) {
                let why = "it is declared, but no stage takes it".to_owned();
                return Err(Error::Parameter { name: name.clone(), why });
            }
        }
        let values = parameters.iter().map(|(name, parameter)| (name.clone(), parameter.default()));
        Ok(Self { values: values.collect(), parameters: parameters.clone() })
    }

    /// No parameters.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self { parameters: BTreeMap::new(), values: BTreeMap::new() }
    }

    /// The same with one parameter set.
    pub(crate) fn set(&mut self, name: &str, value: &Value) -> Result<()> {
        let Some(parameter) = self.parameters.get(name) else {
            let known: Vec<&str> = self.parameters.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "it has none".to_owned() } else { known.join(", ") };
            return Err(Error::UnknownParameter { name: name.to_owned(), known });
        };
        self.values.insert(name.to_owned(), parameter.accept(name, value)?);
        Ok(())
    }

    pub(crate) fn values(&self) -> &BTreeMap<String, Value> {
        &self.values
    }

    /// What a field of a stage is now.
    pub(crate) fn get<T: FromValue>(&self, at: &str, field: &Settable<T>) -> Result<T> {
        match field {
            Settable::Fixed(value) => Ok(value.clone()),
            Settable::Parameter(Reference { parameter: name }) => {
                let value = self.values.get(name).ok_or_else(|| undeclared(at, name))?;
                T::from_value(value).ok_or_else(|| unsuitable(at, name, value))
            }
        }
    }

    /// What a field of a stage may become: each of these has to be checked.
    pub(crate) fn extremes<T: FromValue>(&self, at: &str, field: &Settable<T>) -> Result<Vec<T>> {
        match field {
            Settable::Fixed(value) => Ok(vec![value.clone()]),
            Settable::Parameter(Reference { parameter: name }) => {
                let parameter = self.parameters.get(name).ok_or_else(|| undeclared(at, name))?;
                let read = |value: Value| T::from_value(&value).ok_or_else(|| unsuitable(at, name, &value));
                parameter.extremes().into_iter().map(read).collect()
            }
        }
    }
}

fn undeclared(at: &str, name: &str) -> Error {
    Error::Parameter { name: name.to_owned(), why: format!("{at} takes it, but it is not declared") }
}

fn unsuitable(at: &str, name: &str, value: &Value) -> Error {
    Error::Parameter { name: name.to_owned(), why: format!("{at} cannot take {value}, which it may be") }
}

impl FromValue for f64 {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Float(value) = value { Some(*value) } else { None }
    }
}

impl FromValue for u32 {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Int(value) = value { Self::try_from(*value).ok() } else { None }
    }
}

impl FromValue for bool {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Bool(value) = value { Some(*value) } else { None }
    }
}

impl FromValue for Vec<String> {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Classes(names) = value { Some(names.clone()) } else { None }
    }
}

impl FromValue for Region {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Region(region) = value { Some(*region) } else { None }
    }
}

impl FromValue for Mode {
    fn from_value(value: &Value) -> Option<Self> {
        let Value::Text(word) = value else { return None };
        [Self::Bilinear, Self::Area, Self::Nearest].into_iter().find(|mode| mode.as_str() == word)
    }
}
