//! Raw tensors in and out, as `.npy` files.

use tilemark::npy;
use tilemark::{Data, Tensor};
use tilemark_testkit::onnx::{Builder, Quantization};
use tilemark_testkit::random::SplitMix64;
use tilemark_testkit::tagger;

use crate::workshop::{TINY_INPUT, Workshop, sample};

/// ONNX Runtime's integers, times its scale, are the numbers in the file.
#[test]
fn the_taggers_output_is_onnx_runtimes() {
    let shop = Workshop::with_tagger();
    let json = shop.tilemark("inspect tagger.tmk --trust vendor.pub --json").ok().json();
    let held = json["graph"]["outputs"][0]["quantization"].as_str().unwrap().to_owned();
    let number = |after: &str| held.split(after).nth(1).unwrap().split(',').next().unwrap().to_owned();
    let scale: f32 = number("scale ").parse().unwrap();
    let zero_point: i32 = number("zero point ").parse().unwrap();
    let cases = tagger::cases().into_iter().zip(tagger::expected_logits()).step_by(6);
    for (i, ((name, input), expected)) in cases.enumerate() {
        shop.write("x.npy", npy::write(&input));
        let line =
            format!("run tagger.tmk --trust vendor.pub --device host --tensor image=x.npy --tensors-out {i}");
        shop.tilemark(&line).ok();
        let bytes = shop.read(&format!("{i}/logits.npy"));
        let header = String::from_utf8_lossy(&bytes[10..128]).into_owned();
        assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"));
        for entry in ["'descr': '<f4'", "'fortran_order': False", "'shape': (1, 1000)"] {
            assert!(header.contains(entry), "{header}");
        }
        let real = |&q: &u8| (i32::from(q) - zero_point) as f32 * scale;
        let expected: Vec<u8> = expected.iter().flat_map(|q| real(q).to_le_bytes()).collect();
        assert!(bytes[bytes.len() - 4000..] == expected[..], "{name} differs from ONNX Runtime");
    }
}

#[test]
fn file_names_are_onnxs_with_two_characters_replaced() {
    let shop = Workshop::with_tiny();
    let line = format!("run tiny.tmk --trust vendor.pub {} --tensors-out out --json", sample("coffee.png"));
    let json = shop.tilemark(&line).ok().json();
    assert_eq!(json["results"][0]["files"]["head/scores:0"], "out/head_scores_0.npy");
    assert_eq!(npy::read(&shop.read("out/head_scores_0.npy")).unwrap().shape(), [1, 5]);

    let line = format!("run tiny.tmk --trust vendor.pub {0} {0} --tensors-out many", sample("coffee.png"));
    shop.tilemark(&line).ok().prints("many/1/head_scores_0.npy");
    assert_eq!(shop.read("many/0/head_scores_0.npy"), shop.read("many/1/head_scores_0.npy"));
}

#[test]
fn outputs_whose_file_names_collide_are_not_lost() {
    let shop = Workshop::with_sources();
    let mut random = SplitMix64::new(3);
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 3, 4, 4]);
    let x = net.qdq(&x, TINY_INPUT);
    for name in ["y/0", "y:0"] {
        let y = net.conv(&x, &mut random, [2, 3, 1, 1]).add();
        let y = net.qdq(&y, Quantization::u8(0.05, 128));
        let y = net.rename(&y, name);
        net.output(&y);
    }
    shop.write("two.onnx", net.encode());
    shop.tilemark("pack --model two.onnx --name acme/two --version 1.0.0 --key vendor.key -o two.tmk").ok();
    shop.write("x.npy", npy::write(&Tensor::u8([1, 3, 4, 4], random.bytes(48)).unwrap()));
    let line = "run two.tmk --trust vendor.pub --tensor x=x.npy";
    shop.tilemark(line).ok().prints("y/0: f32 [1, 2, 4, 4]: ").prints("y:0: ");
    shop.tilemark(&format!("{line} --tensors-out out")).fails(1, "TM0607").says("y/0").says("y:0");
    let json = shop.tilemark(&format!("{line} --json")).ok().json();
    assert_eq!(json["results"][0]["values"]["y:0"].as_array().unwrap().len(), 32);
}

#[test]
fn floats_and_their_quantized_bytes_give_the_same() {
    let shop = Workshop::with_tiny();
    let bytes = SplitMix64::new(5).bytes(192);
    let real = |&q: &u8| (i32::from(q) - TINY_INPUT.zero_point) as f32 * TINY_INPUT.scale;
    let floats = Tensor::f32([1, 3, 8, 8], bytes.iter().map(real).collect()).unwrap();
    shop.write("f32.npy", npy::write(&floats));
    shop.write("u8.npy", npy::write(&Tensor::u8([1, 3, 8, 8], bytes).unwrap()));
    let [floats, bytes] = ["f32", "u8"].map(|kind| {
        let line = format!("run tiny.tmk --trust vendor.pub --tensor image={kind}.npy --tensors-out {kind}");
        let ran = shop.tilemark(&line).ok();
        (ran.stdout.replace(kind, ""), shop.read(&format!("{kind}/head_scores_0.npy")))
    });
    assert_eq!(floats, bytes);
    assert!(floats.0.contains('%'), "an app of pictures names classes for tensors too: {}", floats.0);
}

#[test]
fn tensors_that_do_not_fit_are_bad_input() {
    let shop = Workshop::with_tiny();
    let good = Tensor::u8([1, 3, 8, 8], vec![7; 192]).unwrap();
    let files = [
        ("good.npy", npy::write(&good)),
        ("shape.npy", npy::write(&Tensor::u8([1, 3, 4, 16], vec![7; 192]).unwrap())),
        ("type.npy", npy::write(&Tensor::new([1, 3, 8, 8], Data::I32(vec![7; 192])).unwrap())),
        ("cut.npy", npy::write(&good)[..300].to_vec()),
        ("text.npy", b"1 2 3".to_vec()),
        ("doubles.npy", String::from_utf8_lossy(&npy::write(&good)[10..]).replace("|u1", "<f8").into_bytes()),
    ];
    for (name, bytes) in &files {
        shop.write(name, bytes);
    }
    // The same file with another type in its header.
    shop.write("doubles.npy", [&npy::write(&good)[..10], &files[5].1].concat());
    let cases = [
        ("image=shape.npy", "TM0312", "[1, 3, 4, 16]"),
        ("image=type.npy", "TM0313", "i32"),
        ("image=cut.npy", "TM0309", "cut.npy: "),
        ("image=text.npy", "TM0307", "text.npy: "),
        ("image=doubles.npy", "TM0308", "f8"),
        ("picture=good.npy", "TM0310", "image"),
    ];
    for (argument, code, message) in cases {
        let line = format!("run tiny.tmk --trust vendor.pub --tensor {argument}");
        shop.tilemark(&line).fails(6, code).says(message);
        shop.tilemark(&format!("{line} --json")).fails_in_json(6, code);
    }
    shop.tilemark("run tiny.tmk --trust vendor.pub --tensor good.npy")
        .fails(2, "TM0601")
        .says("NAME=FILE.npy");
    shop.tilemark("run tiny.tmk --trust vendor.pub --tensor image=nowhere.npy").fails(1, "TM0501");
    shop.tilemark("run tiny.tmk --trust vendor.pub --tensor image=good.npy").ok();
}

#[test]
fn an_app_of_raw_tensors_takes_no_pictures_and_needs_every_input() {
    let shop = Workshop::with_sources();
    let mut net = Builder::new(13);
    let sides = ["a", "b"].map(|name| {
        let x = net.input(name, &[1, 4]);
        net.qdq(&x, TINY_INPUT)
    });
    let y = net.node("Add", &[&sides[0], &sides[1]], vec![]);
    let y = net.qdq(&y, Quantization::u8(0.05, 128));
    net.output(&y);
    shop.write("sum.onnx", net.encode());
    shop.tilemark("pack --model sum.onnx --name acme/sum --version 1.0.0 --key vendor.key -o sum.tmk").ok();
    shop.write("x.npy", npy::write(&Tensor::f32([1, 4], vec![0.5; 4]).unwrap()));
    let run = "run sum.tmk --trust vendor.pub";
    shop.tilemark(&format!("{run} {}", sample("coffee.png")))
        .fails(6, "TM0314")
        .says("--tensor NAME=FILE.npy");
    shop.tilemark(&format!("{run} --tensor a=x.npy")).fails(6, "TM0311").says("\"b\"");
    shop.tilemark(&format!("{run} --tensor a=x.npy --tensor b=x.npy"))
        .ok()
        .prints(": f32 [1, 4]: 1, 1, 1, 1");
}
