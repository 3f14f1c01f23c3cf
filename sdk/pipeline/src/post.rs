//! The steps from the model's outputs to a result, checked against the model and ready to run.

use std::collections::{BTreeMap, BTreeSet};

use tilemark_model::numerics::narrow::number;
use tilemark_model::numerics::{dequantize, softmax};
use tilemark_model::{DType, Data, Quant, Tensor};

use crate::error::{Error, Result};
use crate::interface::{Interface, TensorInfo, names};
use crate::labels::Labels;
use crate::limits::{MAX_RESULT_VALUES, MAX_STAGES, MAX_TOP_K};
use crate::outcome::{Label, Outcome};
use crate::parameters::{Settable, Settings};
use crate::pipeline::Resources;
use crate::spec::{PostStage, Spec, TopK};

/// The outputs' way to a result.
#[derive(Debug)]
pub(crate) struct Post {
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Dequantize,
    Softmax { at: String },
    TopK { at: String, best: Best, file: String },
}

/// Which labels are returned.
#[derive(Debug)]
struct Best {
    k: usize,
    threshold: Option<f64>,
    /// Whether each class may be returned; all may where there is no list.
    classes: Option<Vec<bool>>,
    labels: Labels,
}

impl Post {
    pub(crate) fn new(
        spec: &Spec,
        settings: &Settings,
        interface: &Interface,
        resources: &Resources,
    ) -> Result<Self> {
        if spec.post.len() > MAX_STAGES {
            return Err(Error::TooManyStages { list: "post", found: spec.post.len(), limit: MAX_STAGES });
        }
        spec.resources()?; // checks the names
        for output in &interface.outputs {
            output.checked_quant()?;
        }
        let mut steps = Vec::new();
        let before = |i: usize| spec.post.iter().take(i);
        for (i, stage) in spec.post.iter().enumerate() {
            let at = |name: &str| format!("post[{i}].{name}");
            if matches!(steps.last(), Some(Step::TopK { .. })) {
                let why = "top_k must be the last stage, and there can be one only";
                return Err(Error::StageOrder { at: format!("post[{i}]"), why });
            }
            let step = match stage {
                PostStage::Dequantize(_) => Step::Dequantize,
                PostStage::Softmax(_) if before(i).any(|stage| matches!(stage, PostStage::Softmax(_))) => {
                    return Err(Error::StageOrder { at: at("softmax"), why: "there can be one only" });
                }
                PostStage::Softmax(softmax) => {
                    let at = at("softmax");
                    scores_of(&at, interface)?;
                    let enabled = settings.get(&format!("{at}.enabled"), &softmax.enabled)?;
                    if enabled { Step::Softmax { at } } else { Step::Dequantize }
                }
                PostStage::TopK(top_k) => check_top_k(at("top_k"), top_k, settings, interface, resources)?,
            };
            steps.push(step);
        }
        Ok(Self { steps })
    }

    pub(crate) fn run(&self, interface: &Interface, outputs: Vec<Tensor>) -> Result<Outcome> {
        let expected = interface.outputs.len();
        if outputs.len() != expected {
            return Err(Error::OutputCount { expected, found: outputs.len() });
        }
        let mut outputs = outputs;
        for (info, tensor) in interface.outputs.iter().zip(&outputs) {
            check_output(info, tensor)?;
        }
        let mut labels = None;
        for step in &self.steps {
            match step {
                Step::Dequantize => {
                    for (info, tensor) in interface.outputs.iter().zip(&mut outputs) {
                        *tensor = dequantized(info, tensor)?.unwrap_or_else(|| tensor.clone());
                    }
                }
                Step::Softmax { at } => {
                    let (info, tensor) = only(at, interface, &mut outputs)?;
                    let mut scores = scores(at, info, tensor)?;
                    softmax(&mut scores);
                    *tensor = Tensor::f32(tensor.shape(), scores)?;
                }
                Step::TopK { at, best, file } => {
                    let (info, tensor) = only(at, interface, &mut outputs)?;
                    let scores = scores(at, info, tensor)?;
                    check_label_count(file, &best.labels, info, scores.len())?;
                    labels = Some(best.of(&scores));
                }
            }
        }
        let named = interface.outputs.iter().map(|info| info.name.clone()).zip(outputs);
        let outputs: BTreeMap<String, Tensor> = named.collect();
        let values = if labels.is_some() { BTreeMap::new() } else { small_values(&outputs) };
        Ok(Outcome { labels, values, files: BTreeMap::new(), outputs })
    }
}

impl Best {
    /// The best `k` scores, best first. Equal scores in the order of the classes; NaN after everything else.
    fn of(&self, scores: &[f32]) -> Vec<Label> {
        let rank = |i: usize| if scores[i].is_nan() { f32::NEG_INFINITY } else { scores[i] };
        let asked = |i: usize| self.classes.as_ref().is_none_or(|classes| classes.get(i) == Some(&true));
        let enough = |i: usize| self.threshold.is_none_or(|least| f64::from(scores[i]) >= least);
        let mut order: Vec<usize> = (0..scores.len()).filter(|&i| asked(i) && enough(i)).collect();
        // `+ 0.0` makes -0 equal to 0, which `total_cmp` would tell apart.
        order.sort_by(|&a, &b| {
            (scores[a].is_nan().cmp(&scores[b].is_nan()))
                .then((rank(b) + 0.0).total_cmp(&(rank(a) + 0.0)))
                .then(a.cmp(&b))
        });
        let label = |index: usize| {
            let name = self.labels.name(index).to_owned();
            Label { name, index, score: scores[index] }
        };
        order.into_iter().take(self.k).map(label).collect()
    }
}

fn check_top_k(
    at: String,
    top_k: &TopK,
    settings: &Settings,
    interface: &Interface,
    resources: &Resources,
) -> Result<Step> {
    let TopK { k, labels: file, threshold, classes } = top_k;
    let (info, count) = scores_of(&at, interface)?;
    let bytes = resources.get(file).ok_or_else(|| Error::MissingFile { name: file.clone() })?;
    let labels = Labels::parse(file, bytes)?;
    if let Some(classes) = count {
        check_label_count(file, &labels, info, classes)?;
    }
    let most = MAX_TOP_K.min(u32::try_from(labels.len()).unwrap_or(u32::MAX));
    let at_k = format!("{at}.k");
    if let Some(bad) = settings.extremes(&at_k, k)?.into_iter().find(|k| !(1..=most).contains(k)) {
        let expected = format!("1 to {most}, for {} labels", labels.len());
        return Err(Error::Value { at: at_k, found: bad.to_string(), expected });
    }
    let threshold = threshold.as_ref().map(|field| settings.get(&format!("{at}.threshold"), field));
    let best = Best {
        k: settings.get(&at_k, k)? as usize,
        threshold: threshold.transpose()?,
        classes: classes.as_ref().map(|field| chosen(&at, field, settings, &labels)).transpose()?.flatten(),
        labels,
    };
    Ok(Step::TopK { at, best, file: file.clone() })
}

/// Which classes have one of the names; `None` where no name is given.
fn chosen(
    at: &str,
    field: &Settable<Vec<String>>,
    settings: &Settings,
    labels: &Labels,
) -> Result<Option<Vec<bool>>> {
    let at = format!("{at}.classes");
    let names = settings.get(&at, field)?;
    let known: BTreeSet<&str> = (0..labels.len()).map(|index| labels.name(index)).collect();
    if let Some(found) = names.iter().find(|name| !known.contains(name.as_str())) {
        let (found, expected) = (found.clone(), "labels of the app".to_owned());
        return Err(match field.parameter() {
            Some(name) => Error::ParameterValue { name: name.to_owned(), found, expected },
            None => Error::Value { at, found, expected },
        });
    }
    let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let chosen = || (0..labels.len()).map(|index| names.contains(labels.name(index))).collect();
    Ok((!names.is_empty()).then(chosen))
}

fn check_label_count(file: &str, labels: &Labels, info: &TensorInfo, classes: usize) -> Result<()> {
    if labels.len() == classes {
        return Ok(());
    }
    let (file, output) = (file.to_owned(), info.name.clone());
    Err(Error::LabelCount { file, labels: labels.len(), output, classes })
}

/// The model's only output, and its number of classes where the shape tells.
fn scores_of<'a>(at: &str, interface: &'a Interface) -> Result<(&'a TensorInfo, Option<usize>)> {
    let [info] = interface.outputs.as_slice() else {
        return Err(Error::ScoreOutputs { at: at.to_owned(), found: names(&interface.outputs) });
    };
    if info.dtype != DType::F32 && info.quant.is_none() {
        return Err(Error::ScoreType { at: at.to_owned(), output: info.name.clone(), dtype: info.dtype });
    }
    if info.shape.iter().any(Option::is_none) {
        // A dynamic batch is 1 for one picture; any other unknown axis is seen when the model has run.
        let [None, rest @ ..] = info.shape.as_slice() else { return Ok((info, None)) };
        let Some(rest) = rest.iter().copied().collect::<Option<Vec<usize>>>() else {
            return Ok((info, None));
        };
        return class_count(at, info, &rest).map(|classes| (info, Some(classes)));
    }
    let shape: Vec<usize> = info.shape.iter().copied().flatten().collect();
    class_count(at, info, &shape).map(|classes| (info, Some(classes)))
}

/// One axis may be longer than 1; its length is the number of classes.
fn class_count(at: &str, info: &TensorInfo, shape: &[usize]) -> Result<usize> {
    let mut long = shape.iter().copied().filter(|&size| size != 1);
    match (long.next(), long.next()) {
        (Some(classes), None) if classes > 0 => Ok(classes),
        (None, None) if !shape.is_empty() => Ok(1),
        _ => Err(Error::ScoreShape {
            at: at.to_owned(),
            output: info.name.clone(),
            shape: format!("{shape:?}"),
        }),
    }
}

fn only<'a, 'b>(
    at: &str,
    interface: &'a Interface,
    outputs: &'b mut [Tensor],
) -> Result<(&'a TensorInfo, &'b mut Tensor)> {
    match (interface.outputs.as_slice(), outputs) {
        ([info], [tensor]) => Ok((info, tensor)),
        _ => Err(Error::ScoreOutputs { at: at.to_owned(), found: names(&interface.outputs) }),
    }
}

/// One real score per class.
fn scores(at: &str, info: &TensorInfo, tensor: &Tensor) -> Result<Vec<f32>> {
    class_count(at, info, tensor.shape())?;
    let real = dequantized(info, tensor)?;
    match real.as_ref().unwrap_or(tensor).data() {
        Data::F32(values) => Ok(values.clone()),
        other => Err(Error::ScoreType { at: at.to_owned(), output: info.name.clone(), dtype: other.dtype() }),
    }
}

/// The real numbers behind quantized integers; `None` where there is nothing to do.
fn dequantized(info: &TensorInfo, tensor: &Tensor) -> Result<Option<Tensor>> {
    let Some(quant) = info.quant else { return Ok(None) };
    let real = |q: i32, quant: Quant| dequantize(q, quant);
    let values: Vec<f32> = match tensor.data() {
        Data::U8(values) => values.iter().map(|&q| real(q.into(), quant)).collect(),
        Data::I8(values) => values.iter().map(|&q| real(q.into(), quant)).collect(),
        Data::I32(values) => values.iter().map(|&q| real(q, quant)).collect(),
        Data::I64(_) | Data::F32(_) | Data::Coded(_) => return Ok(None),
    };
    Ok(Some(Tensor::f32(tensor.shape(), values)?))
}

/// An output is as declared, or already real numbers.
fn check_output(info: &TensorInfo, tensor: &Tensor) -> Result<()> {
    let type_fits = tensor.dtype() == info.dtype || (tensor.dtype() == DType::F32 && info.quant.is_some());
    if type_fits && info.fits(tensor.shape()) {
        return Ok(());
    }
    Err(Error::OutputMismatch {
        name: info.name.clone(),
        expected: format!("{} {}", info.dtype, info.shape_text()),
        found: format!("{} {:?}", tensor.dtype(), tensor.shape()),
    })
}

/// The elements of outputs small enough to read.
fn small_values(outputs: &BTreeMap<String, Tensor>) -> BTreeMap<String, Vec<f64>> {
    let small = outputs.iter().filter(|(_, tensor)| tensor.len() <= MAX_RESULT_VALUES);
    small.map(|(name, tensor)| (name.clone(), values(tensor))).collect()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    // For reading; `outputs` holds every bit.
    (0..tensor.len()).map(|i| number(tensor.data(), i).real()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_first_class_and_nan_to_the_end() {
        let labels = Labels::parse("l", b"a\nb\nc\nd\ne\nf").unwrap();
        let scores = [0.0, f32::NAN, 2.0, -0.0, 2.0, f32::NEG_INFINITY];
        let best = Best { k: 6, threshold: None, classes: None, labels };
        let order = |best: &Best| best.of(&scores).iter().map(|l| l.index).collect::<Vec<usize>>();
        assert_eq!(order(&best), [2, 4, 0, 3, 5, 1]);
        let best = Best { k: 1, ..best };
        assert_eq!(best.of(&scores)[0].name, "c");
        let best = Best { k: 6, threshold: Some(0.0), ..best };
        assert_eq!(order(&best), [2, 4, 0, 3]);
        let best = Best { classes: Some(vec![true, true, false, true, true, true]), ..best };
        assert_eq!(order(&best), [4, 0, 3]);
    }
}
