//! What a tensor takes from one end to the other and an answer back: through slots of shared memory, and through HTTP on the
//! loopback interface, each between two threads that keep their connection. Both ends make and read every byte: in the slot
//! itself, or in memory of their own that HTTP sends from and receives into. HTTP here is the least that a server can do: a
//! length, the bytes, and an answer; no JSON, no routes.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tilemark::DType;
use tilemark::slots::{Consumer, Contract, Producer};

/// A feature vector, and a picture of 224 x 224 in f32.
const SIZES: [usize; 2] = [4 << 10, 3 * 224 * 224 * 4];
const PATIENCE: Duration = Duration::from_secs(10);

fn shared(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chain");
    for size in SIZES {
        let folder =
            tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("there is room");
        let contract = Contract::new(1, DType::U8, [size]);
        let answer = Contract::new(1, DType::U8, [4]);
        let path = folder.path();
        let mut requests = Producer::open(path, "requests", &contract, 3).expect("a ring can be made");
        let mut answers = Producer::open(path, "answers", &answer, 3).expect("a ring can be made");
        let mut asked = Consumer::open(path, "requests", &contract).expect("it is there");
        let mut answered = Consumer::open(path, "answers", &answer).expect("it is there");
        let other = thread::spawn(move || {
            while let Ok(Some(reading)) = asked.next(PATIENCE) {
                let sum = sum(reading.bytes());
                drop(reading);
                let mut writing = answers.begin().ok().flatten().expect("one reader holds one slot");
                writing.bytes_mut().copy_from_slice(&sum);
                writing.commit();
                if sum == [0; 4] {
                    break;
                }
            }
        });
        group.throughput(Throughput::Bytes(size as u64));
        let mut ask = |value: u8| {
            let mut writing = requests.begin().ok().flatten().expect("one reader holds one slot");
            writing.bytes_mut().fill(value);
            writing.commit();
            answered.next(PATIENCE).ok().flatten().map(|reading| reading.bytes().to_vec())
        };
        group.bench_function(BenchmarkId::new("slots", size), |bencher| bencher.iter(|| ask(1)));
        ask(0);
        other.join().expect("the other end ends well");
    }
    group.finish();
}

fn http(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chain");
    for size in SIZES {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        let server = thread::spawn(move || listener.accept().and_then(|(stream, _)| serve(stream)));
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("a socket can");
        let mut replies = BufReader::new(stream.try_clone().expect("a socket can"));
        let head = format!("POST /infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n");
        let mut tensor = vec![0; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("http", size), |bencher| {
            bencher.iter(|| {
                tensor.fill(1);
                stream
                    .write_all(head.as_bytes())
                    .and_then(|()| stream.write_all(&tensor))
                    .expect("it is read");
                body(&mut replies).expect("it answers").expect("it answers")
            });
        });
        drop((stream, replies));
        server.join().expect("the server ends well").expect("the server ends well");
    }
    group.finish();
}

fn serve(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut requests = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    while let Some(request) = body(&mut requests)? {
        let mut reply = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n".to_vec();
        reply.extend(sum(&request));
        stream.write_all(&reply)?;
    }
    Ok(())
}

/// The body of the next message; `None` at the end.
fn body(from: &mut impl BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse().unwrap_or(0),
            None if line == "\r\n" => break,
            _ => {}
        }
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}

/// Reads every byte, as a model would.
fn sum(bytes: &[u8]) -> [u8; 4] {
    bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>().to_le_bytes()
}

criterion_group!(benches, shared, http);
criterion_main!(benches);
