use super::report::Sink;
use super::*;
use controller::frame::{FileHeader, FileKind, FrameHeader};
use controller::record::{Record, Resource, ResourceKind};
use kafka_wire::BatchBuilder;
use model::TopicId;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;

/// Lines for a test to look at.
#[derive(Clone, Default)]
struct Lines(Rc<RefCell<Vec<String>>>);

impl Sink for Lines {
    fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.0.borrow_mut().push(text.to_owned());
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// The dump of a file with this name and content: the objects that were printed, and whether all is well.
fn dump_bytes(name: &str, bytes: &[u8]) -> (Vec<Value>, bool) {
    dump_beside(name, bytes, None)
}

/// The same of a file beside another one, which is empty.
fn dump_beside(name: &str, bytes: &[u8], other: Option<&str>) -> (Vec<Value>, bool) {
    // One directory a test thread, so that tests do not meet.
    let thread = format!("{:?}", std::thread::current().id());
    let directory = std::env::temp_dir().join(format!("flumen-dump-{}-{thread}", std::process::id()));
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    if let Some(other) = other {
        std::fs::write(path.with_file_name(other), b"").unwrap();
    }
    let lines = Lines::default();
    let mut report = Report::to(Box::new(lines.clone()), true);
    dump(&path, true, &mut report).unwrap();
    let sound = report.finish().is_ok();
    std::fs::remove_dir_all(&directory).unwrap();
    let objects = lines.0.borrow().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    (objects, sound)
}

/// Three batches of two records each, from offset 100 on; and where each begins.
fn segment() -> (Vec<u8>, [usize; 3]) {
    let (mut bytes, mut begins) = (Vec::new(), [0; 3]);
    for (number, begin) in begins.iter_mut().enumerate() {
        *begin = bytes.len();
        let mut builder = BatchBuilder::new().base_offset(100 + 2 * number as i64).leader_epoch(1);
        for record in 0..2 {
            let value = format!("value {number} {record}");
            builder.append(1_000, Some(b"k"), Some(value.as_bytes()), &[("h", None)]).unwrap();
        }
        bytes.extend(builder.build().unwrap());
    }
    (bytes, begins)
}

fn positions(objects: &[Value], what: &str) -> Vec<u64> {
    objects.iter().filter_map(|object| object[what]["position"].as_u64()).collect()
}

const NAME: &str = "00000000000000000100.log";

#[test]
fn a_whole_segment() {
    let (bytes, begins) = segment();
    let (objects, sound) = dump_bytes(NAME, &bytes);
    assert!(sound);
    assert_eq!(positions(&objects, "batch"), begins.map(|begin| begin as u64));
    let records: Vec<_> = objects.iter().filter(|object| object.get("record").is_some()).collect();
    assert_eq!(records.len(), 6);
    assert_eq!(records[3]["record"]["offset"], 103);
    assert_eq!(records[3]["record"]["value"], "value 1 1");
    assert_eq!(objects[0]["kind"], "segment");
}

#[test]
fn zeros_behind_the_last_batch_are_room() {
    let (mut bytes, _) = segment();
    let end = bytes.len() as u64;
    bytes.resize(bytes.len() + 3_000_000, 0);
    let (objects, sound) = dump_bytes(NAME, &bytes);
    assert!(sound);
    assert_eq!(positions(&objects, "note"), [end]);
    assert_eq!(positions(&objects, "batch").len(), 3);
}

#[test]
fn the_batches_around_a_damaged_one_are_found_wherever_the_damage_is() {
    let (bytes, begins) = segment();
    for position in begins[1]..begins[2] {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x55;
        let (objects, sound) = dump_bytes(NAME, &damaged);
        let batches = positions(&objects, "batch");
        assert!(batches.contains(&(begins[0] as u64)), "{position}");
        assert!(batches.contains(&(begins[2] as u64)), "{position}");
        // Base offset and leader epoch lie outside the checksum; only a base offset can be seen to be wrong,
        // and not every one: that of a compacted log may have grown.
        let header = position - begins[1];
        if !(0..8).contains(&header) && !(12..16).contains(&header) {
            assert!(!sound, "{position}");
            assert_eq!(positions(&objects, "damage"), [begins[1] as u64], "{position}");
        }
    }
}

#[test]
fn a_cut_segment_says_where() {
    let (bytes, begins) = segment();
    for cut in [begins[2] + 1, begins[2] + 60, bytes.len() - 1] {
        let (objects, sound) = dump_bytes(NAME, &bytes[..cut]);
        assert!(!sound);
        assert_eq!(positions(&objects, "batch").len(), 2);
        assert_eq!(positions(&objects, "damage"), [begins[2] as u64]);
    }
}

#[test]
fn garbage_before_a_batch_is_skipped() {
    let (bytes, _) = segment();
    let mut garbage = vec![2; 1_500_000];
    garbage.extend(bytes);
    let (objects, sound) = dump_bytes(NAME, &garbage);
    assert!(!sound);
    assert_eq!(positions(&objects, "damage"), [0]);
    assert_eq!(positions(&objects, "batch").len(), 3);
}

#[test]
fn offsets_below_the_name_are_damage() {
    let (bytes, _) = segment();
    let (objects, sound) = dump_bytes("00000000000000000101.log", &bytes);
    assert!(!sound);
    assert_eq!(positions(&objects, "damage"), [0]);
}

#[test]
fn an_offset_index() {
    let entry = |offset: u32, position: u32| [offset.to_be_bytes(), position.to_be_bytes()].concat();
    let whole = [entry(10, 4_200), entry(20, 8_400)].concat();
    let (objects, sound) = dump_bytes("0.index", &whole);
    assert!(sound);
    assert_eq!(positions(&objects, "entry"), [0, 8]);
    assert_eq!(objects[2]["entry"]["relative_offset"], 20);

    let (objects, sound) = dump_bytes("0.index", &[whole.clone(), vec![0; 80]].concat());
    assert!(sound);
    assert_eq!(positions(&objects, "note"), [16]);

    let (objects, sound) = dump_bytes("0.index", &[whole.clone(), entry(15, 9_000), vec![1]].concat());
    assert!(!sound);
    assert_eq!(positions(&objects, "damage"), [16, 24]);

    let (objects, sound) = dump_bytes("0.index", &[whole, vec![0; 8], entry(30, 9_000)].concat());
    assert!(!sound);
    assert_eq!(positions(&objects, "damage"), [16]);
}

#[test]
fn a_time_index() {
    let entry = |time: i64, offset: u32| [&time.to_be_bytes()[..], &offset.to_be_bytes()].concat();
    let (objects, sound) = dump_bytes("0.timeindex", &[entry(1_000, 5), entry(2_000, 9)].concat());
    assert!(sound);
    assert_eq!(objects[2]["entry"]["timestamp"], 2_000);
    let (objects, sound) = dump_bytes("0.timeindex", &[entry(1_000, 5), entry(900, 9)].concat());
    assert!(!sound);
    assert_eq!(positions(&objects, "damage"), [12]);
}

/// A metadata file of two commits: a topic; a configuration value. And where each begins.
fn metadata(kind: FileKind) -> (Vec<u8>, [usize; 2]) {
    let topic = Record::Topic { id: TopicId([7; 16]), name: "orders".to_owned() };
    let resource = Resource::new(ResourceKind::Topic, "orders");
    let value = Some("1".to_owned());
    let config = Record::Config { resource, key: "retention.ms".to_owned(), value };
    let (mut bytes, mut begins) = (FileHeader::new(kind, 5, 1).encode().to_vec(), [0; 2]);
    for (number, record) in [topic, config].iter().enumerate() {
        begins[number] = bytes.len();
        let mut payload = Vec::new();
        record.encode(&mut payload);
        let header = FrameHeader {
            payload_bytes: payload.len() as u32,
            base_offset: 5 + number as i64,
            epoch: 1,
            records: 1,
            payload_crc: crc32c::crc32c(&payload),
        };
        bytes.extend(header.encode());
        bytes.extend(payload);
    }
    (bytes, begins)
}

#[test]
fn a_metadata_log() {
    let (bytes, begins) = metadata(FileKind::Log);
    let (objects, sound) = dump_bytes("00000000000000000005.log", &bytes);
    assert!(sound, "{objects:?}");
    assert_eq!(objects[0]["kind"], "metadata log");
    assert_eq!(positions(&objects, "commit"), begins.map(|begin| begin as u64));
    let records: Vec<_> = objects.iter().filter(|object| object.get("record").is_some()).collect();
    assert_eq!(records[0]["record"]["fields"]["name"], "orders");
    assert_eq!(
        (&records[1]["record"]["offset"], &records[1]["record"]["fields"]["value"]),
        (&json!(6), &json!("1"))
    );
}

#[test]
fn damage_in_a_metadata_log_is_found_wherever_it_is() {
    let (bytes, begins) = metadata(FileKind::Log);
    for position in begins[0]..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x55;
        let (objects, sound) = dump_bytes("00000000000000000005.log", &damaged);
        assert!(!sound, "{position}");
        let (hit, whole) = if position < begins[1] { (0, 1) } else { (1, 0) };
        assert_eq!(positions(&objects, "damage"), [begins[hit] as u64], "{position}");
        assert_eq!(positions(&objects, "commit"), [begins[whole] as u64], "{position}");
    }
}

#[test]
fn a_snapshot_without_its_end_is_damaged() {
    let (mut bytes, _) = metadata(FileKind::Snapshot);
    let (objects, sound) = dump_bytes("00000000000000000005.snapshot", &bytes);
    assert!(!sound);
    assert_eq!(positions(&objects, "damage"), [bytes.len() as u64]);
    let end = FrameHeader {
        payload_bytes: 0,
        base_offset: 7,
        epoch: 1,
        records: 0,
        payload_crc: crc32c::crc32c(&[]),
    };
    bytes.extend(end.encode());
    let (_, sound) = dump_bytes("00000000000000000005.snapshot", &bytes);
    assert!(sound);
    let end = bytes.len();
    bytes.extend([0; 100]);
    let (objects, sound) = dump_bytes("00000000000000000005.snapshot", &bytes);
    assert!(!sound);
    assert_eq!(positions(&objects, "damage"), [end as u64], "no space is reserved behind a snapshot");
    // As it is behind a log.
    let (mut bytes, _) = metadata(FileKind::Log);
    bytes.extend([0; 100]);
    assert!(dump_bytes("00000000000000000005.log", &bytes).1);
}

#[test]
fn files_whose_first_bytes_are_damaged_are_known_by_name_and_place() {
    for (kind, file, name) in [
        (FileKind::Log, "metadata/00000000000000000005.log", "metadata log"),
        (FileKind::Snapshot, "metadata/00000000000000000005.snapshot", "metadata snapshot"),
    ] {
        let (bytes, begins) = metadata(kind);
        for position in 0..8 {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x55;
            let (objects, sound) = dump_bytes(file, &damaged);
            assert!(!sound, "{position}");
            assert_eq!((&objects[0]["kind"], positions(&objects, "damage")), (&json!(name), vec![0]));
            assert_eq!(positions(&objects, "commit"), begins.map(|begin| begin as u64));
        }
    }
    let mut bytes = storage::inspect::Checkpoint::default().encode();
    bytes[0] ^= 0x55;
    for damaged in [&bytes[..], b"FL"] {
        let (objects, sound) = dump_bytes("checkpoint", damaged);
        assert!(!sound);
        assert_eq!((&objects[0]["kind"], positions(&objects, "damage")), (&json!("checkpoint"), vec![0]));
    }
    // Elsewhere the same names are others'.
    let (bytes, _) = segment();
    assert_eq!(dump_bytes(NAME, &bytes).0[0]["kind"], "segment");
}

#[test]
fn what_is_not_known_is_said() {
    let (objects, sound) = dump_bytes("notes.txt", b"hello");
    assert!(!sound && objects[0]["error"].is_string());
    // By its first bytes a journal, and damaged, whatever its name says.
    let (objects, sound) = dump_bytes("00000000000000000000.log", b"FLMF and more");
    assert!(!sound);
    assert_eq!((&objects[0]["kind"], positions(&objects, "damage")), (&json!("journal"), vec![0]));
}

#[test]
fn what_else_belongs_to_a_data_directory_is_named_and_no_flaw() {
    let node = model::NodeFile { node: model::NodeId(7), cluster_id: None }.to_string();
    let (whose, unfinished) = ("whose the data directory is", "unfinished file that no start reads");
    for (name, bytes, other, kind) in [
        ("node.toml", node.as_bytes(), None, whose),
        ("lock", &b""[..], Some("node.toml"), "lock for one broker at a time"),
        ("reserve", &[0_u8; 5000][..], Some("node.toml"), "space kept for a full disk"),
        ("node.toml.new", &node.as_bytes()[..20], None, unfinished),
        ("checkpoint.new", &b"FL"[..], None, unfinished),
        ("00000000000000000100.timeindex.new", &b""[..], None, unfinished),
        ("metadata/00000000000000000005.snapshot.tmp", &b""[..], None, unfinished),
    ] {
        let (objects, sound) = dump_beside(name, bytes, other);
        assert!(sound, "{name}: {objects:?}");
        assert_eq!((&objects[0]["kind"], objects.len()), (&json!(kind), 2), "{name}: a line, and its end");
    }
    // Elsewhere they are others', and nothing is written under these names.
    for name in ["lock", "reserve", "lock.new", "notes.txt.new", "00000000000000000100.log.tmp"] {
        let (objects, sound) = dump_bytes(name, b"");
        assert!(!sound && objects[0]["error"].is_string(), "{name}: {objects:?}");
    }
    for damaged in [&node.as_bytes()[..20], b"format_version = 9\nnode_id = 7\n", b"\xff"] {
        let (objects, sound) = dump_bytes("node.toml", damaged);
        assert!(!sound);
        assert_eq!((&objects[0]["kind"], positions(&objects, "damage")), (&json!(whose), vec![0]));
    }
}

#[test]
fn one_flaw_is_not_called_flaws() {
    for (flaws, told) in [(1, "1 flaw in 1 of the files;"), (2, "2 flaws in 2 of the files;")] {
        let mut report = Report::to(Box::new(Lines::default()), false);
        for _ in 0..flaws {
            report.unreadable(Path::new("notes.txt"), "not known").unwrap();
        }
        let line = report.finish().unwrap_err().line().unwrap();
        assert!(line.starts_with(told), "{line}");
    }
}

/// A journal file with two commits, each of a declaration and a batch.
fn journal() -> Vec<u8> {
    use model::{PartitionId, TopicPartition};
    use storage::inspect::{CommitHeader, Entry, FileHeader};
    let mut bytes = vec![0; 4096];
    let header = FileHeader {
        file_sequence: 4,
        epoch: 3,
        sequence_min: 7,
        file_bytes: 1 << 20,
        drained_through: 6,
        relaxed: false,
    };
    header.encode(&mut bytes);
    let id = TopicPartition { topic: TopicId([7; 16]), partition: PartitionId(2) };
    for sequence in 7..9 {
        let mut builder = BatchBuilder::new().base_offset(sequence as i64);
        builder.append(1_000, None, Some(b"value"), &[]).unwrap();
        let batch = builder.build().unwrap();
        let mut commit = vec![0; 64];
        let declare = Entry::Declare { number: 0, id, segment: 5 };
        for entry in [declare, Entry::Append { number: 0, position: 90, batch: &batch }] {
            let at = commit.len();
            commit.resize(at + entry.bytes(), 0);
            entry.encode(&mut commit[at..]);
        }
        let header = CommitHeader {
            length: commit.len() as u32,
            entries: 2,
            sequence,
            epoch: 3,
            file_sequence: 4,
            durable_through: 6,
            drained_through: 6,
            wall_clock_ms: 0,
        };
        header.seal(&mut commit);
        commit.resize(4096, 0);
        bytes.extend(commit);
    }
    bytes
}

#[test]
fn a_journal_and_its_damage() {
    let mut bytes = journal();
    bytes.resize(40_960, 0);
    let (objects, sound) = dump_bytes("0.journal", &bytes);
    assert!(sound, "{objects:?}");
    assert_eq!(positions(&objects, "commit"), [4096, 8192]);
    let entries: Vec<_> = objects.iter().filter(|object| object.get("entry").is_some()).collect();
    assert_eq!(entries[1]["entry"]["base_offset"], 7);
    assert_eq!(entries.len(), 4);
    bytes[4200] ^= 1;
    let (objects, sound) = dump_bytes("0.journal", &bytes);
    assert!(!sound);
    assert_eq!((positions(&objects, "damage"), positions(&objects, "commit")), (vec![4096], vec![8192]));
    let (objects, sound) = dump_bytes("1.journal", &vec![0; 40_960]);
    assert!(sound);
    assert!(objects[1]["note"]["what"].as_str().unwrap().starts_with("unused"));
}

#[test]
fn a_checkpoint_and_its_damage() {
    use storage::inspect::{Checkpoint, CheckpointEntry, LogPlace};
    let place = LogPlace { segment: 5, position: 6, offset: 7 };
    let entry = CheckpointEntry {
        id: model::TopicPartition { topic: TopicId([7; 16]), partition: model::PartitionId(2) },
        exact: true,
        leader_epoch: 3,
        epoch_history: false,
        log_start: 4,
        verified: place,
        claimed: place,
        older_bytes: 0,
    };
    let checkpoint =
        Checkpoint { epoch: 1, generation: 2, clean: true, wall_clock_ms: 0, entries: vec![entry] };
    let mut bytes = checkpoint.encode();
    let (objects, sound) = dump_bytes("checkpoint", &bytes);
    assert!(sound, "{objects:?}");
    assert_eq!(objects[2]["partition"]["verified"]["offset"], 7);
    bytes[60] ^= 1;
    let (objects, sound) = dump_bytes("checkpoint", &bytes);
    assert!(!sound);
    assert_eq!(positions(&objects, "damage"), [0]);
    assert_eq!(objects.iter().filter(|object| object.get("partition").is_some()).count(), 1);
}

#[test]
fn segments_that_are_to_be_removed_or_put_in_place() {
    let (bytes, _) = segment();
    for name in ["00000000000000000100.log.deleted", "00000000000000000100-00000000000000000200.swap"] {
        let (objects, sound) = dump_bytes(name, &bytes);
        assert!(sound, "{name}");
        assert_eq!((&objects[0]["kind"], positions(&objects, "batch").len()), (&json!("segment"), 3));
    }
    let (objects, sound) = dump_bytes("00000000000000000101.log.deleted", &bytes);
    assert!(!sound);
    assert_eq!(positions(&objects, "damage"), [0], "offsets below its name");
}

#[test]
fn aborted_transactions() {
    let entry = |first: i64, last: i64| {
        let numbers = [9, first, last, first].map(i64::to_be_bytes).concat();
        [&[0_u8, 0][..], &numbers].concat()
    };
    let bytes = [entry(90, 110), entry(111, 120), entry(121, 130)].concat();
    let name = "00000000000000000100.txnindex";
    let (objects, sound) = dump_bytes(name, &bytes);
    assert!(sound);
    assert_eq!(objects[0]["kind"], "aborted transactions");
    let expected =
        json!({ "producer_id": 9, "first_offset": 90, "last_offset": 110, "last_stable_offset": 90 });
    assert_eq!(objects[1]["aborted"], expected);
    let (objects, sound) = dump_bytes(name, &bytes[..40]);
    assert!(!sound);
    assert_eq!(positions(&objects, "damage"), [34]);
    // The marker before the segment begins: the two behind it are printed.
    let (objects, sound) = dump_bytes("00000000000000000111.txnindex", &bytes);
    assert!(!sound);
    assert_eq!(positions(&objects, "damage"), [0]);
    assert_eq!(objects.iter().filter(|object| object.get("aborted").is_some()).count(), 2);
}

/// A file of Flumen's own: its first bytes, a checksum of the rest, and the rest.
fn sealed(magic: &[u8; 4], rest: &[&[u8]]) -> Vec<u8> {
    let rest = rest.concat();
    [&magic[..], &crc32c::crc32c(&rest).to_le_bytes(), &rest].concat()
}

/// Reads the file under its name, and then with each of its bytes changed and cut.
fn whole_or_damaged(name: &str, bytes: &[u8]) -> Vec<Value> {
    let (objects, sound) = dump_bytes(name, bytes);
    assert!(sound, "{objects:?}");
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[at] ^= 0x10;
        assert!(!dump_bytes(name, &changed).1, "byte {at} of {name} is changed");
        assert!(!dump_bytes(name, &bytes[..at]).1, "{name} is cut at {at}");
    }
    objects
}

#[test]
fn a_snapshot_of_producers() {
    let numbers =
        |numbers: &[i64]| -> Vec<u8> { numbers.iter().flat_map(|number| number.to_le_bytes()).collect() };
    // Version, count, next offset; id, epoch, batches, seen, timestamp, epoch of a coordinator, transaction; a batch.
    let rest: [&[u8]; 13] = [
        &2_u32.to_le_bytes(),
        &1_u32.to_le_bytes(),
        &numbers(&[42, 7]),
        &3_i16.to_le_bytes(),
        &1_u16.to_le_bytes(),
        &1_700_000_000_u32.to_le_bytes(),
        &numbers(&[1_700_000_000_123]),
        &(-1_i32).to_le_bytes(),
        &numbers(&[40]),
        &10_i32.to_le_bytes(),
        &11_i32.to_le_bytes(),
        &numbers(&[40]),
        &numbers(&[41]),
    ];
    let bytes = sealed(b"FLMP", &rest);
    let objects = whole_or_damaged("00000000000000000042.snapshot", &bytes);
    assert_eq!(objects[0]["kind"], "producers");
    assert_eq!(objects[1]["header"], json!({ "next_offset": 42, "producers": 1 }));
    let expected = json!({
        "id": 7, "epoch": 3, "last_sequence": 11, "last_timestamp": 1_700_000_000_123_i64,
        "coordinator_epoch": -1, "transaction_start": 40,
    });
    assert_eq!(objects[2]["producer"], expected);
    assert!(!dump_bytes("00000000000000000043.snapshot", &bytes).1, "the name says another offset");
}

#[test]
fn leader_epochs_and_how_far_a_log_was_compacted() {
    let (objects, sound) = dump_bytes("leader-epoch-checkpoint", b"0\n2\n0 0\n3 17\n");
    assert!(sound);
    assert_eq!(objects[0]["kind"], "leader epochs");
    assert_eq!(objects[2]["epoch"], json!({ "epoch": 3, "start_offset": 17 }));
    let (objects, sound) = dump_bytes("leader-epoch-checkpoint", b"0\n2\n3 17\n0 0\n");
    assert!(!sound);
    assert_eq!(positions(&objects, "damage"), [0]);
    let rest: [&[u8]; 4] = [&1_u32.to_le_bytes(), &[0; 4], &30_i64.to_le_bytes(), &35_i64.to_le_bytes()];
    let objects = whole_or_damaged("cleaner-state", &sealed(b"FLMC", &rest));
    assert_eq!(objects[0]["kind"], "cleaner state");
    assert_eq!(objects[1]["cleaner"], json!({ "first_dirty": 35, "boundary": 30 }));
}
