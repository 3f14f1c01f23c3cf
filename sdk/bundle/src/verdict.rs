use std::fmt;

use serde::Serialize;

/// What one fact of a verdict claims; in the order in which they are looked at.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FactKind {
    /// Header, envelope and lengths are canonical.
    WellFormed,
    /// One signature in the envelope; one fact each.
    Signature,
    /// Neither the bundle nor every key that signed it is revoked.
    NotRevoked,
    /// The signed payload is a valid manifest.
    ManifestValid,
    /// The signers may sign for the app's publisher.
    PublisherAllowed,
    /// As many different keys of the publisher signed as the policy asks for.
    Threshold,
    /// The app does not need a newer SDK.
    SdkNewEnough,
    /// This machine has accepted no newer release of the app.
    NotRolledBack,
    /// Every blob equals its SHA-256 and every gap is zero.
    BlobsIntact,
    /// The release was recorded, so that an older one will be refused.
    FloorRecorded,
    /// A grant for this device covers the bundle.
    Entitled,
    /// The device key is bound to hardware; else it is a file, and the evidence says `software`.
    DeviceBound,
    /// Clock and usage records go on from where they were.
    StateContinuous,
    /// The newest revocation list is not older than the terms ask for.
    Fresh,
    /// Every decrypted blob equals the SHA-256 of its plaintext.
    PlaintextIntact,
    /// What an integrator may set, and within which range, is under the signature; only where there is something.
    ParametersSigned,
    /// One of the app's bitstreams is for an FPGA of this machine; only where it ships some.
    TargetFits,
    /// The golden vectors gave the recorded outputs on this device.
    GoldenReplayed,
}

impl fmt::Display for FactKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WellFormed => "well-formed",
            Self::Signature => "signature",
            Self::NotRevoked => "not-revoked",
            Self::ManifestValid => "manifest-valid",
            Self::PublisherAllowed => "publisher-allowed",
            Self::Threshold => "threshold",
            Self::SdkNewEnough => "sdk-new-enough",
            Self::NotRolledBack => "not-rolled-back",
            Self::BlobsIntact => "blobs-intact",
            Self::FloorRecorded => "floor-recorded",
            Self::Entitled => "entitled",
            Self::DeviceBound => "device-bound",
            Self::StateContinuous => "state-continuous",
            Self::Fresh => "fresh",
            Self::PlaintextIntact => "plaintext-intact",
            Self::ParametersSigned => "parameters-signed",
            Self::TargetFits => "target-fits",
            Self::GoldenReplayed => "golden-replayed",
        })
    }
}

/// One thing that verification looked at.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Fact {
    /// The claim.
    pub fact: FactKind,
    /// Whether the claim was established. Where it was not, the evidence says whether it was refuted or not checked.
    pub holds: bool,
    /// What was seen.
    pub evidence: String,
}

/// The facts that verification found, in the order in which it looked; never one boolean.
///
/// A refused bundle has a verdict too: its last fact is the one that failed.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Verdict {
    facts: Vec<Fact>,
}

impl Verdict {
    /// Every fact, in order.
    #[must_use]
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The first fact of this kind.
    #[must_use]
    pub fn get(&self, kind: FactKind) -> Option<&Fact> {
        self.facts.iter().find(|fact| fact.fact == kind)
    }

    /// Whether there is a fact of this kind and every one of them holds.
    #[must_use]
    pub fn holds(&self, kind: FactKind) -> bool {
        let mut of_kind = self.facts.iter().filter(|fact| fact.fact == kind).peekable();
        of_kind.peek().is_some() && of_kind.all(|fact| fact.holds)
    }

    /// Adds a fact.
    pub fn push(&mut self, fact: Fact) {
        self.facts.push(fact);
    }

    /// Replaces the facts of this kind by one, at the place of the first; where there was none, before those that are looked at
    /// later.
    pub fn set(&mut self, kind: FactKind, holds: bool, evidence: impl Into<String>) {
        let at = |found: &dyn Fn(FactKind) -> bool| self.facts.iter().position(|fact| found(fact.fact));
        let place = at(&|fact| fact == kind).or_else(|| at(&|fact| fact > kind)).unwrap_or(self.facts.len());
        self.facts.retain(|fact| fact.fact != kind);
        self.facts.insert(place, Fact { fact: kind, holds, evidence: evidence.into() });
    }

    pub(crate) fn note(&mut self, kind: FactKind, holds: bool, evidence: impl Into<String>) {
        self.facts.push(Fact { fact: kind, holds, evidence: evidence.into() });
    }
}

impl fmt::Display for Verdict {
    /// One line a fact: `holds  signature  ed25519 key 3f…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Fact { fact, holds, evidence } in &self.facts {
            let word = if *holds { "holds" } else { "-" };
            writeln!(f, "{word:<6} {:<18} {evidence}", fact.to_string())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_holds_only_when_all_of_its_facts_do() {
        let mut verdict = Verdict::default();
        assert!(!verdict.holds(FactKind::Signature));
        verdict.note(FactKind::Signature, true, "a");
        assert!(verdict.holds(FactKind::Signature));
        verdict.note(FactKind::Signature, false, "b");
        assert!(!verdict.holds(FactKind::Signature));
        verdict.note(FactKind::BlobsIntact, true, "c");
        verdict.set(FactKind::Signature, true, "d");
        verdict.set(FactKind::GoldenReplayed, false, "not run");
        let seen: Vec<_> = verdict.facts().iter().map(|fact| fact.evidence.as_str()).collect();
        assert_eq!(seen, ["d", "c", "not run"]);
    }

    #[test]
    fn json_and_text_use_the_same_words() {
        let mut verdict = Verdict::default();
        verdict.note(FactKind::NotRolledBack, false, "not asked");
        let json = serde_json::to_string(&verdict).unwrap();
        assert_eq!(json, r#"[{"fact":"not-rolled-back","holds":false,"evidence":"not asked"}]"#);
        assert_eq!(verdict.to_string(), "-      not-rolled-back    not asked\n");
    }
}
