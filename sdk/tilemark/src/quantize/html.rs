//! The report as one page for a browser.

use super::report::{LayerReport, Quality, Report};
use crate::html::page::{Page, Table};
use crate::html::plots::{self, Axis, Column, Mark};

/// Figures, plots, every layer, everything in float.
pub fn html(report: &Report) -> String {
    let mut page = Page::new(&format!("Quantization of {}", report.model));
    page.paragraph("lead", &summary(report));
    page.facts(&figures(report));
    candidates(&mut page, report);
    noise(&mut page, report);
    sensitivities(&mut page, report);
    page.heading("Layers");
    page.table(&layers(&report.layers));
    floats(&mut page, report);
    if !report.notes.is_empty() {
        page.heading("Notes");
        report.notes.iter().for_each(|note| page.paragraph("warning", note));
    }
    page.finish()
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

fn figures(report: &Report) -> Vec<(String, String)> {
    let Quality { data, samples, snr_db, cosine, top1_agreement, accuracy } = &report.quality;
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let share = report.integer_macs as f64 / report.macs.max(1) as f64;
    let size = report.int8_bytes as f64 / report.float_bytes.max(1) as f64;
    let mut figures = vec![
        ("signal to noise", format!("{snr_db:.1} dB of the outputs, {samples} {data} samples")),
        ("mean cosine", format!("{cosine:.5} to the float model")),
    ];
    figures
        .extend(top1_agreement.map(|share| ("same top class", format!("{} of the samples", percent(share)))));
    figures.extend(
        accuracy.map(|a| ("accuracy", format!("{}; float model {}", percent(a.int8), percent(a.float)))),
    );
    figures.push(("in integers", format!("{} of the multiply-accumulates", percent(share))));
    figures.push(("size", format!("{} of the float weights' bytes", percent(size))));
    figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn decibels(value: f64) -> String {
    format!("{value:.1} dB")
}

fn candidates(page: &mut Page, report: &Report) {
    page.heading("What was tried");
    let chosen = chosen(report);
    let none = f64::NAN;
    let mark = |label: &str, value| Mark { label: label.to_owned(), value, low: none, high: none };
    let marks: Vec<Mark> = report.candidates.iter().map(|c| mark(&c.name, c.snr_db)).collect();
    let row = |name: &String, value| {
        vec![name.clone(), decibels(value), if *name == chosen { "written" } else { "" }.to_owned()]
    };
    let table = Table {
        caption: "Signal-to-noise ratio of the model's outputs, simulated on calibration data".to_owned(),
        head: vec!["candidate", "outputs", ""],
        numbers: &[1],
        rows: report.candidates.iter().map(|c| row(&c.name, c.snr_db)).collect(),
    };
    let axis = Axis { from_zero: true, ..Axis::of("dB") };
    page.figure(plots::marks("tried", "What was tried", axis, &marks), table);
}

fn noise(page: &mut Page, report: &Report) {
    let column = |l: &LayerReport| Column { label: l.name.clone(), value: l.snr_db, marked: !l.quantized };
    let values: Vec<Column> = report.layers.iter().map(column).collect();
    page.heading("Noise at each layer");
    let caption = "Signal-to-noise ratio of each layer's output against the float model, with everything before it quantized too: \
                   higher is better. Layers that stand out are in float";
    bars(page, "noise", caption, &values);
}

fn sensitivities(page: &mut Page, report: &Report) {
    let alone = |l: &LayerReport| {
        let (label, value) = (l.name.clone(), l.alone_snr_db?);
        Some(Column { label, value, marked: report.kept_float.contains(&l.name) })
    };
    let values: Vec<Column> = report.layers.iter().filter_map(alone).collect();
    if values.is_empty() {
        return;
    }
    page.heading("Sensitivity of each layer");
    let caption = "Signal-to-noise ratio of the model's outputs with that layer alone quantized. Layers that stand out were kept in \
                   float for it";
    bars(page, "sensitivity", caption, &values);
}

/// A bar for each layer, and beside them the numbers.
fn bars(page: &mut Page, name: &'static str, caption: &str, values: &[Column]) {
    let rows = values.iter().map(|column| vec![column.label.clone(), decibels(column.value)]);
    let (caption, head) = (caption.to_owned(), vec!["layer", "ratio"]);
    let table = Table { caption, head, numbers: &[1], rows: rows.collect() };
    page.figure(plots::columns(name, "Each layer", Axis::of("dB"), values), table);
}

fn layers(layers: &[LayerReport]) -> Table {
    let row = |layer: &LayerReport| {
        vec![
            layer.name.clone(),
            layer.what.clone(),
            if layer.quantized { "integers" } else { "float" }.to_owned(),
            layer.macs.to_string(),
            decibels(layer.snr_db),
            decibels(layer.weights_snr_db),
            format!("{:.3} … {:.3}", layer.lo, layer.hi),
        ]
    };
    Table {
        caption: "Every layer, in execution order".to_owned(),
        head: vec!["layer", "operation, weights", "runs in", "MACs", "output", "weights", "range"],
        numbers: &[3, 4, 5, 6],
        rows: layers.iter().map(row).collect(),
    }
}

fn floats(page: &mut Page, report: &Report) {
    if report.float_nodes.is_empty() {
        return;
    }
    page.heading("In float");
    let rows = report.float_nodes.iter().map(|n| vec![n.node.clone(), n.op.clone(), n.reason.clone()]);
    let caption = "Nodes that run in f32, and why".to_owned();
    page.table(&Table {
        caption,
        head: vec!["node", "operation", "reason"],
        numbers: &[],
        rows: rows.collect(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::page::is_page;
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
            "bar bad",
            "3 pairs",
            "Sensitivity",
            "7 evaluation samples",
        ];
        for part in parts {
            assert!(page.contains(part), "{part}");
        }
        assert!(is_page(page.as_bytes()));
        assert!(!page.contains("<img") && !page.contains("://"), "nothing foreign in the page");
    }
}
