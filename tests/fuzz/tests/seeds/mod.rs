//! The committed inputs of the targets that take several things in one input: appends, records of coordinators, what a
//! client does; and files for the target that takes each of them.

use kafka_wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_wire::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use kafka_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_wire::record_batch::Compression;
use kafka_wire::record_batch::layout::ATTRIBUTES;
use kafka_wire::{API_VERSIONS, ApiKey, BatchBuilder, Encode, Records, Writer};
use storage::transactions::{AbortedIndex, AbortedTransaction, EndMarker, marker};

const NOW_MS: i64 = 1_700_000_000_000;

/// Bytes behind two of their length.
fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

fn records(builder: BatchBuilder, count: u8) -> BatchBuilder {
    let mut builder = builder;
    for number in 0..count {
        let value = [number; 40];
        builder.append(NOW_MS, Some(&[b'k', number % 3]), Some(&value), &[]).unwrap();
    }
    builder
}

/// A batch in a codec.
fn packed(builder: &BatchBuilder, codec: Compression) -> Vec<u8> {
    let payload = client::compression::compress(codec, builder.payload()).unwrap();
    builder.build_compressed(codec, &payload).unwrap()
}

/// Logs of all kinds, and in each the same: plain and compressed batches, several at once, a transaction that is
/// aborted, and damage.
pub fn append() -> Vec<Vec<u8>> {
    use Compression::{Gzip, Lz4, Snappy, Zstd};
    let plain = records(BatchBuilder::new(), 9).build().unwrap();
    let codecs = [Gzip, Snappy, Lz4, Zstd].map(|codec| packed(&records(BatchBuilder::new(), 9), codec));
    let opens = records(BatchBuilder::new().producer(5, 0, 0), 2).transactional().build().unwrap();
    let content = |batch: &[u8]| sized(&batch[ATTRIBUTES..]);
    let one = |what: u8, batch: &[u8]| [&[what][..], &content(batch)].concat();
    let mut steps = one(1, &plain);
    codecs.iter().for_each(|batch| steps.extend(one(1, batch)));
    steps.extend([&[2u8][..], &sized(&[content(&plain), content(&codecs[0])].concat())].concat());
    steps.extend(one(129, &opens));
    steps.extend([3, 5, 1, 0]);
    steps.extend([&[0u8][..], &sized(&plain[..50]), &[0], &sized(&plain)].concat());
    // Each of the settings by itself, small segments with compaction, and every codec to be kept.
    let settings: [u8; 11] = [0, 1, 2, 5, 7, 8, 0x18, 0x28, 0x38, 0x48, 0x4d];
    settings.map(|settings| [&[settings][..], &steps].concat()).to_vec()
}

/// What coordinators write of an offset, a group, a share partition and a transaction; tombstones; versions that are
/// none.
pub fn coordinator_records() -> Vec<Vec<u8>> {
    let offset = [0, 1, 0, 1, b'g', 0, 1, b't', 0, 0, 0, 1];
    let committed = [&[0u8, 4][..], &[0; 8], &[0xff; 4], &[1], &[0; 8], &[0]].concat();
    let group = [0, 3, 0, 1, b'g'];
    let epoch = [0u8, 0, 0, 0, 0, 1, 0];
    let transaction = [0, 0, 0, 2, b'i', b'd'];
    let ongoing =
        [&[0u8, 1][..], &[0; 7], &[3, 0, 1, 0, 0, 0xea, 0x60, 1], &[1], &[0; 8], &[0; 8], &[0]].concat();
    let share = [&[0, 0, 0, 1, b'g'][..], &[7; 16], &[0; 4]].concat();
    let subscription = [0, 0, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff];
    let with = |key: &[u8], value: &[u8]| [&[1u8][..], &sized(key), &sized(value)].concat();
    let without = |key: &[u8]| [&[0u8][..], &sized(key)].concat();
    let pending = [&[31u8][..], &sized(&offset), &sized(&committed)].concat();
    let all = [with(&group, &epoch), with(&offset, &committed), with(&transaction, &ongoing)].concat();
    let gone = [&offset[..], &group, &transaction].map(without).concat();
    let newer = [&offset[..], &group, &transaction, &share].map(|key| with(key, &[0, 99])).concat();
    let shared = [with(&share, &[0; 60]), without(&share)].concat();
    vec![[&all[..], &gone].concat(), all, pending, newer, shared, with(&subscription, &subscription)]
}

/// One turn of a client: a request with this body.
fn request(api: ApiKey, version: i16, body: &impl Encode) -> Vec<u8> {
    let place = API_VERSIONS.iter().position(|one| one.key == api).unwrap();
    let mut writer = Writer::new();
    body.encode(&mut writer, version).unwrap();
    let above = version - API_VERSIONS[place].min;
    [&[2, place as u8, above as u8][..], &sized(&writer.into_parts().0)].concat()
}

/// Every API with made-up fields; bytes that are none of Kafka's; and one who makes a topic, writes, reads and joins.
pub fn front_door() -> Vec<Vec<u8>> {
    let made_up = API_VERSIONS.iter().enumerate().map(|(place, api)| {
        // One core and two in turn.
        vec![place as u8 & 1, 5, place as u8, (api.max - api.min) as u8, 1]
    });
    let mut all: Vec<Vec<u8>> = made_up.collect();
    let strange =
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x80, 0, 0, 0], &[0, 0, 0, 9, 0, 18], &[5, 0xf5, 0xe0, 0xff]];
    for bytes in strange {
        all.push([&[1u8, 0][..], &sized(bytes), &[7, 9, 0, 2, 0, 0]].concat());
    }
    let turns = life();
    for first in [0u8, 1, 6] {
        all.push([&[first][..], &turns].concat());
    }
    all
}

fn life() -> Vec<u8> {
    let topic =
        CreatableTopic { name: "t".into(), num_partitions: 2, replication_factor: 1, ..Default::default() };
    let topics = CreateTopicsRequest { topics: vec![topic], timeout_ms: 1000, ..Default::default() };
    let batch = packed(&records(BatchBuilder::new(), 9), Compression::Zstd);
    let partition = PartitionProduceData { index: 0, records: Records::Bytes(&batch) };
    let data = TopicProduceData { name: "t".into(), partition_data: vec![partition], ..Default::default() };
    let produce = ProduceRequest { acks: -1, timeout_ms: 1000, topic_data: vec![data], ..Default::default() };
    let partition = FetchPartition { partition_max_bytes: 1 << 20, ..Default::default() };
    let wanted = FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() };
    let fetch = FetchRequest { max_wait_ms: 10, min_bytes: 1, topics: vec![wanted], ..Default::default() };
    let find = FindCoordinatorRequest { key: "g".into(), ..Default::default() };
    let protocol = JoinGroupRequestProtocol { name: "range".into(), ..Default::default() };
    let join = JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..Default::default()
    };
    let wait = vec![7];
    let turns = [
        request(ApiKey::CreateTopics, 4, &topics),
        wait.clone(),
        request(ApiKey::Produce, 9, &produce),
        wait.clone(),
        request(ApiKey::Fetch, 12, &fetch),
        request(ApiKey::FindCoordinator, 3, &find),
        wait,
        request(ApiKey::JoinGroup, 3, &join),
    ];
    turns.concat()
}

/// Each of the files, as far as its format is known here.
pub fn inspect() -> Vec<Vec<u8>> {
    let batch = records(BatchBuilder::new(), 3).build().unwrap();
    let mut index = AbortedIndex::new(0);
    let aborted =
        AbortedTransaction { producer_id: 5, first_offset: 1, last_offset: 4, last_stable_offset: 5 };
    index.push(aborted).unwrap();
    let end = EndMarker { producer_id: 5, producer_epoch: 1, commit: false, coordinator_epoch: 0 };
    vec![
        [&batch[..], &[0; 100]].concat(),
        [&batch[..], b"damage", &records(BatchBuilder::new().base_offset(9), 1).build().unwrap()].concat(),
        index.encode(),
        marker::build(&end, NOW_MS).to_vec(),
        b"0\n2\n0 0\n3 7\n".to_vec(),
        vec![0, 0, 0, 9, 0, 0, 0, 61, 0, 0, 0, 20, 0, 0, 1, 0],
        [b"FLMK".to_vec(), vec![0; 60]].concat(),
        [b"FLMF".to_vec(), vec![0; 8188]].concat(),
    ]
}

/// Each of the files, as it should be and not: those with a checksum without it, which the target adds.
pub fn start_files() -> Vec<Vec<u8>> {
    let configurations = [
        "# a broker\nnum.partitions = 3\n! its log\nlog.retention.ms:5\nlisteners=PLAINTEXT://\\\n  :9092\n",
        "broker.rack=a\\ \\\n\nlistener.name.internal.ssl.key.password:hush\nnode.id=7\nbroker.id=8\n",
        "\r\nnum.partition=3\r\n",
        "num.partitions=many\n",
        "just words\n",
        "words\n",
        "broker\\.rack \\u00e9\\ud83d\\ude00\\=\\:\\\\\\t\rflumen.data\t/a\\ b\\n\n",
        "#\\\n \\\n ! no\nnum.partitions\\\n = \\\n\t3",
        "broker.rack=\\u12\n",
        "broker.rack=\\ud800\n",
    ];
    let nodes = [
        "# Written by flumen; do not edit.\nformat_version = 1\nnode_id = 7\n",
        "format_version=1\nnode_id=\"7\"\ncluster_id = \"a = cluster\"\n",
        "format_version = 2\nnode_id = 1\n",
        "format_version = 1\nnode_id = -1\n",
    ];
    let checkpoint = [&b"FLMK"[..], &[0; 4], &[1, 0, 1, 0, 1, 0, 0, 0], &[3; 24], &[0; 8], &[1; 88]].concat();
    let producer = [&[5u8, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0][..], &[1; 24]].concat();
    let snapshot = |version: u8, producer: &[u8]| {
        let head = [version, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
        [&b"FLMP"[..], &[0; 4], &head, producer, &[2; 24]].concat()
    };
    let cleaned = [&b"FLMC"[..], &[0; 4], &[1, 0, 0, 0], &[0; 12], &[3, 0, 0, 0, 0, 0, 0, 0]].concat();
    let texts = configurations.map(|text| (0u8, text)).into_iter().chain(nodes.map(|text| (1, text)));
    let snapshots = [snapshot(1, &producer[..24]), snapshot(2, &producer)].map(|snapshot| (3, snapshot));
    let files = [(2, checkpoint), (4, cleaned)].into_iter().chain(snapshots);
    let all = texts.map(|(which, text)| (which, text.as_bytes().to_vec())).chain(files);
    all.map(|(which, file)| [&[which][..], &file].concat()).collect()
}
