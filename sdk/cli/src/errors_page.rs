//! `docs/errors.md` is made here, from the tables of codes beside the errors themselves.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use crate::failure;

type Codes = &'static [(&'static str, &'static str)];

/// Heading, crate, codes.
const SECTIONS: [(&str, &str, Codes); 8] = [
    ("Bundles, keys, trust", "tilemark-bundle", tilemark_bundle::CODES),
    ("Models", "tilemark-model", tilemark_model::error::CODES),
    ("Pipelines, pictures, tensors", "tilemark-pipeline", tilemark_pipeline::CODES),
    ("Devices", "tilemark-engine", tilemark_engine::CODES),
    ("Slots of shared memory", "tilemark-slots", tilemark_slots::CODES),
    ("Apps", "tilemark", tilemark::CODES),
    ("Command line", "tilemark-cli", failure::CODES),
    ("Stores", "tilemark-store", tilemark_store::CODES),
];

const HEAD: &str = "\
# Errors

<!-- Made by a test from the tables in the source: TILEMARK_BLESS=1 cargo test -p tilemark-cli errors_page -->

Every error has a code that stays the same from version to version; the wording of messages may change. The command line
prints `error[CODE]: message` and a line of help on stderr, or with `--json` one object on stdout:
`{\"error\": {\"code\", \"message\", \"hint\"}}`. In Rust, `error.code()`, `error.to_string()` and `error.hint()` give the same,
and `error.kind()` what the exit code says.

| exit code | means |
|---|---|
| 0 | done |
| 1 | failed: anything that no other code says |
| 2 | the command, or a setting of the environment, was used wrongly |
| 3 | the bundle is not authentic (damaged, cut short, no bundle at all) or not trusted |
| 4 | not entitled: no grant allows it here, or not any more |
| 5 | no such device, or none that fits |
| 6 | the input is bad: a picture or a tensor |
| 7 | a device's outputs differ from the golden vectors |

Where a code has two exit codes, the second is for the same defect in something else: JSON in a trust policy (1) instead of a
bundle (3), a tensor inside a model (1) instead of one that a user gives (6).
";

#[test]
fn errors_page_is_made_from_the_tables() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    let made = page_text();
    if std::env::var_os("TILEMARK_BLESS").is_some() {
        std::fs::write(&page, &made).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        written == made,
        "docs/errors.md is out of date; make it again with TILEMARK_BLESS=1 cargo test -p tilemark-cli errors_page"
    );
}

#[test]
fn no_code_is_used_twice() {
    let mut seen = BTreeSet::new();
    for (_, name, codes) in SECTIONS {
        assert!(!codes.is_empty(), "{name} lists no codes");
        for (code, meaning) in codes {
            assert!(seen.insert(code), "{code} is used twice, again in {name}");
            assert!(code.len() == 6 && code.starts_with("TM0") && !meaning.is_empty(), "{name}: {code}");
        }
        let digits: BTreeSet<&str> = codes.iter().map(|(code, _)| &code[..4]).collect();
        assert_eq!(digits.len(), 1, "the codes of {name} begin alike: {digits:?}");
    }
}

fn page_text() -> String {
    let mut text = HEAD.to_owned();
    for (heading, name, codes) in SECTIONS {
        write!(text, "\n## {heading}\n\n`{name}`\n\n| code | meaning | exit code |\n|---|---|---|\n")
            .expect("a string takes everything");
        for (code, meaning) in codes {
            writeln!(text, "| {code} | {} | {} |", meaning.replace('|', "\\|"), exit_codes(code))
                .expect("a string takes everything");
        }
    }
    text
}

/// The exit codes that go with an error's code. The command-line tests compare every failure that they see with it.
fn exit_codes(code: &str) -> &'static str {
    match code {
        // What is read before and after a signature holds alike.
        "TM0107" | "TM0108" | "TM0110" | "TM0111" | "TM0112" | "TM0113" | "TM0114" | "TM0115" | "TM0116"
        | "TM0140" | "TM0141" | "TM0142" => "3, 1",
        "TM0101" | "TM0102" | "TM0103" | "TM0104" | "TM0105" | "TM0106" => "3",
        "TM0120" | "TM0121" | "TM0122" | "TM0123" | "TM0124" => "3",
        "TM0130" | "TM0131" | "TM0132" | "TM0133" | "TM0134" | "TM0135" | "TM0136" | "TM0137" | "TM0138" => {
            "3"
        }
        "TM0150" | "TM0151" | "TM0152" | "TM0155" | "TM0156" | "TM0157" | "TM0159" => "3",
        "TM0158" | "TM0194" | "TM0195" | "TM0177" | "TM0184" | "TM0185" | "TM0186" | "TM0187" | "TM0191" => {
            "3"
        }
        "TM0154" | "TM0176" | "TM0178" | "TM0179" | "TM0183" | "TM0188" => "4",
        code if ("TM0530".."TM0550").contains(&code) => "4",
        "TM0210" | "TM0211" | "TM0212" => "6, 1",
        code if ("TM0301".."TM0320").contains(&code) => "6",
        "TM0337" | "TM0338" => "2",
        "TM0401" | "TM0404" | "TM0405" | "TM0413" | "TM0414" => "5",
        code if ("TM0417".."TM0423").contains(&code) => "5",
        "TM0402" | "TM0403" | "TM0410" | "TM0561" | "TM0601" => "2",
        "TM0505" | "TM0520" | "TM0560" | "TM0562" | "TM0609" => "6",
        "TM0507" => "7",
        // 1 where no mirror can be reached, 3 where what they sent was refused.
        "TM0802" => "1, 3",
        "TM0822" => "5",
        code if ("TM0803".."TM0820").contains(&code) => "3",
        "TM0821" | "TM0823" | "TM0826" | "TM0837" => "3",
        _ => "1",
    }
}
