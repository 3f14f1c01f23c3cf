//! A vendor's counts of their inputs, and a buyer's data that looks like them or not.

use tilemark::Picture;
use tilemark_testkit::random::SplitMix64;

use crate::workshop::{TINY_TOML, Workshop};

/// Pictures of one colour each, about as bright as said.
fn pictures(workshop: &Workshop, folder: &str, count: usize, brightness: u8, random: &mut SplitMix64) {
    for at in 0..count {
        let colour: Vec<u8> = random.bytes(3).iter().map(|byte| byte / 4 + brightness).collect();
        let picture = Picture { width: 8, height: 8, channels: 3, samples: colour.repeat(64) };
        workshop.write(&format!("{folder}/{at}.png"), picture.png().unwrap());
    }
}

#[test]
fn data_that_does_not_look_like_the_vendors_is_told() {
    let workshop = Workshop::with_sources();
    let mut random = SplitMix64::new(4);
    pictures(&workshop, "calibration", 60, 20, &mut random);
    pictures(&workshop, "alike/red", 40, 20, &mut random);
    pictures(&workshop, "bright/red", 40, 180, &mut random);
    pictures(&workshop, "few/red", 5, 180, &mut random);
    workshop.write("app.toml", format!("{TINY_TOML}\n[statistics]\ninputs = [\"calibration\"]\n"));
    workshop.tilemark("pack app.toml --key vendor.key -o counted.tmk").ok();
    let eval = |data: &str, more: &str| {
        let line = format!("eval counted.tmk --trust vendor.pub --device host --data {data} {more}");
        workshop.tilemark(&line).ok()
    };
    let drift = |data: &str| eval(data, "--json --html page.html").json()["drift"].clone();
    let alike = drift("alike");
    assert_eq!((alike["far"].as_bool(), alike["enough"].as_bool()), (Some(false), Some(true)), "{alike}");
    assert_eq!((alike["samples"].as_u64(), alike["vendor_inputs"].as_u64()), (Some(40), Some(60)), "{alike}");
    assert_eq!(alike["channels"].as_array().unwrap().len(), 3);
    let bright = drift("bright");
    assert_eq!(bright["far"], true, "{bright}");
    let page = String::from_utf8(workshop.read("page.html")).unwrap();
    assert!(page.contains("class=\"warning\"") && page.contains("do not look like the 60 inputs"), "{page}");
    eval("bright", "").prints("warning: these samples do not look like");
    assert_eq!((drift("few")["far"].as_bool(), drift("few")["enough"].as_bool()), (Some(false), Some(false)));
    eval("few", "").prints("too few to tell");
    // Killed and resumed, or not: the same.
    assert_eq!(eval("bright", "--json --journal journal").json()["drift"], bright);
    assert_eq!(eval("bright", "--json --journal journal").json()["drift"], bright);

    workshop.write("app.toml", format!("{TINY_TOML}\n[statistics]\ninputs = [\"nothing-here\"]\n"));
    workshop.tilemark("pack app.toml --key vendor.key -o none.tmk").fails(1, "TM0501");
}
