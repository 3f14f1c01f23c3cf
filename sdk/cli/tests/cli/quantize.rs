//! `tilemark quantize`.

use tilemark::npy;
use tilemark_testkit::onnx::float_net::{classifier, pictures};

use crate::workshop::Workshop;

/// A shop with `float.onnx`, twelve samples in `calibration` and their classes, as they may be, in `labels.csv`.
fn shop() -> Workshop {
    let shop = Workshop::new();
    shop.write("float.onnx", classifier().encode());
    std::fs::create_dir(shop.path("calibration")).unwrap();
    for (i, picture) in pictures(12, 1).iter().enumerate() {
        shop.write(&format!("calibration/{i:02}.npy"), npy::write(picture));
    }
    shop.write("labels.csv", "1\n".repeat(12));
    shop
}

#[test]
fn a_float_model_becomes_one_that_inspects_as_integers() {
    let shop = shop();
    let line = "quantize float.onnx --calibration calibration -o int8.onnx --report report.html";
    let ran =
        shop.tilemark(line).ok().prints("100.0% of them integer").prints("ranges    ").prints("top-1     ");
    assert_eq!(ran.stderr, "", "progress is for terminals");
    shop.tilemark("inspect int8.onnx").ok().prints("100.0% of them integer").prints("held as u8");
    let page = String::from_utf8(shop.read("report.html")).unwrap();
    assert!(tilemark::eval::is_page(page.as_bytes()) && page.matches("<svg").count() == 2);
}

#[test]
fn the_report_is_json_too() {
    let shop = shop();
    let line = "quantize float.onnx --calibration calibration -o int8.onnx --activations s8 --ranges percentile:99.9 \
                --keep-float 1 --evaluation calibration --labels labels.csv --json";
    let json = shop.tilemark(line).ok().json();
    assert_eq!(json["ranges"], "percentile 99.9");
    assert_eq!(json["activations"], "i8");
    assert_eq!(json["kept_float"].as_array().unwrap().len(), 1);
    assert_eq!(json["layers"].as_array().unwrap().len(), 7);
    assert!(json["integer_macs"].as_u64().unwrap() < json["macs"].as_u64().unwrap());
    assert!(json["quality"]["accuracy"]["float"].is_number());
    assert!(json["candidates"][0]["snr_db"].as_f64().unwrap() > 15.0);
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_written() {
    let shop = shop();
    std::fs::create_dir(shop.path("empty")).unwrap();
    shop.tilemark("quantize float.onnx --calibration calibration -o int8.onnx --ranges min-max").ok();
    let base = "quantize float.onnx --calibration";
    shop.tilemark(&format!("{base} empty -o x.onnx")).fails(6, "TM0520").says("no picture");
    shop.tilemark(&format!("{base} nowhere -o x.onnx")).fails(6, "TM0520");
    shop.tilemark(&format!("{base} calibration -o nowhere/x.onnx --ranges min-max")).fails(2, "TM0601");
    shop.tilemark("quantize int8.onnx --calibration calibration -o x.onnx").fails(1, "TM0240");
    shop.tilemark("quantize labels.csv --calibration calibration -o x.onnx").fails(1, "TM0201");
    shop.tilemark(&format!("{base} empty -o x.onnx --json")).fails_in_json(6, "TM0520");
    for wrong in
        ["--ranges mean", "--ranges percentile:2", "--mean 1", "--labels labels.csv", "--activations f16"]
    {
        assert_eq!(shop.tilemark(&format!("{base} calibration -o x.onnx {wrong}")).code, 2, "{wrong}");
    }
    assert!(!shop.path("x.onnx").exists());
}
