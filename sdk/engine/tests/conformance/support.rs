//! The table of kernels in `docs/devices.md` is what is registered, and the README's summary of it is true.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use tilemark_engine::{CpuLevel, all_kernels, opencl_kernels};

const BEGIN: &str = "<!-- kernels: written by a test, TILEMARK_BLESS=1 -->\n";
const END: &str = "<!-- end of kernels -->\n";
const NEON: usize = 5;
const OPENCL: usize = 6;

/// Columns of both tables behind the operation.
fn column(level: CpuLevel) -> usize {
    match level {
        CpuLevel::Scalar => 0,
        CpuLevel::Avx2 => 1,
        CpuLevel::AvxVnni => 2,
        CpuLevel::Avx512Vnni => 3,
        CpuLevel::Amx => 4,
        _ => NEON,
    }
}

/// Whether this build has the kernels of a column at all.
fn is_built(column: usize) -> bool {
    column == 0 || column == OPENCL || (column == NEON) == cfg!(target_arch = "aarch64")
}

/// How many kernels each operation has in each column.
fn registered() -> BTreeMap<&'static str, [usize; 7]> {
    let mut table: BTreeMap<&str, [usize; 7]> = BTreeMap::new();
    for kernel in all_kernels() {
        table.entry(kernel.operation).or_default()[column(kernel.level)] += 1;
    }
    // Emulations of instructions exist in tests alone.
    for kernel in opencl_kernels().filter(|kernel| !kernel.variant.contains("emulated")) {
        table.entry(kernel.operation).or_default()[OPENCL] += 1;
    }
    table
}

fn page(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

/// Cells of a table's row.
fn cells(line: &str) -> Vec<&str> {
    line.trim().trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn the_table_of_kernels_is_what_is_registered() {
    let path = page("docs/devices.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the page has a place for the table");
    let (old, after) = rest.split_once(END).expect("the table ends");
    let written: BTreeMap<&str, Vec<&str>> =
        old.lines().skip(2).map(cells).map(|row| (row[0].trim_matches('`'), row[1..].to_vec())).collect();
    let mut table = String::from(
        "| operation | portable | AVX2 | AVX-VNNI | AVX512-VNNI | AMX | NEON | OpenCL |\n|---|---|---|---|---|---|---|---|\n",
    );
    for (operation, counts) in registered() {
        let cell = |(column, &count): (usize, &usize)| match (is_built(column), count) {
            (false, _) => written.get(operation).map_or("-", |row| row[column]).to_owned(),
            (true, 0) => "-".to_owned(),
            (true, count) => count.to_string(),
        };
        let row: Vec<String> = counts.iter().enumerate().map(cell).collect();
        table += &format!("| `{operation}` | {} |\n", row.join(" | "));
    }
    if std::env::var_os("TILEMARK_BLESS").is_some() {
        fs::write(&path, [before, BEGIN, &table, END, after].concat()).unwrap();
    } else {
        assert!(
            old == table,
            "docs/devices.md has another table; TILEMARK_BLESS=1 writes this one:\n{table}"
        );
    }
}

/// The operations behind each row of the README's table.
const ROWS: [(&str, &[&str]); 10] = [
    ("Conv, any", &["conv"]),
    ("depthwise", &["depthwise"]),
    ("Gemm", &["fully_connected"]),
    ("MatMul of two", &["matmul"]),
    ("Add, Max", &["pairwise", "max_pool", "average_pool", "global_average_pool"]),
    ("Mul", &["pairwise"]),
    ("any function", &["table"]),
    ("Concat", &["concat", "movement"]),
    ("f32 element", &["unary", "binary", "softmax", "quantize", "resize", "conv_transpose", "scale_shift"]),
    ("f32 Conv", &["conv_f32", "matmul_f32", "reduce", "normalize", "recurrent"]),
];

#[test]
fn the_readme_promises_kernels_that_there_are() {
    let text = fs::read_to_string(page("README.md")).unwrap();
    let table = registered();
    for (row, operations) in ROWS {
        let line = text.lines().find(|line| line.starts_with(&format!("| {row}")));
        let promised = cells(line.unwrap_or_else(|| panic!("the README has no row `{row}`")))[1..8].to_vec();
        for (column, promise) in promised.iter().enumerate().filter(|(column, _)| is_built(*column)) {
            let has = |column: usize| {
                let count = |operation: &&str| table.get(*operation).map_or(0, |counts| counts[column]);
                operations.iter().all(|operation| count(operation) > 0)
            };
            let holds = match *promise {
                "yes" | "yes*" | "cpu" => has(column),
                // AVX-VNNI adds nothing to a portable loop that is compiled for AVX2.
                "vec" => has(column) || (column == 2 && has(1)),
                "512" => !has(column) && has(3),
                "any" => !has(column) && has(0),
                "host" => !has(column),
                other => panic!("the README's row `{row}` says `{other}`"),
            };
            assert!(holds, "the README's row `{row}`, column {column}, says `{promise}`: {table:?}");
        }
    }
}
