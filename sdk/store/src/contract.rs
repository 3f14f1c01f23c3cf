//! What an app does for whoever uses it, in types: what a listing promises beyond the facts of its manifest. It is derived from the
//! bundle when it is published, and signed by its publisher with the listing.

use serde::{Deserialize, Serialize};
use tilemark_bundle::{Digest, Envelope, PayloadType, PublicKey, SignatureCheck};

use crate::error::{Error, Result};
use crate::limits::{
    MAX_CONTRACT_TEXT_BYTES, MAX_PORTS, MAX_RANK, MAX_REPORT_BYTES, MAX_REPORTS, MAX_SPEEDS,
};

/// Task, ends, measured speed, and reports of an app.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// What goes in and what comes out: `image -> labels`. Several are joined by `+`.
    pub task: String,
    /// What a user gives.
    pub inputs: Vec<Port>,
    /// What a user gets.
    pub outputs: Vec<Port>,
    /// What its bitstreams are for; none of an app without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetFacts>,
    /// How long one run takes, by device class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub speeds: Vec<Speed>,
    /// Signed evaluations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<Report>,
}

/// One end of an app.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Of an element: `u8`, `f32`; or what a result is: `label`, `box`, `line`.
    #[serde(rename = "type")]
    pub dtype: String,
    /// Lengths of its axes; 0 where any length will do.
    pub shape: Vec<u64>,
    /// The least and the largest value, where integers bound it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[i64; 2]>,
    /// SHA-256 over the names of its classes, a line each: apps with the same one tell the same things apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Digest>,
}

/// What a bitstream was built for: it fits a device whose names contain both words, in small letters or capitals.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TargetFacts {
    /// The target, as the manifest has it.
    pub target: String,
    /// The platform's name.
    pub platform: String,
    /// The part's.
    pub part: String,
}

/// A measurement of the publisher's.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
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

const EVALUATION: PayloadType = PayloadType::new("application/vnd.tilemark.evaluation.v1+json");

/// The part of an evaluation that is looked at; newer ones may say more.
#[derive(Deserialize)]
struct Claim {
    identity: Digest,
    metric: String,
    whose: String,
    samples: u64,
    counts: Vec<Count>,
}

#[derive(Deserialize)]
struct Count {
    name: String,
    value: u64,
}

impl Contract {
    /// Whether it is within limits, and its reports are about this bundle; signatures by the publisher's keys have to hold.
    ///
    /// # Errors
    /// [`Error::Invalid`], which names the field.
    pub(crate) fn check(&self, identity: Digest, publisher: &[PublicKey]) -> Result<()> {
        text("task", &self.task)?;
        if !self.task.contains(" -> ") {
            return Err(Error::invalid("contract.task", "what goes in -> what comes out is expected"));
        }
        let most = |what: &str, found: usize, max: usize| match found <= max {
            true => Ok(()),
            false => Err(Error::invalid(format!("contract.{what}"), format!("{found}, at most {max}"))),
        };
        most("inputs", self.inputs.len(), MAX_PORTS)?;
        most("outputs", self.outputs.len(), MAX_PORTS)?;
        most("targets", self.targets.len(), MAX_PORTS)?;
        most("speeds", self.speeds.len(), MAX_SPEEDS)?;
        most("reports", self.reports.len(), MAX_REPORTS)?;
        for port in self.inputs.iter().chain(&self.outputs) {
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
        for facts in &self.targets {
            text("target", &facts.target)?;
            text("platform", &facts.platform)?;
            text("part", &facts.part)?;
        }
        for speed in &self.speeds {
            text("device", &speed.device)?;
            text("name", &speed.name)?;
            if self.speeds.iter().filter(|other| other.device == speed.device).count() > 1 {
                return Err(Error::invalid("contract.speeds", format!("{} is there twice", speed.device)));
            }
        }
        self.reports.iter().try_for_each(|report| report.read(identity, publisher).map(drop))
    }

    /// Whether an app of this contract can take another one's place: the same ends, and classes where those are named.
    #[must_use]
    pub fn is_equal_to(&self, other: &Self) -> bool {
        (&self.task, &self.inputs, &self.outputs) == (&other.task, &other.inputs, &other.outputs)
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
        let envelope = Envelope::parse(self.envelope.as_bytes(), EVALUATION)?;
        let checks = envelope.check(|id| publisher.iter().find(|key| key.id() == id));
        let known = |id| publisher.iter().any(|key| key.id() == id);
        if let Some((id, _)) =
            checks.iter().find(|(id, check)| known(*id) && !matches!(check, SignatureCheck::Holds))
        {
            return Err(invalid(format!("the signature by {id} does not hold")));
        }
        let claim: Claim = serde_json::from_slice(envelope.payload())
            .map_err(|error| invalid(crate::metadata::excerpt(&error.to_string())))?;
        if claim.identity != identity {
            return Err(invalid(format!("it is about the bundle {}, not {identity}", claim.identity)));
        }
        text("metric", &claim.metric)?;
        if !["buyer", "seller"].contains(&claim.whose.as_str()) {
            let whose = crate::metadata::excerpt(&claim.whose);
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
                .map(|count| format!("{} {}", crate::metadata::excerpt(&count.name), count.value))
                .collect(),
            by_publisher: !signers.is_empty(),
            signers,
            unchecked,
        })
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::attacks::shop::key;
    use tilemark_bundle::{SigningKey, json, sha256};

    pub(crate) fn contract() -> Contract {
        let port = |name: &str, dtype: &str, shape: &[u64]| Port {
            name: name.into(),
            dtype: dtype.into(),
            shape: shape.to_vec(),
            ..Port::default()
        };
        let image = Port { range: Some([0, 255]), ..port("image", "u8", &[0, 0, 3]) };
        let labels = Port { classes: Some(sha256(b"cat\ndog\n")), ..port("labels", "label", &[2]) };
        let speed = Speed { device: "host".into(), name: "a processor".into(), microseconds: 5300 };
        Contract {
            task: "image -> labels".into(),
            inputs: vec![image],
            outputs: vec![labels],
            targets: vec![],
            speeds: vec![speed],
            reports: vec![],
        }
    }

    fn report(identity: Digest, key: &SigningKey) -> Report {
        claimed(identity, "seller", key)
    }

    fn claimed(identity: Digest, whose: &str, key: &SigningKey) -> Report {
        let claim = serde_json::json!({ "schema": 1, "app": "acme/tagger", "identity": identity, "metric": "accuracy",
            "whose": whose, "samples": 10, "counts": [{ "name": "hits", "value": 9 }], "new": true });
        let payload = serde_json::to_vec(&claim).unwrap();
        Report::new(&Envelope::seal(EVALUATION, payload, &[key]).unwrap().to_json()).unwrap()
    }

    #[test]
    fn it_is_strict_json_without_fractions() {
        let text = serde_json::to_string(&contract()).unwrap();
        assert_eq!(json::from_slice::<Contract>("contract", text.as_bytes(), 4096).unwrap(), contract());
        assert!(text.contains(r#""type":"u8","shape":[0,0,3],"range":[0,255]"#), "{text}");
        let more = text.replacen("\"task\"", "\"tasks\":1,\"task\"", 1);
        assert!(json::from_slice::<Contract>("contract", more.as_bytes(), 4096).is_err());
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Contract)) -> String {
        let mut contract = contract();
        contract.check(sha256(b"bundle"), &[]).unwrap();
        change(&mut contract);
        contract.check(sha256(b"bundle"), &[]).unwrap_err().to_string()
    }

    #[test]
    fn what_a_terminal_or_the_index_could_not_take_is_refused() {
        assert!(refused(|c| c.task = "tagging".into()).starts_with("contract.task"));
        assert!(refused(|c| c.task = "image -> a\tb".into()).starts_with("contract.task"));
        assert!(refused(|c| c.inputs[0].name = "x".repeat(257)).starts_with("contract.name"));
        assert!(refused(|c| c.inputs[0].range = Some([1, 0])).starts_with("contract.range"));
        assert!(refused(|c| c.outputs[0].shape = vec![1; 9]).starts_with("contract.shape"));
        assert!(refused(|c| c.outputs = vec![c.outputs[0].clone(); 65]).starts_with("contract.outputs"));
        assert!(refused(|c| c.speeds.push(c.speeds[0].clone())).starts_with("contract.speeds"));
        assert!(refused(|c| c.speeds[0].name = "\u{1b}[2J".into()).starts_with("contract.name"));
    }

    #[test]
    fn a_report_about_another_bundle_is_not_attached() {
        let (acme, other) = (key(), key());
        let bundle = sha256(b"bundle");
        assert!(
            refused(|c| c.reports = vec![report(sha256(b"other"), &acme)]).contains("it is about the bundle")
        );
        assert!(refused(|c| c.reports = vec![Report { envelope: "{}".into() }]).len() > 10);
        assert!(refused(|c| c.reports = vec![report(bundle, &acme); 9]).starts_with("contract.reports"));

        let said = report(bundle, &acme).read(bundle, &[acme.public().clone()]).unwrap();
        assert_eq!((said.by_publisher, said.counts), (true, vec!["hits 9".to_owned()]));
        let said = report(bundle, &other).read(bundle, &[acme.public().clone()]).unwrap();
        assert!(!said.by_publisher && said.unchecked == [other.public().id().to_string()]);
    }

    /// An envelope in which somebody signed under the key id of somebody else.
    pub(crate) fn forged(identity: Digest, as_key: &SigningKey) -> Report {
        let mallory = key();
        let [from, to] = [&mallory, as_key].map(|key| key.public().id().to_string());
        Report { envelope: report(identity, &mallory).envelope.replace(&from, &to) }
    }

    #[test]
    fn a_lab_that_signed_nothing_is_not_named_as_a_signer() {
        let (acme, lab, bundle) = (key(), key(), sha256(b"bundle"));
        let publisher = [acme.public().clone()];
        let said = forged(bundle, &lab).read(bundle, &publisher).unwrap();
        assert_eq!((said.by_publisher, said.signers.len()), (false, 0));
        assert_eq!(said.unchecked, [lab.public().id().to_string()]);
        // Nor beside a signature that holds.
        let own = report(bundle, &acme);
        let mut both = Envelope::parse(own.envelope.as_bytes(), EVALUATION).unwrap();
        both.sign(&lab).unwrap();
        let said = Report::new(&both.to_json()).unwrap().read(bundle, &publisher).unwrap();
        assert!(said.by_publisher && said.signers == [acme.public().id().to_string()], "{said:?}");
        assert_eq!(said.unchecked, [lab.public().id().to_string()]);
    }

    #[test]
    fn data_that_is_said_to_be_somebody_elses() {
        let (acme, bundle) = (key(), sha256(b"bundle"));
        let read = |whose: &str| claimed(bundle, whose, &acme).read(bundle, &[]).map(|said| said.whose);
        assert_eq!(read("buyer").unwrap(), "buyer");
        for whose in ["unsaid", "", "Buyer", "independent laboratory", "buyer\nprice free"] {
            assert!(read(whose).unwrap_err().to_string().contains("buyer or seller"), "{whose:?}");
        }
    }

    #[test]
    fn an_edited_report_under_the_publishers_signature_is_refused() {
        let (acme, bundle) = (key(), sha256(b"bundle"));
        let error = forged(bundle, &acme).read(bundle, &[acme.public().clone()]).unwrap_err();
        assert!(error.to_string().contains("does not hold"), "{error}");
    }

    #[test]
    fn speed_and_reports_do_not_keep_an_app_from_taking_anothers_place() {
        let slow = Contract { speeds: vec![], ..contract() };
        assert!(contract().is_equal_to(&slow));
        let mut other = contract();
        other.outputs[0].classes = Some(sha256(b"cat\nbird\n"));
        assert!(!contract().is_equal_to(&other));
    }
}
