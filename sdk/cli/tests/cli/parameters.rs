//! What an integrator sets, from `app.toml` to the result.

use crate::workshop::{TINY_TOML, Workshop, sample};

/// The tiny app, of which the number of labels and the least score may be set.
fn shop() -> Workshop {
    let shop = Workshop::with_sources();
    let stage = "top_k = { k = { parameter = \"most\" }, labels = \"labels.txt\", threshold = { parameter = \"threshold\" } }";
    let toml = TINY_TOML.replace("top_k = { k = 2, labels = \"labels.txt\" }", stage);
    assert!(toml.contains(stage));
    let parameters = r#"
[parameters.most]
type = "int"
min = 1
max = 4
default = 2
description = "Labels at most"
[parameters.threshold]
type = "float"
min = 0
max = 1
default = 0
description = "Labels below are left out"
"#;
    shop.write("app.toml", toml + parameters);
    shop.tilemark("pack app.toml --key vendor.key -o app.tmk").ok();
    shop
}

fn labels(shop: &Workshop, options: &str) -> Vec<f64> {
    let line =
        format!("run app.tmk --trust vendor.pub --device host --json {} {options}", sample("coffee.png"));
    let json = shop.tilemark(&line).ok().json();
    let labels = json["results"][0]["labels"].as_array().unwrap();
    labels.iter().map(|label| label["score"].as_f64().unwrap()).collect()
}

#[test]
fn what_is_set_reaches_the_result() {
    let shop = shop();
    let two = labels(&shop, "");
    assert_eq!(two.len(), 2);
    let four = labels(&shop, "--set most=4");
    assert_eq!((four.len(), &four[..2]), (4, &two[..]));
    let least = (four[0] + four[1]) / 2.0;
    assert_eq!(labels(&shop, &format!("--set most=4 --set threshold={least}")), four[..1]);
    let bench = "bench app.tmk --trust vendor.pub --device host --runs 1 --set most=1 --json";
    assert_eq!(shop.tilemark(bench).ok().json()["runs"], 1);
}

#[test]
fn what_may_be_set_is_shown_and_the_rest_refused() {
    let shop = shop();
    let run = |set: &str| {
        let line = format!(
            "run app.tmk --trust vendor.pub --device host --json --set {set} {}",
            sample("coffee.png")
        );
        shop.tilemark(&line)
    };
    let message = run("most=5").fails_in_json(2, "TM0338");
    assert!(message.contains("a whole number from 1 to 4"), "{message}");
    run("treshold=0.5").fails_in_json(2, "TM0337");
    run("most").fails_in_json(2, "TM0601");
    shop.tilemark("inspect app.tmk --trust vendor.pub")
        .ok()
        .prints("parameter threshold: a number from 0 to 1; 0 by default. Labels below are left out");
    let json = shop.tilemark("inspect app.tmk --trust vendor.pub --json").ok().json();
    assert_eq!(
        (&json["parameters"]["most"]["type"], &json["parameters"]["most"]["max"]),
        (&"int".into(), &4.into())
    );
    let verdict = shop.tilemark("verify app.tmk --trust vendor.pub --replay --json").ok().json();
    let fact = verdict.as_array().unwrap().iter().find(|fact| fact["fact"] == "parameters-signed").unwrap();
    assert_eq!(
        fact["evidence"],
        "most: a whole number from 1 to 4, 2 by default. threshold: a number from 0 to 1, 0 by default"
    );
}

#[test]
fn golden_vectors_are_of_the_defaults() {
    let shop = shop();
    // A device is chosen, and so the vectors replayed, after something was set.
    let line = format!("run app.tmk --trust vendor.pub --set most=1 {}", sample("coffee.png"));
    shop.tilemark(&line).ok();
}
