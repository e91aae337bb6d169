use super::*;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Default)]
struct Fake {
    ready: AtomicBool,
}

impl Source for Fake {
    fn metrics(&self) -> String {
        "# HELP a_total A.\n# TYPE a_total counter\na_total 1\n".to_owned()
    }

    fn ready(&self) -> Result<(), String> {
        match self.ready.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err("core 1 does not listen yet".to_owned()),
        }
    }

    fn beats(&self) -> Vec<Beat> {
        vec![Beat { turns: 1, parked: true }]
    }
}

fn start() -> (SocketAddr, Arc<Fake>) {
    let bound = Bound::new("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let (address, fake) = (bound.address(), Arc::new(Fake::default()));
    bound.serve(fake.clone()).expect("a thread");
    (address, fake)
}

fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("listening");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

fn get_page(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
}

#[test]
fn the_three_pages_and_no_others() {
    let (address, fake) = start();
    let answer = get_page(address, "/metrics").to_lowercase();
    assert!(answer.starts_with("http/1.1 200 ok\r\n"), "{answer}");
    assert!(answer.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n# help a_total a.\n# type a_total counter\na_total 1\n"), "{answer}");
    assert!(get_page(address, "/healthz").starts_with("HTTP/1.1 200 "));
    let answer = get_page(address, "/readyz");
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("core 1 does not listen yet\n"),
        "{answer}"
    );
    fake.ready.store(true, Ordering::Relaxed);
    assert!(get_page(address, "/readyz").starts_with("HTTP/1.1 200 "));
    assert!(get_page(address, "/").starts_with("HTTP/1.1 404 "));
    let answer =
        ask(address, "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[test]
fn a_port_in_use_is_said_in_one_line() {
    let (address, _) = start();
    let error = Bound::new(address).expect_err("it is taken").to_string();
    let expected =
        format!("port {} is in use: stop what listens there, or choose another with --http", address.port());
    assert_eq!(error, expected);
}

#[test]
fn a_head_without_end_is_refused_by_its_size() {
    let (address, _) = start();
    let mut stream = TcpStream::connect(address).expect("listening");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
    // More than fits; the server may close before all of it was sent.
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nX: ");
    let _ = stream.write_all(&vec![b'x'; 4 * HEAD_BYTES_MAX]);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    let refused = text.starts_with("HTTP/1.1 431 ") || text.starts_with("HTTP/1.1 400 ");
    assert!(refused || (answer.is_empty() && read.is_err()), "{text}");
}

#[test]
fn those_who_say_nothing_do_not_keep_others_out() {
    let (address, _) = start();
    let silent: Vec<TcpStream> =
        (0..CONNECTIONS_MAX).map(|_| TcpStream::connect(address).expect("a place")).collect();
    let began = Instant::now();
    // All places are taken until the silent ones have used up their time.
    assert!(get_page(address, "/healthz").starts_with("HTTP/1.1 200 "));
    assert!(began.elapsed() < 2 * HEAD_TIME, "{:?}", began.elapsed());
    drop(silent);
}
