//! The cluster: which broker to ask, over which connection, and how often.

use crate::connection::{Connection, ConnectionOptions};
use crate::{ClientError, Metadata, TopicMetadata};
use kafka_wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_wire::messages::metadata_response::MetadataResponse;
use kafka_wire::{ApiKey, Decode, Encode, ErrorCode};
use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_LONGEST: Duration = Duration::from_secs(1);

/// How a client behaves. The defaults are right for a person at a terminal.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// `HOST:PORT` of brokers to begin with; one that answers is enough.
    pub bootstrap: Vec<String>,
    /// How the client names itself in the brokers' logs and quotas.
    pub client_id: String,
    /// The most time to make a connection in, an address.
    pub connect_timeout: Duration,
    /// The most time to wait for an answer.
    pub request_timeout: Duration,
    /// The most time to go on trying after failures that may pass.
    pub deadline: Duration,
    /// How long an unknown topic may be one that was just created and is not known everywhere yet.
    pub unknown_topic_wait: Duration,
}

impl ClientOptions {
    /// The defaults, with one address to begin with.
    pub fn new(bootstrap: impl Into<String>) -> ClientOptions {
        ClientOptions {
            bootstrap: vec![bootstrap.into()],
            client_id: "flumen-cli".to_owned(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            deadline: Duration::from_secs(30),
            unknown_topic_wait: Duration::from_millis(500),
        }
    }
}

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// Any broker will do.
    Any,
    /// The one that the cluster names for administration.
    Controller,
    /// This one.
    Broker(i32),
}

/// A cluster and the connections to it.
#[derive(Debug)]
pub struct Client {
    options: ClientOptions,
    connections: HashMap<String, Connection>,
    metadata: Metadata,
}

impl Client {
    /// Connects to the first bootstrap address that answers, without trying again, and asks for the brokers.
    ///
    /// # Errors
    /// That of the last address, if none answers as a broker would.
    pub fn connect(options: ClientOptions) -> Result<Client, ClientError> {
        let mut client = Client { options, connections: HashMap::new(), metadata: Metadata::default() };
        client.metadata = client.request_metadata(Some(&[]))?;
        Ok(client)
    }

    /// The options that the client was made with.
    pub fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// Asks for the metadata of some topics, or with `None` of all.
    ///
    /// Topics that do not exist are there with their error code. Nothing is created by asking.
    pub fn metadata(&mut self, topics: Option<&[&str]>) -> Result<Metadata, ClientError> {
        self.retry(|client| client.request_metadata(topics))
    }

    /// The topic's metadata, from memory if it is there. Waits until its partitions are known.
    ///
    /// # Errors
    /// [`ClientError::Broker`] with `UNKNOWN_TOPIC_OR_PARTITION` if it is not known within
    /// [`ClientOptions::unknown_topic_wait`].
    pub fn topic(&mut self, name: &str) -> Result<&TopicMetadata, ClientError> {
        if !self.metadata.topics.contains_key(name) {
            self.until_known(|client| client.refresh_topic(name))?;
        }
        Ok(&self.metadata.topics[name])
    }

    /// The node that leads a partition.
    ///
    /// # Errors
    /// [`ClientError::NoSuchPartition`]; `LEADER_NOT_AVAILABLE`, which is retriable, if none leads it.
    pub(crate) fn leader(&mut self, topic: &str, partition: i32) -> Result<i32, ClientError> {
        let metadata = self.topic(topic)?;
        let Some(found) = metadata.partition(partition) else {
            let (topic, partitions) = (topic.to_owned(), metadata.partitions.len());
            return Err(ClientError::NoSuchPartition { topic, partition, partitions });
        };
        let leader = found.leader;
        if leader < 0 || !self.metadata.brokers.contains_key(&leader) {
            let (subject, code) = (format!("{topic}-{partition}"), ErrorCode::LeaderNotAvailable.code());
            self.metadata.topics.remove(topic);
            return Err(ClientError::broker(ApiKey::Metadata, subject, code, None));
        }
        Ok(leader)
    }

    /// Forgets what is known of topics, so that the next question is asked again.
    pub(crate) fn forget_topics(&mut self) {
        self.metadata.topics.clear();
    }

    /// Closes the connection to a broker, and with it what was sent and not answered.
    pub(crate) fn disconnect(&mut self, node: i32) {
        if let Some(broker) = self.metadata.brokers.get(&node) {
            self.connections.remove(&broker.address());
        }
    }

    /// Sends a request, made for the version, to a node and waits for the answer.
    pub(crate) fn call<'c, T: Decode<'c>, R: Encode>(
        &'c mut self,
        node: Node,
        api: ApiKey,
        build: impl FnOnce(i16) -> R,
    ) -> Result<T, ClientError> {
        self.call_up_to(node, api, i16::MAX, build)
    }

    /// The same in a version no later than `last`.
    pub(crate) fn call_up_to<'c, T: Decode<'c>, R: Encode>(
        &'c mut self,
        node: Node,
        api: ApiKey,
        last: i16,
        build: impl FnOnce(i16) -> R,
    ) -> Result<T, ClientError> {
        let connection = self.connection(node)?;
        let version = connection.version(api, last)?;
        connection.call(api, version, &build(version))
    }

    /// Tries until it succeeds, fails for good, or the deadline has passed. Pauses get longer, and metadata
    /// is asked for anew.
    pub(crate) fn retry<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Client) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let mut retry = Retry::new(self.options.deadline);
        loop {
            match attempt(self) {
                Ok(value) => return Ok(value),
                Err(error) => retry.pause(self, error)?,
            }
        }
    }

    /// As [`Client::retry`], but an unknown topic is given up after [`ClientOptions::unknown_topic_wait`], so
    /// that a misspelt name fails soon.
    pub(crate) fn until_known<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Client) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let (began, limit) = (Instant::now(), self.options.unknown_topic_wait);
        self.retry(|client| match attempt(client) {
            Err(error) if is_unknown_topic(&error) && began.elapsed() >= limit => Ok(Err(error)),
            other => other.map(Ok),
        })?
    }

    /// A usable connection to a node.
    pub(crate) fn connection(&mut self, node: Node) -> Result<&mut Connection, ClientError> {
        let address = match node {
            Node::Any => self.any_address()?,
            Node::Controller => match self.metadata.brokers.get(&self.metadata.controller) {
                Some(broker) => broker.address(),
                None => self.any_address()?,
            },
            Node::Broker(id) => match self.metadata.brokers.get(&id) {
                Some(broker) => broker.address(),
                None => {
                    let code = ErrorCode::LeaderNotAvailable.code();
                    let subject = format!("broker {id}");
                    return Err(ClientError::broker(ApiKey::Metadata, subject, code, None));
                }
            },
        };
        self.open(&address)
    }

    /// The connection to an address, which is opened if need be.
    fn open(&mut self, address: &str) -> Result<&mut Connection, ClientError> {
        let usable = self.connections.get(address).is_some_and(Connection::is_usable);
        if !usable {
            self.connections.remove(address);
            let options = ConnectionOptions {
                client_id: self.options.client_id.clone(),
                connect_timeout: self.options.connect_timeout,
                request_timeout: self.options.request_timeout,
            };
            let connection = Connection::open(address, &options)?;
            self.connections.insert(address.to_owned(), connection);
        }
        Ok(self.connections.get_mut(address).expect("it is there, or was just put there"))
    }

    /// An address that answers: one with a connection, or the first that can be connected to.
    fn any_address(&mut self) -> Result<String, ClientError> {
        let open = self.connections.iter().find(|(_, connection)| connection.is_usable());
        if let Some((address, _)) = open {
            return Ok(address.clone());
        }
        let mut candidates = self.options.bootstrap.clone();
        candidates.extend(self.metadata.brokers.values().map(crate::Broker::address));
        let mut last = ClientError::InvalidAddress(String::new());
        for address in candidates {
            match self.open(&address) {
                Ok(_) => return Ok(address),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn request_metadata(&mut self, topics: Option<&[&str]>) -> Result<Metadata, ClientError> {
        let response: MetadataResponse<'_> = self.call(Node::Any, ApiKey::Metadata, |version| {
            let named = |name: &&str| MetadataRequestTopic {
                name: Some((*name).to_owned().into()),
                ..MetadataRequestTopic::default()
            };
            MetadataRequest {
                // Version 0 has no null: there, no topics means all.
                topics: match (topics, version) {
                    (None, 0) => Some(Vec::new()),
                    _ => topics.map(|topics| topics.iter().map(named).collect()),
                },
                // Before version 4 brokers decide on their own.
                allow_auto_topic_creation: version < 4,
                ..MetadataRequest::default()
            }
        })?;
        if response.error_code != 0 {
            return Err(ClientError::broker(ApiKey::Metadata, "", response.error_code, None));
        }
        let metadata = Metadata::new(&response);
        self.metadata.brokers.clone_from(&metadata.brokers);
        self.metadata.controller = metadata.controller;
        Ok(metadata)
    }

    fn refresh_topic(&mut self, name: &str) -> Result<(), ClientError> {
        let mut metadata = self.request_metadata(Some(&[name]))?;
        let topic = metadata.topics.remove(name);
        let code = topic.as_ref().map_or(ErrorCode::UnknownTopicOrPartition.code(), |topic| topic.error_code);
        match topic {
            Some(topic) if code == 0 => {
                self.metadata.topics.insert(name.to_owned(), topic);
                Ok(())
            }
            _ => Err(ClientError::broker(ApiKey::Metadata, format!("topic {name}"), code, None)),
        }
    }
}

fn is_unknown_topic(error: &ClientError) -> bool {
    error.code() == Some(ErrorCode::UnknownTopicOrPartition)
}

/// Decides whether to try again, and pauses before.
#[derive(Debug)]
pub(crate) struct Retry {
    began: Instant,
    deadline: Duration,
    pause: Duration,
}

impl Retry {
    pub fn new(deadline: Duration) -> Retry {
        Retry { began: Instant::now(), deadline, pause: PAUSE_FIRST }
    }

    /// Pauses if trying again may help, and forgets what the client knows of topics.
    ///
    /// # Errors
    /// `error` if it is final, [`ClientError::Deadline`] around it if there is no time left.
    pub fn pause(&mut self, client: &mut Client, error: ClientError) -> Result<(), ClientError> {
        if !error.is_retriable() {
            return Err(error);
        }
        if self.began.elapsed() + self.pause >= self.deadline {
            return Err(ClientError::Deadline { after: self.began.elapsed(), last: Box::new(error) });
        }
        client.forget_topics();
        thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(PAUSE_LONGEST);
        Ok(())
    }
}
