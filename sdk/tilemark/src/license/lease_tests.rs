use tilemark_bundle::{GrantClass, Offer};

use super::tests::{START, Shop};
use super::*;

fn seats(seats: u64) -> Offer {
    Offer { seats: Some(seats), ..Offer::new(GrantClass::Floating) }
}

/// A holder of so many seats, and two other devices.
fn office(count: u64) -> (Shop, Licenses, [Licenses; 2]) {
    let shop = Shop::new();
    let holder = shop.device("holder");
    shop.grant(&holder, &seats(count));
    let others = ["one", "two"].map(|name| shop.device(name));
    (shop, holder, others)
}

fn lend(shop: &Shop, holder: &Licenses, to: &Licenses, until: u64) -> Result<Vec<u8>, Error> {
    let request = to.request(shop.bundle().identity(), &*keeper("file").unwrap()).unwrap();
    holder.lease(&request, until, None, &shop.trust())
}

fn sessions(shop: &Shop, device: &Licenses) -> Vec<License> {
    std::iter::from_fn(|| shop.entitle(device).ok()).take(10).collect()
}

#[test]
fn a_leased_seat_is_on_one_device_at_a_time() {
    let (shop, holder, [one, two]) = office(2);
    assert_eq!(sessions(&shop, &holder).len(), 2);
    let lease = lend(&shop, &holder, &one, START + 1000).unwrap();
    let (grant, _) = one.install(&lease, &shop.trust()).unwrap();
    assert_eq!(grant.grant().seats, Some(1));
    assert_eq!(two.install(&lease, &shop.trust()).unwrap_err().code(), "TM0530", "it has no key yet");
    let (here, there) = (sessions(&shop, &holder), sessions(&shop, &one));
    assert_eq!((here.len(), there.len()), (1, 1));
    assert!(there[0].describe(&Usage::none(&grant)).contains("leased"));
    // The other seat is in use here: there is none left to lend.
    assert_eq!(lend(&shop, &holder, &two, START + 1000).unwrap_err().code(), "TM0540");
    drop(here);
    let second = lend(&shop, &holder, &two, START + 500).unwrap();
    two.install(&second, &shop.trust()).unwrap();
    assert_eq!(one.install(&second, &shop.trust()).unwrap_err().code(), "TM0178");
    assert_eq!((sessions(&shop, &holder).len(), sessions(&shop, &two).len()), (0, 1));
    assert_eq!(lend(&shop, &holder, &two, START + 1000).unwrap_err().code(), "TM0540");
    drop(there);
    // Each ends on its device before it is back with the holder.
    shop.set_clock(START + 501);
    assert_eq!(
        (sessions(&shop, &one).len(), sessions(&shop, &two).len(), sessions(&shop, &holder).len()),
        (1, 0, 0)
    );
    shop.set_clock(START + 500 + 301);
    assert_eq!(sessions(&shop, &holder).len(), 1);
    shop.set_clock(START + 1000 + 301);
    assert_eq!((sessions(&shop, &one).len(), sessions(&shop, &holder).len()), (0, 2));
}

#[test]
fn a_seat_in_use_is_not_lent_and_stays_counted() {
    let (shop, holder, [one, _]) = office(2);
    // The session sits on seat 0; the lease has to take the other, and no new session the first.
    let session = shop.entitle(&holder).unwrap();
    one.install(&lend(&shop, &holder, &one, START + 1000).unwrap(), &shop.trust()).unwrap();
    shop.refused(&holder, "TM0540");
    drop(session);
    assert_eq!(sessions(&shop, &holder).len(), 1);
}

#[test]
fn a_lease_ends_by_its_devices_clock_and_that_goes_forward_only() {
    let (shop, holder, [one, _]) = office(1);
    one.install(&lend(&shop, &holder, &one, START + 10_000).unwrap(), &shop.trust()).unwrap();
    shop.set_clock(START + 9000);
    shop.entitle(&one).unwrap();
    shop.set_clock(START + 1000);
    shop.refused(&one, "TM0534");
    shop.set_clock(START + 10_001);
    shop.refused(&one, "TM0532");
    let past = lend(&shop, &holder, &one, START);
    assert_eq!(past.unwrap_err().code(), "TM0532");
}

#[test]
fn a_lease_that_is_taken_out_of_the_record_is_missed() {
    let (shop, holder, [one, two]) = office(2);
    let log = || {
        let folder = shop.path("holder/license/receipts");
        std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
    };
    lend(&shop, &holder, &one, START + 1000).unwrap();
    let first = std::fs::read(log()).unwrap();
    lend(&shop, &holder, &two, START + 1000).unwrap();
    shop.refused(&holder, "TM0540");
    let both = std::fs::read(log()).unwrap();
    std::fs::write(log(), &first).unwrap();
    shop.refused(&holder, "TM0535");
    // The first of the two: the last one is where the witness says.
    std::fs::write(log(), &both[first.len()..]).unwrap();
    shop.refused(&holder, "TM0184");
    std::fs::write(log(), &both).unwrap();
    shop.refused(&holder, "TM0540");
}

#[test]
fn the_vendor_sees_who_has_a_seat_and_can_take_it_back() {
    let (shop, holder, [one, _]) = office(2);
    let held = holder.installed().unwrap()[0].grant.clone();
    let lease = lend(&shop, &holder, &one, START + 1000).unwrap();
    let (leased, _) = one.install(&lease, &shop.trust()).unwrap();
    let statement = shop.audit(&holder, &held);
    let lent = statement.receipts()[0].0.lent.unwrap();
    assert_eq!((lent.lease, lent.until, lent.seat), (leased.grant().id, START + 1000, 0));
    assert_eq!(lent.device, one.device().unwrap().unwrap().id());
    // The lease has a statement of its own.
    shop.entitle(&one).unwrap();
    assert_eq!(shop.audit(&one, &leased).grant().lender(), Some(held.grant().id));
    let mut list = Revocations::new("acme", 1, START);
    list.grants.push(tilemark_bundle::RevokedGrant {
        grant: held.grant().id,
        reason: Reason::Legal,
        note: "unpaid".into(),
    });
    let lists = RevocationLists::at(shop.path("one").join("revocations"));
    lists.install(&list.sign(&[&shop.key]).unwrap(), &shop.trust()).unwrap();
    shop.refused(&one, "TM0542");
}

#[test]
fn leases_by_many_threads_are_as_many_as_there_are_seats() {
    let (shop, holder, _) = office(3);
    let requests: Vec<Vec<u8>> = (0..8)
        .map(|number| {
            let device = shop.device(&format!("device{number}"));
            device.request(shop.bundle().identity(), &*keeper("file").unwrap()).unwrap()
        })
        .collect();
    let trust = shop.trust();
    let lent = std::thread::scope(|scope| {
        let lease = |request| {
            let (holder, trust) = (&holder, &trust);
            scope.spawn(move || holder.lease(request, START + 1000, None, trust).is_ok())
        };
        let threads: Vec<_> = requests.iter().map(|request| lease(request)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|lent| *lent).count()
    });
    assert!((1..=3).contains(&lent), "{lent}");
    assert_eq!(sessions(&shop, &holder).len() + lent, 3);
}
