//! What no broker on this machine can exceed: bytes over loopback, durable writes, echoes of the executor that Flumen
//! runs on; and how soon a lone echo is back.

use crate::{
    args::CeilingArgs,
    echo,
    error::Error,
    lone, os,
    stats::{Latency, round},
};
use rustix::fs::OFlags;
use serde_json::{Value, json};
use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    time::{Duration, Instant},
};

/// What direct I/O needs of addresses, offsets and lengths, on any common device.
const ALIGNMENT: usize = 4096;
/// Size of the scratch file: larger than a device's own cache, small enough for any disk.
const SCRATCH: u64 = 1 << 30;
const LONE: usize = 4096;

/// Measures all and returns one object.
pub fn run(args: &CeilingArgs) -> Result<Value, Error> {
    if args.write_bytes == 0 || !args.write_bytes.is_multiple_of(ALIGNMENT) || args.depth == 0 {
        return Err(Error::Usage(format!(
            "--write-bytes must be a multiple of {ALIGNMENT}, --depth above 0"
        )));
    }
    let path = args.dir.join(format!("ceiling-{}.scratch", std::process::id()));
    let written = measure_device(&path, args);
    // The scratch file goes whatever happened; its own removal failing changes no figure.
    let _ = std::fs::remove_file(&path);
    let (bandwidth, lone_write) = written?;
    let mut loopback = Vec::new();
    for size in [16 << 10, 64 << 10, 256 << 10, 1 << 20] {
        loopback.push(json!({"bytes": size, "mb_per_s": round(loop_back(size, args)? / 1e6)}));
    }
    let mut echoes = Vec::new();
    for inflight in [1, 5] {
        let rate = echo::per_second(inflight, args)?;
        echoes.push(json!({
            "bytes": echo::BYTES, "connections": echo::CONNECTIONS, "inflight": inflight,
            "requests_per_s": round(rate),
        }));
    }
    let lone_echo = lone::measure(args)?;
    Ok(json!({
        "workload": "ceiling",
        "durable_write": {
            "bytes": args.write_bytes, "depth": args.depth, "mb_per_s": round(bandwidth / 1e6),
        },
        "durable_4k_us": lone_write.to_json(),
        "loopback": loopback,
        "echo": echoes,
        "lone_echo": {"bytes": lone_echo.bytes, "latency_us": lone_echo.latency.to_json()},
    }))
}

fn measure_device(path: &Path, args: &CeilingArgs) -> Result<(f64, Latency), Error> {
    prewrite(path)?;
    let bandwidth = durable_bandwidth(path, args)?;
    let file = open_durable(path)?;
    let mut buffer = Aligned::new(LONE);
    let mut latency = Latency::new()?;
    let until = Instant::now() + args.seconds;
    let mut at = 0;
    while Instant::now() < until {
        let start = Instant::now();
        file.write_all_at(buffer.bytes(), at).map_err(Error::io("a durable write of 4 KiB"))?;
        latency.record(start.elapsed().as_nanos() as u64);
        at = (at + LONE as u64) % SCRATCH;
    }
    Ok((bandwidth, latency))
}

/// Fills the file, so that later writes meet extents that were written before, as a recycled
/// journal's are.
fn prewrite(path: &Path) -> Result<(), Error> {
    let what = || format!("filling {}", path.display());
    let mut file = File::create(path).map_err(Error::io(what()))?;
    let block = vec![0x5a; 1 << 20];
    for _ in 0..SCRATCH / block.len() as u64 {
        file.write_all(&block).map_err(Error::io(what()))?;
    }
    file.sync_all().map_err(Error::io(what()))
}

fn open_durable(path: &Path) -> Result<File, Error> {
    let flags = OFlags::DIRECT | OFlags::DSYNC;
    OpenOptions::new()
        .write(true)
        .custom_flags(flags.bits() as i32)
        .open(path)
        .map_err(Error::io(format!("opening {} for direct durable writes", path.display())))
}

/// Bytes a second of durable writes, `depth` at a time, each thread in its own part of the file.
fn durable_bandwidth(path: &Path, args: &CeilingArgs) -> Result<f64, Error> {
    let size = args.write_bytes as u64;
    let part = SCRATCH / args.depth as u64 / size * size;
    if part == 0 {
        return Err(Error::Usage("--depth times --write-bytes must be less than 1 GiB".into()));
    }
    let start = Instant::now();
    let written: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..args.depth as u64)
            .map(|i| scope.spawn(move || write_part(path, size as usize, i * part, part, args.seconds)))
            .collect();
        threads
            .into_iter()
            .map(|t| t.join().unwrap_or(Err(Error::Protocol("a writing thread stopped"))))
            .sum::<Result<u64, Error>>()
    })?;
    Ok(written as f64 / start.elapsed().as_secs_f64())
}

fn write_part(path: &Path, size: usize, from: u64, length: u64, time: Duration) -> Result<u64, Error> {
    let file = open_durable(path)?;
    let mut buffer = Aligned::new(size);
    let until = Instant::now() + time;
    let (mut at, mut written) = (0, 0);
    while Instant::now() < until {
        file.write_all_at(buffer.bytes(), from + at).map_err(Error::io("a durable write"))?;
        written += size as u64;
        at = (at + size as u64) % length;
    }
    Ok(written)
}

/// A buffer whose address direct I/O accepts: an aligned part of a longer vector.
struct Aligned {
    memory: Vec<u8>,
    from: usize,
    size: usize,
}

impl Aligned {
    fn new(size: usize) -> Aligned {
        let memory = vec![0xa5; size + ALIGNMENT];
        let from = memory.as_ptr().align_offset(ALIGNMENT);
        Aligned { memory, from, size }
    }

    fn bytes(&mut self) -> &[u8] {
        &self.memory[self.from..self.from + self.size]
    }
}

/// Bytes a second from one core to another over loopback, in sends of `size`.
fn loop_back(size: usize, args: &CeilingArgs) -> Result<f64, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(Error::io("listening on loopback"))?;
    let address = listener.local_addr().map_err(Error::io("listening on loopback"))?;
    let peer_core = args.peer_core;
    let reader = std::thread::spawn(move || -> Result<u64, Error> {
        peer_core.map_or(Ok(()), os::pin)?;
        let (mut stream, _) = listener.accept().map_err(Error::io("accepting on loopback"))?;
        let mut buffer = vec![0; 1 << 20];
        let mut total = 0;
        loop {
            match stream.read(&mut buffer).map_err(Error::io("reading from loopback"))? {
                0 => return Ok(total),
                n => total += n as u64,
            }
        }
    });
    let mut stream = TcpStream::connect(address).map_err(Error::io("connecting over loopback"))?;
    let block = vec![0x3c; size];
    let start = Instant::now();
    while start.elapsed() < args.seconds {
        stream.write_all(&block).map_err(Error::io("sending over loopback"))?;
    }
    drop(stream);
    let total = reader.join().map_err(|_| Error::Protocol("the reading thread stopped"))??;
    Ok(total as f64 / start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned() {
        for size in [4096, 12288, 1 << 20] {
            let mut buffer = Aligned::new(size);
            assert_eq!(buffer.bytes().as_ptr() as usize % ALIGNMENT, 0);
            assert_eq!(buffer.bytes().len(), size);
        }
    }
}
