//! What a bitstream is made from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::manifest::Recipe;

/// What a recipe reads, as bytes to be hashed: its words, the script and the constraints of its board, and of `rtl/` the engine
/// (the list `$rtl/….txt` that the script reads) and the other `.sv` files that the script names, in the list's folder or else in
/// `rtl/`. Each file has its name and length before it.
/// `bitstreams` is the folder of all targets.
///
/// # Errors
/// A file that cannot be read.
pub fn sources(bitstreams: &Path, recipe: &Recipe) -> io::Result<Vec<u8>> {
    let (rtl, board) = (bitstreams.join("rtl"), bitstreams.join("boards").join(&recipe.board));
    let script = fs::read_to_string(board.join("build.sh"))?;
    let mut words = script.split(|c: char| c.is_whitespace() || c == '"');
    let list = words.find_map(|word| word.strip_prefix("$rtl/").filter(|name| name.ends_with(".txt")));
    let list = Path::new(list.ok_or(io::Error::other("the script reads no list of sources"))?);
    let engine = fs::read_to_string(rtl.join(list))?;
    let is_source = |word: &&str| word.ends_with(".sv") && !word.contains(['*', '/', '$']);
    let words = script.split(|c: char| c.is_whitespace() || c == '"').filter(is_source);
    let place = |name: &str| {
        let beside = list.with_file_name(name);
        if rtl.join(&beside).is_file() { beside } else { name.into() }
    };
    let names: BTreeSet<PathBuf> = engine.lines().map(PathBuf::from).chain(words.map(place)).collect();
    let mut files: Vec<PathBuf> = names.into_iter().map(|name| rtl.join(name)).collect();
    let mut own: Vec<PathBuf> =
        fs::read_dir(board)?.map(|file| Ok(file?.path())).collect::<io::Result<_>>()?;
    own.sort();
    files.extend(own);
    let Recipe { board, device, clock_mhz, goal_mhz, parameters } = recipe;
    let mut bytes = format!("{board} {device} {clock_mhz} {goal_mhz} {parameters}\n").into_bytes();
    for path in files {
        let text = fs::read(&path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        bytes.extend(format!("{name} {}\n", text.len()).into_bytes());
        bytes.extend(text);
    }
    Ok(bytes)
}
