//! The licence gate: what may be offered, and what whoever offers it owes to those whose work is in it.
//!
//! A pure function of a signed manifest and a price. It knows the licences of `gate/conditions.rs`; what it does not know is never
//! sold. It is no legal advice.

mod conditions;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use spdx::expression::{ExprNode, Operator};
use spdx::{Expression, LicenseItem, LicenseReq};
use tilemark_bundle::{Manifest, Origin, OriginKind, Part, TermsKind};

use self::conditions::{Conditions, Source, carries};
use crate::error::{Error, Result};

/// What an app is offered for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Price {
    /// Nothing.
    #[default]
    Free,
    /// Money.
    Paid,
}

/// What the gate says of an offer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Ruling {
    /// Owed if it is offered.
    pub duties: Vec<Duty>,
    /// Why it may not be offered; empty if it may.
    pub reasons: Vec<String>,
}

/// Something owed to those whose work is in an app.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[non_exhaustive]
pub struct Duty {
    /// What is to be done.
    pub kind: DutyKind,
    /// For which part, under which licence.
    pub about: String,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DutyKind {
    /// Copyright notices and the licence's text go with it.
    Notices,
    /// Whoever gets it gets its source, under its licence.
    Source,
    /// So does whoever uses it over a network.
    NetworkSource,
    /// It goes out with something else, never by itself.
    NotAlone,
    /// Whoever gets it is told that it may not be used commercially.
    NoncommercialOnly,
    /// Whoever gets it is told what it may not be used for.
    RestrictedUse,
    /// Whoever gets it is told that nothing is known of its licence.
    Unknown,
}

/// Whose work a licence is about.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Role {
    /// The app as it is offered.
    Offer,
    /// A part of it.
    Own,
    /// What it was made from.
    Ancestor,
}

/// All that the gate looks at.
struct Gate<'a> {
    publisher: &'a str,
    license: Expression,
    restricted: bool,
    kind: OriginKind,
    price: Price,
}

/// What follows from one licence, or from several together.
#[derive(Clone, Default)]
struct Finding {
    duties: BTreeSet<Duty>,
    reasons: BTreeSet<String>,
}

/// Whether an app may be offered at a price, and what its publisher owes then.
#[must_use]
pub fn judge(manifest: &Manifest, price: Price) -> Ruling {
    rule(
        manifest.app.name.publisher(),
        &manifest.app.license,
        manifest.terms.kind == TermsKind::Licensed,
        manifest.origin.as_ref(),
        price,
    )
}

/// The ruling on an offer that may be made.
pub(crate) fn offered(manifest: &Manifest, price: Price) -> Result<Ruling> {
    let ruling = judge(manifest, price);
    if ruling.is_allowed() {
        return Ok(ruling);
    }
    let (app, price) = (manifest.app.name.to_string(), price.as_str());
    Err(Error::NotOffered { app, price, reasons: ruling.reasons })
}

fn rule(publisher: &str, license: &str, restricted: bool, origin: Option<&Origin>, price: Price) -> Ruling {
    let kind = origin.map_or(OriginKind::Application, |origin| origin.kind);
    // A manifest's licences were parsed when it was read.
    let Ok(parsed) = Expression::parse(license) else {
        return Ruling { duties: Vec::new(), reasons: vec![format!("{license}: no licence")] };
    };
    // Grants are sold elsewhere, whatever the store is told of the price.
    let price = if restricted { Price::Paid } else { price };
    let gate = Gate { publisher, license: parsed, restricted, kind, price };
    let mut all = gate.part("the app", Some(license), Part::Code, Role::Offer);
    match origin {
        None => all.and(gate.part("where it comes from", None, Part::Code, Role::Own)),
        Some(origin) => {
            for part in [Part::Code, Part::Weights, Part::Data] {
                all.and(gate.part(part.as_str(), origin.licenses().of(part), part, Role::Own));
            }
            for ancestor in &origin.derived_from {
                let licenses = ancestor.licenses();
                for part in [Part::Code, Part::Weights, Part::Data] {
                    if licenses.of(part).is_some() || ancestor.kind.parts().contains(&part) {
                        let about = format!("{} of {}", part.as_str(), ancestor.name);
                        all.and(gate.part(&about, licenses.of(part), part, Role::Ancestor));
                    }
                }
            }
        }
    }
    Ruling { duties: all.duties.into_iter().collect(), reasons: all.reasons.into_iter().collect() }
}

impl Gate<'_> {
    /// What follows from the licence of one part.
    fn part(&self, about: &str, license: Option<&str>, part: Part, role: Role) -> Finding {
        let Some(license) = license else { return self.unknown(&format!("{about}: no licence is stated")) };
        let Ok(expression) = Expression::parse(license) else {
            return self.unknown(&format!("{about} ({license})"));
        };
        // The expression comes in postfix order, and is one: the stack neither runs out nor keeps more than one.
        let mut stack: Vec<Finding> = Vec::new();
        for node in expression.iter() {
            let finding = match node {
                ExprNode::Req(found) => self.term(about, &found.req, part, role),
                ExprNode::Op(operator) => {
                    let (Some(right), Some(mut left)) = (stack.pop(), stack.pop()) else { break };
                    match operator {
                        Operator::And => left.and(right),
                        Operator::Or => left.or(right),
                    }
                    left
                }
            };
            stack.push(finding);
        }
        stack.pop().unwrap_or_else(|| self.unknown(&format!("{about} ({license})")))
    }

    /// What follows from one licence.
    fn term(&self, about: &str, req: &LicenseReq, part: Part, role: Role) -> Finding {
        let about = format!("{about} ({req})");
        let Some(asks) = Conditions::of(req) else {
            let ours = role != Role::Ancestor && is_of(self.publisher, req);
            return if ours { Finding::default() } else { self.unknown(&about) };
        };
        let mut finding = Finding::default();
        // What an app is offered under binds those who get it; its publisher owes nothing for it.
        if asks.notices && role != Role::Offer {
            finding.duty(DutyKind::Notices, &about);
        }
        if asks.noncommercial {
            match self.price {
                Price::Free => finding.duty(DutyKind::NoncommercialOnly, &about),
                Price::Paid => finding.reason(format!("{about} may not be used commercially")),
            }
        }
        if asks.no_derivatives && role == Role::Ancestor {
            finding.reason(format!("{about}: what is made from it may not be passed on"));
        }
        if asks.not_alone && role != Role::Offer {
            match (self.price, self.kind) {
                (Price::Free, _) => {}
                (Price::Paid, OriginKind::Application) => finding.duty(DutyKind::NotAlone, &about),
                (Price::Paid, kind) => {
                    let kind = kind.as_str();
                    finding
                        .reason(format!("{about} is sold inside an application only, and this is a {kind}"));
                }
            }
        }
        let spared = asks.spares_results && part == Part::Data;
        if asks.restricted_use && !spared {
            finding.duty(DutyKind::RestrictedUse, &about);
        }
        if asks.source == Source::Whole && !spared {
            self.whole(&mut finding, &about, req);
        }
        if asks.source != Source::No && !spared && role != Role::Offer {
            finding.duty(DutyKind::Source, &about);
            if asks.network {
                finding.duty(DutyKind::NetworkSource, &about);
            }
        }
        finding
    }

    /// What comes under a licence as a whole must be offered under it, without more restrictions.
    fn whole(&self, finding: &mut Finding, about: &str, req: &LicenseReq) {
        if !self.is_offered_under(req) {
            finding
                .reason(format!("{about} asks for the whole app under it, and the app is {}", self.license));
        } else if self.restricted {
            finding.reason(format!("{about} forbids what the app's terms add: encryption and grants"));
        }
    }

    /// Whether the app's licence is this one, and asks for nothing beside it. Whoever gets the app may choose between its licences, so
    /// each choice must do; where several hold at once, one has to carry the work, and none may add to what that one asks for.
    fn is_offered_under(&self, req: &LicenseReq) -> bool {
        let mut stack: Vec<(bool, bool)> = Vec::new();
        for node in self.license.iter() {
            let found = match node {
                ExprNode::Req(own) => {
                    let own = &own.req;
                    let adds_nothing = || Conditions::of(own).is_some_and(Conditions::is_permissive);
                    let carried = carries(own, req);
                    (carried, carried || carries(req, own) || adds_nothing())
                }
                ExprNode::Op(operator) => {
                    let (Some(b), Some(a)) = (stack.pop(), stack.pop()) else { return false };
                    match operator {
                        Operator::And => (a.0 || b.0, a.1 && b.1),
                        Operator::Or => (a.0 && b.0, a.1 && b.1),
                    }
                }
            };
            stack.push(found);
        }
        stack.pop() == Some((true, true))
    }

    fn unknown(&self, about: &str) -> Finding {
        let mut finding = Finding::default();
        match self.price {
            Price::Free => finding.duty(DutyKind::Unknown, about),
            Price::Paid => finding.reason(format!("{about}: not known, so not sold")),
        }
        finding
    }
}

/// Whether a licence is one of this publisher's own: `LicenseRef-acme.…` of acme. No publisher's name has a dot, so what is acme's is
/// not acme-labs's.
fn is_of(publisher: &str, req: &LicenseReq) -> bool {
    let LicenseItem::Other(named) = &req.license else { return false };
    let rest = named.lic_ref.strip_prefix(publisher);
    let own = named.doc_ref.is_none() && rest.is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'));
    own && req.addition.is_none()
}

impl Finding {
    fn duty(&mut self, kind: DutyKind, about: &str) {
        self.duties.insert(Duty { kind, about: about.to_owned() });
    }

    fn reason(&mut self, reason: String) {
        self.reasons.insert(reason);
    }

    /// Both hold.
    fn and(&mut self, other: Self) {
        self.duties.extend(other.duties);
        self.reasons.extend(other.reasons);
    }

    /// The publisher chooses: what may be offered, then what costs the fewest duties, then what is written first.
    fn or(&mut self, other: Self) {
        let cost = |finding: &Self| (finding.reasons.len(), finding.duties.len());
        if cost(&other) < cost(self) {
            *self = other;
        }
    }
}

impl Ruling {
    /// Whether it may be offered.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.reasons.is_empty()
    }

    /// `allow`, `duties` or `block`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match (self.reasons.is_empty(), self.duties.is_empty()) {
            (false, _) => "block",
            (true, false) => "duties",
            (true, true) => "allow",
        }
    }
}

impl Price {
    /// `free` or `paid`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Paid => "paid",
        }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl DutyKind {
    /// A word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notices => "notices",
            Self::Source => "source",
            Self::NetworkSource => "network-source",
            Self::NotAlone => "not-alone",
            Self::NoncommercialOnly => "noncommercial-only",
            Self::RestrictedUse => "restricted-use",
            Self::Unknown => "unknown",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Notices => "pass on its copyright notices and licence text",
            Self::Source => "pass on its source, or a written offer of it",
            Self::NetworkSource => "offer its source to those who use it over a network",
            Self::NotAlone => "pass it on inside this application alone, never by itself",
            Self::NoncommercialOnly => "tell whoever gets it that it may not be used commercially",
            Self::RestrictedUse => "tell whoever gets it what it may not be used for",
            Self::Unknown => "tell whoever gets it that nothing is known of its licence",
        }
    }
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.about, self.kind.sentence())
    }
}
