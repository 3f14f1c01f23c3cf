use super::*;
use crate::shop::{Shop, device};
use crate::{Algorithm, Bundle, Offer, Receipt, SigningKey, Statement, Step, Usage};

/// A vendor, a bundle, and what the device that holds a grant has of them.
struct Office {
    trust: Trust,
    bundle: Bundle,
    text: Vec<u8>,
    grant: SignedGrant,
}

fn office(offer: &Offer) -> Office {
    let shop = Shop::new();
    let (trust, bundle) = (shop.trust(), shop.bundle("acme/tagger", 7));
    let text = shop.issue(&bundle, &device(1), offer).unwrap();
    let grant = SignedGrant::verify(&text, &trust).unwrap();
    Office { trust, bundle, text, grant }
}

fn seats() -> Offer {
    Offer { seats: Some(3), not_after: Some(9000), ..Offer::new(GrantClass::Floating) }
}

impl Office {
    fn make(&self, to: &DeviceKey, until: u64) -> Result<Lease> {
        let request = Request::make(self.bundle.identity(), to)?;
        Lease::make((&self.grant, &self.text), &request, (2000, until), &device(1))
    }

    fn opens(&self, grant: &SignedGrant, device: &DeviceKey) -> Result<()> {
        let key = grant.content_key(self.bundle.manifest(), self.bundle.identity(), device)?;
        let encryption = self.bundle.manifest().encryption.as_ref().unwrap();
        assert_eq!(key.commitment(encryption.binding), encryption.key_commitment);
        Ok(())
    }
}

#[test]
fn a_lease_is_one_seat_on_its_device_until_its_day() {
    let office = office(&seats());
    let lease = office.make(&device(2), 5000).unwrap();
    let text = lease.sign(&device(1)).unwrap();
    let grant = SignedGrant::verify(&text, &office.trust).unwrap();
    let claims = grant.grant();
    assert_eq!((claims.seats, claims.not_after, claims.end()), (Some(1), Some(5000), Some(5000)));
    assert_eq!((claims.id, grant.lender()), (lease.id, Some(office.grant.grant().id)));
    office.opens(&grant, &device(2)).unwrap();
    assert_eq!(office.opens(&grant, &device(1)).unwrap_err().code(), "TM0178");
    assert_eq!(office.opens(&grant, &device(3)).unwrap_err().code(), "TM0178");
    let recorded = SignedGrant::recorded(&text, grant.digest()).unwrap();
    assert_eq!((recorded.grant(), recorded.signers()), (claims, &[][..]));
    assert!(SignedGrant::recorded(&text, sha256(b"other")).is_err());
    // It is not lent again, and its holder's own grant is no lease.
    let request = Request::make(office.bundle.identity(), &device(3)).unwrap();
    let again = Lease::make((&grant, &text), &request, (2000, 4000), &device(2));
    assert_eq!(again.unwrap_err().code(), "TM0188");
}

#[test]
fn only_the_holder_lends_and_only_what_it_has() {
    let office = office(&seats());
    assert_eq!(office.make(&device(2), 9001).unwrap_err().code(), "TM0188");
    let verify = |text: &[u8]| SignedGrant::verify(text, &office.trust).map_err(|error| error.code());
    let good = office.make(&device(2), 5000).unwrap();
    // Another device signs, or says that it is the holder.
    assert_eq!(verify(&good.sign(&device(2)).unwrap()), Err("TM0177"));
    let mut theirs = good.clone();
    theirs.holder = device(2).public().clone();
    assert_eq!(verify(&theirs.sign(&device(2)).unwrap()), Err("TM0178"));
    // A holder that writes what its grant does not allow.
    let longer = Lease { until: 9001, ..good.clone() };
    assert_eq!(verify(&longer.sign(&device(1)).unwrap()), Err("TM0188"));
    let text = String::from_utf8(good.sign(&device(1)).unwrap()).unwrap();
    let nested = Lease { grant: text.clone(), ..good.clone() };
    assert_eq!(verify(&nested.sign(&device(1)).unwrap()), Err("TM0122"));
    let stranger = Trust::key(SigningKey::generate(Algorithm::Ed25519).unwrap().public().clone());
    assert_eq!(SignedGrant::verify(text.as_bytes(), &stranger).unwrap_err().code(), "TM0131");
    for at in 0..text.len() {
        let mut bad = text.clone().into_bytes();
        bad[at] ^= 1;
        assert!(SignedGrant::verify(&bad, &office.trust).is_err(), "byte {at}");
    }
    let request = Request::make(sha256(b"other bundle"), &device(2)).unwrap();
    let other = Lease::make((&office.grant, &office.text), &request, (2000, 5000), &device(1));
    assert_eq!(other.unwrap_err().code(), "TM0179");
}

#[test]
fn other_classes_and_budgets_are_not_lent() {
    let budget = Offer { inferences: Some(100), ..seats() };
    for offer in [Offer::new(GrantClass::Owned), budget] {
        assert_eq!(office(&offer).make(&device(2), 5000).unwrap_err().code(), "TM0188");
    }
}

#[test]
fn the_vendor_sees_a_seat_that_was_lent_twice() {
    let office = office(&seats());
    let holder = device(1);
    let statement = |lent: &[(u64, u64, u64)]| {
        let (mut usage, mut lines) = (Usage::none(&office.grant), Vec::new());
        for (seat, time, until) in lent {
            let lent = Lent { lease: sha256(b"lease"), device: device(2).id(), seat: *seat, until: *until };
            let (line, next) =
                Receipt::next(&office.grant, &usage, Step::Lease(lent), *time, &holder).unwrap();
            lines.push(line);
            usage = next;
        }
        let text = Statement::write(&office.text, holder.public(), &lines.join(&b'\n')).unwrap();
        Statement::verify(&text, &office.trust).map(|_| ()).map_err(|error| error.code())
    };
    assert_eq!(statement(&[(0, 2000, 3000), (1, 2000, 3000), (2, 2000, 3000), (0, 3001, 4000)]), Ok(()));
    assert_eq!(statement(&[(0, 2000, 3000), (0, 3000, 4000)]), Err("TM0184"));
    assert_eq!(statement(&[(3, 2000, 3000)]), Err("TM0184"));
}
