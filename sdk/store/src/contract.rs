//! What an app does for whoever uses it, in types: what a listing promises beyond the facts of its manifest. It is derived from the
//! bundle when it is published, and signed by its publisher with the listing.
//!
//! A reader ignores fields that it does not know, so a newer SDK may say more about an app. What would have an older reader believe
//! something wrong has another [`schema`](Contract::schema), and an older reader takes such a contract for none.

#[cfg(test)]
pub(crate) mod tests;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use tilemark_bundle::{AppContract, Count, Digest, Envelope, PayloadType, PublicKey, SignatureCheck};

use crate::error::{Error, Result};
use crate::limits::{
    MAX_CONTRACT_TEXT_BYTES, MAX_PORTS, MAX_RANK, MAX_REPORT_BYTES, MAX_REPORTS, MAX_SPEEDS,
};

/// Task, ends, measured speed, and reports of an app.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Contract {
    /// The version of this document's form; 1 is not written.
    #[serde(default = "first_schema", skip_serializing_if = "is_first_schema")]
    pub schema: u64,
    /// What it does: fields of this document itself.
    #[serde(flatten)]
    pub app: AppContract,
    /// How long one run takes, by device class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub speeds: Vec<Speed>,
    /// Signed evaluations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<Report>,
}

/// A measurement of the publisher's.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Speed {
    /// The device class: `host`, `gpu`, or the name of a target.
    pub device: String,
    /// The hardware.
    pub name: String,
    /// The median of one run, with all stages.
    pub microseconds: u64,
}

/// An evaluation that somebody signed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Report {
    /// The DSSE envelope, as `tilemark eval --report` writes it.
    pub envelope: String,
}

/// What a report says, for people who look for an app. Whether to believe it is told by who signed it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Reported {
    /// What was measured.
    pub metric: String,
    /// Whose data it was: `buyer` or `seller`.
    pub whose: String,
    /// How many samples.
    pub samples: u64,
    /// The integers that the metric follows from, as `name value`.
    pub counts: Vec<String>,
    /// Whether one of the publisher's keys signed it; else it is said to be somebody else's, whom this store does not know.
    pub by_publisher: bool,
    /// Keys that signed it: their signatures were checked, and hold.
    pub signers: Vec<String>,
    /// Keys that are said to have signed it; nobody checked that, and anybody can say so.
    pub unchecked: Vec<String>,
}

/// The part of an evaluation that is looked at; newer ones may say more.
#[derive(Deserialize)]
struct Claim {
    identity: Digest,
    metric: String,
    whose: String,
    samples: u64,
    counts: Vec<Count>,
}

const SCHEMA: u64 = 1;

fn first_schema() -> u64 {
    SCHEMA
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_first_schema(schema: &u64) -> bool {
    *schema == SCHEMA
}

/// The contract of a listing, if it has one of a form that is known here.
pub(crate) fn readable<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Contract>, D::Error> {
    let Some(value) = Option::<Value>::deserialize(from)? else { return Ok(None) };
    let newer = value.get("schema").and_then(Value::as_u64).is_some_and(|schema| schema > SCHEMA);
    if newer { Ok(None) } else { serde_json::from_value(value).map_err(serde::de::Error::custom) }
}

impl Default for Contract {
    /// Nothing is said.
    fn default() -> Self {
        Self { schema: SCHEMA, app: AppContract::default(), speeds: Vec::new(), reports: Vec::new() }
    }
}

impl Contract {
    /// Whether it is within limits, about targets that the bundle ships, and its reports about this bundle; signatures by the
    /// publisher's keys have to hold.
    ///
    /// # Errors
    /// [`Error::Invalid`], which names the field.
    pub(crate) fn check(&self, identity: Digest, ships: &[String], publisher: &[PublicKey]) -> Result<()> {
        if self.schema != SCHEMA {
            return Err(Error::invalid("contract.schema", format!("{}, expected {SCHEMA}", self.schema)));
        }
        let AppContract { task, inputs, outputs, targets } = &self.app;
        text("task", task)?;
        if !task.contains(" -> ") {
            return Err(Error::invalid("contract.task", "what goes in -> what comes out is expected"));
        }
        let most = |what: &str, found: usize, max: usize| match found <= max {
            true => Ok(()),
            false => Err(Error::invalid(format!("contract.{what}"), format!("{found}, at most {max}"))),
        };
        most("inputs", inputs.len(), MAX_PORTS)?;
        most("outputs", outputs.len(), MAX_PORTS)?;
        most("targets", targets.len(), MAX_PORTS)?;
        most("speeds", self.speeds.len(), MAX_SPEEDS)?;
        most("reports", self.reports.len(), MAX_REPORTS)?;
        for port in inputs.iter().chain(outputs) {
            text("name", &port.name)?;
            text("type", &port.dtype)?;
            most("shape", port.shape.len(), MAX_RANK)?;
            if port.range.is_some_and(|[least, most]| least > most) {
                return Err(Error::invalid(
                    "contract.range",
                    format!("the least of {} is more than the most", port.name),
                ));
            }
        }
        for facts in targets {
            text("target", &facts.target)?;
            text("platform", &facts.platform)?;
            text("part", &facts.part)?;
            shipped("targets", &facts.target, ships)?;
        }
        for speed in &self.speeds {
            text("device", &speed.device)?;
            text("name", &speed.name)?;
            shipped("speeds", target_of(&speed.device), ships)?;
            if self.speeds.iter().filter(|other| other.device == speed.device).count() > 1 {
                return Err(Error::invalid("contract.speeds", format!("{} is there twice", speed.device)));
            }
        }
        self.reports.iter().try_for_each(|report| report.read(identity, publisher).map(drop))
    }

    /// What was said of the same bundle before and is not said anew: its reports, and how fast it is elsewhere.
    pub(crate) fn keep(&mut self, before: &Self) {
        let (speeds, reports) = (self.speeds.clone(), std::mem::take(&mut self.reports));
        let again = |speed: &&Speed| speeds.iter().any(|new| new.device == speed.device);
        self.speeds.extend(before.speeds.iter().filter(|speed| !again(speed)).cloned());
        self.reports.clone_from(&before.reports);
        self.reports.extend(reports.into_iter().filter(|report| !before.reports.contains(report)));
    }
}

impl Report {
    /// An envelope's JSON.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is no text, or too long.
    pub fn new(envelope: &[u8]) -> Result<Self> {
        let invalid = |reason: String| Error::invalid("report", reason);
        if envelope.len() > MAX_REPORT_BYTES {
            return Err(invalid(format!("{} bytes, at most {MAX_REPORT_BYTES}", envelope.len())));
        }
        let envelope = std::str::from_utf8(envelope).map_err(|error| invalid(error.to_string()))?;
        Ok(Self { envelope: envelope.trim().to_owned() })
    }

    /// What it says of a bundle, and who signed it as far as that can be told: the publisher's keys are known here, no others.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is no evaluation, about another bundle, or a signature of a known key does not hold.
    pub(crate) fn read(&self, identity: Digest, publisher: &[PublicKey]) -> Result<Reported> {
        let invalid = |reason: String| Error::invalid("report", reason);
        if self.envelope.len() > MAX_REPORT_BYTES {
            return Err(invalid(format!("{} bytes, at most {MAX_REPORT_BYTES}", self.envelope.len())));
        }
        let envelope = Envelope::parse(self.envelope.as_bytes(), PayloadType::EVALUATION)?;
        let checks = envelope.check(|id| publisher.iter().find(|key| key.id() == id));
        let known = |id| publisher.iter().any(|key| key.id() == id);
        if let Some((id, _)) =
            checks.iter().find(|(id, check)| known(*id) && !matches!(check, SignatureCheck::Holds))
        {
            return Err(invalid(format!("the signature by {id} does not hold")));
        }
        let claim: Claim = serde_json::from_slice(envelope.payload())
            .map_err(|error| invalid(tilemark_bundle::text::excerpt(&error.to_string())))?;
        if claim.identity != identity {
            return Err(invalid(format!("it is about the bundle {}, not {identity}", claim.identity)));
        }
        text("metric", &claim.metric)?;
        claim.counts.iter().try_for_each(|count| text("counts", &count.name))?;
        if !["buyer", "seller"].contains(&claim.whose.as_str()) {
            let whose = tilemark_bundle::text::excerpt(&claim.whose);
            return Err(invalid(format!("it is of the data of {whose}, expected buyer or seller")));
        }
        let counts = claim.counts.iter().take(MAX_PORTS);
        let keys = |wanted: SignatureCheck| -> Vec<String> {
            checks.iter().filter(|(_, check)| *check == wanted).map(|(id, _)| id.to_string()).collect()
        };
        let (signers, unchecked) = (keys(SignatureCheck::Holds), keys(SignatureCheck::UnknownKey));
        Ok(Reported {
            metric: claim.metric,
            whose: claim.whose,
            samples: claim.samples,
            counts: counts
                .map(|count| format!("{} {}", tilemark_bundle::text::excerpt(&count.name), count.value))
                .collect(),
            by_publisher: !signers.is_empty(),
            signers,
            unchecked,
        })
    }
}

/// The target that runs on a device of this class: kernels are built from source for whatever is no FPGA.
fn target_of(class: &str) -> &str {
    if class.starts_with("opencl-") { HOST } else { class }
}

const HOST: &str = "host";

fn shipped(field: &str, target: &str, ships: &[String]) -> Result<()> {
    match ships.iter().any(|shipped| shipped == target) {
        true => Ok(()),
        false => Err(Error::invalid(
            format!("contract.{field}"),
            format!("{target:?} is none of the targets that the bundle ships: {}", ships.join(", ")),
        )),
    }
}

/// Words that end up on terminals and in one line of the index.
fn text(field: &str, text: &str) -> Result<()> {
    if text.is_empty() || text.len() > MAX_CONTRACT_TEXT_BYTES || text.chars().any(char::is_control) {
        let expected =
            format!("1 to {MAX_CONTRACT_TEXT_BYTES} bytes without control characters are expected");
        return Err(Error::invalid(format!("contract.{field}"), expected));
    }
    Ok(())
}
