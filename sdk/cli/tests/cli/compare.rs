//! `tilemark compare`: apps whose classes have other names, and several devices.

use crate::eval::{with_data, with_other};

#[test]
fn apps_of_other_names_are_compared_by_a_mapping() {
    let workshop = with_data(60);
    with_other(&workshop, "rot\ngruen\nblau\nschwarz\nwhite\n");
    let compare = |more: &str| {
        let line = "compare tiny.tmk other.tmk --trust vendor.pub --device host --data data --json";
        // A release that was seen is a floor for older ones, so each call is the first of a machine.
        workshop.tilemark_with(("TILEMARK_HOME", "fresh"), &format!("{line} {more}"))
    };
    let fresh = || drop(std::fs::remove_dir_all(workshop.path("fresh")));
    let message = compare("").fails_in_json(6, "TM0560");
    assert!(message.contains("black, blue, green, red"), "{message}");
    workshop.write("map.csv", "first,second\nred,rot\ngreen,Gruen\nblue,blau\nblack,schwarz\n");
    fresh();
    let report = compare("--mapping map.csv").ok().json();
    // The same network under other names: nothing differs.
    assert_eq!(
        (report["mcnemar"]["only_first"].as_u64(), report["mcnemar"]["only_second"].as_u64()),
        (Some(0), Some(0))
    );
    assert_eq!(report["first"]["counts"], report["second"]["counts"]);
    assert_eq!(report["first"]["data"], report["second"]["data"]);
    workshop.write("map.csv", "first,second\nred,rot\ngreen,rot\nblue,blau\nblack,schwarz\n");
    fresh();
    let message = compare("--mapping map.csv").fails_in_json(6, "TM0560");
    assert!(message.contains("`red` and `green` of the first app are both `rot` of the second"), "{message}");
}

#[test]
fn each_app_on_each_device_is_a_point() {
    let workshop = with_data(20);
    with_other(&workshop, "white\nred\ngreen\nblue\nblack\n");
    let line = "compare tiny.tmk other.tmk --trust vendor.pub --data data --devices host,host";
    let report = workshop.tilemark(&format!("{line} --json")).ok().json();
    let points = report["points"].as_array().unwrap();
    assert_eq!(points.len(), 4);
    assert!(points.iter().any(|point| point["on_front"] == true), "{points:?}");
    for point in points {
        assert!(point["median_ms"].as_f64().unwrap() > 0.0 && point["device"] == "host", "{point}");
    }
    let size = std::fs::metadata(workshop.path("tiny.tmk")).unwrap().len();
    assert_eq!(
        (points[0]["bundle_bytes"].as_u64(), report["bundle_bytes"][0].as_u64()),
        (Some(size), Some(size))
    );
    assert!(report["first"].get("worst").is_none() && report["first"].get("failures").is_none(), "{report}");
    let fresh = ("TILEMARK_HOME", "fresh");
    workshop.tilemark_with(fresh, line).ok().prints("samples/s").prints("difference ");
    workshop.tilemark(&format!("{line} --device host --json")).fails_in_json(2, "TM0601");
}
