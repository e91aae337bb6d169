//! The calls around a run, one at a time and waiting for the answer: topics, leaders, offsets,
//! producer ids. Versions below the flexible ones are used; a broker must serve those too.

use crate::{
    connection::connect,
    error::Error,
    requests,
    wire::{Get, Put},
};
use std::{
    collections::HashMap,
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

/// How long one call may take: creating ten thousand partitions takes its time.
const CALL_TIMEOUT: Duration = Duration::from_secs(180);
const LONGEST_ANSWER: usize = 64 << 20;
const API_VERSIONS: i16 = 18;

/// One partition to work on, with the node that leads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Index into [`Layout::topics`].
    pub topic: usize,
    pub partition: i32,
    /// Index into [`Layout::nodes`].
    pub node: usize,
}

/// Where the partitions of a run are.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    pub topics: Vec<String>,
    /// Addresses of nodes that lead at least one partition.
    pub nodes: Vec<String>,
    /// All partitions, the topics taking turns so that neighbours differ.
    pub targets: Vec<Target>,
}

/// Which end of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogEnd {
    Latest,
    Earliest,
    /// The last stable offset: behind it are records of open transactions.
    Stable,
}

impl LogEnd {
    fn timestamp(self) -> i64 {
        match self {
            LogEnd::Latest | LogEnd::Stable => -1,
            LogEnd::Earliest => -2,
        }
    }

    /// As the protocol has it: 1 is read committed.
    fn isolation(self) -> i8 {
        i8::from(self == LogEnd::Stable)
    }
}

/// A client for calls that wait, with one connection a node.
#[derive(Debug)]
pub struct Admin {
    bootstrap: String,
    connections: HashMap<String, TcpStream>,
    correlation: i32,
}

impl Admin {
    pub fn new(bootstrap: &str) -> Admin {
        Admin { bootstrap: bootstrap.to_owned(), connections: HashMap::new(), correlation: 0 }
    }

    /// Calls the node at `address`; on failure the connection is given up.
    fn call(&mut self, address: &str, api: i16, version: i16, body: &[u8]) -> Result<Vec<u8>, Error> {
        if !self.connections.contains_key(address) {
            let stream = connect(address)?;
            stream.set_read_timeout(Some(CALL_TIMEOUT)).map_err(Error::io("setting a time limit"))?;
            self.connections.insert(address.to_owned(), stream);
        }
        self.correlation += 1;
        let Some(stream) = self.connections.get_mut(address) else {
            return Err(Error::Protocol("a connection vanished"));
        };
        let answer = exchange(stream, api, version, self.correlation, body);
        if answer.is_err() {
            self.connections.remove(address);
        }
        answer
    }

    /// Calls the node that this tool was told of.
    pub(crate) fn call_any(&mut self, api: i16, version: i16, body: &[u8]) -> Result<Vec<u8>, Error> {
        let bootstrap = self.bootstrap.clone();
        self.call(&bootstrap, api, version, body)
    }

    /// Creates a topic; one that exists already is left as it is, and `false` returned.
    pub fn create_topic(
        &mut self,
        topic: &str,
        partitions: i32,
        replication: i16,
        configs: &[(String, String)],
    ) -> Result<bool, Error> {
        let mut body = Vec::new();
        body.put_i32(1);
        body.put_string(topic);
        body.put_i32(partitions);
        body.put_i16(replication);
        body.put_i32(0); // no assignment by hand
        body.put_i32(configs.len() as i32);
        for (name, value) in configs {
            body.put_string(name);
            body.put_string(value);
        }
        body.put_i32(CALL_TIMEOUT.as_millis() as i32 / 2);
        body.put_i8(0); // not only to validate
        let answer = self.call_any(19, 3, &body)?;
        match first_code(&answer)? {
            0 => Ok(true),
            36 => Ok(false),
            code => Err(Error::Broker { request: "CreateTopics", subject: topic.to_owned(), code }),
        }
    }

    /// Deletes a topic and waits until no node tells of it; one that does not exist is fine.
    pub fn delete_topic(&mut self, topic: &str) -> Result<(), Error> {
        let mut body = Vec::new();
        body.put_i32(1);
        body.put_string(topic);
        body.put_i32(60_000);
        let answer = self.call_any(20, 1, &body)?;
        match first_code(&answer)? {
            0 => {}
            3 => return Ok(()),
            code => {
                return Err(Error::Broker { request: "DeleteTopics", subject: topic.to_owned(), code });
            }
        }
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            let gone = self.metadata(&[topic.to_owned()])?.topics.iter().all(|t| t.code == 3);
            if gone {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(Error::Timeout(format!("deletion of topic {topic}")))
    }

    /// Asks until every partition of `topics` has a leader, `partitions` of them each.
    pub fn layout(
        &mut self,
        topics: &[String],
        partitions: i32,
        patience: Duration,
    ) -> Result<Layout, Error> {
        let until = Instant::now() + patience;
        loop {
            let found = self.metadata(topics).and_then(|m| m.layout(topics, partitions));
            match found {
                Ok(layout) => return Ok(layout),
                Err(e) if Instant::now() >= until => return Err(e),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn metadata(&mut self, topics: &[String]) -> Result<Metadata, Error> {
        let mut body = Vec::new();
        body.put_i32(topics.len() as i32);
        for topic in topics {
            body.put_string(topic);
        }
        body.put_i8(0); // do not create
        Metadata::parse(&self.call_any(3, 4, &body)?)
    }

    /// The offsets at one end of every partition's log, in the order of `layout.targets`.
    pub fn offsets(&mut self, layout: &Layout, end: LogEnd) -> Result<Vec<i64>, Error> {
        let mut offsets = vec![-1; layout.targets.len()];
        let index: HashMap<(&str, i32), usize> = layout
            .targets
            .iter()
            .enumerate()
            .map(|(i, t)| ((layout.topics[t.topic].as_str(), t.partition), i))
            .collect();
        for (node, address) in layout.nodes.iter().enumerate() {
            let answer = self.call(address, 2, 2, &list_offsets(layout, node, end))?;
            let mut get = Get::new(&answer);
            get.i32()?;
            for _ in 0..get.count()? {
                let topic = get.string()?;
                for _ in 0..get.count()? {
                    let (partition, code) = (get.i32()?, get.i16()?);
                    let (_, offset) = (get.i64()?, get.i64()?);
                    if code != 0 {
                        let subject = format!("{topic}-{partition}");
                        return Err(Error::Broker { request: "ListOffsets", subject, code });
                    }
                    if let Some(&i) = index.get(&(topic, partition)) {
                        offsets[i] = offset;
                    }
                }
            }
        }
        if offsets.contains(&-1) {
            return Err(Error::Protocol("ListOffsets left a partition out"));
        }
        Ok(offsets)
    }

    /// [`offsets`](Self::offsets), asked again while partitions are not served yet: a broker
    /// may name a leader before that leader knows of it.
    pub fn settled_offsets(
        &mut self,
        layout: &Layout,
        end: LogEnd,
        patience: Duration,
    ) -> Result<Vec<i64>, Error> {
        let until = Instant::now() + patience;
        loop {
            match self.offsets(layout, end) {
                Err(Error::Broker { code: 3 | 5 | 6, .. }) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                other => return other,
            }
        }
    }

    /// A producer id and epoch for an idempotent producer.
    pub fn producer_id(&mut self) -> Result<(i64, i16), Error> {
        self.init_producer(None)
    }

    /// A producer id and epoch, for a transactional id if there is one: what it left open is aborted by that.
    pub fn init_producer(&mut self, transactional: Option<&str>) -> Result<(i64, i16), Error> {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let mut body = Vec::new();
            match transactional {
                Some(id) => body.put_string(id),
                None => body.put_i16(-1),
            }
            body.put_i32(60_000);
            let answer = self.call_any(22, 1, &body)?;
            let mut get = Get::new(&answer);
            get.i32()?;
            match get.i16()? {
                0 => return Ok((get.i64()?, get.i16()?)),
                // A broker that has just started may not have a block of ids yet; an open transaction is aborted first.
                14..=16 | 51 if Instant::now() < until => std::thread::sleep(Duration::from_millis(50)),
                code => {
                    let subject = transactional.unwrap_or("a producer").to_owned();
                    return Err(Error::Broker { request: "InitProducerId", subject, code });
                }
            }
        }
    }
}

/// The error code of an answer for one topic, to CreateTopics 3 or DeleteTopics 1.
fn first_code(answer: &[u8]) -> Result<i16, Error> {
    let mut get = Get::new(answer);
    get.i32()?;
    if get.count()? != 1 {
        return Err(Error::Protocol("an answer for another number of topics"));
    }
    get.string()?;
    get.i16()
}

fn list_offsets(layout: &Layout, node: usize, end: LogEnd) -> Vec<u8> {
    let mut by_topic: Vec<Vec<i32>> = vec![Vec::new(); layout.topics.len()];
    for target in layout.targets.iter().filter(|t| t.node == node) {
        by_topic[target.topic].push(target.partition);
    }
    let mut body = Vec::new();
    body.put_i32(-1); // a consumer asks
    body.put_i8(end.isolation());
    body.put_i32(by_topic.iter().filter(|p| !p.is_empty()).count() as i32);
    for (topic, partitions) in layout.topics.iter().zip(by_topic).filter(|(_, p)| !p.is_empty()) {
        body.put_string(topic);
        body.put_i32(partitions.len() as i32);
        for partition in partitions {
            body.put_i32(partition);
            body.put_i64(end.timestamp());
        }
    }
    body
}

/// Whether a broker that has just started, or a coordinator, may answer otherwise in a moment.
pub(crate) fn is_passing(code: i16) -> bool {
    matches!(code, 14..=16)
}

/// One request and its answer, without length prefix and header, on a blocking stream.
pub fn exchange(
    stream: &mut TcpStream,
    api: i16,
    version: i16,
    correlation: i32,
    body: &[u8],
) -> Result<Vec<u8>, Error> {
    let failed = || format!("calling API {api}");
    let mut request = Vec::new();
    requests::begin(&mut request, api, version, correlation, false);
    request.extend_from_slice(body);
    requests::finish(&mut request, 0);
    stream.write_all(&request).map_err(Error::io(failed()))?;
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).map_err(Error::io(failed()))?;
    let length = usize::try_from(i32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
    if !(4..=LONGEST_ANSWER).contains(&length) {
        return Err(Error::Protocol("a response of impossible length"));
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).map_err(Error::io(failed()))?;
    if answer[..4] != correlation.to_be_bytes() {
        return Err(Error::Protocol("a response to another request"));
    }
    answer.drain(..4);
    Ok(answer)
}

/// Asks a connection for the versions it speaks: the cheapest call there is.
pub fn ping(stream: &mut TcpStream) -> Result<(), Error> {
    let answer = exchange(stream, API_VERSIONS, 0, 1, &[])?;
    match Get::new(&answer).i16()? {
        0 => Ok(()),
        code => Err(Error::Broker { request: "ApiVersions", subject: "the node".into(), code }),
    }
}

struct MetadataTopic {
    name: String,
    code: i16,
    /// Partition and leader, -1 where there is none.
    partitions: Vec<(i32, i32)>,
}

struct Metadata {
    brokers: HashMap<i32, String>,
    topics: Vec<MetadataTopic>,
}

impl Metadata {
    fn parse(answer: &[u8]) -> Result<Metadata, Error> {
        let mut get = Get::new(answer);
        get.i32()?; // throttle time
        let mut brokers = HashMap::new();
        for _ in 0..get.count()? {
            let node = get.i32()?;
            let (host, port) = (get.string()?, get.i32()?);
            get.string()?; // rack
            let address =
                if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
            brokers.insert(node, address);
        }
        get.string()?; // cluster id
        get.i32()?; // controller
        let mut topics = Vec::new();
        for _ in 0..get.count()? {
            let (code, name) = (get.i16()?, get.string()?.to_owned());
            get.i8()?; // internal
            let mut partitions = Vec::new();
            for _ in 0..get.count()? {
                get.i16()?;
                partitions.push((get.i32()?, get.i32()?));
                for _ in 0..2 {
                    for _ in 0..get.count()? {
                        get.i32()?; // replicas, then in-sync ones
                    }
                }
            }
            topics.push(MetadataTopic { name, code, partitions });
        }
        Ok(Metadata { brokers, topics })
    }

    fn layout(&self, topics: &[String], partitions: i32) -> Result<Layout, Error> {
        let mut layout = Layout { topics: topics.to_vec(), ..Layout::default() };
        let mut nodes: HashMap<i32, usize> = HashMap::new();
        for (i, name) in topics.iter().enumerate() {
            let missing =
                |code| Error::Broker { request: "Metadata", subject: format!("topic {name}"), code };
            let topic = self.topics.iter().find(|t| t.name == *name).ok_or_else(|| missing(3))?;
            if topic.code != 0 {
                return Err(missing(topic.code));
            }
            if topic.partitions.len() != partitions as usize {
                let has = topic.partitions.len();
                return Err(Error::Usage(format!("topic {name} has {has} partitions, not {partitions}")));
            }
            for &(partition, leader) in &topic.partitions {
                let address = self.brokers.get(&leader).ok_or_else(|| missing(5))?;
                let node = *nodes.entry(leader).or_insert_with(|| {
                    layout.nodes.push(address.clone());
                    layout.nodes.len() - 1
                });
                layout.targets.push(Target { topic: i, partition, node });
            }
        }
        layout.targets.sort_by_key(|t| (t.partition, t.topic));
        Ok(layout)
    }
}
