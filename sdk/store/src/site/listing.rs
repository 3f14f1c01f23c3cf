//! The page of an app: what it does, how fast and how well, under which licence, in which releases, by whom.

use tilemark_bundle::{AppName, AppPort, AppTarget, Part, TermsKind};

use super::page::{Frame, Page, UP_FROM_APP};
use super::plots::{self, Mark};
use super::quality;
use super::read::App;
use super::text::{Text, bytes, day, ms, plural, script, task};
use crate::contract::{Contract, Reported};
use crate::gate::Price;

/// The page of what is offered.
pub(super) fn page(frame: &Frame<'_>, app: &App) -> String {
    let listing = app.offer.listing();
    let mut page = Page::new(listing.app.as_str(), UP_FROM_APP);
    crumbs(&mut page, &listing.app);
    page.add(format_args!(
        "<h1><bdi>{}</bdi> <span class=\"version\"><bdi>{}</bdi></span></h1>\n<p class=\"lead\"><bdi>{}</bdi></p>",
        Text(listing.app.name()),
        Text(&listing.version.to_string()),
        Text(&listing.description)
    ));
    page.add(format_args!("<div class=\"columns\">\n<aside>"));
    install(&mut page, frame, app);
    facts(&mut page, app);
    page.add(format_args!("</aside>\n<div>"));
    match &listing.contract {
        Some(contract) => {
            ends(&mut page, contract);
            speed(&mut page, contract);
        }
        None => page.add(format_args!("<p class=\"note\">Its publisher states no contract: what goes in and what comes out is not known here.</p>")),
    }
    quality(&mut page, &app.reports);
    licence(&mut page, app);
    versions(&mut page, app);
    publisher(&mut page, app);
    page.add(format_args!("</div>\n</div>"));
    page.finish(frame)
}

/// Why an app that had a page has none of its own any more.
#[derive(Clone, Copy)]
pub(super) enum Gone {
    /// Its publisher or the operator took it back.
    Withdrawn,
    /// What there is of it cannot be read; nobody took it back.
    Unreadable,
}

/// The page of such an app.
pub(super) fn gone(frame: &Frame<'_>, app: &AppName, state: Gone, why: &str) -> String {
    let (word, sentence) = match state {
        Gone::Withdrawn => ("withdrawn", "Not offered any more."),
        Gone::Unreadable => ("unavailable", "Not to be had here at present."),
    };
    let mut page = Page::new(&format!("{app}, {word}"), UP_FROM_APP);
    crumbs(&mut page, app);
    page.add(format_args!(
        "<h1><bdi>{}</bdi> <span class=\"version\">{word}</span></h1>\n<p class=\"warning\"><strong>{sentence}</strong> {}</p>\n\
         <p>What is installed runs on, under its terms. <code>tilemark store find-substitute</code> looks for apps that can take its place.</p>",
        Text(app.name()),
        Text(why)
    ));
    page.finish(frame)
}

fn crumbs(page: &mut Page, app: &AppName) {
    let publisher = app.publisher();
    page.add(format_args!(
        "<nav class=\"crumbs\" aria-label=\"Where this is\"><a href=\"{UP_FROM_APP}index.html\">Apps</a> <span aria-hidden=\"true\">/</span> \
         <a href=\"{UP_FROM_APP}index.html#publisher={publisher}\">{publisher}</a></nav>"
    ));
}

fn install(page: &mut Page, frame: &Frame<'_>, app: &App) {
    let listing = app.offer.listing();
    let target = match listing.targets.iter().any(|target| target == "host") {
        true => String::new(),
        false => listing.targets.first().map(|target| format!(" --target {target}")).unwrap_or_default(),
    };
    page.add(format_args!(
        "<section class=\"install\" aria-labelledby=\"install\"><h2 id=\"install\">Install</h2>"
    ));
    page.command(&format!("tilemark store install {}{target}", listing.app), "the command that installs it");
    match frame.address {
        Some(address) => {
            page.add(format_args!("<details><summary>Before the first app from here</summary>"));
            page.command(&format!("tilemark store add {address} --root root.json"), "the command that adds the store");
            page.add(format_args!(
                "<p>Get <code>root.json</code> by a way that you trust: it decides whom you believe.</p></details>"
            ));
        }
        None => page.add(format_args!(
            "<p>Before the first app from here, <code>tilemark store add ADDRESS --root root.json</code>: ask the store's operator for both.</p>"
        )),
    }
    page.add(format_args!("</section>"));
}

fn facts(page: &mut Page, app: &App) {
    let listing = app.offer.listing();
    let terms = match listing.terms {
        TermsKind::Free => "runs for whoever has it",
        _ => "needs a grant of its publisher's",
    };
    page.facts([
        ("Price", price(listing.price).to_owned()),
        ("Licence", listing.license.clone()),
        ("Terms", terms.to_owned()),
        ("Runs on", listing.targets.join(", ")),
        ("Size", format!("{} in {}", bytes(listing.size), plural(listing.blobs.len(), "part"))),
        ("Release", format!("{} ({})", listing.release, listing.version)),
        ("Needs", format!("tilemark {}", listing.min_sdk)),
        ("Identity", listing.identity.to_string()),
    ]);
}

pub(super) fn price(price: Price) -> &'static str {
    match price {
        Price::Free => "Free",
        Price::Paid => "Paid",
    }
}

fn ends(page: &mut Page, contract: &Contract) {
    page.add(format_args!(
        "<section><h2>What it does</h2>\n<p class=\"task\"><bdi>{}</bdi></p>",
        Text(&task(&contract.app.task))
    ));
    let head = ["", "name", "type", "shape", "range", "classes"];
    let row = |way: &str, port: &AppPort| {
        let range = port.range.map(|[least, most]| format!("{least} to {most}")).unwrap_or_default();
        let classes = port.classes.map(|classes| classes.to_string().chars().take(12).chain(['…']).collect());
        let shape = shape(&port.shape);
        vec![way.to_owned(), port.name.clone(), port.dtype.clone(), shape, range, classes.unwrap_or_default()]
    };
    let inputs = contract.app.inputs.iter().map(|port| row("in", port));
    let rows: Vec<_> = inputs.chain(contract.app.outputs.iter().map(|port| row("out", port))).collect();
    page.table("What goes in and what comes out", &head, &[], &rows);
    if !contract.app.targets.is_empty() {
        let target =
            |facts: &AppTarget| vec![facts.target.clone(), facts.platform.clone(), facts.part.clone()];
        let rows: Vec<_> = contract.app.targets.iter().map(target).collect();
        page.table("What its bitstreams were built for", &["target", "platform", "part"], &[], &rows);
    }
    page.add(format_args!("</section>"));
}

/// `any × any × 3`; what has no axes is one value.
fn shape(lengths: &[u64]) -> String {
    let length = |length: &u64| if *length == 0 { "any".to_owned() } else { length.to_string() };
    let lengths: Vec<String> = lengths.iter().map(length).collect();
    if lengths.is_empty() { "one".to_owned() } else { lengths.join(" × ") }
}

fn speed(page: &mut Page, contract: &Contract) {
    page.add(format_args!("<section><h2>Speed</h2>"));
    if contract.speeds.is_empty() {
        page.add(format_args!("<p class=\"note\">Its publisher measured none.</p></section>"));
        return;
    }
    let mut speeds: Vec<_> = contract.speeds.iter().collect();
    speeds.sort_by(|a, b| (a.microseconds, &a.device).cmp(&(b.microseconds, &b.device)));
    let marks: Vec<Mark> = speeds
        .iter()
        .map(|speed| Mark {
            label: speed.device.clone(),
            value: speed.microseconds as f64 / 1e3,
            interval: None,
            shown: ms(speed.microseconds),
            written: ms(speed.microseconds),
        })
        .collect();
    let picture = plots::times("Time of one run on each device", &marks);
    page.add(format_args!(
        "<p>The median time of one run, from input to result, as its publisher measured it.</p>\n<figure>\n{picture}</figure>"
    ));
    let rows: Vec<_> = speeds
        .iter()
        .map(|speed| vec![speed.device.clone(), speed.name.clone(), ms(speed.microseconds)])
        .collect();
    page.table("Where it was measured", &["device", "hardware", "median"], &[2], &rows);
    page.add(format_args!("</section>"));
}

fn quality(page: &mut Page, reports: &[Reported]) {
    page.add(format_args!("<section><h2>Quality</h2>"));
    if reports.is_empty() {
        page.add(format_args!(
            "<p class=\"note\">No signed evaluation is attached. <code>tilemark eval</code> measures it on data of yours.</p></section>"
        ));
        return;
    }
    let found: Vec<_> = reports.iter().map(quality::of).collect();
    let rows: Vec<_> = reports
        .iter()
        .zip(&found)
        .map(|(report, quality)| {
            vec![
                report.metric.clone(),
                quality.value.clone(),
                quality.interval.clone(),
                super::text::count(report.samples),
                report.whose.clone(),
                signed_by(report),
            ]
        })
        .collect();
    let marks: Vec<Mark> = found
        .into_iter()
        .zip(reports)
        .filter_map(|(quality, report)| {
            let mark = quality.mark?;
            Some(Mark { label: format!("{}, data of the {}'s", mark.label, report.whose), ..mark })
        })
        .collect();
    page.add(format_args!(
        "<p>Signed evaluations of this very release. Data of the seller's were chosen by who sells it.</p>"
    ));
    if !marks.is_empty() {
        page.add(format_args!(
            "<figure>\n{}</figure>",
            plots::shares("Share of samples that were right", &marks)
        ));
    }
    let head = ["metric", "value", "95 % interval", "samples", "data of", "signed by"];
    page.table("What was measured, on how much data, and who says so", &head, &[1, 2, 3], &rows);
    page.add(format_args!("</section>"));
}

fn signed_by(report: &Reported) -> String {
    let key = |id: &String| id.chars().take(12).chain(['…']).collect::<String>();
    match report.by_publisher {
        true => "its publisher".to_owned(),
        false => {
            let keys: Vec<_> = report.unchecked.iter().map(key).collect();
            format!("key {}, which nobody checked", keys.join(", "))
        }
    }
}

fn licence(page: &mut Page, app: &App) {
    let (listing, ruling) = (app.offer.listing(), &app.ruling);
    let verdict = match ruling.word() {
        "allow" => "The licence gate allows this offer; nothing is owed to others.",
        "duties" => "The licence gate allows this offer, with duties towards those whose work is in it.",
        _ => "The licence gate does not allow this offer any more.",
    };
    let class = if ruling.is_allowed() { "verdict" } else { "warning" };
    page.add(format_args!(
        "<section><h2>Licence</h2>\n<p class=\"{class}\"><code>{}</code> {verdict}</p>",
        Text(&listing.license)
    ));
    let said = ruling.reasons.iter().cloned().chain(ruling.duties.iter().map(ToString::to_string));
    let said: Vec<String> = said.map(|line| format!("<li><bdi>{}</bdi></li>", Text(&line))).collect();
    if !said.is_empty() {
        page.add(format_args!("<ul class=\"duties\">{}</ul>", said.concat()));
    }
    match &app.offer.manifest().origin {
        None => page
            .add(format_args!("<p class=\"note\">Its publisher does not state what it was made from.</p>")),
        Some(origin) => {
            let parts = [Part::Code, Part::Weights, Part::Data];
            let row = |name: String, kind: &str, licenses: tilemark_bundle::PartLicenses<'_>| {
                let of = parts.map(|part| licenses.of(part).unwrap_or("not stated").to_owned());
                [name, kind.to_owned()].into_iter().chain(of).collect::<Vec<_>>()
            };
            let own = row("this app".to_owned(), origin.kind.as_str(), origin.licenses());
            let ancestors = origin.derived_from.iter().map(|from| {
                let kind = script(&from.kind);
                row(from.name.clone(), kind.trim_matches('"'), from.licenses())
            });
            let rows: Vec<_> = std::iter::once(own).chain(ancestors).collect();
            page.table("What it was made from", &["", "kind", "code", "weights", "data"], &[], &rows);
        }
    }
    page.add(format_args!("<p class=\"note\">No legal advice.</p></section>"));
}

fn versions(page: &mut Page, app: &App) {
    let rows: Vec<_> = app
        .releases
        .iter()
        .map(|release| {
            let published = release.published.map_or("not stated".to_owned(), day);
            let identity = release.identity.to_string().chars().take(12).chain(['…']).collect();
            vec![
                release.version.clone(),
                release.release.to_string(),
                published,
                bytes(release.size),
                identity,
            ]
        })
        .collect();
    page.add(format_args!("<section><h2>Versions</h2>"));
    let head = ["version", "release", "published", "size", "identity"];
    page.table(
        "Releases on offer, the newest first; dates are the publisher's word",
        &head,
        &[1, 2, 3],
        &rows,
    );
    if app.older > 0 {
        page.add(format_args!("<p class=\"note\">And {} before these.</p>", plural(app.older, "release")));
    }
    page.add(format_args!("</section>"));
}

fn publisher(page: &mut Page, app: &App) {
    let (keys, threshold) = app.offer.keys();
    let name = app.offer.listing().app.publisher();
    page.add(format_args!(
        "<section><h2>Publisher</h2>\n<p><strong>{name}</strong>, known to this store by {}, of which {} must sign. \
         Compare the fingerprint with one that you got by another way.</p>",
        plural(keys.len(), "key"),
        threshold
    ));
    let rows: Vec<_> =
        keys.iter().map(|key| vec![key.id().to_string(), key.algorithm().as_str().to_owned()]).collect();
    page.table("SHA-256 of its keys", &["fingerprint", "algorithm"], &[], &rows);
    page.add(format_args!("</section>"));
}
