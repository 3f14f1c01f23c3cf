//! What a page has and has not, by its text; `sdk/cli/tests/cli/browser.rs` looks at it in a browser.

use tilemark_bundle::sha256;

use crate::eval::claim::Whose;
use crate::eval::compare::{Better, ClassDifference, Comparison, Point};
use crate::eval::drift::{ChannelDrift, Drift};
use crate::eval::meters::{Bin, Latency};
use crate::eval::report::{Confused, Counts, Data, DeviceFacts, Measured, Named, Report};
use crate::eval::stats::mcnemar;

const EVIL: &str = "</title><script src=https://evil.example/x.js></script>";

fn measured(name: &'static str, method: &'static str) -> Measured {
    Measured { name, value: 0.905, low: 0.8991, high: 0.9106, confidence: 0.95, method }
}

fn drift() -> Drift {
    let channels = vec![ChannelDrift { index: 0.75, chance: 0.125 }];
    Drift { samples: 500, vendor_inputs: 300, channels, threshold: 0.25, far: true, enough: true }
}

pub(in crate::eval) fn report() -> Report {
    let confused =
        |truth: &str, found: &str, count| Confused { truth: truth.into(), found: found.into(), count };
    let name = "patients/1234.png".to_owned();
    Report {
        app: "acme/tagger".into(),
        version: "1.2.0".into(),
        identity: sha256(b"bundle"),
        bundle_bytes: 5_300_000,
        parameters: vec!["k=2".into()],
        sdk: "0.1.0".into(),
        device: "host".into(),
        device_facts: DeviceFacts {
            name: "Some CPU".into(),
            platform: "host".into(),
            driver: "level avx2".into(),
            threads: Some(2),
        },
        whose: Whose::Seller,
        committed: Some(sha256(b"committed")),
        samples: 10_000,
        failed: 3,
        metrics: vec![measured("accuracy", "wilson"), measured("accuracy", "clopper-pearson")],
        counts: Counts::Hits { hits: 9050, of: 9997 },
        confusion: vec![
            confused("boot", "boot", 4711),
            confused("boot", EVIL, 289),
            confused("bag", "bag", 4339),
        ],
        data: Data { root: sha256(b"data"), samples: 10_000 },
        answers: sha256(b"answers"),
        stopped: false,
        latency_ms: Latency { median: 1.25, p90: 2.5, p99: 3.75, max: 51.5 },
        latency_bins: vec![Bin { from: 1.0, to: 2.0, count: 6000 }, Bin { from: 2.0, to: 3.75, count: 3900 }],
        samples_per_second: 801.5,
        peak_memory_bytes: Some(64_000_000),
        joules: Some(12.5),
        drift: Some(drift()),
        failures: vec![Named { name: name.clone(), what: "not a picture".into() }],
        worst: vec![Named { name, what: "boot taken for bag".into() }],
        kept: Default::default(),
    }
}

fn comparison() -> Comparison {
    let point = |device: &str, median_ms, on_front| Point {
        app: "acme/tagger".into(),
        version: "1.2.0".into(),
        device: device.into(),
        value: 0.9,
        low: 0.89,
        high: 0.91,
        median_ms,
        samples_per_second: 1e3 / median_ms,
        bundle_bytes: 5_300_000,
        on_front,
    };
    let class =
        |class: &str, first, second| ClassDifference { class: class.into(), samples: 50, first, second };
    Comparison {
        first: report(),
        second: report(),
        bundle_bytes: [5_300_000; 2],
        points: vec![point("host", 1.25, true), point(EVIL, 7.5, false)],
        samples: 9997,
        difference: Measured {
            value: -0.0123,
            low: -0.02,
            high: -0.004,
            ..measured("accuracy", "widened paired bootstrap")
        },
        mcnemar: Some(mcnemar(123, 77)),
        classes: vec![class("boot", 49, 40), class(EVIL, 30, 31)],
        better: Better::First,
        conclusion: "acme/tagger is better.".into(),
    }
}

/// One file, with nothing that is run or loaded; every picture has words and a table.
fn check(page: &str) {
    for bad in ["<script", "src=", "href=", "@import", "url(", "<link", "<img", "onload", "javascript:"] {
        let page = page.replace("script src=https", "");
        assert!(!page.replace("&lt;", "").contains(bad), "{bad} in {page}");
    }
    assert!(!page.contains("<script") && !page.contains("NaN") && !page.contains("inf"), "{page}");
    let count = |what: &str| page.matches(what).count();
    assert!(count("<svg ") > 0);
    for within in ["<title id=", "<desc id=", "<details>"] {
        assert_eq!(count(within), count("<svg "), "{within}");
    }
    let ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let different: std::collections::BTreeSet<&&str> = ids.iter().collect();
    assert_eq!(different.len(), ids.len(), "{ids:?}");
    for element in ["svg", "figure", "table", "tr", "td", "details", "main", "p", "h2", "text"] {
        let opened = count(&format!("<{element}>")) + count(&format!("<{element} "));
        assert_eq!(opened, count(&format!("</{element}>")), "{element}");
    }
}

#[test]
fn a_report_has_every_fact_of_the_json() {
    let page = report().to_html();
    check(&page);
    let digests = [sha256(b"bundle"), sha256(b"data"), sha256(b"answers"), sha256(b"committed")];
    let facts = [
        "90.50 %",
        "89.91 %",
        "91.06 %",
        "clopper-pearson",
        "9050",
        "9997",
        "4711",
        "289",
        "k=2",
        "Some CPU",
        "level avx2",
        "0.1.0",
        "1.250 ms",
        "51.500 ms",
        "801.5",
        "12.5 J",
        "64.0 MB",
        "5.3 MB",
        "6000",
        "chosen by who sells",
        "committed to before",
        "3 samples could not",
        "do not look like the 300",
        "0.750",
        "0.125",
    ];
    let facts = facts.map(str::to_owned).into_iter().chain(digests.map(|digest| digest.to_string()));
    for fact in facts {
        assert!(page.contains(&fact), "{fact} in {page}");
    }
    assert!(page.contains("&lt;/title&gt;&lt;script"), "{page}");
}

#[test]
fn samples_are_named_only_where_that_was_asked_for() {
    assert!(report().to_html().contains("patients/1234.png"));
    let quiet = report().without_names();
    assert!(!quiet.to_html().contains("1234") && !serde_json::to_string(&quiet).unwrap().contains("1234"));
}

#[test]
fn a_comparison_shows_both_and_what_is_beaten() {
    let page = comparison().to_html();
    check(&page);
    for fact in
        ["acme/tagger is better.", "-1.23 %", "-2.00 %", "-18.00 %", "123", "77", "7.500 ms", "beaten in all"]
    {
        assert!(page.contains(fact), "{fact} in {page}");
    }
    assert!(page.contains("class=\"hollow\"") && page.contains("class=\"dot\""), "{page}");
}

#[test]
fn many_classes_are_cut_short_and_that_is_said() {
    let pair = |at: u32| Confused {
        truth: format!("c{at}"),
        found: format!("c{}", at / 2),
        count: u64::from(at) + 1,
    };
    let page = Report { confusion: (0..200).map(pair).collect(), ..report() }.to_html();
    check(&page);
    assert!(page.contains("the 40 worst of 200") && page.contains("the 16 classes of 200"), "{page}");
}

#[test]
fn a_page_of_nothing_is_still_a_page() {
    let nothing =
        Measured { value: f64::NAN, low: f64::NAN, high: f64::NAN, ..measured("psnr", "widened bootstrap") };
    let empty = Report {
        metrics: vec![nothing],
        confusion: vec![],
        latency_bins: vec![],
        latency_ms: Latency::default(),
        ..report()
    };
    let page = empty.to_html();
    assert!(page.contains("<svg ") && !page.contains("=\"NaN"), "{page}");
}
