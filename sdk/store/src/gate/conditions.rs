//! What a licence asks of whoever passes a work on, as far as a store has to know it.

use spdx::{LicenseItem, LicenseReq};

/// The conditions of one licence, for a work that becomes part of another one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Conditions {
    /// Copyright notices and the licence's text go with it.
    pub(super) notices: bool,
    pub(super) source: Source,
    /// Its source is owed to those who use it over a network, too.
    pub(super) network: bool,
    /// It may be sold inside something, not by itself.
    pub(super) not_alone: bool,
    pub(super) noncommercial: bool,
    /// Something may not be done with it: it is for some fields of use, or not for others.
    pub(super) restricted_use: bool,
    /// What is made from it may not be passed on.
    pub(super) no_derivatives: bool,
    /// Its conditions do not reach what was trained with it, by its own words.
    pub(super) spares_results: bool,
}

/// What else comes under the licence.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Source {
    /// Nothing.
    #[default]
    No,
    /// The work itself, and changes to it.
    Part,
    /// Whatever it becomes part of.
    Whole,
}

/// Nothing is asked.
const WAIVED: [&str; 8] =
    ["0BSD", "CC0-1.0", "CC-PDDC", "DL-DE-ZERO-2.0", "MIT-0", "PDDL-1.0", "Unlicense", "WTFPL"];
/// Notices alone: by family, up to the version. What is in no list is not known, however free it may be.
#[rustfmt::skip]
const NOTICES: [&str; 34] = [
    "AFL", "Apache", "BSD", "BSL", "BlueOak", "C-UDA", "CDLA-Permissive", "DL-DE-BY", "ECL", "FTL", "HPND",
    "ICU", "IJG", "ISC", "MIT", "MulanPSL", "NCSA", "O-UDA", "ODC-By", "OGL-UK", "PSF", "PostgreSQL", "Python",
    "UPL", "Unicode", "Unicode-DFS", "W3C", "X11", "Zlib", "curl", "etalab", "libpng", "libtiff", "zlib-acknowledgement",
];
/// Sold inside other works only: OFL-1.1 "may be sold by itself" not; Artistic-1.0 and Bitstream Vera say the like.
const NOT_ALONE: [&str; 7] = [
    "Artistic-1.0",
    "Artistic-1.0-cl8",
    "Artistic-1.0-Perl",
    "Bitstream-Vera",
    "OFL-1.0",
    "OFL-1.1",
    "Ubuntu-font-1.0",
];
/// Families, up to the version.
const PART: [&str; 8] = ["CDDL", "CECILL-C", "CPL", "EPL", "LGPL", "MPL", "MS-PL", "MS-RL"];
const WHOLE: [&str; 6] = ["CECILL", "EUPL", "GFDL", "GPL", "QPL", "Sleepycat"];
const NETWORK: [&str; 4] = ["AGPL", "CAL", "OSL", "RPL"];
/// For some uses, or not for others: by name, since their families are free.
const RESTRICTED_USE: [&str; 4] = [
    "BSD-3-Clause-No-Military-License",
    "BSD-3-Clause-No-Nuclear-License",
    "BSD-3-Clause-No-Nuclear-License-2014",
    "C-UDA-1.0",
];
/// Of a family that asks for notices alone, and with terms of its own that no rule here is about.
const UNKNOWN: [&str; 1] = ["BSD-3-Clause-OpenWebUI"];
/// What is linked with a GPL work under these may have any licence.
const LINKING: [&str; 6] = [
    "Classpath-exception-2.0",
    "GCC-exception-2.0",
    "GCC-exception-3.1",
    "GPL-3.0-linking-exception",
    "LGPL-3.0-linking-exception",
    "Linux-syscall-note",
];
/// These permit more than the licence, but nothing that an app is about: what tools write, fonts in documents, other libraries.
const PERMITTING: [&str; 10] = [
    "Autoconf-exception-2.0",
    "Autoconf-exception-3.0",
    "Bison-exception-1.24",
    "Bison-exception-2.2",
    "Font-exception-2.0",
    "GPL-CC-1.0",
    "LLVM-exception",
    "Libtool-exception",
    "Swift-exception",
    "Texinfo-exception",
];

impl Conditions {
    /// Those of a licence; none if they are not known: one of somebody's own, one that is in none of these lists, or one `WITH` an
    /// addition that is not, which may say anything.
    pub(super) fn of(req: &LicenseReq) -> Option<Self> {
        let LicenseItem::Spdx { id, .. } = &req.license else { return None };
        let known = Self::of_name(id.name)?;
        match exception(req)? {
            None => Some(known),
            Some(name) if PERMITTING.contains(&name) => Some(known),
            Some(_) if matches!(family(id.name), "GPL" | "AGPL") => {
                Some(Self { source: Source::Part, ..known })
            }
            Some(_) if family(id.name) == "LGPL" => Some(known),
            Some(_) => None,
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        let notices = Self { notices: true, ..Self::default() };
        if WAIVED.contains(&name) {
            return Some(Self::default());
        }
        if name.starts_with("CC-BY") {
            return Some(Self::of_creative_commons(name));
        }
        if NOT_ALONE.contains(&name) {
            return Some(Self { not_alone: true, ..notices });
        }
        if RESTRICTED_USE.contains(&name) {
            // C-UDA is about data, and leaves alone what is computed from it.
            return Some(Self { restricted_use: true, spares_results: name == "C-UDA-1.0", ..notices });
        }
        match family(name) {
            _ if UNKNOWN.contains(&name) => None,
            "CDLA-Sharing" | "ODbL" => Some(Self { source: Source::Whole, spares_results: true, ..notices }),
            "PolyForm-Noncommercial" => Some(Self { noncommercial: true, ..notices }),
            family if PART.contains(&family) => Some(Self { source: Source::Part, ..notices }),
            family if NETWORK.contains(&family) => {
                Some(Self { source: Source::Whole, network: true, ..notices })
            }
            family if WHOLE.contains(&family) => Some(Self { source: Source::Whole, ..notices }),
            family if NOTICES.contains(&family) || name == "Artistic-2.0" => Some(notices),
            _ => None,
        }
    }

    /// Whether it asks for notices at most, so that what is under it may be under another licence as well.
    pub(super) fn is_permissive(self) -> bool {
        Self { notices: false, spares_results: false, ..self } == Self::default()
    }

    /// `CC-BY-NC-SA-4.0` says what it asks.
    fn of_creative_commons(name: &str) -> Self {
        let says = |word| name.split('-').any(|part| part == word);
        Self {
            notices: true,
            source: if says("SA") { Source::Whole } else { Source::No },
            noncommercial: says("NC"),
            no_derivatives: says("ND"),
            ..Self::default()
        }
    }
}

/// The exception that a licence comes with; nothing for one that is in none of the lists.
fn exception(req: &LicenseReq) -> Option<Option<&'static str>> {
    let Some(addition) = &req.addition else { return Some(None) };
    let name = addition.id()?.name;
    (LINKING.contains(&name) || PERMITTING.contains(&name)).then_some(Some(name))
}

/// A name without its version and what follows it: `AGPL` of `AGPL-3.0-or-later`.
fn family(name: &str) -> &str {
    let digit = |at: usize| name[at + 1..].starts_with(|c: char| c.is_ascii_digit());
    name.match_indices('-').find(|(at, _)| digit(*at)).map_or(name, |(at, _)| &name[..at])
}

/// Whether an app under `own` may contain a work under `other`, which comes with its licence: the same licence, a later version
/// where either licence allows that, or AGPL-3.0 for GPL-3.0 (section 13 of both). An exception of the work's may be left out; nobody
/// but its author permits more of it.
pub(super) fn carries(own: &LicenseReq, other: &LicenseReq) -> bool {
    let permits_more = own.addition.is_some() && own.addition != other.addition;
    if permits_more || exception(other).is_none() {
        return false;
    }
    let (LicenseItem::Spdx { id: own, .. }, LicenseItem::Spdx { id, or_later }) =
        (&own.license, &other.license)
    else {
        return false;
    };
    let later_allowed = *or_later || id.name.ends_with("-or-later") || id.name.starts_with("CC-BY");
    let (ours, theirs) = (version(own.name), version(id.name));
    match (family(own.name), family(id.name)) {
        ("AGPL", "GPL") => theirs == ours || (later_allowed && theirs < ours),
        (a, b) if a == b => theirs == ours || (later_allowed && theirs < ours),
        _ => false,
    }
}

/// `3.0` of `GPL-3.0-only`.
fn version(name: &str) -> Vec<u32> {
    let rest = name[family(name).len()..].trim_start_matches('-');
    rest.split('-').next().unwrap_or_default().split('.').filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn req(text: &str) -> LicenseReq {
        let expression = spdx::Expression::parse(text).unwrap();
        expression.requirements().next().unwrap().req.clone()
    }

    #[test]
    fn names_in_the_lists_are_licences() {
        let lists = [&WAIVED[..], &NOT_ALONE, &RESTRICTED_USE, &UNKNOWN];
        for name in lists.into_iter().flatten() {
            assert!(spdx::license_id(name).is_some(), "{name}");
        }
        for name in LINKING.iter().chain(&PERMITTING) {
            assert!(spdx::exception_id(name).is_some(), "{name}");
        }
        let families = [&NOTICES[..], &PART, &WHOLE, &NETWORK, &["CDLA-Sharing", "ODbL"]];
        for name in families.into_iter().flatten() {
            let mut all = spdx::identifiers::LICENSES.iter().map(|license| family(license.name));
            assert!(all.any(|family| family == *name), "{name}");
        }
    }

    #[test]
    fn every_copyleft_licence_asks_for_more_than_notices_or_is_not_known() {
        let copyleft = |license: &&spdx::License| license.flags & spdx::flags::IS_COPYLEFT != 0;
        for license in spdx::identifiers::LICENSES.iter().filter(copyleft) {
            let Ok(expression) = spdx::Expression::parse(license.name) else { continue };
            let req = &expression.requirements().next().unwrap().req;
            let asks = Conditions::of(req);
            assert!(asks.is_none_or(|asks| asks.source != Source::No || asks.not_alone), "{}", license.name);
        }
    }

    #[test]
    fn every_licence_that_says_noncommercial_in_its_name_is_noncommercial_or_not_known() {
        for license in spdx::identifiers::LICENSES {
            let (name, full) = (license.name, license.full_name.to_lowercase().replace('-', ""));
            if !full.contains("noncommercial") {
                continue;
            }
            let Ok(expression) = spdx::Expression::parse(name) else { continue };
            let asks = Conditions::of(&expression.requirements().next().unwrap().req);
            assert!(asks.is_none_or(|asks| asks.noncommercial), "{name}");
        }
    }

    #[test]
    fn a_later_version_carries_what_allows_it() {
        for (own, other, expected) in [
            ("GPL-3.0-only", "GPL-3.0-only", true),
            ("GPL-3.0-only", "GPL-2.0-or-later", true),
            ("GPL-3.0-only", "GPL-2.0-only", false),
            ("GPL-2.0-only", "GPL-3.0-or-later", false),
            ("AGPL-3.0-only", "GPL-3.0-only", true),
            ("GPL-3.0-only", "AGPL-3.0-only", false),
            ("AGPL-3.0-or-later", "GPL-2.0-only", false),
            ("CC-BY-SA-4.0", "CC-BY-SA-3.0", true),
            ("CC-BY-4.0", "CC-BY-SA-4.0", false),
            ("CC-BY-NC-SA-4.0", "CC-BY-SA-4.0", false),
            ("EUPL-1.2", "EUPL-1.1", false),
            ("LicenseRef-a", "LicenseRef-a", false),
            ("GPL-2.0-only", "GPL-2.0-only WITH Classpath-exception-2.0", true),
            ("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only", false),
            ("GPL-2.0-only", "GPL-2.0-only WITH AdditionRef-more", false),
        ] {
            assert_eq!(carries(&req(own), &req(other)), expected, "{own} for {other}");
        }
    }

    #[test]
    fn a_linking_exception_leaves_the_rest_of_the_app_alone() {
        let source = |text| Conditions::of(&req(text)).unwrap().source;
        assert_eq!(source("GPL-2.0-only WITH Classpath-exception-2.0"), Source::Part);
        assert_eq!(source("GPL-3.0-or-later WITH Bison-exception-2.2"), Source::Whole);
        assert_eq!(source("Apache-2.0 WITH LLVM-exception"), Source::No);
    }

    #[test]
    fn an_addition_that_nobody_knows_makes_a_licence_unknown() {
        for unknown in [
            "GPL-2.0-only WITH AdditionRef-anything",
            "MIT WITH AdditionRef-research-only",
            "CC0-1.0 WITH AdditionRef-research-only",
            "CC-BY-4.0 WITH AdditionRef-noncommercial",
            "OFL-1.1 WITH AdditionRef-x",
            "GPL-2.0-only WITH vsftpd-openssl-exception",
            "CC-BY-SA-4.0 WITH Classpath-exception-2.0",
            "EUPL-1.2 WITH Classpath-exception-2.0",
            "BSD-3-Clause-OpenWebUI",
        ] {
            assert_eq!(Conditions::of(&req(unknown)), None, "{unknown}");
        }
    }

    #[test]
    fn every_licence_that_names_a_use_is_restricted_or_not_known() {
        for license in spdx::identifiers::LICENSES {
            let names_a_use = license.name.contains("-No-") && !license.name.ends_with("-Warranty");
            let words = ["Computational Use", "Military", "Hippocratic"];
            if names_a_use || words.iter().any(|word| license.full_name.contains(word)) {
                let asks = Conditions::of_name(license.name);
                assert!(asks.is_none_or(|asks| asks.restricted_use), "{}", license.name);
            }
        }
    }
}
