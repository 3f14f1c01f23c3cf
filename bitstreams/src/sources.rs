//! What a bitstream is made from.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

/// What the recipe of a target reads, as bytes to be hashed: `build.sh` and the constraints of its folder, and of `rtl/` beside it
/// the engine (`rtl/files.txt`) and the other `.sv` files that `build.sh` names. Each has its name and length before it.
///
/// # Errors
/// A file that cannot be read.
pub fn sources(target: &Path) -> io::Result<Vec<u8>> {
    let rtl = target.join("..").join("rtl");
    let recipe = fs::read_to_string(target.join("build.sh"))?;
    let engine = fs::read_to_string(rtl.join("files.txt"))?;
    let is_source = |word: &&str| word.ends_with(".sv") && !word.contains(['*', '/', '$']);
    let words = recipe.split(|c: char| c.is_whitespace() || c == '"').filter(is_source);
    let names: BTreeSet<&str> = engine.lines().chain(words).collect();
    let mut files: Vec<_> = names.into_iter().map(|name| (name.to_owned(), rtl.join(name))).collect();
    let mut own: Vec<_> = fs::read_dir(target)?.collect::<io::Result<Vec<_>>>()?;
    own.retain(|file| {
        file.path().extension().is_some_and(|kind| kind == "lpf" || kind == "pcf" || kind == "sh")
    });
    own.sort_by_key(fs::DirEntry::file_name);
    files.extend(own.iter().map(|file| (file.file_name().to_string_lossy().into_owned(), file.path())));
    let mut bytes = Vec::new();
    for (name, path) in files {
        let text = fs::read(path)?;
        bytes.extend(format!("{name} {}\n", text.len()).into_bytes());
        bytes.extend(text);
    }
    Ok(bytes)
}
