//! The floor of latency: one request at a time over one connection, echoed by the executor that Flumen runs on.
//!
//! The client is that of the workload `produce`, not another like it: [`Engine`] and its turns, [`Producer`] and
//! [`Connection`] do here what they do when a broker is measured with one connection and one request in flight. For
//! that, the frame which is sent is an answer to Produce already, with a batch behind it that a Produce request of
//! the same record would have: its echo is parsed and counted as a broker's answer is.
//!
//! Two things differ. What comes back is as long as what was sent, where an answer to Produce has some sixty bytes.
//! And the other end is a thread of this process, on its own core.

use crate::{
    args::{CeilingArgs, Records},
    connection::{Connection, connect},
    echo,
    engine::{Engine, Role, Until},
    error::Error,
    producer::{ProduceOptions, Producer, Producing},
    requests::ProduceTemplate,
    run,
    stats::{Latency, Window},
};
use executor::{IdlePolicy, Options};
use std::{net::SocketAddr, time::Duration};

/// A record of 1 KB, alone in its batch.
const RECORDS: Records = Records { record_bytes: 1000, records_per_batch: 1, keyed: false };
/// One in flight, the next when it is answered.
const ONE_AT_A_TIME: ProduceOptions =
    ProduceOptions { acks: -1, inflight: 1, interval: 0.0, stamped: false, limit: u64::MAX };

/// What came out.
#[derive(Debug)]
pub struct Lone {
    /// Bytes of a request, its length prefix included, and of its echo.
    pub bytes: usize,
    /// From when a request was due, which is when the one before it was answered, to its own answer.
    pub latency: Latency,
}

/// Measures it for `args.seconds`, after a tenth of that which does not count.
///
/// # Errors
/// io_uring or the loopback device is not to be had; an echo that is not what was sent, or none.
pub fn measure(args: &CeilingArgs) -> Result<Lone, Error> {
    // As the broker's cores do by default: what waking up costs is a part of every answer's time.
    let options = Options { idle: IdlePolicy::Park, seed: None };
    echo::beside(options, args.peer_core, 1, |address| drive(address, args.seconds))
}

/// Its connection is closed when it returns.
fn drive(address: SocketAddr, time: Duration) -> Result<Lone, Error> {
    let batch = run::build_batch(&RECORDS)?;
    let template = ProduceTemplate::echoed(&batch);
    let bytes = template.bytes(&batch);
    let window = Window::new(time / 10, time);
    let producing = Producing::with(vec![template], batch, ONE_AT_A_TIME, window)?;
    let mut engine = Engine::new(Some(producing), None, Until::TimeIsOver, None)?;
    let connection = Connection::new(connect(&address.to_string())?, run::PRODUCER_BUFFER)?;
    engine.add(connection, Role::Producer(Producer::new(&[0], 0, None)))?;
    let outcome = engine.run()?;
    let flow = engine.producing.map(|producing| producing.flow);
    match flow {
        Some(flow) if outcome.unanswered == 0 && flow.errors.is_empty() && flow.latency.count() > 0 => {
            Ok(Lone { bytes, latency: flow.latency })
        }
        _ => Err(Error::Protocol("lone requests did not all come back as they were sent")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;
    use std::{
        io::{Read, Write},
        net::TcpListener,
    };

    #[test]
    fn a_lone_request_comes_back_and_is_timed() {
        let cli = Cli::try_parse_from(["flumen-load", "ceiling", "--seconds", "1"]).unwrap();
        let Command::Ceiling(args) = cli.command else { panic!("another command") };
        let lone = measure(&args).unwrap();
        assert!((1000..1200).contains(&lone.bytes), "{} bytes", lone.bytes);
        assert!(lone.latency.count() > 10, "{} in 1 s", lone.latency.count());
        let latency = lone.latency.to_json();
        let [mean, max] = ["mean", "max"].map(|name| latency[name].as_f64().unwrap());
        assert!(mean > 0.0, "{latency}");
        // One at a time: only the last can have ended behind what was measured.
        let all = mean * lone.latency.count() as f64;
        assert!(all < (1e6 + max) * 1.01, "{all} µs in 1 s");
    }

    #[test]
    fn what_comes_back_otherwise_is_no_echo() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let peer = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            while let Ok(came @ 1..) = socket.read(&mut request) {
                // Another correlation id.
                request[7] ^= 1;
                if socket.write_all(&request[..came]).is_err() {
                    break;
                }
            }
        });
        assert!(drive(address, Duration::from_secs(10)).is_err());
        peer.join().unwrap();
    }
}
