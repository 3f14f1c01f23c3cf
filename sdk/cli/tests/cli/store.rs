//! A store from invitation to revocation, as its operator, a publisher and a buyer type it.

use std::process::Stdio;
use std::time::Duration;

use tilemark_testkit::random::SplitMix64;
use tilemark_testkit::temp::copy_folder;

use crate::server::Server;
use crate::workshop::{TINY_TOML, Workshop, sample, tiny_onnx};

/// A workshop with a store, the publisher acme in it, and release 7 of acme/tiny.
fn market() -> Workshop {
    let shop = Workshop::with_sources();
    shop.tilemark("store init store --keys keys").ok().prints("2 of 3");
    shop.tilemark("store invite store acme --pub vendor.pub --key keys/targets.key").ok();
    publish(&shop, 7);
    shop
}

/// Packs and offers a release of acme/tiny.
fn publish(shop: &Workshop, release: u64) {
    let text = TINY_TOML.replace("release = 7", &format!("release = {release}"));
    shop.write("app.toml", text.replace("Five made-up", &format!("Release {release}: five made-up")));
    shop.tilemark(&format!("pack app.toml --key vendor.key -o tiny-{release}.tmk")).ok();
    shop.tilemark(&format!("store publish store tiny-{release}.tmk --key vendor.key"))
        .ok()
        .prints(&format!("acme/tiny 1.2.0, release {release}"))
        .prints("contract   image -> labels, ")
        .prints("price      free")
        .prints("duty       where it comes from: no licence is stated: tell whoever gets it")
        .says("store refresh");
    shop.tilemark("store refresh store --key keys/online.key").ok();
}

fn installed(shop: &Workshop) -> Vec<u8> {
    shop.read("home/apps/acme/tiny.tmk")
}

#[test]
fn from_invitation_to_revocation() {
    let shop = market();
    let server = Server::start(shop.path("store"));
    shop.tilemark(&format!("store add {} --root store/metadata/1.root.json", server.address))
        .ok()
        .prints("1 mirror");
    shop.tilemark("store search FIVE made-up host").ok().prints("acme/tiny  1.2.0");
    assert_eq!(shop.tilemark("store search nothing-like-it").ok().says("nothing found").stdout, "");
    let found = shop.tilemark("store search --json").ok().json();
    assert_eq!((found[0]["app"].as_str(), found[0]["release"].as_u64()), (Some("acme/tiny"), Some(7)));
    shop.tilemark("store info acme/tiny")
        .ok()
        .prints("Apache-2.0")
        .prints("1.2.0, release 7")
        .prints("good until");
    shop.tilemark("store info acme/none").fails(1, "TM0820");

    let done = shop.tilemark("store install acme/tiny --json").ok().json();
    assert_eq!((done[0]["unchanged"].as_bool(), done[0]["reused"].as_u64()), (Some(false), Some(0)));
    assert_eq!(installed(&shop), shop.read("tiny-7.tmk"));
    let run =
        format!("run home/apps/acme/tiny.tmk --trust home/apps/acme/trust.json {}", sample("flower.jpg"));
    shop.tilemark(&run).ok();
    shop.tilemark("store install acme/tiny").ok().prints("current");

    publish(&shop, 8);
    let done = shop.tilemark("store update --json").ok().json();
    assert!(done[0]["reused"].as_u64() > Some(0), "{done}");
    assert_eq!(installed(&shop), shop.read("tiny-8.tmk"));
    shop.tilemark("store list").ok().prints("acme/tiny  release 8");
    shop.tilemark("store install acme/tiny --release 7").fails(3, "TM0136");
    shop.tilemark("store install acme/tiny --target kv260").fails(5, "TM0822");

    shop.tilemark("store revoke store acme --key keys/targets.key").ok();
    shop.tilemark("store refresh store --key keys/online.key").ok();
    shop.tilemark("store info acme/tiny").fails(1, "TM0820");
    shop.tilemark("store update").ok().says("it stays");
    shop.tilemark("store update acme/tiny").fails(1, "TM0820");
    shop.tilemark(&run).ok(); // what was bought stays
    shop.tilemark("store remove acme/tiny").ok();
    assert_eq!(shop.tilemark("store list --json").ok().json(), serde_json::json!([]));
}

#[test]
fn what_is_bound_to_a_store_does_not_run_without_its_signature() {
    let shop = market();
    shop.tilemark("store add store --root store/metadata/1.root.json").ok();
    shop.tilemark("store install acme/tiny").ok();
    let run =
        format!("run home/apps/acme/tiny.tmk --trust home/apps/acme/trust.json {}", sample("flower.jpg"));
    shop.tilemark(&run).ok();
    shop.tilemark("keygen --out keys/review").ok();
    shop.tilemark("store require --countersigner keys/review.pub --threshold 2").fails(1, "TM0835");
    shop.tilemark("store require --countersigner keys/review.pub").ok().prints("what is here of 1 publisher");
    shop.tilemark(&run).fails(3, "TM0135");
    shop.tilemark("store install acme/tiny").fails(3, "TM0135");

    let text = TINY_TOML.replace("release = 7", "release = 8");
    shop.write("app.toml", text);
    shop.tilemark("pack app.toml --key vendor.key -o tiny-8.tmk").ok();
    shop.tilemark("store countersign store tiny-8.tmk --key keys/review.key -o tiny-8.tmk").ok();
    shop.tilemark("store publish store tiny-8.tmk --key vendor.key --measure none").ok();
    shop.tilemark("store refresh store --key keys/online.key").ok();
    shop.tilemark("store update").ok().prints("release 8");
    shop.tilemark(&run).ok();
    shop.tilemark("store require --none").ok();
    assert_eq!(shop.tilemark("store require").code, 2);
}

/// What `TINY_TOML` may have in addition.
const ORIGIN: &str = r#"
[origin]
kind = "application"
code = "MIT"
weights = "Apache-2.0"
data = "CC0-1.0"
[[origin.derived_from]]
name = "some net"
kind = "model"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
weights = "Apache-2.0"
data = "CC-BY-4.0"
"#;

/// Release `release` of acme/tiny with an origin, packed.
fn pack_with_origin(shop: &Workshop, release: u64, edit: (&str, &str), encrypt: &str) -> String {
    assert!(ORIGIN.contains(edit.0));
    let text = TINY_TOML.replace("release = 7", &format!("release = {release}"));
    shop.write("app.toml", text + &ORIGIN.replace(edit.0, edit.1));
    shop.tilemark(&format!("pack app.toml --key vendor.key {encrypt} -o sale-{release}.tmk")).ok();
    format!("store publish store sale-{release}.tmk --key vendor.key --price paid")
}

#[test]
fn only_what_its_origin_allows_is_sold() {
    let shop = market();
    shop.tilemark("store publish store tiny-7.tmk --key vendor.key --price paid")
        .fails(1, "TM0825")
        .says("where it comes from: no licence is stated");
    for other in ["AGPL-3.0-only", "CC-BY-NC-4.0", "LicenseRef-research-only"] {
        let publish = pack_with_origin(&shop, 8, ("data = \"CC-BY-4.0\"", &format!("data = {other:?}")), "");
        shop.tilemark(&publish).fails(1, "TM0825").says(other);
    }
    let publish = pack_with_origin(&shop, 8, ("CC-BY-4.0", "CC-BY-4.0"), "");
    shop.tilemark(&publish)
        .ok()
        .prints("price      paid")
        .prints("duty       data of some net (CC-BY-4.0): pass on its copyright notices");
    shop.tilemark("store refresh store --key keys/online.key").ok();
    shop.tilemark("store add store --root store/metadata/1.root.json").ok();
    shop.tilemark("store search --price paid").ok().prints("acme/tiny  1.2.0").prints("paid");
    shop.tilemark("store search --price free").ok().says("nothing found");
    // Dated anew it is still sold, unless its publisher says otherwise.
    shop.tilemark(&publish.replace(" --price paid", "")).ok().prints("price      paid");
    shop.tilemark(&publish.replace("--price paid", "--price free")).ok().prints("price      free");
    shop.tilemark(&publish).ok().prints("price      paid");
    shop.tilemark("store refresh store --key keys/online.key").ok();
    let info = shop.tilemark("store info acme/tiny").ok();
    info.prints("price        paid").prints("weights of some net (Apache-2.0)");
    let duties = shop.tilemark("store info acme/tiny --json").ok().json()["duties"].clone();
    assert!(duties.as_array().unwrap().iter().all(|duty| duty["kind"] == "notices"), "{duties}");
}

#[test]
fn an_encrypted_app_is_offered_with_the_vault_that_has_its_key() {
    let shop = market();
    let publish = pack_with_origin(&shop, 8, ("MIT", "MIT"), "--encrypt --vault vault");
    shop.tilemark(&publish).fails(2, "TM0601").says("--vault");
    shop.tilemark("pack --model tiny.onnx --name acme/other --version 1.0.0 --key vendor.key --encrypt --vault another -o x.tmk")
        .ok();
    shop.tilemark(&format!("{publish} --vault another")).fails(3, "TM0158");
    shop.tilemark(&format!("{publish} --vault vault")).ok().prints("image -> labels");
}

#[test]
fn what_is_found_by_its_contract_then_runs() {
    let shop = market();
    shop.tilemark("pack --model tiny.onnx --name acme/raw --version 1.0.0 --key vendor.key -o raw.tmk").ok();
    shop.tilemark("store publish store raw.tmk --key vendor.key --measure none").ok().prints("not measured");
    shop.tilemark("store refresh store --key keys/online.key").ok();
    shop.tilemark("store add store --root store/metadata/1.root.json").ok();
    let found = |query: &str| {
        let found = shop.tilemark(&format!("store search --json {query}")).ok().json();
        let apps = found.as_array().unwrap().iter().map(|row| row["app"].as_str().unwrap().to_owned());
        apps.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(found(""), "acme/raw acme/tiny");
    assert_eq!(found("image->labels --runs-on host --max-ms 10000 --license Apache-2.0"), "acme/tiny");
    assert_eq!(found("image->labels --runs-on here"), "acme/tiny");
    assert_eq!(found("tensors->tensors"), "acme/raw");
    for nothing in [
        "image->lines",
        "image->labels --license MIT",
        "image->labels --max-ms 0.001",
        "tensors->tensors --max-ms 1000",
    ] {
        assert_eq!(found(nothing), "", "{nothing}");
    }
    shop.tilemark("store search image->").fails(1, "TM0835");
    shop.tilemark("store search --license nothing").fails(1, "TM0835");
    shop.tilemark("store search --runs-on no-such-device").fails(5, "TM0401");
    let row = shop.tilemark("store search tiny --json").ok().json();
    assert!(row[0]["speeds"]["host"].as_u64().unwrap() > 0, "{row}");
    shop.tilemark("store info acme/tiny")
        .ok()
        .prints("image u8[any, any, 3], 0 to 255")
        .prints("labels label[5], classes")
        .prints("ms on host");
    shop.tilemark("store info acme/raw")
        .ok()
        .prints("image f32[1, 3, 8, 8]")
        .prints("head/scores:0 f32[1, 5]");
    shop.tilemark("store install acme/tiny").ok();
    let picture = sample("flower.jpg");
    shop.tilemark(&format!("run home/apps/acme/tiny.tmk --trust home/apps/acme/trust.json {picture}")).ok();
}

#[test]
fn a_substitute_has_the_same_ends_and_tells_the_same_things_apart() {
    let shop = market();
    shop.tilemark("store add store --root store/metadata/1.root.json").ok();
    let publish = |name: &str, edit: (&str, &str)| {
        assert!(TINY_TOML.contains(edit.0));
        shop.write("app.toml", TINY_TOML.replace("acme/tiny", name).replace(edit.0, edit.1));
        shop.tilemark("pack app.toml --key vendor.key -o other.tmk").ok();
        shop.tilemark("store publish store other.tmk --key vendor.key --measure none").ok();
        shop.tilemark("store refresh store --key keys/online.key").ok();
    };
    let find = "store find-substitute tiny-7.tmk --trust vendor.pub";
    shop.tilemark(find).ok().says("nothing found");
    shop.write("others.txt", "one\ntwo\nthree\nfour\nfive\n");
    publish("acme/same", ("std = [50, 50, 50]", "std = [60, 60, 60]"));
    publish("acme/other-classes", ("labels.txt", "others.txt"));
    publish(
        "acme/other-ends",
        ("softmax = {}\n[[post]]\ntop_k = { k = 2, labels = \"labels.txt\" }", "softmax = {}"),
    );
    let found = shop.tilemark(&format!("{find} --json")).ok().json();
    let apps: Vec<&str> = found.as_array().unwrap().iter().map(|row| row["app"].as_str().unwrap()).collect();
    assert_eq!(apps, ["acme/same"]);
    // What was looked at is enough to look again. The store is there, and is not asked for what is not kept.
    shop.tilemark(&format!("{find} --offline")).ok().prints("acme/same");
    std::fs::remove_dir_all(shop.path("home/cache")).unwrap();
    shop.tilemark(&format!("{find} --offline")).fails(1, "TM0827").says("targets.json");
    shop.tilemark(find).ok().prints("acme/same");
    std::fs::rename(shop.path("store"), shop.path("gone")).unwrap();
    shop.tilemark(&format!("{find} --offline")).ok().prints("acme/same");
}

#[test]
fn a_signed_evaluation_goes_with_the_listing_of_its_bundle_alone() {
    let shop = crate::eval::with_data(20);
    shop.tilemark("store init store --keys keys").ok();
    shop.tilemark("store invite store acme --pub vendor.pub --key keys/targets.key").ok();
    shop.tilemark("keygen --out lab").ok();
    for (key, name) in [("lab.key", "lab.json"), ("vendor.key", "own.json")] {
        shop.tilemark(&format!(
            "eval tiny.tmk --trust vendor.pub --device host --data data --buyer-data --report {name} --key {key}"
        ))
        .ok();
    }
    let publish = "store publish store tiny.tmk --key vendor.key --report lab.json --report own.json";
    shop.tilemark(publish).ok();
    shop.tilemark("store refresh store --key keys/online.key").ok();
    shop.tilemark("store add store --root store/metadata/1.root.json").ok();
    shop.tilemark("store info acme/tiny")
        .ok()
        .prints("accuracy: hits")
        .prints("which nobody checked")
        .prints("signed by the publisher");
    shop.write("tiny.onnx", tiny_onnx());
    shop.tilemark("pack --model tiny.onnx --name acme/raw --version 1.0.0 --key vendor.key -o raw.tmk").ok();
    shop.tilemark("store publish store raw.tmk --key vendor.key --report lab.json").fails(1, "TM0835");
}

#[test]
fn without_a_mirror_what_is_known_is_shown_with_its_age() {
    let shop = market();
    shop.tilemark("store search").fails(2, "TM0601");
    let server = Server::start(shop.path("store"));
    shop.tilemark(&format!("store add {} --root store/metadata/1.root.json", server.address)).ok();
    shop.tilemark("store add store.example.org --root store/metadata/1.root.json")
        .fails(1, "TM0835")
        .says("https://");
    shop.tilemark("store add store").ok().prints("2 mirrors");
    shop.tilemark("store search --offline").fails(3, "TM0823");
    shop.tilemark("store info acme/tiny").ok();
    shop.tilemark("store search").ok();
    drop(server);
    std::fs::rename(shop.path("store"), shop.path("gone")).unwrap();
    shop.tilemark("store search tiny").ok().prints("acme/tiny").says("stale: ");
    shop.tilemark("store info acme/tiny --offline").ok().prints("stale: no mirror was asked");
    shop.tilemark("store install acme/tiny").fails(1, "TM0801");
}

#[test]
fn the_wrong_keys_change_nothing() {
    let shop = market();
    shop.tilemark("store init store --keys other").fails(1, "TM0833");
    shop.tilemark("store init new --keys keys").fails(1, "TM0833");
    assert!(!shop.path("other").exists() && !shop.path("new").exists(), "no keys without a store");
    shop.tilemark("store invite store zeta --pub vendor.pub --key keys/online.key").fails(1, "TM0832");
    shop.tilemark("store invite store acme --pub vendor.pub --key keys/targets.key").fails(1, "TM0831");
    shop.tilemark("store revoke store zeta --key keys/targets.key").fails(1, "TM0830");
    shop.tilemark("store publish store tiny-7.tmk --key keys/online.key").fails(3, "TM0131");
    shop.tilemark("store refresh store --key keys/targets.key").fails(1, "TM0832");
    shop.tilemark("store renew store --key keys/root-1.key").fails(1, "TM0832");
    shop.tilemark("store renew store --key keys/root-1.key --key keys/root-3.key").ok();
    shop.tilemark("store renew store --targets keys/online.key").fails(1, "TM0832");
    shop.tilemark("store renew store --targets keys/targets.key").ok().prints("the targets");
    shop.tilemark("store refresh store --key keys/online.key").ok().prints("snapshot 3");
    shop.tilemark("store refresh keys --key keys/online.key").fails(1, "TM0820");
}

#[test]
fn an_operator_signs_by_what_it_signed_last() {
    let shop = market();
    let root = std::fs::read(shop.path("store/metadata/1.root.json")).unwrap();
    shop.write("trusted-root.json", String::from_utf8(root).unwrap());
    std::fs::create_dir(shop.path("online")).unwrap();
    std::fs::copy(shop.path("keys/online.key"), shop.path("online/online.key")).unwrap();
    // Another machine, which knows nothing yet.
    shop.tilemark("store refresh store --key online/online.key").fails(1, "TM0836").says("--root");
    shop.tilemark("store refresh store --key online/online.key --root trusted-root.json").ok();
    shop.tilemark("store refresh store --key keys/online.key").ok();
    // Somebody puts an old state of the folder back.
    copy_folder(&shop.path("store"), &shop.path("old"));
    publish(&shop, 8);
    std::fs::remove_dir_all(shop.path("store")).unwrap();
    std::fs::rename(shop.path("old"), shop.path("store")).unwrap();
    shop.tilemark("store refresh store --key keys/online.key").fails(3, "TM0812");
    shop.tilemark("store revoke store acme --key keys/targets.key").fails(3, "TM0812");
    shop.tilemark("store renew store --key keys/root-1.key --key keys/root-2.key").fails(3, "TM0812");
}

#[test]
fn a_stolen_online_key_is_replaced() {
    let shop = market();
    shop.tilemark("store add store --root store/metadata/1.root.json").ok();
    shop.tilemark("store install acme/tiny").ok();
    shop.tilemark("keygen --out keys/online2").ok();
    shop.tilemark("store renew store --key keys/root-1.key --key keys/root-2.key --old keys/online.pub --new keys/online2.pub")
        .ok();
    shop.tilemark("store refresh store --key keys/online.key").fails(1, "TM0832");
    shop.tilemark("store refresh store --key keys/online2.key --rebuild")
        .fails(1, "TM0832")
        .says("left out   index");
    shop.tilemark("store renew store --targets keys/targets.key").ok();
    shop.tilemark("store refresh store --key keys/online2.key").ok();
    shop.tilemark("store search tiny").ok().prints("acme/tiny");
    shop.tilemark("store update").ok();
}

#[test]
fn a_bundle_is_countersigned() {
    let shop = market();
    shop.tilemark("keygen --out keys/review").ok();
    shop.tilemark("store countersign store tiny-7.tmk --key keys/review.key -o reviewed.tmk")
        .ok()
        .prints("reviewed.tmk");
    shop.tilemark("verify reviewed.tmk --trust keys/review.pub").ok();
    shop.tilemark("verify reviewed.tmk --trust vendor.pub").ok();
    shop.tilemark("keygen --out stranger").ok();
    shop.tilemark("pack app.toml --key stranger.key -o strange.tmk").ok();
    shop.tilemark("store countersign store strange.tmk --key keys/review.key -o no.tmk").fails(1, "TM0830");
    shop.tilemark("store countersign store tiny-7.tmk --key keys/review.key --price paid -o no.tmk")
        .fails(1, "TM0825");
    assert!(!shop.path("no.tmk").exists());
}

#[test]
fn a_store_on_a_drive() {
    let shop = market();
    let server = Server::start(shop.path("store"));
    shop.tilemark(&format!("store add {} --root store/metadata/1.root.json", server.address)).ok();
    shop.tilemark("store stick drive").ok().prints("good until");
    let again = shop.tilemark("store mirror drive --json").ok().json();
    assert_eq!((again["fetched"].as_u64(), again["refused"].as_u64()), (Some(0), Some(0)));
    drop(server);
    std::fs::rename(shop.path("store"), shop.path("gone")).unwrap();
    shop.tilemark("store add drive --store away --root gone/metadata/1.root.json").ok();
    shop.tilemark("store install acme/tiny --store away").ok();
    assert_eq!(installed(&shop), shop.read("tiny-7.tmk"));
    shop.tilemark("store mirror drive").fails(1, "TM0801");
}

#[test]
fn apps_of_another_store_stay() {
    let shop = market();
    shop.tilemark("store add store --root store/metadata/1.root.json").ok();
    shop.tilemark("store install acme/tiny").ok();
    shop.tilemark("store init second --keys second-keys").ok();
    shop.tilemark("store invite second acme --pub vendor.pub --key second-keys/targets.key").ok();
    shop.tilemark("store publish second tiny-7.tmk --key vendor.key").ok();
    shop.tilemark("store refresh second --key second-keys/online.key").ok();
    shop.tilemark("store add second --store second --root second/metadata/1.root.json").ok();
    shop.tilemark("store update --store second").ok().says("it stays");
    shop.tilemark("store install acme/tiny --store second").fails(3, "TM0826");
    shop.tilemark("store add second").ok(); // an address is no trust
    shop.tilemark("store add second --root second/metadata/1.root.json").fails(1, "TM0833");
}

#[test]
fn killed_at_any_point_the_old_version_is_whole_and_the_next_try_finishes() {
    let shop = market();
    shop.tilemark("store add store --root store/metadata/1.root.json").ok();
    shop.tilemark("store install acme/tiny").ok();
    publish(&shop, 8);
    let (old, new) = (shop.read("tiny-7.tmk"), shop.read("tiny-8.tmk"));
    let mut random = SplitMix64::new(20);
    for _ in 0..15 {
        kill(&shop, "store update", &mut random);
        let found = installed(&shop);
        assert!(found == old || found == new);
    }
    shop.tilemark("store update").ok();
    assert_eq!(installed(&shop), new);

    for release in 9..13 {
        let text = TINY_TOML.replace("release = 7", &format!("release = {release}"));
        shop.write("app.toml", text);
        shop.tilemark(&format!("pack app.toml --key vendor.key -o tiny-{release}.tmk")).ok();
        let publish = format!("store publish store tiny-{release}.tmk --key vendor.key");
        kill(&shop, &publish, &mut random);
        shop.tilemark("store refresh store --key keys/online.key").ok();
        shop.tilemark("store update").ok();
        shop.tilemark(&publish).ok();
        kill(&shop, "store refresh store --key keys/online.key", &mut random);
        shop.tilemark("store update").ok();
        shop.tilemark("store refresh store --key keys/online.key").ok();
        shop.tilemark("store update").ok();
        assert_eq!(installed(&shop), shop.read(&format!("tiny-{release}.tmk")));
    }
}

/// A folder of its own in a namespace of its own, of so few bytes that an update does not fit.
#[cfg(target_os = "linux")]
#[test]
fn on_a_full_disk_the_old_version_stays() {
    let isolated = ["--user", "--map-root-user", "--mount", "sh", "-ec"];
    let mount = "mount -t tmpfs -o size=1m none /mnt";
    let works = std::process::Command::new("unshare").args(isolated).arg(mount).output();
    if !works.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: a file system cannot be mounted in a namespace here");
        return;
    }
    let shop = market();
    let script = r#"
        mkdir home; mount -t tmpfs -o size=2m none home; export TILEMARK_HOME=$PWD/home
        tilemark=$1
        $tilemark store add store --root store/metadata/1.root.json
        $tilemark store install acme/tiny
        mv newer kept; mv store old; mv kept store
        dd if=/dev/zero of=home/filler bs=1024 2>/dev/null || true
        if $tilemark store update 2>said; then echo "updated on a full disk"; exit 1; fi
        cat said; cmp home/apps/acme/tiny.tmk tiny-7.tmk
        rm home/filler
        $tilemark store update
        cmp home/apps/acme/tiny.tmk tiny-8.tmk
        ls home/apps/acme
    "#;
    // The store with release 8 lies ready beside the one that is added.
    copy_folder(&shop.path("store"), &shop.path("first"));
    publish(&shop, 8);
    std::fs::rename(shop.path("store"), shop.path("newer")).unwrap();
    std::fs::rename(shop.path("first"), shop.path("store")).unwrap();
    let mut command = std::process::Command::new("unshare");
    command.args(isolated).args([script, "sh", env!("CARGO_BIN_EXE_tilemark")]).current_dir(shop.path(""));
    let output = command.output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("No space left") && !said.contains(".new"), "{said}");
}

/// Starts a command and ends its process after a moment, wherever it is then.
fn kill(shop: &Workshop, line: &str, random: &mut SplitMix64) {
    let mut child = shop.command(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_micros(random.below(40_000) as u64));
    let _ = child.kill(); // it may have ended
    child.wait().unwrap();
}
