//! Arguments of `tilemark store`.

mod escrow;
mod registry;

use std::path::PathBuf;

use clap::{Args as Group, Subcommand, ValueEnum};
pub(crate) use escrow::{Combine, Escrow, EscrowRelease, OfDeed, Split};
pub(crate) use registry::{Access, Pull, Push};
use tilemark_store::AppName;

#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    /// Operator: make a store and its keys
    Init(Init),
    /// Operator: let a publisher offer apps
    Invite(Invite),
    /// Operator: take that leave back
    Revoke(Revoke),
    /// Operator: make visible what was written, and keep the store from expiring
    Refresh(Refresh),
    /// Operator: sign the root, or who the publishers are, for another year
    Renew(Renew),
    /// Operator: add the store's signature to a publisher's bundle, before it is offered
    Countersign(Countersign),
    /// Publisher: offer a bundle
    Publish(Publish),
    /// Send a bundle to a registry of containers
    Push(Push),
    /// Fetch a bundle from a registry of containers
    Pull(Pull),
    /// Begin to trust a store
    Add(Add),
    /// Ask for the store's own signature of all that comes from it
    Require(Require),
    /// Find apps
    Search(Search),
    /// Show what is offered of an app
    Info(Info),
    /// Find apps that can take an app's place: the same inputs, outputs and classes
    FindSubstitute(FindSubstitute),
    /// Install an app
    Install(Install),
    /// Install the newest releases of what is installed
    Update(Update),
    /// List what is installed
    List(List),
    /// Remove an app
    Remove(Remove),
    /// Copy the whole store into a folder, for a web server or another machine to have as a mirror
    Mirror(Copy),
    /// Copy the whole store onto a drive, and read it again: a store to carry to where there is no network
    Stick(Copy),
    /// Write the catalogue as a static web site
    Site(Site),
    /// What a vendor leaves with trustees, so that buyers go on when the vendor is gone
    #[command(subcommand)]
    Escrow(Escrow),
}

impl Store {
    pub(crate) fn wants_json(&self) -> bool {
        match self {
            Self::Search(Search { of, .. })
            | Self::Info(Info { of, .. })
            | Self::FindSubstitute(FindSubstitute { of, .. })
            | Self::Install(Install { of, .. })
            | Self::Mirror(Copy { of, .. })
            | Self::Stick(Copy { of, .. })
            | Self::Site(Site { of, .. })
            | Self::Update(Update { of, .. }) => of.json,
            Self::Push(Push { json, .. }) | Self::Pull(Pull { json, .. }) | Self::List(List { json }) => {
                *json
            }
            _ => false,
        }
    }
}

#[derive(Debug, Group)]
pub(crate) struct Init {
    /// The store's folder, for a web server to serve
    pub(crate) store: PathBuf,
    /// A new folder for the keys: root-N.key go into different hands, online.key to the machine that refreshes
    #[arg(long, value_name = "DIR")]
    pub(crate) keys: PathBuf,
    /// Root keys
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) roots: u8,
    /// Root keys that it takes to change the root
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub(crate) threshold: u64,
}

/// A store's folder, and what its operator knows of it.
#[derive(Debug, Group)]
pub(crate) struct Office {
    /// The store's folder
    pub(crate) store: PathBuf,
    /// What this operator signed last, in a folder where nobody else writes [default: `state` beside the key]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Begin that folder, on another machine or where it was lost, by a root of the store that you trust
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct Invite {
    #[command(flatten)]
    pub(crate) office: Office,
    /// The publisher, as in the names of its apps
    pub(crate) publisher: String,
    /// The publisher's public key, which signs its bundles; may be given several times
    #[arg(long = "pub", required = true, value_name = "FILE")]
    pub(crate) public: Vec<PathBuf>,
    /// How many of these keys it takes
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) threshold: u64,
    /// targets.key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
}

#[derive(Debug, Group)]
pub(crate) struct Revoke {
    #[command(flatten)]
    pub(crate) office: Office,
    /// The publisher, as in the names of its apps
    pub(crate) publisher: String,
    /// targets.key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
}

#[derive(Debug, Group)]
pub(crate) struct Refresh {
    #[command(flatten)]
    pub(crate) office: Office,
    /// online.key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// After online.key was stolen and replaced: believe nothing that it listed, and list every role anew
    #[arg(long)]
    pub(crate) rebuild: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Renew {
    #[command(flatten)]
    pub(crate) office: Office,
    /// A root key; as many as the root asks for
    #[arg(long, required_unless_present = "targets", value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// targets.key: signs who the publishers are
    #[arg(long, conflicts_with = "key", value_name = "FILE")]
    pub(crate) targets: Option<PathBuf>,
    /// A public key of the root that goes; with --new
    #[arg(long, requires = "new", value_name = "FILE")]
    pub(crate) old: Option<PathBuf>,
    /// The public key that takes its place
    #[arg(long, requires = "old", value_name = "FILE")]
    pub(crate) new: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct Countersign {
    #[command(flatten)]
    pub(crate) office: Office,
    /// The bundle, by a publisher of the store
    pub(crate) bundle: PathBuf,
    /// The key that policies name in the role `store`
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// What it will be offered for: the licence gate is asked before it is signed
    #[arg(long, value_enum, default_value_t = Price::Free)]
    pub(crate) price: Price,
    /// Where the countersigned bundle goes
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Group)]
pub(crate) struct Publish {
    /// The store's folder
    pub(crate) store: PathBuf,
    /// The bundle
    pub(crate) bundle: PathBuf,
    /// Sign with this key, one that the operator knows; may be given several times
    #[arg(long, required = true, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// What it is offered for; the licences of all that is in it decide whether it may be [default: what the app was offered for
    /// before; free for a new one]
    #[arg(long, value_enum)]
    pub(crate) price: Option<Price>,
    /// Keep nothing of what was said of the app before: its price, and of this very bundle reports and measured times
    #[arg(long)]
    pub(crate) anew: bool,
    /// Measure it on this device, for who searches by speed; may be given several times; none: do not
    #[arg(long, default_value = "host", value_name = "DEVICE")]
    pub(crate) measure: Vec<String>,
    /// Attach an evaluation that `tilemark eval --report` signed; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Vec<PathBuf>,
    /// The vault that an encrypted bundle was packed with: what it does is derived from what is in it
    #[arg(long, value_name = "DIR")]
    pub(crate) vault: Option<PathBuf>,
}

/// What an app is offered for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Price {
    /// Nothing
    Free,
    /// Money
    Paid,
}

impl From<Price> for tilemark_store::Price {
    fn from(price: Price) -> Self {
        match price {
            Price::Free => Self::Free,
            Price::Paid => Self::Paid,
        }
    }
}

#[derive(Debug, Group)]
pub(crate) struct Add {
    /// Where it is: https://, http://, file:/// or a folder; the same store's mirrors may follow
    #[arg(required = true, value_name = "ADDRESS")]
    pub(crate) addresses: Vec<String>,
    /// A root of the store, which came by a way that you trust; not needed for further mirrors of a store that is known
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) named: Named,
}

#[derive(Debug, Group)]
pub(crate) struct Require {
    /// A public key that the store countersigns with; may be given several times
    #[arg(long, required_unless_present = "none", value_name = "FILE")]
    pub(crate) countersigner: Vec<PathBuf>,
    /// How many of these keys it takes
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) threshold: u64,
    /// Ask for the publishers' signatures alone
    #[arg(long, conflicts_with = "countersigner")]
    pub(crate) none: bool,
    #[command(flatten)]
    pub(crate) named: Named,
}

/// Which store.
#[derive(Debug, Group)]
pub(crate) struct Named {
    /// What this machine calls the store
    #[arg(long, default_value = "main", value_name = "NAME")]
    pub(crate) store: String,
}

/// Which store, and in which form to answer.
#[derive(Debug, Group)]
pub(crate) struct Of {
    #[command(flatten)]
    pub(crate) named: Named,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Copy {
    /// The folder
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) of: Of,
}

#[derive(Debug, Group)]
pub(crate) struct Site {
    /// The site's folder: a new one, or one that was written before
    pub(crate) folder: PathBuf,
    /// What the site is called
    #[arg(long, default_value = "Apps", value_name = "TEXT")]
    pub(crate) title: String,
    /// What people give to `tilemark store add`: https://…
    #[arg(long, value_name = "URL")]
    pub(crate) address: Option<String>,
    #[command(flatten)]
    pub(crate) of: Of,
}

#[derive(Debug, Group)]
pub(crate) struct Search {
    /// Words in name, description, licence, targets or task, or a task: "image -> labels"; without any, every app
    pub(crate) words: Vec<String>,
    /// What runs on this device of this machine: host, opencl:0:1, part of a name; here: any of them
    #[arg(long, value_name = "DEVICE")]
    pub(crate) runs_on: Option<String>,
    /// What takes at most this many milliseconds there, or on the host, as its publisher measured it
    #[arg(long, value_name = "MS")]
    pub(crate) max_ms: Option<f64>,
    /// What may be used under this licence alone: an SPDX name
    #[arg(long, value_name = "SPDX")]
    pub(crate) license: Option<String>,
    /// What is offered for this
    #[arg(long, value_enum)]
    pub(crate) price: Option<Price>,
    #[command(flatten)]
    pub(crate) of: Of,
    /// Ask no mirror: what is known here
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Info {
    /// PUBLISHER/NAME
    #[arg(value_parser = app_name)]
    pub(crate) app: AppName,
    /// This release [default: the newest]
    #[arg(long, value_name = "N")]
    pub(crate) release: Option<u64>,
    #[command(flatten)]
    pub(crate) of: Of,
    /// Ask no mirror: what is known here
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Debug, Group)]
pub(crate) struct FindSubstitute {
    /// The bundle of the app, which runs here
    pub(crate) bundle: PathBuf,
    /// The vendor's public key or a policy [default: the file `trust` in TILEMARK_HOME]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) of: Of,
    /// Ask no mirror: what is known here
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Install {
    /// PUBLISHER/NAME
    #[arg(value_parser = app_name)]
    pub(crate) app: AppName,
    /// This release [default: the newest]
    #[arg(long, value_name = "N")]
    pub(crate) release: Option<u64>,
    /// The target that it must ship something for
    #[arg(long, default_value = "host", value_name = "TARGET")]
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) of: Of,
}

#[derive(Debug, Group)]
pub(crate) struct Update {
    /// PUBLISHER/NAME; without any, all that is installed
    #[arg(value_parser = app_name)]
    pub(crate) apps: Vec<AppName>,
    /// The target that they must ship something for
    #[arg(long, default_value = "host", value_name = "TARGET")]
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) of: Of,
}

#[derive(Debug, Group)]
pub(crate) struct List {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Remove {
    /// PUBLISHER/NAME
    #[arg(value_parser = app_name)]
    pub(crate) app: AppName,
}

fn app_name(text: &str) -> Result<AppName, String> {
    text.parse().map_err(|error: tilemark::BundleError| error.to_string())
}
