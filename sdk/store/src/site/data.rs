//! The catalogue for the script that searches it: in shards, each a script file, since a page from a disk cannot fetch data.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::folder::Folder;
use super::text::{moment, script, short};
use crate::client::View;
use crate::error::Result;
use crate::gate::Price;
use crate::index::Row;

/// Rows of a shard: some 200 kB.
const ROWS: usize = 2000;

/// Characters of a text: as many as a manifest has.
const MAX_CHARS: usize = 1024;

/// Words that many rows share, each once.
#[derive(Default)]
struct Words {
    at: BTreeMap<String, usize>,
    all: Vec<String>,
}

impl Words {
    fn of(&mut self, word: &str) -> usize {
        if let Some(at) = self.at.get(word) {
            return *at;
        }
        self.at.insert(word.to_owned(), self.all.len());
        self.all.push(short(word, MAX_CHARS));
        self.all.len() - 1
    }
}

/// Writes the shards, what their numbers stand for, and how current all of it is. Returns how many shards there are.
pub(super) fn write(folder: &mut Folder, rows: &[Row], view: &View<'_>) -> Result<usize> {
    let [mut publishers, mut tasks, mut licenses, mut devices] = [(); 4].map(|()| Words::default());
    let mut shards = 0;
    for chunk in rows.chunks(ROWS) {
        let packed: Vec<Value> = chunk
            .iter()
            .map(|row| {
                let targets: Vec<usize> = row.targets.iter().map(|target| devices.of(target)).collect();
                let speeds: Vec<u64> = row
                    .speeds
                    .iter()
                    .flat_map(|(device, microseconds)| [devices.of(device) as u64, *microseconds])
                    .collect();
                json!([
                    publishers.of(row.app.publisher()),
                    row.app.name(),
                    row.version.to_string(),
                    tasks.of(&row.task),
                    licenses.of(&row.license),
                    u8::from(row.price == Price::Paid),
                    targets,
                    speeds,
                    row.size,
                    short(&row.description, MAX_CHARS)
                ])
            })
            .collect();
        folder
            .put(&format!("data/{shards}.js"), format!("tilemark.add({});\n", script(&packed)).as_bytes())?;
        shards += 1;
    }
    folder.cut("data", shards, ".js")?;
    let words = json!({ "publishers": publishers.all, "tasks": tasks.all, "licenses": licenses.all,
        "devices": devices.all });
    let head = format!(
        "\"use strict\";\nconst tilemark = {{ words: {}, rows: [], add(rows) {{ this.rows.push(...rows); }} }};\n",
        script(&words)
    );
    folder.put("data/words.js", head.as_bytes())?;
    let expires = view.freshness().expires;
    let state = json!({ "until": crate::time::format(expires), "words": moment(expires), "snapshot": view.version() });
    folder.put("data/state.js", format!("const tilemarkState = {};\n", script(&state)).as_bytes())?;
    Ok(shards)
}
