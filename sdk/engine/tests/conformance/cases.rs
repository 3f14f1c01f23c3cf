//! Adversarial vectors per operation: every backend must equal the reference on them.

use tilemark_model::graph::{Pads, Pool, Window};
use tilemark_model::{DType, Quant};

use super::build::{Builder, Built, Case, ConvSpec, Fill, Random, window};
use super::{ends, float, joins, lines, moving, residual, sums};

/// Sizes around the edges of vectors and tiles.
pub(crate) const EDGES: [usize; 12] = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33];

/// More of them where a case costs little: around 12 to 14 rows, and blocks of 8, 16 and 32 channels.
const TILE_EDGES: [usize; 19] = [4, 5, 6, 12, 13, 14, 24, 25, 27, 28, 29, 40, 41, 47, 48, 49, 63, 64, 65];

/// Cases of every operation that has kernels, by the operation's name.
pub(crate) fn all() -> Vec<(&'static str, Vec<Case>)> {
    vec![
        ("conv", conv()),
        ("depthwise", depthwise()),
        ("fully_connected", fully_connected()),
        ("pairwise", pairwise().into_iter().chain(residual::cases()).collect()),
        ("average_pool", pools(false)),
        ("max_pool", pools(true)),
        ("global_average_pool", global_average_pool()),
        ("table", table()),
        ("concat", concat().into_iter().chain(joins::cases()).collect()),
        ("quantize", quantize().into_iter().chain(ends::cases()).collect()),
        ("dequantize", dequantize()),
        ("movement", moving::movement()),
        ("unary", float::unary()),
        ("binary", float::binary()),
        ("scale_shift", float::scale_shift()),
        ("softmax", float::softmax().into_iter().chain(lines::softmax()).collect()),
        ("conv_transpose", float::conv_transpose()),
        ("resize", float::resize()),
        ("average_pool_f32", pools(false)),
        ("max_pool_f32", pools(true)),
        ("matmul", matmul()),
        ("reduce", float::reduce().into_iter().chain(lines::reduce()).collect()),
        ("conv_f32", sums::conv_f32()),
        ("conv_integer", sums::conv_integer()),
        ("matmul_f32", sums::matmul_f32()),
        ("matmul_integer", sums::matmul_integer()),
        ("recurrent", sums::recurrent()),
        ("normalize", lines::normalize()),
        ("cast", lines::cast()),
        ("dynamic_quantize", lines::dynamic_quantize()),
    ]
}

fn point() -> Window {
    window([1, 1], [1, 1], [1, 1], [0; 4])
}

fn spec(outputs: usize, window: Window) -> ConvSpec {
    ConvSpec {
        outputs,
        groups: 1,
        window,
        weights: Fill::Any,
        multiplier: 0.002,
        narrow: 0,
        dtype: DType::U8,
        zero: 3,
    }
}

/// One convolution of one input.
fn one(name: String, seed: u64, shape: &[usize], dtype: DType, fill: Fill, spec: &ConvSpec) -> Case {
    let mut builder = Builder::new(seed);
    let x = builder.input(shape, dtype, fill);
    let y = builder.conv(&x, spec);
    builder.finish(name, &[&y])
}

fn random_window(random: &mut Random, image: [usize; 2]) -> Window {
    let mut axis = |size: usize| {
        let kernel = random.pick(&[1, 2, 3, 3, 5]);
        let dilation = random.pick(&[1, 1, 1, 2, 3]);
        let pads = [random.below(kernel + 1), random.below(kernel + 1)];
        let fits = size + pads[0] + pads[1] > (kernel - 1) * dilation;
        let (kernel, dilation) = if fits { (kernel, dilation) } else { (1, 1) };
        (kernel, random.pick(&[1, 1, 2, 3]), dilation, pads)
    };
    let (v, h) = (axis(image[0]), axis(image[1]));
    let pads = match random.below(6) {
        0 => Pads::SameUpper,
        1 => Pads::SameLower,
        _ => Pads::Explicit([v.3[0], h.3[0], v.3[1], h.3[1]]),
    };
    Window { kernel: [v.0, h.0], strides: [v.1, h.1], dilations: [v.2, h.2], pads }
}

fn conv() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, &n) in EDGES.iter().chain(&TILE_EDGES).enumerate() {
        let seed = i as u64;
        let inputs =
            one(format!("{n} channels"), seed, &[1, n, 5, 5], DType::U8, Fill::Any, &spec(9, point()));
        let outputs =
            one(format!("{n} outputs"), seed, &[1, 5, 5, 5], DType::I8, Fill::Any, &spec(n, point()));
        let square = window([3, 3], [1, 1], [1, 1], [1; 4]);
        let wide =
            one(format!("{n} columns"), seed, &[2, 3, 3, n], DType::U8, Fill::Any, &spec(n, square.clone()));
        let high = one(format!("{n} rows"), seed, &[1, 2, n, 2], DType::I8, Fill::Any, &spec(4, square));
        cases.extend([inputs, outputs, wide, high]);
    }
    for (i, &n) in TILE_EDGES.iter().enumerate() {
        let seed = 100 + i as u64;
        // Images behind each other as one matrix; rows of an image with a halo; groups of a few channels.
        let flat = spec(n, point());
        cases.push(one(format!("{n} of 3 images"), seed, &[3, 7, 2, n], DType::U8, Fill::Any, &flat));
        let strided = spec(n, window([3, 2], [2, 2], [1, 2], [1, 0, 2, 1]));
        cases.push(one(format!("{n} in steps"), seed, &[2, 3, 9, n], DType::I8, Fill::Any, &strided));
        let groups = ConvSpec { groups: 3, ..spec(3 * n, window([3, 3], [1, 2], [1, 1], [1; 4])) };
        cases.push(one(format!("3 groups of {n}"), seed, &[2, 15, 4, 5], DType::U8, Fill::Any, &groups));
    }
    let depths = [(127, Fill::Highest), (128, Fill::Highest), (129, Fill::Lowest), (1000, Fill::Highest)];
    for (channels, weights) in depths {
        for fill in [Fill::Highest, Fill::Lowest, Fill::Any] {
            let spec = ConvSpec { weights, multiplier: 1.0e-5, ..spec(9, point()) };
            let name = format!("{channels} products of {fill:?} and {weights:?}");
            cases.push(one(name, 1, &[1, channels, 2, 3], DType::U8, fill, &spec));
        }
    }
    // 255 * 127 * 66,000 is just below 2^31; the bias and the zero point must leave room.
    let mut bound = Builder::new(5);
    let x = bound.input(&[1, 66_000, 1, 1], DType::U8, Fill::Highest);
    bound.set_quant(x.id, x.quant.map(|quant| Quant { zero_point: 0, ..quant }));
    let spec_bound = ConvSpec { weights: Fill::Highest, multiplier: 1.0e-7, ..spec(2, point()) };
    let y = bound.conv(&x, &spec_bound);
    cases.push(bound.finish("the largest sum that fits", &[&y]));
    for multiplier in [0.5, 0.25, 1.5, 0.125] {
        for zero in [0, 1, 127, 254, 255] {
            let spec = ConvSpec { weights: Fill::Unit, multiplier, zero, ..spec(17, point()) };
            cases.push(one(
                format!("ties * {multiplier} + {zero}"),
                7,
                &[1, 4, 6, 6],
                DType::U8,
                Fill::Any,
                &spec,
            ));
        }
    }
    cases.extend(products());
    cases.extend(random_convs(160, false));
    cases
}

/// Sums of all lengths over enough outputs to fill two-dimensional tiles, whose last one ends with the image.
fn products() -> Vec<Case> {
    let mut cases = Vec::new();
    let sizes = [(25, 31), (63, 64), (64, 33), (65, 65), (130, 100), (511, 96), (512, 63), (577, 130)];
    let images = [[1, 7, 7], [2, 3, 17], [1, 1, 65], [1, 5, 13]];
    for (i, (channels, outputs)) in sizes.into_iter().enumerate() {
        for (j, [count, rows, columns]) in images.into_iter().enumerate() {
            let shape = [count, channels, rows, columns];
            let square = window([3, 3], [1 + (i + j) % 2, 1 + j % 2], [1, 1 + i % 2], [2; 4]);
            for (window, fill) in [(point(), Fill::Any), (square, Fill::Any), (point(), Fill::Highest)] {
                let weights = if fill == Fill::Highest { Fill::Lowest } else { Fill::Any };
                let spec = ConvSpec { weights, narrow: i as i32 % 3, ..spec(outputs, window.clone()) };
                let name = format!("{shape:?} to {outputs} by {:?}, {fill:?}", window.kernel);
                cases.push(one(name, (10 * i + j) as u64, &shape, DType::U8, fill, &spec));
            }
        }
    }
    cases
}

fn depthwise() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, &n) in EDGES.iter().chain(&[40, 41, 47, 48, 49, 63, 64, 65, 96, 130]).enumerate() {
        for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2), (7, 1)] {
            let pad = kernel / 2;
            let window = window([kernel; 2], [stride; 2], [1, 1], [pad; 4]);
            let channels = ConvSpec { groups: n, ..spec(n, window.clone()) };
            let columns = ConvSpec { groups: 9, dtype: DType::I8, ..spec(9, window) };
            let name = format!("{kernel}x{kernel} stride {stride}, {n}");
            cases.push(one(
                format!("{name} channels"),
                i as u64,
                &[1, n, 6, 7],
                DType::U8,
                Fill::Any,
                &channels,
            ));
            cases.push(one(
                format!("{name} columns"),
                i as u64,
                &[2, 9, 4, n],
                DType::I8,
                Fill::Any,
                &columns,
            ));
        }
    }
    let square = window([3, 3], [1, 1], [1, 1], [1; 4]);
    for (fill, weights) in
        [(Fill::Highest, Fill::Highest), (Fill::Highest, Fill::Lowest), (Fill::Any, Fill::Unit)]
    {
        let spec = ConvSpec { groups: 20, weights, multiplier: 0.5, ..spec(20, square.clone()) };
        cases.push(one(format!("{fill:?} times {weights:?}"), 3, &[1, 20, 9, 9], DType::U8, fill, &spec));
    }
    // Beyond 128 taps it runs as a grouped convolution.
    let large = ConvSpec { groups: 3, ..spec(3, window([12, 12], [1, 1], [1, 1], [5; 4])) };
    cases.push(one("12x12".into(), 3, &[1, 3, 20, 20], DType::U8, Fill::Any, &large));
    cases.extend(random_convs(120, true));
    cases
}

fn random_convs(count: u64, depthwise: bool) -> Vec<Case> {
    (0..count)
        .map(|seed| {
            let mut builder = Builder::new(1000 + seed);
            let random = &mut builder.random;
            let image = [random.pick(&EDGES), random.pick(&EDGES)];
            let groups = if depthwise { random.pick(&EDGES) } else { random.pick(&[1, 1, 1, 2, 3]) };
            let per_group = if depthwise { 1 } else { random.pick(&EDGES) };
            let outputs = if depthwise { 1 } else { random.pick(&EDGES) };
            let shape = [random.pick(&[1, 1, 2, 3]), groups * per_group, image[0], image[1]];
            let dtype = random.pick(&[DType::U8, DType::I8]);
            let (lo, hi) = dtype.range().unwrap();
            let spec = ConvSpec {
                outputs: groups * outputs,
                groups,
                window: random_window(random, image),
                weights: random.pick(&[Fill::Any, Fill::Any, Fill::Unit, Fill::Lowest]),
                multiplier: random.pick(&[0.5, 0.01, 0.003, 0.0007]),
                narrow: random.pick(&[0, 0, 20]),
                dtype,
                zero: lo + random.below((hi - lo + 1) as usize) as i32,
            };
            let fill = random.pick(&[Fill::Any, Fill::Any, Fill::Any, Fill::Lowest, Fill::Highest]);
            let input = random.pick(&[DType::U8, DType::I8]);
            let x = builder.input(&shape, input, fill);
            let y = builder.conv(&x, &spec);
            builder.finish(format!("{shape:?} {input} {fill:?} {spec:?}"), &[&y])
        })
        .collect()
}

fn fully_connected() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, &n) in EDGES.iter().chain(&[64, 65, 129, 600, 1000]).enumerate() {
        for shape in [vec![1, n], vec![3, n], vec![2, 3, n], vec![n], vec![35, n]] {
            let mut builder = Builder::new(i as u64);
            let dtype = builder.random.pick(&[DType::U8, DType::I8]);
            let x = builder.input(&shape, dtype, Fill::Any);
            let y = builder.fully_connected(&x, 10, Fill::Any, 0.001);
            let z = builder.fully_connected(&y, n, Fill::Unit, 0.5);
            let w = builder.table(&z);
            cases.push(builder.finish(format!("{shape:?} {dtype}"), &[&w]));
        }
    }
    cases
}

fn pairwise() -> Vec<Case> {
    let mut cases = Vec::new();
    let large: (&[usize], &[usize], &[usize]) = (&[1, 16, 16, 16], &[1, 16, 16, 16], &[1, 16, 16, 16]);
    for (i, (a, b, shape)) in float::BROADCASTS.into_iter().chain([large]).enumerate() {
        for multiply in [false, true] {
            for (narrow, types) in [(0, [DType::U8; 2]), (11, [DType::I8; 2]), (0, [DType::U8, DType::I8])] {
                let mut builder = Builder::new(i as u64 * 7 + narrow as u64);
                let x = builder.input(a, types[0], Fill::Any);
                let y = builder.input(b, types[1], Fill::Any);
                let z = builder.pair(multiply, &x, &y, shape, narrow);
                let w = builder.table(&z);
                cases.push(builder.finish(format!("{a:?} {b:?} {types:?} multiply {multiply}"), &[&w]));
            }
        }
    }
    let mut builder = Builder::new(77);
    let x = builder.input(&[2, 3, 4, 5], DType::I8, Fill::Any);
    let constant = builder.constant_like(&x, &[3, 1, 1]);
    let y = builder.pair(false, &constant, &x, &[2, 3, 4, 5], 0);
    let z = builder.table(&y);
    cases.push(builder.finish("a constant operand", &[&z]));
    cases
}

fn matmul() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, &n) in EDGES.iter().enumerate() {
        let shapes: [(&[usize], [usize; 3]); 7] = [
            (&[], [n, 5, 4]),
            (&[], [3, n, 4]),
            (&[3], [2, 5, n]),
            (&[2, n], [3, 4, 5]),
            (&[2, 3], [4, n, 5]),
            (&[1, 8], [n, 15, n]),
            (&[2, 1, 3], [2, n, 3]),
        ];
        for (batch, [rows, depth, columns]) in shapes {
            let mut builder = Builder::new(i as u64);
            let types = [(); 2].map(|()| builder.random.pick(&[DType::U8, DType::I8]));
            let a = builder.input(&[batch, &[rows, depth]].concat(), types[0], Fill::Any);
            let fill = builder.random.pick(&[Fill::Any, Fill::Highest]);
            let b = builder.input(&[batch, &[depth, columns]].concat(), types[1], fill);
            let y = builder.matmul(&a, &b, [batch, &[rows, columns]].concat());
            cases.push(builder.finish(format!("{batch:?} x {rows} x {depth} x {columns}"), &[&y]));
        }
    }
    cases
}

fn pools(max: bool) -> Vec<Case> {
    let fixed = [
        (window([2, 2], [2, 2], [1, 1], [0; 4]), false, false),
        (window([3, 3], [2, 2], [1, 1], [1; 4]), false, true),
        (window([3, 3], [2, 2], [1, 1], [0, 0, 1, 1]), true, true),
        (window([3, 2], [1, 3], [2, 1], [2, 0, 1, 1]), true, false),
        // Whole windows in the padding.
        (window([2, 2], [1, 1], [1, 1], [3, 3, 2, 2]), false, false),
    ];
    let mut cases = Vec::new();
    for (i, (window, ceil_mode, count_include_pad)) in fixed.into_iter().enumerate() {
        for (channels, dtype) in [(1, DType::U8), (17, DType::I8), (32, DType::U8), (3, DType::F32)] {
            let mut builder = Builder::new(i as u64);
            let fill = if dtype == DType::F32 { Fill::Highest } else { Fill::Any };
            let x = builder.input(&[2, channels, 7, 9], dtype, fill);
            let pool = Pool { window: window.clone(), ceil_mode, count_include_pad };
            let y = builder.pool(&x, max, pool);
            cases.push(builder.finish(format!("{window:?} {channels} x {dtype}"), &[&y]));
        }
    }
    for seed in 0..60 {
        let mut builder = Builder::new(300 + seed);
        let random = &mut builder.random;
        let image = [random.pick(&EDGES), random.pick(&EDGES)];
        let window = random_window(random, image);
        let (ceil_mode, count_include_pad) = (random.below(2) == 0, random.below(2) == 0);
        let pool = Pool { window, ceil_mode, count_include_pad };
        let shape = [random.pick(&[1, 2]), random.pick(&EDGES), image[0], image[1]];
        let dtype = random.pick(&[DType::U8, DType::I8]);
        let x = builder.input(&shape, dtype, Fill::Any);
        let name = format!("{shape:?} {dtype} {pool:?}");
        let y = builder.pool(&x, max, pool);
        cases.push(builder.finish(name, &[&y]));
    }
    cases
}

fn global_average_pool() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, &n) in EDGES.iter().enumerate() {
        for (dtype, fill) in [(DType::U8, Fill::Any), (DType::I8, Fill::Any), (DType::U8, Fill::Highest)] {
            let mut builder = Builder::new(i as u64);
            let x = builder.input(&[2, n, 7, 7], dtype, fill);
            let flat = builder.input(&[1, 3, n], dtype, fill);
            let (y, z) = (builder.global_pool(&x), builder.global_pool(&flat));
            cases.push(builder.finish(format!("{n} x {dtype} {fill:?}"), &[&y, &z]));
        }
    }
    cases
}

fn table() -> Vec<Case> {
    let shapes: [&[usize]; 7] =
        [&[2, 0, 3, 3], &[1, 16, 4, 4], &[2, 3, 5, 5], &[256], &[1], &[3, 4, 5], &[2, 2, 2, 2, 2]];
    let case = |(i, shape): (usize, &[usize])| {
        let mut builder = Builder::new(i as u64);
        let dtype = builder.random.pick(&[DType::U8, DType::I8]);
        let x = builder.input(shape, dtype, Fill::Any);
        let y = builder.table(&x);
        let z = builder.table(&y); // its input is an output too: it must not vanish
        builder.finish(format!("{shape:?} {dtype}"), &[&y, &z])
    };
    shapes.into_iter().enumerate().map(case).collect()
}

fn concat() -> Vec<Case> {
    let mut cases = Vec::new();
    for dtype in [DType::U8, DType::I8, DType::F32] {
        for axis in 0..4 {
            let mut builder = Builder::new(axis as u64);
            let mut parts: Vec<Built> = Vec::new();
            for size in [1, 16, 3] {
                let mut shape = [2, 5, 3, 4];
                shape[axis] = size;
                let x = builder.input(&shape, dtype, Fill::Any);
                parts.push(x);
            }
            let quant = parts[0].quant;
            parts.iter().for_each(|part| builder.set_quant(part.id, quant));
            let y = builder.concat(&parts.iter().collect::<Vec<_>>(), axis);
            cases.push(builder.finish(format!("axis {axis} of {dtype}"), &[&y]));
        }
        let mut builder = Builder::new(9);
        let a = builder.input(&[3, 5], dtype, Fill::Any);
        let b = builder.input(&[3, 2], dtype, Fill::Any);
        builder.set_quant(b.id, a.quant);
        let y = builder.concat(&[&a, &b, &a], 1);
        cases.push(builder.finish(format!("rows of {dtype}"), &[&y]));
        let mut builder = Builder::new(10);
        let a = builder.input(&[2, 0, 3, 3], dtype, Fill::Any);
        let b = builder.input(&[2, 4, 3, 3], dtype, Fill::Any);
        builder.set_quant(b.id, a.quant);
        let y = builder.concat(&[&a, &b], 1);
        cases.push(builder.finish(format!("nothing and something of {dtype}"), &[&y]));
    }
    cases
}

fn quantize() -> Vec<Case> {
    let mut cases = Vec::new();
    for shape in [&[2, 3, 4, 5][..], &[7, 33], &[1]] {
        for dtype in [DType::U8, DType::I8] {
            for fill in [Fill::Any, Fill::Highest] {
                let mut builder = Builder::new(shape.len() as u64);
                let x = builder.input(shape, DType::F32, fill);
                let y = builder.quantize(&x, dtype);
                cases.push(builder.finish(format!("{shape:?} {dtype} {fill:?}"), &[&y]));
            }
        }
    }
    cases
}

fn dequantize() -> Vec<Case> {
    let mut cases = Vec::new();
    for shape in [&[2, 3, 4, 5][..], &[7, 33], &[1]] {
        for dtype in [DType::U8, DType::I8] {
            let mut builder = Builder::new(shape.len() as u64);
            let x = builder.input(shape, dtype, Fill::Any);
            let y = builder.dequantize(&x);
            cases.push(builder.finish(format!("{shape:?} {dtype}"), &[&y]));
        }
    }
    cases
}

/// A network of some ten random operations: residual additions, tables, pools, joins, movement and float islands.
pub(crate) fn network(seed: u64) -> Case {
    let mut builder = Builder::new(5000 + seed);
    let dtype = builder.random.pick(&[DType::U8, DType::I8]);
    let shape = [
        builder.random.pick(&[1, 2, 3]),
        builder.random.pick(&[3, 8, 17]),
        builder.random.pick(&[5, 8, 13]),
        builder.random.pick(&[4, 9, 16]),
    ];
    let mut values = vec![builder.input(&shape, dtype, Fill::Any)];
    for _ in 0..10 {
        let x = values[builder.random.below(values.len())].clone();
        let image = (x.shape.len() == 4).then(|| [x.shape[2], x.shape[3]]);
        let next = match (builder.random.below(11), image) {
            (0..=2, Some(image)) => {
                let window = random_window(&mut builder.random, image);
                let depthwise = builder.random.below(2) == 0;
                let outputs = if depthwise { x.shape[1] } else { builder.random.pick(&[4, 8, 17]) };
                let groups = if depthwise { x.shape[1] } else { 1 };
                let dtype = builder.random.pick(&[DType::U8, DType::I8]);
                builder.conv(&x, &ConvSpec { outputs, groups, dtype, zero: 9, ..spec(0, window) })
            }
            (3, Some(image)) => {
                let window = random_window(&mut builder.random, image);
                let max = builder.random.below(2) == 0;
                builder.pool(&x, max, Pool { window, ceil_mode: false, count_include_pad: false })
            }
            (4 | 5, _) => {
                let same = values.iter().find(|v| v.shape == x.shape && v.id != x.id).cloned();
                let other = same.unwrap_or_else(|| x.clone());
                builder.pair(false, &x, &other, &x.shape, 0)
            }
            (6, _) => builder.table(&x),
            (7, Some(_)) => builder.concat(&[&x, &x], 1),
            (8, _) => {
                let float = builder.dequantize(&x);
                let float = if x.shape.len() > 1 { builder.float(&float) } else { float };
                builder.quantize(&float, DType::U8)
            }
            (9, Some(_)) => {
                let turned = builder.transpose(&x, &[0, 1, 3, 2]);
                let flat = builder.flatten(&turned);
                let [n, c, h, w] = turned.shape[..] else { unreachable!("rank 4") };
                builder.reshape(&flat, &[n, c, h, w])
            }
            (10, Some(_)) => {
                let pooled = builder.global_pool(&x);
                builder.pair(true, &x, &pooled, &x.shape, 0)
            }
            _ => builder.table(&x),
        };
        values.push(next);
    }
    let last = values.last().unwrap().clone();
    let pooled = if last.shape.len() == 4 { builder.global_pool(&last) } else { last };
    let flat = builder.flatten(&pooled);
    let y = builder.fully_connected(&flat, 10, Fill::Any, 0.002);
    let middle = values[values.len() / 2].clone();
    builder.finish(format!("network {seed}"), &[&y, &middle])
}
