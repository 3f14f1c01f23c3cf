//! What is learned of OpenCL devices and kept: taken the second time, never believed when a driver refuses it. A process of its
//! own, since a device that is open stays as it is.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints what it skips"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tilemark_engine::{Device, DeviceStore, known_answer, survey};

/// What is kept, and how often something was.
#[derive(Debug, Default)]
struct Kept {
    entries: Mutex<BTreeMap<String, Vec<u8>>>,
    saved: Mutex<usize>,
}

impl DeviceStore for Kept {
    fn load(&self, subject: &str) -> Option<Vec<u8>> {
        self.entries.lock().unwrap().get(subject).cloned()
    }

    fn save(&self, subject: &str, bytes: &[u8]) {
        self.entries.lock().unwrap().insert(subject.to_owned(), bytes.to_vec());
        *self.saved.lock().unwrap() += 1;
    }
}

impl Kept {
    /// The known-answer test with this store, and how much was kept in it.
    fn saved_by(self: &Arc<Self>, device: &Device) -> usize {
        *self.saved.lock().unwrap() = 0;
        known_answer(&device.clone().with_store(Arc::clone(self) as Arc<dyn DeviceStore>)).unwrap();
        *self.saved.lock().unwrap()
    }

    fn change(&self, what: &str, change: impl Fn(&mut Vec<u8>)) {
        let mut entries = self.entries.lock().unwrap();
        entries
            .iter_mut()
            .filter(|(subject, _)| subject.starts_with(what))
            .for_each(|(_, bytes)| change(bytes));
    }

    fn forget(&self, what: &str) {
        self.entries.lock().unwrap().retain(|subject, _| !subject.starts_with(what));
    }
}

#[test]
fn programs_and_outcomes_are_kept_and_rebuilt_when_a_driver_refuses_them() {
    let survey = survey();
    if survey.devices().next().is_none() {
        println!("skipped: no OpenCL device here ({:?})", survey.problem);
    }
    for device in survey.devices().map(Device::opencl) {
        println!("{}", device.description());
        let kept = Arc::new(Kept::default());
        let first = kept.saved_by(&device);
        assert!(first >= 3, "an outcome and programs: {first}");
        let with_store = device.clone().with_store(Arc::clone(&kept) as Arc<dyn DeviceStore>);
        assert_eq!(with_store.kept_answer(), Some(Ok(())));
        assert_eq!(kept.saved_by(&device), 0, "nothing is made again");

        // Whole programs of another build: a driver refuses them, or what it makes of them fails and they are left out.
        kept.forget("known answers");
        assert_eq!(kept.saved_by(&device), 1, "the outcome alone: programs were taken");
        kept.forget("known answers");
        kept.change("program", |bytes| *bytes = b"no program of any driver".to_vec());
        assert_eq!(kept.saved_by(&device), first, "all is made again");
        assert_eq!(kept.saved_by(&device), 0);

        // Something else than an outcome counts for none.
        kept.change("known answers", |bytes| *bytes = vec![7]);
        assert_eq!((with_store.kept_answer(), kept.saved_by(&device)), (None, 1));

        // A failure is believed, whatever the device would do now.
        with_store.condemn("it fell over");
        let failed = known_answer(&with_store).unwrap_err();
        assert_eq!(failed.code(), "TM0413");
        assert!(failed.to_string().contains("it fell over"), "{failed}");
    }
}
