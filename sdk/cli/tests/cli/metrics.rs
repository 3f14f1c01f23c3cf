//! `tilemark eval` of boxes and of pictures, with apps whose answers are known: what their networks give is their input.

use tilemark::Picture;
use tilemark_testkit::onnx::{Builder, Quantization};

use crate::workshop::Workshop;

/// Bytes of a picture of 8 x 8 pixels are numbers of 1/32.
const NUMBERS: Quantization = Quantization::u8(1.0 / 32.0, 0);
/// Or of 1/255.
const SHADES: Quantization = Quantization::u8(1.0 / 255.0, 0);

/// A network that gives its input, perhaps in another shape.
fn identity(quantization: Quantization, shape: &[i64]) -> Vec<u8> {
    let mut net = Builder::new(13);
    let x = net.input("image", &[1, 3, 8, 8]);
    let x = net.qdq(&x, quantization);
    let x = net.unary("Relu", &x);
    let x = net.qdq(&x, quantization);
    let x = net.reshape(&x, shape);
    net.output(&x);
    net.encode()
}

fn pack(workshop: &Workshop, net: Vec<u8>, stages: &str) {
    workshop.write("net.onnx", net);
    workshop.write("labels.txt", "cat\ndog\n");
    let head = "[app]\nname = \"acme/known\"\nversion = \"1.0.0\"\nrelease = 1\nlicense = \"MIT\"\n\n[models.net]\nfile = \"net.onnx\"\n\n\
                [input]\nimage = { channels = \"rgb\" }\n\n[[pre]]\nresize = { width = 8, height = 8 }\n";
    workshop.write("app.toml", format!("{head}{stages}"));
    workshop.tilemark("keygen --out vendor").ok();
    workshop.tilemark("pack app.toml --key vendor.key -o known.tmk").ok();
}

/// A picture of which the network makes these rows: the middle and the sides of a box in pixels, and a score for each label.
fn boxes(rows: &[[f32; 6]]) -> Vec<u8> {
    let mut planes = rows.as_flattened().iter().map(|number| (number * 32.0) as u8).collect::<Vec<u8>>();
    planes.resize(3 * 64, 0);
    let samples = (0..64).flat_map(|at| [planes[at], planes[64 + at], planes[128 + at]]).collect();
    Picture { width: 8, height: 8, channels: 3, samples }.png().unwrap()
}

#[test]
fn boxes_are_judged_by_how_much_they_overlap() {
    let workshop = Workshop::new();
    let stages = "[[pre]]\nnormalize = { mean = [0, 0, 0], std = [32, 32, 32] }\n\n\
                  [[post]]\ngrid = { labels = \"labels.txt\", min_score = 0.5 }\n[[post]]\nnms = { iou = 0.5 }\n";
    pack(&workshop, identity(NUMBERS, &[1, 32, 6]), stages);
    // A cat where one is. A dog of 4 x 4 where one of 4 x 2.9 is: they overlap by 0.725, which five of the ten overlaps ask for.
    workshop.write("data/a.png", boxes(&[[4.0, 4.0, 4.0, 4.0, 1.0, 0.0]]));
    workshop.write("data/b.png", boxes(&[[2.0, 2.0, 4.0, 4.0, 0.0, 0.75]]));
    workshop.write(
        "data/coco.json",
        r#"{"images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
            "annotations": [{"image_id": 1, "category_id": 7, "bbox": [2, 2, 4, 4]}, {"image_id": 2, "category_id": 3, "bbox": [0, 0, 4, 2.9]}],
            "categories": [{"id": 3, "name": "dog"}, {"id": 7, "name": "cat"}]}"#,
    );
    let line = "eval known.tmk --trust vendor.pub --device host --data data/coco.json --metric map --json --html map.html";
    let report = workshop.tilemark(line).ok().json();
    let value =
        |at: usize| (report["metrics"][at]["name"].clone(), report["metrics"][at]["value"].as_f64().unwrap());
    assert_eq!(value(0).0, "map");
    assert!((value(0).1 - 0.75).abs() < 1e-9, "{report}");
    assert_eq!(value(1).0, "map-50");
    assert!((value(1).1 - 1.0).abs() < 1e-9, "{report}");
    assert_eq!((report["samples"].as_u64(), report["counts"]["images"].as_u64()), (Some(2), Some(2)));
    assert!(String::from_utf8(workshop.read("map.html")).unwrap().contains("75.00 %"));
}

#[test]
fn pictures_are_judged_by_how_far_their_bytes_are_apart() {
    let workshop = Workshop::new();
    let stages = "[[pre]]\nnormalize = { mean = [0, 0, 0], std = [1, 1, 1], divide = 255 }\n\n[[post]]\nimage = { divide = 255 }\n";
    pack(&workshop, identity(SHADES, &[1, 3, 8, 8]), stages);
    let picture = |samples: Vec<u8>| Picture { width: 8, height: 8, channels: 3, samples }.png().unwrap();
    for (name, apart) in [("a.png", 2u8), ("b.png", 4)] {
        let shown: Vec<u8> = (0..192u8).map(|at| at / 2 + 50).collect();
        workshop
            .write(&format!("data/targets/{name}"), picture(shown.iter().map(|byte| byte + apart).collect()));
        workshop.write(&format!("data/images/{name}"), picture(shown));
    }
    let eval = |metric: &str| {
        let line =
            format!("eval known.tmk --trust vendor.pub --device host --data data --metric {metric} --json");
        workshop.tilemark(&line).ok().json()
    };
    let report = eval("psnr");
    let expected: f64 = [2.0, 4.0].map(|apart: f64| 20.0 * (255.0 / apart).log10()).iter().sum::<f64>() / 2.0;
    assert!((report["metrics"][0]["value"].as_f64().unwrap() - expected).abs() < 1e-9, "{report}");
    let counts = &report["counts"];
    assert_eq!((counts["squares"].as_u64(), counts["absolute"].as_u64()), (Some(192 * 20), Some(192 * 6)));
    assert_eq!(eval("mae")["metrics"][0]["value"], 3.0);
}

/// A picture of which the network reads this: columns of scores for a blank, a, b and a space.
fn written(text: &str) -> Vec<u8> {
    let mut best = Vec::new();
    for letter in text.chars() {
        best.extend([["_", "a", "b", " "].iter().position(|symbol| symbol.starts_with(letter)).unwrap(), 0]);
    }
    best.resize(48, 0);
    let planes: Vec<u8> =
        best.iter().flat_map(|best| (0..4).map(move |class| if class == *best { 32 } else { 0 })).collect();
    let samples = (0..64).flat_map(|at| [planes[at], planes[64 + at], planes[128 + at]]).collect();
    Picture { width: 8, height: 8, channels: 3, samples }.png().unwrap()
}

#[test]
fn texts_are_judged_by_their_wrong_letters_and_words() {
    let workshop = Workshop::new();
    let stages = "[[pre]]\nnormalize = { mean = [0, 0, 0], std = [32, 32, 32] }\n\n\
                  [[post]]\nctc = { symbols = \"symbols.txt\", space = true }\n";
    workshop.write("symbols.txt", "a\nb\n");
    pack(&workshop, identity(NUMBERS, &[1, 48, 4]), stages);
    // Read rightly; one letter of three wrong; nothing read where something is written.
    let texts = [("1.png", "ab ba", "ab ba\n"), ("2.png", "aab", "\u{feff}abb"), ("3.png", "", "ab")];
    for (name, shown, label) in texts {
        workshop.write(&format!("data/{name}"), written(shown));
        workshop.write(&format!("data/{}", name.replace("png", "txt")), label);
    }
    let eval = |metric: &str, data: &str| {
        let line = format!(
            "eval known.tmk --trust vendor.pub --device host --data {data} --metric {metric} --json --html page.html --worst 2"
        );
        workshop.tilemark(&line).ok().json()
    };
    let value = |report: &serde_json::Value| report["metrics"][0]["value"].as_f64().unwrap();
    for data in ["data", "data/texts.csv"] {
        workshop.write("data/texts.csv", "file,text\n1.png,ab ba\n2.png,abb\n3.png,ab\n");
        let report = eval("cer", data);
        // One of three letters and both of two are wrong, of ten.
        assert_eq!((value(&report), report["failed"].as_u64()), (0.3, Some(0)), "{report}");
        assert_eq!(
            report["counts"],
            serde_json::json!({ "characters": 3, "of_characters": 10, "words": 2, "of_words": 4 })
        );
        let method = report["metrics"][0]["method"].as_str();
        assert_eq!(method, Some("widened bootstrap"));
        let [low, high] = ["low", "high"].map(|key| report["metrics"][0][key].as_f64().unwrap());
        assert!(low < 0.05 && high > 0.6, "three texts say little: {low} to {high}");
        assert_eq!(report["worst"][0]["name"], "3.png");
        assert_eq!(report["worst"][0]["what"], "2 errors in 2 characters, 1 in 1 words");
        assert_eq!(value(&eval("wer", data)), 0.5);
        assert!(String::from_utf8(workshop.read("page.html")).unwrap().contains("50.00 %"));
    }
    let line = "eval known.tmk --trust vendor.pub --device host --data data --metric cer";
    workshop.tilemark(line).ok().prints("cer 30.00 %, ").prints("(widened bootstrap)").prints("3.png");
}

#[test]
fn a_metric_without_a_value_is_an_error_and_no_number() {
    let workshop = Workshop::new();
    let stages = "[[pre]]\nnormalize = { mean = [0, 0, 0], std = [32, 32, 32] }\n\n\
                  [[post]]\nctc = { symbols = \"symbols.txt\", space = true }\n";
    workshop.write("symbols.txt", "a\nb\n");
    pack(&workshop, identity(NUMBERS, &[1, 48, 4]), stages);
    workshop.write("data/1.png", written("a"));
    workshop.write("data/1.txt", "");
    let line = "eval known.tmk --trust vendor.pub --device host --data data --metric cer --json";
    let message = workshop.tilemark(line).fails_in_json(2, "TM0561");
    assert!(message.contains("nothing is on them"), "{message}");
}
