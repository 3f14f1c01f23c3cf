use std::collections::BTreeMap;

use serde::Serialize;
use tilemark::model::{Applied, PASSES, Port, explain, graph::Dim, import_traced, shape};
use tilemark::{App, ErrorKind, FactKind, Graph, Home, Manifest, Parameter, Untrusted, Verdict};

use crate::args::Inspect;
use crate::failure::Result;
use crate::{files, text};

/// The JSON about a graph.
#[derive(Serialize)]
struct GraphReport {
    name: String,
    inputs: Vec<PortReport>,
    outputs: Vec<PortReport>,
    operations: BTreeMap<&'static str, usize>,
    macs: u64,
    integer_macs: u64,
    weight_bytes: usize,
    /// Nodes that run in f32.
    float_nodes: Vec<String>,
    /// The same with what keeps each there.
    floats: Vec<FloatReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    passes: Vec<PassReport>,
}

#[derive(Serialize)]
struct PortReport {
    name: String,
    dtype: String,
    shape: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantization: Option<String>,
}

#[derive(Serialize)]
struct FloatReport {
    node: String,
    op: &'static str,
    reason: String,
}

#[derive(Serialize)]
struct PassReport {
    name: &'static str,
    rewrites: usize,
    summary: &'static str,
}

/// The JSON about a bundle.
#[derive(Serialize)]
struct BundleReport<'a> {
    identity: String,
    signers: Vec<String>,
    /// Absent where nobody said whom to trust: what is unverified is not parsed.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<&'a Manifest>,
    /// Of the only model.
    #[serde(skip_serializing_if = "Option::is_none")]
    graph: Option<GraphReport>,
    /// Of each of several models.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    models: BTreeMap<String, GraphReport>,
    /// What an integrator may set.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    parameters: BTreeMap<String, Parameter>,
}

impl BundleReport<'_> {
    /// Nothing known but which it is.
    fn of(identity: String) -> Self {
        let (models, parameters) = (BTreeMap::new(), BTreeMap::new());
        Self { identity, signers: Vec::new(), manifest: None, graph: None, models, parameters }
    }
}

/// Shows a bundle, or a model on its own.
pub(crate) fn run(args: &Inspect) -> Result<()> {
    let is_model = args.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"));
    if is_model { inspect_model(args) } else { inspect_bundle(args) }
}

fn inspect_model(args: &Inspect) -> Result<()> {
    let imported = import_traced(&files::read(&args.file)?).map_err(tilemark::Error::from)?;
    let passes = if args.passes { imported.passes.iter().map(pass).collect() } else { Vec::new() };
    let report = GraphReport { passes, ..graph(&imported.graph)? };
    if args.json { text::json(&report) } else { print_graph(&report) }
}

fn inspect_bundle(args: &Inspect) -> Result<()> {
    let untrusted = Untrusted::from_path(&args.file).map_err(tilemark::Error::from)?;
    let identity = untrusted.identity().to_string();
    let Some(trust) = &args.trust else {
        let signers = untrusted.signers().map(|id| format!("{id}, not verified")).collect();
        let report = BundleReport { signers, ..BundleReport::of(identity) };
        return if args.json { text::json(&report) } else { print_bundle(&report) };
    };
    let trust = files::trust(Some(trust))?;
    let home = Home::from_env()?;
    let bundle = tilemark::verify_with(&args.file, &trust, &home)?;
    let (signers, manifest) = (signatures(bundle.verdict()), bundle.manifest().clone());
    // Without a grant the graph stays unread: it is encrypted.
    let mut report = BundleReport { signers, manifest: Some(&manifest), ..BundleReport::of(identity) };
    match App::load(bundle, &trust, &home) {
        Ok(app) if app.models().len() == 1 => {
            report.graph = Some(graph(app.graph())?);
            report.parameters = app.pipeline().parameters().clone();
        }
        Ok(app) => {
            report.parameters = app.pipeline().parameters().clone();
            for (name, of_model) in app.models() {
                report.models.insert(name.to_owned(), graph(of_model)?);
            }
        }
        Err(denied) if denied.0.kind() == ErrorKind::NotEntitled => {}
        Err(denied) => return Err(denied.0.into()),
    }
    if args.json { text::json(&report) } else { print_bundle(&report) }
}

/// What verification found about each signature: anybody can add one by a key that nobody knows.
fn signatures(verdict: &Verdict) -> Vec<String> {
    let facts = verdict.facts().iter().filter(|fact| fact.fact == FactKind::Signature);
    facts.map(|fact| fact.evidence.clone()).collect()
}

fn graph(graph: &Graph) -> Result<GraphReport> {
    let shapes = shape::infer(graph, &shape::declared(graph, 1)).map_err(tilemark::Error::from)?;
    let mut operations = BTreeMap::new();
    let (mut macs, mut integer_macs) = (0, 0);
    for node in &graph.nodes {
        *operations.entry(node.op.name()).or_insert(0) += 1;
        let work = shape::macs(node, &shapes);
        macs += work;
        integer_macs += if node.op.is_float() { 0 } else { work };
    }
    let float = |found: explain::FloatNode| FloatReport {
        node: found.node.name.clone(),
        op: found.node.op.name(),
        reason: found.reason.to_string(),
    };
    let floats: Vec<FloatReport> = explain::float_nodes(graph).into_iter().map(float).collect();
    Ok(GraphReport {
        name: graph.name.clone(),
        inputs: graph.inputs.iter().map(|p| port(graph, p)).collect(),
        outputs: graph.outputs.iter().map(|p| port(graph, p)).collect(),
        operations,
        macs,
        integer_macs,
        weight_bytes: graph.weights().len(),
        float_nodes: floats.iter().map(|float| format!("{} {}", float.node, float.op)).collect(),
        floats,
        passes: Vec::new(),
    })
}

fn port(graph: &Graph, port: &Port) -> PortReport {
    let value = graph.value(port.value);
    let axis = |dim: &Dim| match dim {
        Dim::Fixed(n) => n.to_string(),
        Dim::Dynamic(name) => name.clone(),
    };
    let quantization =
        value.quant.map(|q| format!("{}, scale {:?}, zero point {}", value.dtype, q.scale, q.zero_point));
    PortReport {
        name: port.name.clone(),
        dtype: port.dtype.to_string(),
        shape: port.shape.iter().map(axis).collect(),
        quantization,
    }
}

fn pass(applied: &Applied) -> PassReport {
    let summary = PASSES.iter().find(|pass| pass.name == applied.name).map_or("", |pass| pass.summary);
    PassReport { name: applied.name, rewrites: applied.rewrites, summary }
}

fn print_bundle(report: &BundleReport) -> Result<()> {
    text::line(format_args!("identity  {}", report.identity))?;
    for signer in &report.signers {
        text::line(format_args!("signed by {signer}"))?;
    }
    let Some(manifest) = report.manifest else {
        return text::line("give --trust to see what is inside: nothing is parsed before it is verified");
    };
    let app = &manifest.app;
    text::line(format_args!(
        "app       {} {} (release {}), {}",
        app.name, app.version, app.release, app.license
    ))?;
    text::line(format_args!("          {}", app.description))?;
    text::line(format_args!("targets   {}", manifest.targets.join(", ")))?;
    if let Some(encryption) = &manifest.encryption {
        let issuers: Vec<String> = encryption.issuers.iter().map(ToString::to_string).collect();
        text::line(format_args!("terms     licensed, encrypted; grants by {}", issuers.join(", ")))?;
    }
    text::line("blobs")?;
    let rows: Vec<[String; 3]> = manifest
        .blobs
        .iter()
        .map(|blob| [format!("  {}", blob.name), text::bytes(blob.size), blob.sha256.to_string()])
        .collect();
    text::table(&rows, &[1])?;
    for (name, graph) in &report.models {
        text::line(format_args!("model     {name}"))?;
        print_graph(graph)?;
    }
    for (name, parameter) in &report.parameters {
        let (allowed, default) = (parameter.allowed(), parameter.default());
        text::line(format_args!(
            "parameter {name}: {allowed}; {default} by default. {}",
            parameter.description()
        ))?;
    }
    match &report.graph {
        Some(graph) => print_graph(graph),
        None if report.models.is_empty() => text::line("graph     encrypted; a grant opens it"),
        None => Ok(()),
    }
}

fn print_graph(report: &GraphReport) -> Result<()> {
    text::line(format_args!("graph     {}", report.name))?;
    for (word, ports) in [("input ", &report.inputs), ("output", &report.outputs)] {
        for PortReport { name, dtype, shape, quantization } in ports {
            let held = quantization.as_ref().map(|q| format!(", held as {q}")).unwrap_or_default();
            text::line(format_args!("{word}    {name}: {dtype} [{}]{held}", shape.join(", ")))?;
        }
    }
    let operations: Vec<String> = report.operations.iter().map(|(name, n)| format!("{n} {name}")).collect();
    text::line(format_args!("nodes     {}", operations.join(", ")))?;
    let share = 100.0 * report.integer_macs as f64 / report.macs.max(1) as f64;
    text::line(format_args!("work      {} MACs, {share:.1}% of them integer", text::count(report.macs)))?;
    text::line(format_args!("weights   {}", text::bytes(report.weight_bytes as u64)))?;
    for FloatReport { node, op, reason } in &report.floats {
        text::line(format_args!("in float  {node} {op}: {reason}"))?;
    }
    if report.passes.is_empty() {
        return Ok(());
    }
    text::line("passes")?;
    let row =
        |pass: &PassReport| [format!("  {}", pass.name), pass.rewrites.to_string(), pass.summary.to_owned()];
    text::table(&report.passes.iter().map(row).collect::<Vec<_>>(), &[1])
}
