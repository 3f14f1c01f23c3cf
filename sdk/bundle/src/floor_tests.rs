use super::*;
use crate::sha256;

fn app(name: &str, release: u64) -> AppIdentity {
    AppIdentity::new(name, "1.0.0", release, "MIT", "").unwrap()
}

fn scratch() -> (tempfile::TempDir, Floors) {
    let dir = tempfile::tempdir().unwrap();
    let floors = Floors::open(dir.path().join("home/floors")).unwrap();
    (dir, floors)
}

#[test]
fn the_floor_rises_and_never_falls() {
    let (_dir, floors) = scratch();
    let (old, new) = (sha256(b"old"), sha256(b"new"));
    assert_eq!(floors.floor(&app("a/b", 1).name).unwrap(), None);
    floors.record(&app("a/b", 3), old).unwrap();
    floors.record(&app("a/b", 3), old).unwrap();
    floors.record(&app("a/b", 5), new).unwrap();
    let floor = floors.floor(&app("a/b", 1).name).unwrap().unwrap();
    assert_eq!((floor.release, floor.identity), (5, new));
    for outcome in [floors.record(&app("a/b", 3), old), floors.check(&app("a/b", 3), old).map(|_| ())] {
        assert!(matches!(outcome, Err(Error::RolledBack { release: 3, floor: 5, .. })));
    }
    let reused = floors.check(&app("a/b", 5), old).unwrap_err();
    assert!(
        matches!(reused, Error::ReleaseReused { release: 5, known, found, .. } if known == new && found == old)
    );
    // Another app has a floor of its own.
    floors.record(&app("a/c", 1), old).unwrap();
    floors.record(&app("a-b/c", 1), old).unwrap();
}

#[test]
fn a_damaged_record_refuses_and_says_where_it_is() {
    let (_dir, floors) = scratch();
    let identity = sha256(b"x");
    floors.record(&app("a/b", 3), identity).unwrap();
    let path = floors.path(&app("a/b", 3).name);
    let good = fs::read_to_string(&path).unwrap();
    let damages = [
        String::new(),
        good[..20].into(),
        good.replace("a/b", "a/c"),
        good.replace("\"schema\":1", "\"schema\":2"),
        good.replace("3", "-3"),
        good.replace("{", "{\"extra\":1,"),
        " ".repeat(MAX_FLOOR_BYTES + 1),
    ];
    for damage in damages {
        fs::write(&path, &damage).unwrap();
        let error = floors.record(&app("a/b", 4), identity).unwrap_err();
        assert!(matches!(&error, Error::FloorDamaged { path: at, .. } if *at == path), "{damage}: {error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), damage, "a damaged record is evidence and stays");
    }
    fs::remove_file(&path).unwrap();
    floors.record(&app("a/b", 1), identity).unwrap();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(floors.floor(&app("a/b", 1).name), Err(Error::FloorDamaged { .. })));
}

#[test]
fn places_that_are_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(Floors::open(&file), Err(Error::NotAFile { expected: "a directory", .. })));
    assert!(matches!(Floors::open(file.join("below")), Err(Error::Io { .. })));
}

#[test]
fn a_half_written_record_of_a_crash_changes_nothing() {
    let (_dir, floors) = scratch();
    let identity = sha256(b"x");
    floors.record(&app("a/b", 3), identity).unwrap();
    fs::write(floors.dir.join("a~b.json.new"), "{\"schema\":1,\"app\":\"a/").unwrap();
    assert_eq!(floors.floor(&app("a/b", 3).name).unwrap().unwrap().release, 3);
    floors.record(&app("a/b", 4), identity).unwrap();
    assert_eq!(floors.floor(&app("a/b", 3).name).unwrap().unwrap().release, 4);
}

#[test]
fn many_at_once_keep_the_highest() {
    let (_dir, floors) = scratch();
    std::thread::scope(|scope| {
        for start in 0..4u64 {
            let floors = &floors;
            scope.spawn(move || {
                for step in 0..10 {
                    let release = 1 + start + 4 * step;
                    match floors.record(&app("a/b", release), sha256(&release.to_le_bytes())) {
                        Ok(()) | Err(Error::RolledBack { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    let floor = floors.floor(&app("a/b", 1).name).unwrap().unwrap();
    assert_eq!((floor.release, floor.identity), (40, sha256(&40u64.to_le_bytes())));
}

#[test]
fn a_holder_of_the_lock_is_waited_for() {
    let (_dir, floors) = scratch();
    floors.record(&app("a/b", 1), sha256(b"x")).unwrap();
    let lock = durable::lock(&floors.dir).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| floors.record(&app("a/b", 2), sha256(b"y")));
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!waiting.is_finished());
        drop(lock);
        waiting.join().unwrap().unwrap();
    });
}
