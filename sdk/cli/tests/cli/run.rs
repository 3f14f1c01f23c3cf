//! Running an app on pictures.

use std::process::Stdio;

use crate::workshop::{Workshop, sample};

#[test]
fn the_tagger_names_what_is_in_the_photos() {
    let shop = Workshop::with_tagger();
    let (coffee, cat) = (sample("coffee.png"), sample("chelsea.png"));
    let ran = shop.tilemark(&format!("run tagger.tmk --trust vendor.pub {coffee} {cat}")).ok();
    assert!(ran.stdout.starts_with(&format!("{coffee}\n   94.8%  espresso\n")), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("{cat}\n   37.9%  Egyptian cat\n")), "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().count(), 12, "two pictures with five labels each");
    for log in ["device host: ", "tilemark/tagger 1.0.0 on host (", " ms, infer "] {
        assert!(ran.stderr.contains(log) && !ran.stdout.contains(log), "{log}: {}", ran.stderr);
    }
}

#[test]
fn the_json_of_a_run_has_the_promised_keys() {
    let shop = Workshop::with_tagger();
    let line =
        format!("run tagger.tmk --trust vendor.pub {} {} --json", sample("coffee.png"), sample("rocket.jpg"));
    let json = shop.tilemark(&line).ok().json();
    assert_eq!(
        json.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["app", "device", "ms", "results", "version"]
    );
    assert_eq!((json["app"].as_str(), json["version"].as_str()), (Some("tilemark/tagger"), Some("1.0.0")));
    assert_eq!(json["device"], "host");
    for part in ["pre", "infer", "post"] {
        assert!(json["ms"][part].as_f64().unwrap() > 0.0);
    }
    let results = json["results"].as_array().unwrap();
    assert_eq!(results.len(), 2, "one per input");
    assert_eq!(results[0].as_object().unwrap().keys().collect::<Vec<_>>(), ["labels"]);
    let label = &results[0]["labels"][0];
    assert_eq!(label.as_object().unwrap().keys().collect::<Vec<_>>(), ["index", "name", "score"]);
    assert_eq!((label["name"].as_str(), label["index"].as_u64()), (Some("espresso"), Some(967)));
    assert!((0.94..0.96).contains(&label["score"].as_f64().unwrap()), "{label}");
}

#[test]
fn bad_pictures_are_bad_input() {
    let shop = Workshop::with_tiny();
    shop.write("text.png", "no picture");
    // Signature and IHDR of a PNG that says 30,000 x 30,000 pixels, and the start of some data.
    let header = *b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x75\x30\0\0\x75\x30\x08\x02\0\0\0\xe9\x45\x6f\xed";
    shop.write("huge.png", [&header[..], b"\0\0\x04\0IDAT", &[0; 64]].concat());
    let jpeg = std::fs::read(sample("flower.jpg")).unwrap();
    shop.write("cut.jpg", &jpeg[..jpeg.len() / 2]);
    shop.write("empty.jpg", "");
    let cases = [
        ("text.png", "TM0301", "not a picture"),
        ("huge.png", "TM0303", "30000 x 30000"),
        ("cut.jpg", "TM0304", "JPEG"),
        ("empty.jpg", "TM0301", "not a picture"),
    ];
    for (file, code, message) in cases {
        let line = format!("run tiny.tmk --trust vendor.pub {file}");
        let ran = shop.tilemark(&line).fails(6, code).says(file).says(message);
        assert_eq!(ran.stdout, "");
        let told = shop.tilemark(&format!("{line} --json")).fails_in_json(6, code);
        assert!(told.starts_with(&format!("{file}: ")), "{told}");
    }
    shop.tilemark("run tiny.tmk --trust vendor.pub nowhere.jpg").fails(1, "TM0501").says("nowhere.jpg");
}

#[test]
fn pictures_before_a_bad_one_have_their_results() {
    let shop = Workshop::with_tiny();
    shop.write("text.png", "no picture");
    let coffee = sample("coffee.png");
    let ran = shop.tilemark(&format!("run tiny.tmk --trust vendor.pub {coffee} text.png")).fails(6, "TM0301");
    assert_eq!(ran.stdout.lines().count(), 3, "{}", ran.stdout);
}

/// The same labels as one by one, a line for each frame, and a summary at the end.
#[test]
fn frames_of_a_folder_and_of_stdin_run_one_after_the_other() {
    let shop = Workshop::with_tiny();
    std::fs::create_dir(shop.path("frames")).unwrap();
    let mut stream = Vec::new();
    for i in 0..5u8 {
        let pixels: Vec<u8> = (0..12 * 9 * 3).map(|n| (n * usize::from(i + 3) % 251) as u8).collect();
        let ppm = [b"P6 12 9 255\n".to_vec(), pixels.clone()].concat();
        let picture = tilemark::Picture { width: 12, height: 9, channels: 3, samples: pixels };
        std::fs::write(shop.path(&format!("frames/{i}.png")), picture.png().unwrap()).unwrap();
        stream.extend(ppm);
    }
    let on = "run tiny.tmk --trust vendor.pub --device host";
    let lines = |text: &str| -> Vec<serde_json::Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let folder = lines(&shop.tilemark(&format!("{on} --frames frames --json")).ok().stdout);
    assert_eq!(folder.len(), 6);
    for (i, frame) in folder[..5].iter().enumerate() {
        let alone = shop.tilemark(&format!("{on} frames/{i}.png --json")).ok().json();
        assert_eq!((frame["frame"].as_u64(), &frame["result"]), (Some(i as u64), &alone["results"][0]));
    }
    assert_eq!((folder[5]["frames"].as_u64(), folder[5]["dropped"].as_u64()), (Some(5), Some(0)));

    let piped = |bytes: &[u8]| {
        use std::io::Write;
        let mut child = shop.command(&format!("{on} --frames - --json"));
        let mut child =
            child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), lines(std::str::from_utf8(&output.stdout).unwrap()))
    };
    let (code, found) = piped(&stream);
    assert_eq!((code, found.len()), (Some(0), 6));
    assert!(found.iter().zip(&folder).take(5).all(|(a, b)| a["result"] == b["result"]));
    let (code, cut) = piped(&stream[..stream.len() - 1]);
    assert_eq!((code, cut.len(), cut[4]["failed"].as_u64()), (Some(6), 5, Some(1)));
    shop.write("frames/nonsense.png", b"nonsense");
    shop.tilemark(&format!("{on} --frames frames --drop --waiting 64")).fails(6, "TM0609").says("TM0301");
}
