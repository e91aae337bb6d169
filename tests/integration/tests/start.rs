//! Starts that must fail with one line that says what and what to do, and those that go on degraded.

use crate::setup;
use integration::records::{create, latency, patient};
use integration::{Scratch, host};
use std::fs;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

/// Checks that the line says what and what to do, in these words.
fn assert_says(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.contains(word), "'{word}' is missing: {line}");
    }
}

#[test]
fn a_second_broker_on_the_same_directory_is_refused_and_the_first_goes_on() {
    let scratch = Scratch::new("second");
    let first = setup(&scratch).start();
    let line = setup(&scratch).refusal();
    assert_says(&line, &["another broker uses", "stop it, or choose another --data"]);
    let mut client = patient(first.address);
    create(&mut client, "still", 1, &[]);
    first.stop();
    setup(&scratch).start().stop();
}

#[test]
fn a_directory_of_a_newer_format_is_refused_and_left_alone() {
    let scratch = Scratch::new("newer");
    setup(&scratch).start().stop();
    let file = scratch.join("data").join("node.toml");
    let text = fs::read_to_string(&file).expect("node.toml");
    let newer = text.replace("format_version = 1", "format_version = 2");
    assert_ne!(text, newer, "node.toml names its format");
    fs::write(&file, &newer).expect("written");
    let line = setup(&scratch).refusal();
    assert_says(&line, &["format version 2", "start it with the version of flumen that wrote it"]);
    assert_eq!(fs::read_to_string(&file).expect("node.toml"), newer);
}

#[test]
fn a_read_only_directory_is_named() {
    let scratch = Scratch::new("read-only");
    let data = scratch.join("data");
    fs::create_dir(&data).expect("made");
    let path = data.display();
    // A mount of its own: root may write wherever permissions alone forbid it.
    let mount = format!("mount --bind '{path}' '{path}' && mount -o remount,ro,bind '{path}'");
    let line = setup(&scratch).own_mounts(true).before(&mount).refusal();
    assert_says(&line, &[&data.display().to_string(), "read-only", "choose another --data"]);
}

#[test]
fn a_missing_directory_is_made_unless_a_file_is_in_the_way() {
    let scratch = Scratch::new("missing");
    let deep = scratch.join("a").join("b").join("c");
    integration::Setup::new(crate::binary(), &deep).start().stop();
    assert!(deep.join("node.toml").exists());
    let file = scratch.join("file");
    fs::write(&file, "x").expect("written");
    let line = integration::Setup::new(crate::binary(), file.join("data")).refusal();
    assert_says(&line, &["a file is in the way", "choose another --data"]);
}

#[test]
fn a_port_in_use_is_named() {
    let scratch = Scratch::new("port");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    let line = setup(&scratch).listen(address).refusal();
    assert_says(&line, &[&format!("port {} is in use", address.port()), "choose another with --listen"]);
}

#[test]
fn a_port_in_use_for_metrics_is_named() {
    let scratch = Scratch::new("http-port");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    let line = setup(&scratch).http(address).refusal();
    assert_says(&line, &[&format!("port {} is in use", address.port()), "choose another with --http"]);
}

#[test]
fn the_port_of_a_running_broker_is_not_shared() {
    let (one, two) = (Scratch::new("port-one"), Scratch::new("port-two"));
    let first = setup(&one).listen(host::steady_port()).start();
    let line = setup(&two).listen(first.address).refusal();
    assert_says(&line, &["is in use", "--listen"]);
    first.stop();
}

#[test]
fn cores_that_are_not_there_are_refused() {
    let scratch = Scratch::new("cores");
    let line = setup(&scratch).cores("0-999").refusal();
    assert_says(&line, &["core", "may use only", "change --cores"]);
    assert!(!scratch.join("data").exists(), "nothing was made for a start that cannot be");
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    let scratch = Scratch::new("key");
    let line = setup(&scratch).set("log.retention.hour", 1).refusal();
    assert_says(&line, &["log.retention.hour", "log.retention.hours"]);
}

#[test]
fn listeners_that_would_not_be_served_as_they_ask_are_refused() {
    let free = "127.0.0.1:0";
    let refusal = |name: &str, listeners: &str, map: &str, told: &str| {
        let scratch = Scratch::new(name);
        let mut setup = setup(&scratch).listeners(listeners);
        for (key, value) in [("listener.security.protocol.map", map), ("advertised.listeners", told)] {
            if !value.is_empty() {
                setup = setup.set(key, value);
            }
        }
        let line = setup.refusal();
        assert!(!scratch.join("data").exists(), "nothing was made for a start that cannot be");
        line
    };
    let line = refusal("sasl", &format!("SASL_SSL://{free}"), "", "");
    assert_says(&line, &["listeners", "SASL_SSL://127.0.0.1:0", "neither TLS nor SASL", "PLAINTEXT://"]);
    let line = refusal("mapped", &format!("PUBLIC://{free}"), "PUBLIC:SSL", "");
    assert_says(&line, &["PUBLIC://127.0.0.1:0", "not SSL"]);
    let line = refusal("unmapped", &format!("PUBLIC://{free}"), "", "");
    assert_says(&line, &["PUBLIC://127.0.0.1:0", "add PUBLIC:PLAINTEXT", "listener.security.protocol.map"]);
    let (two, both) = (format!("PLAINTEXT://{free},PUBLIC://{free}"), "PLAINTEXT:PLAINTEXT,PUBLIC:PLAINTEXT");
    let line = refusal("two", &two, both, "");
    assert_says(&line, &["PLAINTEXT://127.0.0.1:0,PUBLIC://127.0.0.1:0", "one listener for clients"]);
    let line = refusal("told", &format!("PLAINTEXT://{free}"), "", "PUBLIC://localhost:1");
    assert_says(&line, &["advertised.listeners", "PUBLIC://localhost:1", "of the listener PLAINTEXT"]);
}

#[test]
fn listeners_of_kafkas_own_file_serve_clients_and_have_no_controllers_port() {
    let scratch = Scratch::new("combined");
    let flumen = setup(&scratch)
        .set("process.roles", "broker,controller")
        .set("controller.listener.names", "CONTROLLER")
        .set("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL")
        .listeners("CONTROLLER://127.0.0.1:1,PLAINTEXT://127.0.0.1:0")
        .start();
    flumen.until_logged("CONTROLLER://127.0.0.1:1 is not listened on");
    let line = flumen.until_logged("change nothing here");
    assert!(line.contains("process.roles") && !line.contains("listeners"), "{line}");
    let mut client = patient(flumen.address);
    create(&mut client, "combined", 1, &[]);
    latency(&mut client, "combined", 1, 5).expect("it serves");
    flumen.stop();
}

#[test]
fn features_of_the_kernel_are_named_in_one_line_and_switched_by_settings() {
    let optional = "multishot_receive,registered_buffers,registered_files";
    let all = "buffer_ring,direct_io,huge_pages,msg_ring,multishot_accept,multishot_receive,no_iowait,registered_buffers,registered_files,send_zc,time_slice";
    for (enable, disable) in [("", ""), (optional, ""), ("", all)] {
        let scratch = Scratch::new("features");
        let setup = setup(&scratch);
        let setup = setup.set("flumen.io.features.enable", enable).set("flumen.io.features.disable", disable);
        let flumen = setup.start();
        let line = flumen.until_logged("io_uring: ");
        for name in all.split(',') {
            let off = line.contains(&format!("no {name} ("));
            assert!(line.contains(name), "{name} is missing: {line}");
            assert!(off || !disable.contains(name), "{name} is on: {line}");
        }
        assert_eq!(
            line.contains("switched off by flumen.io.features.disable"),
            !disable.is_empty(),
            "{line}"
        );
        let mut client = patient(flumen.address);
        create(&mut client, "any", 4, &[]);
        latency(&mut client, "any", 4, 40).expect("it serves");
        flumen.stop();
    }
    let scratch = Scratch::new("feature");
    let line = setup(&scratch).set("flumen.io.features.enable", "registered").refusal();
    assert_says(&line, &["unknown I/O feature 'registered'", "registered_files"]);
}

#[test]
fn too_few_descriptors_are_refused_and_few_are_said() {
    let scratch = Scratch::new("descriptors");
    let line = setup(&scratch).before("ulimit -n 64").refusal();
    assert_says(&line, &["only 64", "ulimit -n"]);
    let flumen = setup(&scratch).before("ulimit -n 300").start();
    flumen.until_logged("the process may open only 300 files");
    let mut client = patient(flumen.address);
    create(&mut client, "few", 2, &[]);
    latency(&mut client, "few", 2, 20).expect("it serves");
    flumen.stop();
}

#[test]
fn a_connection_too_many_for_the_descriptors_waits_and_the_others_are_served() {
    let scratch = Scratch::new("exhausted");
    let flumen = setup(&scratch).before("ulimit -n 300").start();
    let mut client = patient(flumen.address);
    create(&mut client, "few", 2, &[]);
    let began = Instant::now();
    let crowd: Vec<_> = (0..400).map(|_| integration::raw::Raw::connect(flumen.address)).collect();
    flumen.until_logged("no descriptor or memory for another connection");
    latency(&mut client, "few", 2, 20).expect("who is connected is served");
    // Long enough for many tries.
    thread::sleep(Duration::from_secs(3));
    drop(crowd);
    let mut newcomer = patient(flumen.address);
    latency(&mut newcomer, "few", 2, 20).expect("and so are others when there is room");
    let lines = flumen.log_with("no descriptor or memory for another connection").len();
    // A line a second and core, and a second begins at another moment on each core.
    let most = (began.elapsed().as_secs() as usize + 2) * host::cores().len();
    assert!(lines <= most, "{lines} lines, {most} at most");
    flumen.stop();
}

#[test]
fn little_memlock_is_enough_or_named() {
    let scratch = Scratch::new("memlock");
    // In a user namespace not even root is excused from the limit.
    let line = setup(&scratch).own_mounts(true).before("ulimit -l 64").refusal();
    assert_says(&line, &["locked memory", "ulimit -l"]);
    // What most systems give: enough for the rings.
    let flumen = setup(&scratch).own_mounts(true).before("ulimit -l 8192").start();
    let mut client = patient(flumen.address);
    create(&mut client, "locked", 4, &[]);
    latency(&mut client, "locked", 4, 100).expect("it serves");
    flumen.stop();
}
