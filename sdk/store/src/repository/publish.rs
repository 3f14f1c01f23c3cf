use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use tilemark_bundle::{
    AppName, Bundle, Head, PublicKey, SigningKey, Trust, TrustBuilder, Untrusted, durable,
};

use super::documents::Documents;
use super::{Repository, check};
use crate::contract::Contract;
use crate::error::{Error, Result};
use crate::gate::{self, Price, Ruling};
use crate::layout;
use crate::listing::{Listing, Offer, Signers};
use crate::metadata::{Delegation, Delegations, Keyring, TargetFile, Targets};
use crate::time;

/// How a bundle is offered. What is not said here stays as it is: the price of the app's newest release, and of a bundle that is
/// offered again its contract, reports and measured times.
#[derive(Clone, Debug, Default)]
pub struct Offering {
    /// What for; of a new app that is nothing.
    pub price: Option<Price>,
    /// What it does, in types, as it was derived from the bundle.
    pub contract: Option<Contract>,
    /// Whether nothing stays as it is.
    pub anew: bool,
}

/// What a publication did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Published {
    /// What integrators will see.
    pub listing: Listing,
    /// What the licence gate says of it: the duties that go with it.
    pub ruling: Ruling,
    /// Bytes of blobs that the store did not have.
    pub added: u64,
    /// Bytes of blobs that it had, of this or of any app.
    pub shared: u64,
    /// Listings of before that the licence gate does not allow any more, and that are not offered any more.
    pub withdrawn: Vec<String>,
}

/// A publisher's delegation, and the keys that it names.
pub(crate) struct Publisher {
    pub(crate) role: Delegation,
    pub(crate) ring: Keyring,
}

impl Repository {
    /// Offers a bundle of which nothing more is said: [`offer`](Self::offer).
    ///
    /// # Errors
    /// Those of [`offer`](Self::offer).
    pub fn publish(&self, bundle: &Path, keys: &[&SigningKey]) -> Result<Published> {
        self.offer(bundle, keys, &Offering::default())
    }

    /// Offers the bundle at a path: [`offer_file`](Self::offer_file).
    ///
    /// # Errors
    /// Those of [`offer_file`](Self::offer_file).
    pub fn offer(&self, bundle: &Path, keys: &[&SigningKey], offering: &Offering) -> Result<Published> {
        self.offer_file(Untrusted::from_path(bundle)?, keys, offering)
    }

    /// Offers a bundle, signed by its publisher's keys; seen after the next [`refresh`](super::Operator::refresh). The operator's keys are
    /// not needed.
    ///
    /// # Errors
    /// What the bundle is refused for, [`Error::NoPublisher`], [`Error::WrongKeys`], [`Error::NotNewer`], [`Error::NotOffered`],
    /// [`Error::Invalid`], [`Error::Io`].
    pub fn offer_file(
        &self,
        file: Untrusted,
        keys: &[&SigningKey],
        offering: &Offering,
    ) -> Result<Published> {
        let ours = keys.iter().map(|key| key.public().clone()).collect::<Vec<_>>();
        let bundle = file.verify(&any_of(&ours)?).map_err(tilemark_bundle::Refused::into_error)?;
        let _lock = durable::lock(&self.dir)?;
        let mut documents = Documents::served(self)?;
        let publisher = documents.publisher(bundle.manifest().app.name.publisher())?;
        publisher.check_keys(&ours)?;
        // As integrators will: by the keys that the store lets sign for the publisher.
        let envelope = bundle.envelope();
        let head = Head::authenticate(&envelope, &publisher.signers()?.trust)
            .map_err(tilemark_bundle::Refused::into_error)?;
        let mut targets = publisher.targets(&documents)?.unwrap_or_else(|| self.targets());
        let app = &head.manifest().app.name;
        let before = match check::newest_releases(&targets).remove(app) {
            None => None,
            Some(newest) => match self.listed(&publisher, &targets, app, newest) {
                // It is gone. What it was offered for is not guessed.
                Err(_) if head.manifest().app.release > newest && offering.price.is_some() => None,
                before => Some(before?),
            },
        };
        let listing = offering.listing(&head, &envelope, before.as_ref());
        let ruling = gate::offered(head.manifest(), listing.price)?;
        if let Some(contract) = &listing.contract {
            contract.check(head.identity(), &head.manifest().targets, &publisher.keys())?;
        }
        if let Some(before) = &before {
            check::follows(before.listing(), &listing)?;
        }
        let file = listing.to_bytes()?;
        let path = layout::listing(&listing.app, listing.release);
        let custom = self.dated(targets.targets.get(&path));
        let withdrawn = self.withdraw(&publisher, &mut targets, app);
        let (added, shared) = self.write_blobs(&bundle)?;
        let target = TargetFile { custom, ..TargetFile::of(&file) };
        self.write(&layout::target_file(&path, target.sha256().unwrap_or_default(), true), &file)?;
        targets.targets.insert(path, target);
        documents.stage(&publisher.role.name, &mut targets, keys, self.until(self.validity.targets))?;
        Ok(Published { listing, ruling, added, shared, withdrawn })
    }

    /// When a release was offered first: that of a listing which takes another one's place is that of the other.
    fn dated(&self, known: Option<&TargetFile>) -> Option<Value> {
        let today = || Some(json!({ "published": time::format(self.until(0)) }));
        known.map_or_else(today, |known| known.custom.clone())
    }

    /// Takes out of a publisher's targets what the gate does not allow any more: its rules may have changed. The operator would
    /// list nothing else of the publisher's for it. Of an app whose newest release goes all go, since no older one takes its place;
    /// but for `next`, which gets a newer one.
    fn withdraw(&self, publisher: &Publisher, targets: &mut Targets, next: &AppName) -> Vec<String> {
        let is_blocked = |app: &AppName, release| {
            let offer = self.listed(publisher, targets, app, release);
            offer.is_ok_and(|offer| !offer.ruling().is_allowed())
        };
        let newest = check::newest_releases(targets);
        let gone: BTreeSet<_> = newest
            .iter()
            .filter(|(app, release)| *app != next && is_blocked(app, **release))
            .map(|(app, _)| app)
            .collect();
        let blocked = targets.targets.keys().filter(|path| {
            check::listed_release(path)
                .is_some_and(|(app, release)| gone.contains(&app) || is_blocked(&app, release))
        });
        let withdrawn: Vec<String> = blocked.cloned().collect();
        withdrawn.iter().for_each(|path| drop(targets.targets.remove(path)));
        withdrawn
    }

    /// Writes what is not there yet; bytes written, and bytes that were there.
    fn write_blobs(&self, bundle: &Bundle) -> Result<(u64, u64)> {
        let (mut added, mut shared) = (0, 0);
        for (blob, bytes) in bundle.stored() {
            let relative = layout::blob(&blob.sha256);
            // Whoever may write here may have put anything under this name.
            if self.has_blob(&blob.sha256, blob.size)? {
                shared += blob.size;
            } else {
                self.write(&relative, bytes)?;
                added += blob.size;
            }
        }
        Ok((added, shared))
    }
}

impl Offering {
    /// What is offered, with what was said of the app's newest release and is not said anew.
    fn listing(&self, head: &Head, envelope: &[u8], before: Option<&Offer>) -> Listing {
        let new = Listing::of(head, envelope);
        let before = before.map(Offer::listing).filter(|_| !self.anew);
        let price = self.price.or(before.map(|before| before.price)).unwrap_or_default();
        let again = before.filter(|before| before.identity == new.identity);
        let contract = match (self.contract.clone(), again.and_then(|again| again.contract.as_ref())) {
            (Some(mut contract), Some(before)) => {
                contract.keep(before);
                Some(contract)
            }
            (contract, before) => contract.or(before.cloned()),
        };
        Listing { price, contract, ..new }
    }
}

impl Documents<'_> {
    /// Who may offer apps as `publisher/…`.
    pub(crate) fn publisher(&self, publisher: &str) -> Result<Publisher> {
        let none = || Error::NoPublisher { publisher: publisher.to_owned() };
        let targets = self.newest_targets()?;
        let top = targets.delegations.unwrap_or_default();
        let bin = layout::bin_role(&layout::bin(publisher));
        let role = top.roles.iter().find(|role| role.name == bin).ok_or_else(none)?;
        let bin = self.own(&bin, &role.keys, &top.keys)?.and_then(|bin| bin.delegations).ok_or_else(none)?;
        let name = layout::publisher_role(publisher);
        let role = bin.roles.into_iter().find(|role| role.name == name).ok_or_else(none)?;
        Ok(Publisher { role, ring: bin.keys })
    }
}

impl Documents<'_> {
    /// All publishers that there are.
    pub(crate) fn publishers(&self) -> Result<Vec<Publisher>> {
        let top = self.newest_targets()?.delegations.unwrap_or_default();
        let mut found = Vec::new();
        for role in top.roles.iter().filter(|role| role.name.starts_with("bin-")) {
            let bin = self.own(&role.name, &role.keys, &top.keys)?.and_then(|bin| bin.delegations);
            let Delegations { roles, keys, .. } = bin.unwrap_or_default();
            found.extend(roles.into_iter().map(|role| Publisher { role, ring: keys.clone() }));
        }
        Ok(found)
    }
}

impl Publisher {
    /// The keys that may sign for it.
    pub(crate) fn keys(&self) -> Vec<PublicKey> {
        self.role.keys.keyids.iter().filter_map(|id| self.ring.get(id)?.public()).collect()
    }

    pub(crate) fn signers(&self) -> Result<Signers> {
        Signers::of(&self.role.keys, &self.ring, self.name(), None)
    }

    pub(crate) fn name(&self) -> &str {
        self.role.name.strip_prefix("p.").unwrap_or(&self.role.name)
    }

    /// What it signed last. A document that only the keys of before signed offers nothing any more.
    pub(crate) fn targets(&self, documents: &Documents<'_>) -> Result<Option<Targets>> {
        let (name, keys) = (&self.role.name, &self.role.keys);
        if let Some((newest, _)) = documents.newest(name, keys, &self.ring)?.found {
            return Ok(Some(newest));
        }
        match documents.listed_role(name, keys, &self.ring) {
            Err(Error::Unsigned { .. }) => Ok(None),
            listed => listed,
        }
    }

    fn check_keys(&self, keys: &[PublicKey]) -> Result<()> {
        let found = self.keys().iter().filter(|key| keys.contains(key)).count() as u64;
        let needed = self.role.keys.threshold;
        if found < needed {
            return Err(Error::WrongKeys { role: format!("the publisher {}", self.name()), needed, found });
        }
        Ok(())
    }
}

fn any_of(keys: &[PublicKey]) -> Result<Trust> {
    let ids: Vec<_> = keys.iter().map(PublicKey::id).collect();
    let builder = keys.iter().cloned().fold(Trust::builder(), TrustBuilder::key);
    Ok(builder.any_publisher(&ids, 1).build()?)
}
