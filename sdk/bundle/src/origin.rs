//! Where an app comes from: the licences of its parts, and what each of them was made from.

use serde::{Deserialize, Serialize};

use crate::limits::{MAX_ANCESTORS, MAX_SHORT_TEXT_BYTES};
use crate::manifest::invalid;
use crate::{Digest, Error, Result};

/// What an app is made of, and under which licences; `[origin]` of `app.toml`. A licence that is not stated is not known.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Origin {
    /// What is offered.
    pub kind: OriginKind,
    /// The licence of what computes: pipeline, kernels, the description of the network. An SPDX expression, like the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// That of the trained numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// That of the data that they were trained with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Everything that it was made from, also what was made from something else in turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived_from: Vec<Ancestor>,
}

/// What is offered: some licences let a work be sold inside an application, but not by itself.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OriginKind {
    /// A model: tensors in, tensors out.
    Model,
    /// A part for apps of others.
    Component,
    /// Complete: from what a user has to what a user wants.
    Application,
}

/// What is stated of the parts of a work: SPDX expressions.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PartLicenses<'a> {
    /// Of what computes.
    pub code: Option<&'a str>,
    /// Of the trained numbers.
    pub weights: Option<&'a str>,
    /// Of the data that they were trained with.
    pub data: Option<&'a str>,
}

/// Something that an app was made from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Ancestor {
    /// What people call it, such as a package's name and version.
    pub name: String,
    /// What it is.
    pub kind: AncestorKind,
    /// SHA-256 of the file as it was taken; of a bundle its identity.
    pub sha256: Digest,
    /// The licence of what computes: pipeline, kernels, the description of the network. An SPDX expression, like the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// That of the trained numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// That of the data that they were trained with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

/// What an ancestor is, and so which licences it must state to be known.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AncestorKind {
    /// Weights, and the data behind them.
    Model,
    /// Data that something was trained with.
    Data,
    /// Code that became part of the app.
    Code,
}

/// A part of a work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Part {
    /// What computes.
    Code,
    /// Trained numbers.
    Weights,
    /// What they were trained with.
    Data,
}

impl Part {
    /// Its name in `app.toml`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Weights => "weights",
            Self::Data => "data",
        }
    }
}

impl OriginKind {
    /// Its name in `app.toml`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Component => "component",
            Self::Application => "application",
        }
    }
}

impl AncestorKind {
    /// The parts whose licences must be stated.
    #[must_use]
    pub fn parts(self) -> &'static [Part] {
        match self {
            Self::Model => &[Part::Weights, Part::Data],
            Self::Data => &[Part::Data],
            Self::Code => &[Part::Code],
        }
    }
}

impl<'a> PartLicenses<'a> {
    /// What is stated of a part.
    #[must_use]
    pub fn of(&self, part: Part) -> Option<&'a str> {
        match part {
            Part::Code => self.code,
            Part::Weights => self.weights,
            Part::Data => self.data,
        }
    }

    /// Every part that something is stated of.
    pub fn stated(self) -> impl Iterator<Item = (Part, &'a str)> {
        [Part::Code, Part::Weights, Part::Data]
            .into_iter()
            .filter_map(move |part| Some((part, self.of(part)?)))
    }

    fn check(self, of: &str) -> Result<()> {
        self.stated().try_for_each(|(part, text)| check_license(&format!("{of}.{}", part.as_str()), text))
    }

    fn owned(self) -> [Option<String>; 3] {
        [self.code, self.weights, self.data].map(|text| text.map(str::to_owned))
    }
}

impl Ancestor {
    /// An ancestor that states these licences.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        kind: AncestorKind,
        sha256: Digest,
        licenses: PartLicenses<'_>,
    ) -> Self {
        let [code, weights, data] = licenses.owned();
        Self { name: name.into(), kind, sha256, code, weights, data }
    }

    /// What is stated of its parts.
    #[must_use]
    pub fn licenses(&self) -> PartLicenses<'_> {
        let Self { code, weights, data, .. } = self;
        PartLicenses { code: code.as_deref(), weights: weights.as_deref(), data: data.as_deref() }
    }
}

impl Origin {
    /// An origin without ancestors.
    #[must_use]
    pub fn new(kind: OriginKind, licenses: PartLicenses<'_>) -> Self {
        let [code, weights, data] = licenses.owned();
        Self { kind, code, weights, data, derived_from: Vec::new() }
    }

    /// What is stated of its parts.
    #[must_use]
    pub fn licenses(&self) -> PartLicenses<'_> {
        let Self { code, weights, data, .. } = self;
        PartLicenses { code: code.as_deref(), weights: weights.as_deref(), data: data.as_deref() }
    }

    /// With one more ancestor.
    #[must_use]
    pub fn from(mut self, ancestor: Ancestor) -> Self {
        self.derived_from.push(ancestor);
        self
    }

    /// Whether everything stated is a licence and a name, and within limits.
    ///
    /// # Errors
    /// [`Error::InvalidValue`], which names the field; [`Error::TooMany`].
    pub fn check(&self) -> Result<()> {
        self.licenses().check("origin")?;
        let found = self.derived_from.len();
        if found > MAX_ANCESTORS {
            return Err(Error::TooMany { what: "ancestors", found, max: MAX_ANCESTORS });
        }
        for (index, ancestor) in self.derived_from.iter().enumerate() {
            let of = format!("origin.derived_from[{index}]");
            let name = &ancestor.name;
            if name.is_empty() || name.len() > MAX_SHORT_TEXT_BYTES || name.chars().any(char::is_control) {
                let expected = "1 to 256 bytes without control characters";
                return Err(invalid(&format!("{of}.name"), name, expected));
            }
            // The same file under two licences would be two claims about one thing.
            if self.derived_from.iter().take(index).any(|other| other.sha256 == ancestor.sha256) {
                let found = ancestor.sha256.to_string();
                return Err(invalid(&format!("{of}.sha256"), &found, "each ancestor once"));
            }
            ancestor.licenses().check(&of)?;
        }
        Ok(())
    }
}

/// An SPDX expression of a length that people write, on one line: the parser takes any white space.
pub(crate) fn check_license(field: &str, text: &str) -> Result<()> {
    let is_line = text.len() <= MAX_SHORT_TEXT_BYTES && !text.chars().any(char::is_control);
    if !is_line || spdx::Expression::parse(text).is_err() {
        return Err(invalid(field, text, "an SPDX expression such as Apache-2.0 OR MIT"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sha256;

    fn ancestor(n: usize) -> Ancestor {
        let licenses = PartLicenses { weights: Some("MIT"), data: Some("CC-BY-4.0"), code: None };
        Ancestor::new(format!("net {n}"), AncestorKind::Model, sha256(&n.to_le_bytes()), licenses)
    }

    fn origin() -> Origin {
        let licenses = PartLicenses {
            code: Some("Apache-2.0 OR MIT"),
            weights: Some("LicenseRef-acme-eula"),
            data: None,
        };
        Origin::new(OriginKind::Component, licenses).from(ancestor(0)).from(ancestor(1))
    }

    #[test]
    fn the_json_is_fixed() {
        let json = serde_json::to_string(&origin()).unwrap();
        let [first, second] = [0, 1].map(|n| ancestor(n).sha256.to_string());
        let expected = format!(
            r#"{{"kind":"component","code":"Apache-2.0 OR MIT","weights":"LicenseRef-acme-eula","derived_from":[{{"name":"net 0","kind":"model","sha256":"{first}","weights":"MIT","data":"CC-BY-4.0"}},{{"name":"net 1","kind":"model","sha256":"{second}","weights":"MIT","data":"CC-BY-4.0"}}]}}"#
        );
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<Origin>(&json).unwrap(), origin());
        origin().check().unwrap();
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Origin)) -> String {
        let mut origin = origin();
        change(&mut origin);
        match origin.check().unwrap_err() {
            Error::InvalidValue { field, .. } => field,
            other => other.to_string(),
        }
    }

    #[test]
    fn what_is_no_licence_no_name_or_twice_is_refused_by_its_field() {
        assert_eq!(refused(|o| o.data = Some("free".into())), "origin.data");
        assert_eq!(refused(|o| o.code = Some("MIT OR ".repeat(40) + "MIT")), "origin.code");
        assert_eq!(refused(|o| o.weights = Some(String::new())), "origin.weights");
        assert_eq!(refused(|o| o.code = Some("MIT OR\nApache-2.0".into())), "origin.code");
        let at = |field: &str| format!("origin.derived_from[1].{field}");
        assert_eq!(refused(|o| o.derived_from[1].weights = Some("GPL".into())), at("weights"));
        assert_eq!(refused(|o| o.derived_from[1].name.clear()), at("name"));
        assert_eq!(refused(|o| o.derived_from[1].name = "\u{1b}[2J".into()), at("name"));
        assert_eq!(refused(|o| o.derived_from[1].name = "x".repeat(257)), at("name"));
        assert_eq!(refused(|o| o.derived_from[1].sha256 = o.derived_from[0].sha256), at("sha256"));
        let many = refused(|o| o.derived_from = (0..=MAX_ANCESTORS).map(ancestor).collect());
        assert!(many.contains("65") && many.contains("64"), "{many}");
    }
}
