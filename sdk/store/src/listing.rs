use semver::Version;
use serde::{Deserialize, Serialize};
use tilemark_bundle::{AppName, Digest, Head, Manifest, PublicKey, TermsKind, Trust, TrustBuilder, json};

use crate::client::{Countersigners, asking};
use crate::contract::{Contract, Reported};
use crate::error::{Error, Result};
use crate::gate::{self, Price, Ruling};
use crate::limits::MAX_LISTING_BYTES;
use crate::metadata::{Keyring, RoleKeys};

/// What a store says about one release: the facts of its manifest in the open, and the signed manifest itself.
///
/// Everything but price, contract and envelope follows from the envelope. It is spelled out for those who read listings without
/// this SDK, and [`Offer`] exists only where the two agree. Price and contract are the publisher's word, which signs the listing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Listing {
    /// The version of this document's form: 1.
    pub schema: u64,
    /// `publisher/name`.
    pub app: AppName,
    /// For people.
    pub version: Version,
    /// What is compared.
    pub release: u64,
    /// An SPDX expression.
    pub license: String,
    /// One or two lines.
    pub description: String,
    /// Whether it needs a grant.
    pub terms: TermsKind,
    /// The oldest SDK that runs it.
    pub min_sdk: Version,
    /// Device classes that it ships something for.
    pub targets: Vec<String>,
    /// Bytes of the bundle's file.
    pub size: u64,
    /// SHA-256 of the manifest: the bundle's identity.
    pub identity: Digest,
    /// Its blobs, in file order.
    pub blobs: Vec<ListedBlob>,
    /// What it is offered for.
    #[serde(default)]
    pub price: Price,
    /// What it does, in types; none of listings of before they had one.
    #[serde(
        default,
        deserialize_with = "crate::contract::readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub contract: Option<Contract>,
    /// The DSSE envelope around the manifest, as it is in the bundle.
    pub envelope: String,
}

/// A blob as it lies in the bundle and in the store.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ListedBlob {
    /// Its name in the bundle.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Its name in the store.
    pub sha256: Digest,
}

/// A listing that its publisher signed, and says what its manifest says.
#[derive(Clone, Debug)]
pub struct Offer {
    listing: Listing,
    head: Head,
    signers: Signers,
}

/// Who may sign a publisher's bundles.
#[derive(Clone, Debug)]
pub(crate) struct Signers {
    pub(crate) trust: Trust,
    keys: Vec<PublicKey>,
    threshold: u64,
    publisher: String,
    /// Who has to sign besides, by the integrator.
    countersigners: Option<Countersigners>,
}

impl Listing {
    /// The listing of a bundle, by its authenticated beginning and its envelope.
    pub(crate) fn of(head: &Head, envelope: &[u8]) -> Self {
        let manifest = head.manifest();
        let blob = |blob: &tilemark_bundle::BlobEntry| ListedBlob {
            name: blob.name.clone(),
            size: blob.size,
            sha256: blob.sha256,
        };
        Self {
            schema: 1,
            app: manifest.app.name.clone(),
            version: manifest.app.version.clone(),
            release: manifest.app.release,
            license: manifest.app.license.clone(),
            description: manifest.app.description.clone(),
            terms: manifest.terms.kind,
            min_sdk: manifest.min_sdk.clone(),
            targets: manifest.targets.clone(),
            size: head.file_bytes(),
            identity: head.identity(),
            blobs: manifest.blobs.iter().map(blob).collect(),
            price: Price::Free,
            contract: None,
            // An envelope is JSON in ASCII: nothing is lost.
            envelope: String::from_utf8_lossy(envelope).into_owned(),
        }
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| Error::invalid("listing", error.to_string()))
    }
}

impl Offer {
    /// Reads the listing at `path`, which is to be about this release.
    pub(crate) fn read(
        path: &str,
        bytes: &[u8],
        app: &AppName,
        release: u64,
        signers: Signers,
    ) -> Result<Self> {
        let max = usize::try_from(MAX_LISTING_BYTES).unwrap_or(usize::MAX);
        let listing: Listing = json::from_slice("listing", bytes, max)?;
        let head = Head::authenticate(listing.envelope.as_bytes(), &signers.trust)
            .map_err(tilemark_bundle::Refused::into_error)?;
        let differs = |reason: String| Error::Listing { path: path.to_owned(), reason };
        if let Some(contract) = &listing.contract {
            let ships = &head.manifest().targets;
            contract
                .check(head.identity(), ships, &signers.keys)
                .map_err(|error| differs(error.to_string()))?;
        }
        let said = Listing::of(&head, listing.envelope.as_bytes());
        let signed = Listing { price: listing.price, contract: listing.contract.clone(), ..said };
        if listing != signed
            && let Some(field) = first_difference(&listing, &signed)
        {
            return Err(differs(format!("{field} differs")));
        }
        if listing.app != *app || listing.release != release {
            return Err(differs(format!("it is release {} of {}", listing.release, listing.app)));
        }
        Ok(Self { listing, head, signers })
    }

    /// What is offered.
    #[must_use]
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// The signed manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        self.head.manifest()
    }

    /// The beginning of the bundle.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// What the licence gate says of it: the duties that go with it.
    #[must_use]
    pub fn ruling(&self) -> Ruling {
        gate::judge(self.manifest(), self.listing.price)
    }

    /// What the evaluations attached to it say, and who signed them as far as it can be told.
    ///
    /// # Errors
    /// [`Error::Invalid`] for one whose signature by the publisher does not hold.
    pub fn reports(&self) -> Result<Vec<Reported>> {
        let reports = self.listing.contract.iter().flat_map(|contract| &contract.reports);
        reports.map(|report| report.read(self.head.identity(), &self.signers.keys)).collect()
    }

    /// The keys that the store lets sign for this publisher, and whose signature is asked for besides.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.signers.trust
    }

    /// The keys themselves, and how many of them have to sign.
    #[must_use]
    pub fn keys(&self) -> (&[PublicKey], u64) {
        (&self.signers.keys, self.signers.threshold)
    }

    /// The same as a policy in JSON, for `--trust`: bundles of this publisher, and no other's.
    #[must_use]
    pub fn policy(&self) -> String {
        let Signers { keys, threshold, publisher, countersigners, .. } = &self.signers;
        let ids: Vec<_> = keys.iter().map(|key| key.id().to_string()).collect();
        let keys: Vec<_> = keys
            .iter()
            .zip(1..)
            .map(|(key, n)| serde_json::json!({ "name": format!("{publisher}-{n}"), "pem": key.to_pem() }))
            .collect();
        let rule = serde_json::json!({ "publisher": publisher, "keys": ids, "threshold": threshold });
        let policy = serde_json::json!({ "schema": 1, "keys": keys, "publishers": [rule] }).to_string();
        asking(&policy, countersigners.as_ref()).unwrap_or(policy)
    }
}

impl Offer {
    /// Who has to sign besides, as it was when this was read.
    pub(crate) fn countersigners(&self) -> Option<&Countersigners> {
        self.signers.countersigners.as_ref()
    }
}

fn first_difference(a: &Listing, b: &Listing) -> Option<String> {
    let (a, b) = (serde_json::json!(a), serde_json::json!(b));
    let (a, b) = (a.as_object()?, b.as_object()?);
    a.iter().find(|(field, value)| b.get(*field) != Some(value)).map(|(field, _)| field.clone())
}

impl Signers {
    /// Whoever signs a publisher's metadata signs its bundles: the same keys, as many of them.
    pub(crate) fn of(
        role: &RoleKeys,
        ring: &Keyring,
        publisher: &str,
        countersigners: Option<Countersigners>,
    ) -> Result<Self> {
        let keys: Vec<PublicKey> = role.keyids.iter().filter_map(|id| ring.get(id)?.public()).collect();
        let ids: Vec<_> = keys.iter().map(PublicKey::id).collect();
        let builder = keys.iter().cloned().fold(Trust::builder(), TrustBuilder::key);
        let builder = builder.publisher(publisher, &ids, role.threshold);
        let builder = match &countersigners {
            Some(countersigners) => countersigners.ask(builder, publisher),
            None => builder,
        };
        let (trust, publisher) = (builder.build()?, publisher.to_owned());
        Ok(Self { trust, keys, threshold: role.threshold, publisher, countersigners })
    }
}
