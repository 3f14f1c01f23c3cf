//! The report as one HTML page that needs nothing from elsewhere.

use std::fmt::Write;

use super::plots::{Bar, columns, escape, rows};
use super::report::{LayerReport, Quality, Report};

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1d2530; --soft: #667085; --line: #e3e7ed; --bar: #3b6fb6; --marked: #d9822b;
  --back: #fff; --tile: #f5f7fa }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebf0; --soft: #9aa4b5; --line: #333b47; --bar: #6d9fe0;
  --marked: #eba55c; --back: #14181d; --tile: #1e242c } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back); max-width: 920px;
  margin: 40px auto; padding: 0 20px }
h1 { font-size: 24px; margin: 0 0 2px } h2 { font-size: 17px; margin: 36px 0 4px }
p { color: var(--soft); margin: 2px 0 12px } code { font-size: 13px }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(128px, 1fr)); gap: 12px; margin: 22px 0 }
.tiles div { background: var(--tile); border-radius: 8px; padding: 12px 14px; color: var(--soft); font-size: 13px }
.tiles b { display: block; font-size: 22px; color: var(--ink); font-weight: 600 }
svg { width: 100%; height: auto; display: block } svg text { font-size: 12px; fill: var(--soft) }
svg line { stroke: var(--line) } .bar { fill: var(--bar) } .marked { fill: var(--marked) }
table { border-collapse: collapse; width: 100%; font-size: 13px }
th, td { text-align: right; padding: 4px 8px; border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums }
th { color: var(--soft); font-weight: 500 } td.name, th.name { text-align: left; overflow-wrap: anywhere }
tr.marked td { color: var(--marked) }
";

/// The report as one page: figures, plots, every layer, everything in float.
pub fn html(report: &Report) -> String {
    let title = escape(&report.model);
    let mut page = format!(
        "<!doctype html>\n<html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>\
         <title>Quantization of {title}</title><style>{STYLE}</style>\n<h1>{title}</h1>\n<p>{}</p>\n",
        escape(&summary(report))
    );
    page += &tiles(report);
    let candidates: Vec<Bar> =
        report.candidates.iter().map(|c| bar(&c.name, c.snr_db, c.name == chosen(report))).collect();
    section(
        &mut page,
        "What was tried",
        "Signal-to-noise ratio of the model's outputs, simulated on calibration data; the one in orange was written.",
        &rows(&candidates),
    );
    let noise: Vec<Bar> = report.layers.iter().map(|l| bar(&l.name, l.snr_db, !l.quantized)).collect();
    section(
        &mut page,
        "Noise at each layer",
        "Signal-to-noise ratio (dB) of each layer's output against the float model, with everything before it quantized \
         too; layers in orange are in float. Higher is better.",
        &columns(&noise),
    );
    page += &sensitivities(report);
    section(&mut page, "Layers", "", &table(&report.layers));
    page +=
        &list("In float", report.float_nodes.iter().map(|n| format!("{} ({}): {}", n.node, n.op, n.reason)));
    page += &list("Notes", report.notes.iter().cloned());
    page + "</html>\n"
}

fn summary(report: &Report) -> String {
    let corrected = if report.bias_corrected { ", biases corrected" } else { "" };
    let equalized =
        report.equalized_pairs.map(|n| format!(", {n} pairs of layers equalized")).unwrap_or_default();
    format!(
        "int8 weights, {} activations, ranges by {}{corrected}{equalized}, calibrated with {} samples. Tilemark {}.",
        report.activations,
        report.ranges,
        report.calibration_samples,
        env!("CARGO_PKG_VERSION"),
    )
}

/// The name of the candidate that was written.
fn chosen(report: &Report) -> String {
    let corrected = if report.bias_corrected { ", biases corrected" } else { "" };
    format!("{}{corrected}", report.ranges)
}

fn tiles(report: &Report) -> String {
    let Quality { data, samples, snr_db, cosine, top1_agreement, accuracy } = &report.quality;
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let share = report.integer_macs as f64 / report.macs.max(1) as f64;
    let size = report.int8_bytes as f64 / report.float_bytes.max(1) as f64;
    let mut tiles = vec![
        (format!("{snr_db:.1} dB"), format!("signal to noise of the outputs, {samples} {data} samples")),
        (format!("{cosine:.5}"), "mean cosine to the float model".to_owned()),
    ];
    tiles
        .extend(top1_agreement.map(|share| (percent(share), "same top class as the float model".to_owned())));
    tiles.extend(accuracy.map(|a| (percent(a.int8), format!("accuracy; float model {}", percent(a.float)))));
    tiles.push((percent(share), "of multiply-accumulates in integers".to_owned()));
    tiles.push((percent(size), "of the float weights' bytes".to_owned()));
    let tile = |(figure, what): (String, String)| format!("<div><b>{figure}</b>{what}</div>");
    format!("<div class='tiles'>{}</div>\n", tiles.into_iter().map(tile).collect::<String>())
}

fn sensitivities(report: &Report) -> String {
    let alone = |l: &LayerReport| Some(bar(&l.name, l.alone_snr_db?, report.kept_float.contains(&l.name)));
    let bars: Vec<Bar> = report.layers.iter().filter_map(alone).collect();
    let mut text = String::new();
    if !bars.is_empty() {
        section(
            &mut text,
            "Sensitivity of each layer",
            "Signal-to-noise ratio (dB) of the model's outputs with that layer alone quantized; layers in orange were kept \
             in float for it.",
            &columns(&bars),
        );
    }
    text
}

fn table(layers: &[LayerReport]) -> String {
    let mut text =
        "<table><tr><th class='name'>layer</th><th class='name'>operation, weights</th><th>MACs</th>\
                    <th>output, dB</th><th>weights, dB</th><th>range</th></tr>"
            .to_owned();
    for layer in layers {
        let class = if layer.quantized { "" } else { " class='marked'" };
        let _ = write!(
            text,
            "<tr{class}><td class='name'><code>{}</code></td><td class='name'>{}</td><td>{}</td><td>{:.1}</td>\
             <td>{:.1}</td><td>{:.3} … {:.3}</td></tr>",
            escape(&layer.name),
            escape(&layer.what),
            layer.macs,
            layer.snr_db,
            layer.weights_snr_db,
            layer.lo,
            layer.hi,
        );
    }
    text + "</table>"
}

fn section(page: &mut String, title: &str, about: &str, body: &str) {
    let about = if about.is_empty() { String::new() } else { format!("<p>{about}</p>") };
    let _ = writeln!(page, "<h2>{title}</h2>{about}{body}");
}

fn list(title: &str, lines: impl Iterator<Item = String>) -> String {
    let items: String = lines.map(|line| format!("<li>{}</li>", escape(&line))).collect();
    if items.is_empty() { String::new() } else { format!("<h2>{title}</h2><ul>{items}</ul>\n") }
}

fn bar(label: &str, value: f64, marked: bool) -> Bar {
    Bar { label: label.to_owned(), value, marked }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::{Accuracy, Candidate, FloatNode};

    #[test]
    fn a_page_has_every_figure_and_no_markup_of_the_models() {
        let layer = LayerReport {
            name: "<img src=x>".into(),
            what: "Conv 8x3x3x3".into(),
            macs: 1234,
            quantized: false,
            snr_db: 31.25,
            weights_snr_db: 40.0,
            alone_snr_db: Some(12.5),
            lo: -1.5,
            hi: 6.0,
        };
        let report = Report {
            model: "a & b".into(),
            calibration_samples: 16,
            activations: "u8".into(),
            ranges: "mse".into(),
            bias_corrected: true,
            equalized_pairs: Some(3),
            candidates: vec![Candidate { name: "mse, biases corrected".into(), snr_db: 22.0 }],
            layers: vec![layer.clone()],
            kept_float: vec![layer.name],
            float_nodes: vec![FloatNode { node: "s".into(), op: "Softmax".into(), reason: "none".into() }],
            macs: 2000,
            integer_macs: 500,
            float_bytes: 4000,
            int8_bytes: 1000,
            quality: Quality {
                data: "evaluation",
                samples: 7,
                snr_db: 22.5,
                cosine: 0.99712,
                top1_agreement: Some(0.75),
                accuracy: Some(Accuracy { float: 0.9, int8: 0.895 }),
            },
            notes: vec!["few samples".into()],
        };
        let page = html(&report);
        let parts = [
            "a &amp; b",
            "22.5 dB",
            "0.99712",
            "75.00 %",
            "89.50 %",
            "25.00 %",
            "31.2 dB",
            "1234",
            "Softmax",
            "few samples",
            "class='marked'",
            "3 pairs",
            "Sensitivity",
            "7 evaluation samples",
        ];
        for part in parts {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("<img") && !page.contains("http"), "nothing foreign in the page");
    }
}
