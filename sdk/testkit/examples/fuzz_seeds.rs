//! Writes the seeds of the fuzzers' corpora into `sdk/fuzz/corpus`. What fuzzing found lies beside them and stays.

use std::path::Path;

use tilemark_testkit::fuzz;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for target in fuzz::TARGETS {
        let folder = corpus.join(target.name);
        std::fs::create_dir_all(&folder)?;
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("seed-") {
                std::fs::remove_file(entry.path())?;
            }
        }
    }
    fuzz::seeds()
        .into_iter()
        .try_for_each(|seed| std::fs::write(corpus.join(seed.target).join(&seed.name), seed.bytes))
}
