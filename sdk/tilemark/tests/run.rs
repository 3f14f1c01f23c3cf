//! Running: pictures, arrays and batches in; labels and arrays out; threads.
#![allow(clippy::unwrap_used, reason = "helpers of a test: a panic names the line")]

mod common;

use common::{CLASSES, SIDE, load, package, picture, raw_package};
use ndarray::{Array4, Axis};
use tilemark::{App, Device, ErrorKind, Input, Output, Session, Tensor};
use tilemark_testkit::random::SplitMix64;
use tilemark_testkit::temp::TempFolder;

const PIXELS: usize = 3 * SIDE * SIDE;

fn array(seed: u64, rows: usize) -> Array4<f32> {
    let reals = SplitMix64::new(seed).floats(rows * PIXELS, -2.5, 2.5);
    Array4::from_shape_vec([rows, 3, SIDE, SIDE], reals).unwrap()
}

fn input(seed: u64, rows: usize) -> Input {
    Input::tensors().array("x", array(seed, rows).view().into_dyn()).unwrap()
}

/// The name and bits of every output.
fn bits(output: &Output) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    let all = output.tensors().iter();
    all.map(|(name, t)| (name.clone(), t.shape().to_vec(), t.to_bytes())).collect()
}

fn session(app: &App) -> Session {
    app.session(Device::host().with_threads(1).unwrap()).unwrap()
}

#[test]
fn a_picture_gives_labels() {
    let app = load(&package());
    let output = session(&app).run(Input::image_bytes(&picture(5, 30, 17)).unwrap()).unwrap();
    let labels = output.labels();
    assert_eq!(labels.len(), 2);
    assert!(labels[0].score >= labels[1].score && labels[0].score <= 1.0);
    let names: Vec<&str> = common::LABELS.lines().collect();
    assert!(labels.iter().all(|label| names[label.index] == label.name));
    let [scores] = &bits(&output)[..] else { panic!("one output was expected") };
    assert_eq!(scores.1, [1, CLASSES]);
    // The scores behind the labels are the model's own: the highest one comes first.
    let array = output.array(&scores.0).unwrap();
    let best = array.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
    assert_eq!((best.0, array.shape()), (labels[0].index, &[1, CLASSES][..]));
    assert!(output.array("no such output").is_none());
    assert!(output.ms().infer > 0.0);
}

#[test]
fn a_photo_from_a_file_gives_what_its_bytes_give() {
    let app = load(&package());
    let folder = TempFolder::new();
    let path = folder.file("photo.bmp", picture(5, 30, 17));
    let mut session = session(&app);
    let from_file = session.run(Input::image(path).unwrap()).unwrap();
    let from_bytes = session.run(Input::image_bytes(&picture(5, 30, 17)).unwrap()).unwrap();
    assert_eq!(from_file.outcome(), from_bytes.outcome());
    assert_eq!(Input::image(folder.path().join("none")).unwrap_err().code(), "TM0501");
}

#[test]
fn what_is_no_input_of_the_app_is_bad_input() {
    let pictures = load(&package());
    let tensors = load(&raw_package(false));
    let refused = |app: &App, input: Input| {
        let error = session(app).run(input).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadInput, "{error}");
        error.code()
    };
    assert_eq!(refused(&tensors, Input::image_bytes(&picture(1, 8, 8)).unwrap()), "TM0314");
    assert_eq!(refused(&pictures, Input::tensors()), "TM0311");
    assert_eq!(refused(&tensors, input(1, 2)), "TM0312");
    assert_eq!(refused(&tensors, input(1, 1).tensor("y", Tensor::u8([1], vec![0]).unwrap())), "TM0310");
    let words = Tensor::new([1, 3, SIDE, SIDE], tilemark::Data::I64(vec![0; PIXELS])).unwrap();
    assert_eq!(refused(&tensors, Input::tensors().tensor("x", words)), "TM0313");
}

#[test]
fn an_array_its_npy_file_and_its_tensor_are_one_input() {
    let app = load(&raw_package(false));
    let mut session = session(&app);
    let reals = array(3, 1);
    let tensor = Tensor::f32([1, 3, SIDE, SIDE], reals.iter().copied().collect()).unwrap();
    let folder = TempFolder::new();
    let path = folder.file("x.npy", tilemark::npy::write(&tensor));
    let from_array = session.run(input(3, 1)).unwrap();
    let from_file = session.run(Input::tensors().npy("x", path).unwrap()).unwrap();
    // A view in another memory order has the same elements.
    let reversed = reals.view().reversed_axes().as_standard_layout().into_owned();
    let turned = Input::tensors().array("x", reversed.t().into_dyn()).unwrap();
    let from_view = session.run(turned).unwrap();
    assert_eq!(bits(&from_array), bits(&from_file));
    assert_eq!(bits(&from_array), bits(&from_view));
    let outputs = session.run_tensors(&[tensor]).unwrap();
    assert_eq!(outputs[0].dtype(), tilemark::DType::U8, "the model's own integers");
}

#[test]
fn a_batch_gives_each_input_the_bits_that_it_gets_alone() {
    for batched in [true, false] {
        let app = load(&raw_package(batched));
        let mut session = session(&app);
        let together = session.run_batch((0..5).map(|seed| input(seed, 1)).collect()).unwrap();
        assert_eq!(together.len(), 5);
        for (seed, output) in together.iter().enumerate() {
            let alone = session.run(input(seed as u64, 1)).unwrap();
            assert_eq!(bits(output), bits(&alone), "input {seed}, dynamic batch: {batched}");
            assert_eq!(output.outcome(), alone.outcome());
        }
        assert!(session.run_batch(Vec::new()).unwrap().is_empty());
    }
}

#[test]
fn inputs_of_different_row_counts_do_not_share_rows_out_wrongly() {
    let app = load(&raw_package(true));
    let mut session = session(&app);
    // 3 + 1 rows divide evenly by two inputs, and would be split 2 + 2.
    let together = session.run_batch(vec![input(1, 3), input(2, 1)]).unwrap();
    let alone = [session.run(input(1, 3)).unwrap(), session.run(input(2, 1)).unwrap()];
    assert_eq!(together.iter().map(bits).collect::<Vec<_>>(), alone.iter().map(bits).collect::<Vec<_>>());
    assert_eq!(bits(&together[0])[0].1, [3, CLASSES]);
    // And rows of one input are the rows of the inputs.
    let rows = array(1, 3);
    let row = rows.index_axis(Axis(0), 1).insert_axis(Axis(0));
    let one = session.run(Input::tensors().array("x", row.into_dyn()).unwrap()).unwrap();
    assert_eq!(bits(&one)[0].2, bits(&together[0])[0].2[4 * CLASSES..8 * CLASSES]);
}

#[test]
fn one_bad_input_fails_the_batch_and_the_session_goes_on() {
    let app = load(&raw_package(true));
    let mut session = session(&app);
    let bad = Input::tensors().tensor("x", Tensor::u8([1, 3, 9, 9], vec![0; 243]).unwrap());
    assert_eq!(session.run_batch(vec![input(1, 1), bad]).unwrap_err().code(), "TM0312");
    session.run(input(1, 1)).unwrap();
}

#[test]
fn sessions_of_one_compiled_app_run_on_threads_and_agree() {
    fn is_send<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    is_send::<Session>();
    is_shared::<tilemark::CompiledApp>();
    is_shared::<App>();

    let app = load(&raw_package(true));
    let compiled = app.compile(&Device::host().with_threads(1).unwrap()).unwrap();
    let expected: Vec<_> = {
        let mut session = compiled.session().unwrap();
        (0..20).map(|seed| bits(&session.run(input(seed, 1)).unwrap())).collect()
    };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (compiled, expected) = (&compiled, &expected);
            scope.spawn(move || {
                let mut session = compiled.session().unwrap();
                for round in 0..20 {
                    let seed = (round + 5 * thread) % 20;
                    let found = session.run(input(seed as u64, 1)).unwrap();
                    assert_eq!(bits(&found), expected[seed]);
                }
            });
        }
    });
    // A session can also be made here and move there.
    let mut session = compiled.session().unwrap();
    let moved = std::thread::spawn(move || bits(&session.run(input(7, 1)).unwrap()));
    assert_eq!(moved.join().unwrap(), expected[7]);
}

#[test]
fn every_number_of_threads_gives_the_same_bits() {
    let app = load(&package());
    let photo = || Input::image_bytes(&picture(9, 64, 48)).unwrap();
    let run = |threads| {
        let mut session = app.session(Device::host().with_threads(threads).unwrap()).unwrap();
        bits(&session.run(photo()).unwrap())
    };
    let one = run(1);
    for threads in [2, 3, 8] {
        assert_eq!(run(threads), one, "{threads} threads");
    }
}
