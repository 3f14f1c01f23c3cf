//! Arguments of `tilemark eval` and `tilemark compare`.

use std::path::PathBuf;

use clap::{Args as Group, Subcommand};
use tilemark::eval::{Evaluation, Metric, Plan, StopWhen, Whose};

use super::Where;

#[derive(Debug, Group)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Eval {
    #[command(subcommand)]
    pub(crate) command: Option<EvalCommand>,
    /// The bundle
    #[arg(required_unless_present = "plan")]
    pub(crate) bundle: Option<PathBuf>,
    /// Labelled data: a folder with one folder a class, pictures with text files or masks beside them, a manifest.csv, a COCO file
    #[arg(long, value_name = "PATH", required_unless_present = "plan")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) how: How,
    /// Write what is done there, and go on with what is there
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,
    /// Stop when enough is known: "within 3 % at 95 %", "clear of 90 % at 95 %"
    #[arg(long, value_name = "RULE", value_parser = StopWhen::parse)]
    pub(crate) stop_when: Option<StopWhen>,
    /// How many of the worst answers to name, and to name what failed: in JSON and HTML too [default: 10, and in neither]
    #[arg(long, value_name = "N")]
    pub(crate) worst: Option<usize>,
    /// Say how many samples it takes, and run nothing: "accuracy within 3 % at 95 %", "difference of 3 % with 10 % discordant at 95 %"
    #[arg(long, value_name = "QUESTION", value_parser = Plan::parse, conflicts_with_all = ["data", "bundle", "journal", "html", "worst", "stop_when", "check", "committed"])]
    pub(crate) plan: Option<Plan>,
    /// Write a signed claim of what was found there; with --buyer-data or --seller-data
    #[arg(long, value_name = "FILE", requires_all = ["key", "whose"], conflicts_with_all = ["stop_when", "plan"])]
    pub(crate) report: Option<PathBuf>,
    /// The key that signs it
    #[arg(long, value_name = "FILE", requires = "report")]
    pub(crate) key: Option<PathBuf>,
    /// Evaluate what such a claim says, and compare
    #[arg(long, value_name = "FILE", requires = "signer", conflicts_with_all = ["stop_when", "plan", "report", "metric", "whose"])]
    pub(crate) check: Option<PathBuf>,
    /// The public key of whoever signed it
    #[arg(long, value_name = "FILE", requires = "check")]
    pub(crate) signer: Option<PathBuf>,
    /// Check first that the data is what was committed to there, by `eval commit`
    #[arg(long, value_name = "FILE", requires = "salt", conflicts_with_all = ["stop_when", "plan"])]
    pub(crate) committed: Option<PathBuf>,
    /// The salt of the commitment, from whoever made it
    #[arg(long, value_name = "FILE", requires = "committed")]
    pub(crate) salt: Option<PathBuf>,
    /// The public key of whoever signed the commitment
    #[arg(long, value_name = "FILE", requires = "committed")]
    pub(crate) committed_by: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) at: Where,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EvalCommand {
    /// Commit to hidden test data, so that nobody can change it afterwards
    Commit(Commit),
}

#[derive(Debug, Group)]
pub(crate) struct Commit {
    /// The labelled data
    pub(crate) data: PathBuf,
    /// What is to be measured, which tells what its labels are: accuracy, top-5, f1, map, iou, cer, wer, psnr or mae
    #[arg(long, default_value = "accuracy", value_name = "NAME")]
    pub(crate) metric: Metric,
    /// The commitment: to be published
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// The salt and the list of samples, which open it: to be kept until then
    #[arg(long, value_name = "FILE")]
    pub(crate) salt: PathBuf,
    /// A key to sign it with
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Compare {
    /// A bundle
    pub(crate) first: PathBuf,
    /// Another one
    pub(crate) second: PathBuf,
    /// Labelled data, as for `eval`
    #[arg(long, value_name = "PATH")]
    pub(crate) data: PathBuf,
    #[command(flatten)]
    pub(crate) how: How,
    /// A CSV file, `first,second`: what the second app calls the classes of the first. The data has the first one's names
    #[arg(long, value_name = "FILE")]
    pub(crate) mapping: Option<PathBuf>,
    /// Each app on each of these, separated by commas: they have to give the same, and differ in speed
    #[arg(long, value_name = "DEVICES", value_delimiter = ',', conflicts_with = "device")]
    pub(crate) devices: Vec<String>,
    #[command(flatten)]
    pub(crate) at: Where,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What is measured, and how sure it has to be.
#[derive(Debug, Group)]
pub(crate) struct How {
    /// What to measure: accuracy, top-5, f1, map, iou, cer, wer, psnr or mae
    #[arg(long, default_value = "accuracy", value_name = "NAME")]
    pub(crate) metric: Metric,
    /// The confidence of intervals, in percent; tests are at the level that is left
    #[arg(long, default_value_t = 95.0, value_name = "PERCENT", value_parser = percent)]
    pub(crate) confidence: f64,
    /// The share of samples that may fail, in percent
    #[arg(long, default_value_t = 1.0, value_name = "PERCENT", value_parser = percent_or_all)]
    pub(crate) max_failed: f64,
    /// Say that the buyer chose the data
    #[arg(long, group = "whose")]
    pub(crate) buyer_data: bool,
    /// Say that the seller chose the data
    #[arg(long, group = "whose")]
    pub(crate) seller_data: bool,
}

/// Where what was found goes.
#[derive(Debug, Group)]
pub(crate) struct Output {
    /// Also write it there as a page for a browser, in one file
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Eval {
    /// Whether what goes wrong is told in JSON too.
    pub(crate) fn wants_json(&self) -> bool {
        match &self.command {
            Some(EvalCommand::Commit(commit)) => commit.json,
            None => self.output.json,
        }
    }
}

impl How {
    /// The evaluation that this asks for.
    pub(crate) fn evaluation(&self, metric: Metric) -> Evaluation {
        Evaluation {
            confidence: self.confidence / 100.0,
            max_failed: self.max_failed / 100.0,
            whose: match (self.buyer_data, self.seller_data) {
                (true, _) => Whose::Buyer,
                (_, true) => Whose::Seller,
                _ => Whose::Unsaid,
            },
            ..Evaluation::new(metric)
        }
    }
}

fn percent(text: &str) -> Result<f64, String> {
    between(text, |number| number > 0.0 && number < 100.0)
}

fn percent_or_all(text: &str) -> Result<f64, String> {
    between(text, |number| (0.0..=100.0).contains(&number))
}

fn between(text: &str, holds: impl Fn(f64) -> bool) -> Result<f64, String> {
    let number = text.trim_end_matches('%').trim().parse().ok().filter(|number| holds(*number));
    number.ok_or_else(|| "a number of percent is expected, between 0 and 100".to_owned())
}
