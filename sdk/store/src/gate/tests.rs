use tilemark_bundle::{Ancestor, AncestorKind, Origin, OriginKind, PartLicenses, sha256};

use super::*;

const PAGE: &str = include_str!("../../../../docs/store.md");

/// A row of the page's table of known answers.
#[derive(Clone, Debug)]
struct Case {
    line: String,
    license: String,
    restricted: bool,
    origin: Option<Origin>,
    price: Price,
    ruling: String,
    because: String,
}

impl Case {
    fn parse(line: &str) -> Self {
        let cells: Vec<&str> =
            line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [kind, price, terms, license, parts, from, ruling, because] = cells[..] else {
            panic!("{line}: {} cells", cells.len())
        };
        let kind = match kind {
            "model" => Some(OriginKind::Model),
            "component" => Some(OriginKind::Component),
            "application" => Some(OriginKind::Application),
            "not stated" => None,
            other => panic!("{line}: {other}"),
        };
        let origin = kind.map(|kind| {
            let [code, weights, data] = stated(parts);
            let origin = Origin::new(kind, PartLicenses { code, weights, data });
            let from = from.split(';').map(str::trim).filter(|from| *from != "–");
            from.enumerate().fold(origin, |origin, (n, from)| origin.from(ancestor(n, from)))
        });
        let price = match price {
            "free" => Price::Free,
            "paid" => Price::Paid,
            other => panic!("{line}: {other}"),
        };
        assert!(["free", "licensed"].contains(&terms), "{line}");
        Self {
            line: line.to_owned(),
            license: license.to_owned(),
            restricted: terms == "licensed",
            origin,
            price,
            ruling: ruling.to_owned(),
            because: because.to_owned(),
        }
    }

    fn judge(&self) -> Ruling {
        rule("acme", &self.license, self.restricted, self.origin.as_ref(), self.price)
    }
}

fn stated<const N: usize>(cell: &str) -> [Option<&str>; N] {
    let parts: Vec<_> = cell.split(" / ").map(|part| (part != "–").then_some(part)).collect();
    parts.try_into().unwrap_or_else(|_| panic!("{cell}: {N} licences are expected"))
}

fn ancestor(n: usize, cell: &str) -> Ancestor {
    let (word, rest) = cell.split_once(' ').unwrap();
    let (kind, licenses) = match word {
        "model" => {
            let [weights, data] = stated(rest);
            (AncestorKind::Model, PartLicenses { weights, data, code: None })
        }
        "data" => (AncestorKind::Data, PartLicenses { data: Some(rest), ..PartLicenses::default() }),
        "code" => (AncestorKind::Code, PartLicenses { code: Some(rest), ..PartLicenses::default() }),
        other => panic!("{cell}: {other}"),
    };
    Ancestor::new(format!("ancestor {n}"), kind, sha256(&[n as u8]), licenses)
}

fn table() -> Vec<Case> {
    let (_, rest) = PAGE.split_once("### Known answers").expect("the table is there");
    let lines = rest.lines().skip_while(|line| !line.starts_with("|---"));
    lines.skip(1).take_while(|line| line.starts_with('|')).map(Case::parse).collect()
}

#[test]
fn the_known_answers_of_the_page_are_what_the_gate_says() {
    let table = table();
    assert!(table.len() >= 24, "{} rows", table.len());
    for word in ["allow", "duties", "block"] {
        assert!(table.iter().any(|case| case.ruling == word), "no row says {word}");
    }
    for case in &table {
        let found = case.judge();
        assert_eq!(found.word(), case.ruling, "{}\n{found:?}", case.line);
        match found.word() {
            "block" => {
                assert!(
                    found.reasons.iter().any(|reason| reason.contains(&case.because)),
                    "{}\n{:?}",
                    case.line,
                    found.reasons
                );
            }
            "duties" => {
                let words: BTreeSet<&str> = found.duties.iter().map(|duty| duty.kind.as_str()).collect();
                let expected: BTreeSet<&str> = case.because.split(", ").collect();
                assert_eq!(words, expected, "{}\n{:?}", case.line, found.duties);
            }
            _ => assert_eq!(case.because, "–", "{}", case.line),
        }
    }
}

/// Every licence that some ancestor of an allowed sale states, exchanged for one that forbids it.
#[test]
fn one_ancestor_under_agpl_or_a_noncommercial_licence_flips_the_gate() {
    let sold = table().into_iter().filter(|case| case.price == Price::Paid && case.judge().is_allowed());
    let mut flipped = 0;
    for case in sold {
        for part in ancestors(&case) {
            for other in
                ["AGPL-3.0-only", "CC-BY-NC-4.0", "PolyForm-Noncommercial-1.0.0", "LicenseRef-research-only"]
            {
                if case.license.contains("AGPL") && other.contains("AGPL") {
                    continue; // an app under the same licence carries it
                }
                let mut changed = case.clone();
                *licenses(&mut changed)[part] = Some(other.into());
                assert_eq!(changed.judge().word(), "block", "{} with {other} at {part}", case.line);
                flipped += 1;
            }
        }
    }
    assert!(flipped >= 40, "{flipped} flips");
}

/// What is stated of ancestors, by its place among [`licenses`].
fn ancestors(case: &Case) -> Vec<usize> {
    let mut case = case.clone();
    (0..).zip(licenses(&mut case)).filter(|(_, license)| license.is_some()).map(|(at, _)| at).collect()
}

fn licenses(case: &mut Case) -> Vec<&mut Option<String>> {
    let ancestors = case.origin.iter_mut().flat_map(|origin| &mut origin.derived_from);
    ancestors.flat_map(|ancestor| [&mut ancestor.code, &mut ancestor.weights, &mut ancestor.data]).collect()
}

#[test]
fn a_licence_that_an_ancestor_no_longer_states_stops_a_sale() {
    for case in table().into_iter().filter(|case| case.price == Price::Paid && case.judge().is_allowed()) {
        for part in ancestors(&case) {
            let mut changed = case.clone();
            *licenses(&mut changed)[part] = None;
            assert_eq!(changed.judge().word(), "block", "{} without {part}", case.line);
        }
    }
}

#[test]
fn whatever_may_be_sold_may_be_given_away() {
    for case in table().into_iter().filter(|case| case.price == Price::Paid && case.judge().is_allowed()) {
        let free = Case { price: Price::Free, ..case };
        assert!(free.judge().is_allowed(), "{}", free.line);
    }
}

#[test]
fn what_is_owed_names_the_part_and_its_licence() {
    let licenses = PartLicenses { code: Some("MIT"), weights: Some("CC0-1.0"), data: Some("CC0-1.0") };
    let origin = Origin::new(OriginKind::Model, licenses).from(ancestor(3, "code MPL-2.0"));
    let ruling = rule("acme", "LicenseRef-acme.eula", true, Some(&origin), Price::Paid);
    let texts: Vec<String> = ruling.duties.iter().map(Duty::to_string).collect();
    assert_eq!(
        texts,
        [
            "code (MIT): pass on its copyright notices and licence text",
            "code of ancestor 3 (MPL-2.0): pass on its copyright notices and licence text",
            "code of ancestor 3 (MPL-2.0): pass on its source, or a written offer of it",
        ]
    );
}

#[test]
fn a_licence_of_somebody_elses_own_is_not_known() {
    let licenses = PartLicenses { code: Some("CC0-1.0"), weights: Some("CC0-1.0"), data: Some("CC0-1.0") };
    let origin = Origin::new(OriginKind::Model, licenses);
    let sold = |license| rule("acme", license, false, Some(&origin), Price::Paid).is_allowed();
    assert!(sold("LicenseRef-acme.eula") && sold("MIT OR LicenseRef-zeta"));
    for other in [
        "LicenseRef-acme",
        "LicenseRef-acmeeula",
        "LicenseRef-acme.",
        "LicenseRef-acme-eula",
        "LicenseRef-acme-labs",
        "LicenseRef-acme-labs.eula",
        "LicenseRef-acme.eula WITH AdditionRef-zeta",
        "DocumentRef-x:LicenseRef-acme.eula",
    ] {
        assert!(!sold(other), "{other}");
    }
}
