//! What can go wrong between this client and a cluster.

use kafka_wire::{ApiKey, ErrorCode, WireError};
use std::fmt;
use std::io;
use std::time::Duration;

/// Why a request failed.
#[derive(Debug)]
pub enum ClientError {
    /// The address is not `HOST:PORT`.
    InvalidAddress(String),
    /// No connection could be made.
    Connect {
        /// `HOST:PORT`.
        address: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// A connection broke.
    Connection {
        /// `HOST:PORT`.
        address: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// The broker took too long.
    TimedOut {
        /// `HOST:PORT`.
        address: String,
        /// What was asked for.
        api: ApiKey,
        /// How long the client waited.
        after: Duration,
    },
    /// The peer sent bytes that are not the answer to what was asked; it may not be a Kafka broker.
    Protocol {
        /// `HOST:PORT`.
        address: String,
        /// What is wrong.
        what: String,
    },
    /// A request could not be encoded.
    Encode {
        /// What was to be asked for.
        api: ApiKey,
        /// Why not.
        source: WireError,
    },
    /// The broker does not speak the API, or only in versions that this client does not.
    UnsupportedApi {
        /// `HOST:PORT`.
        address: String,
        /// What was to be asked for.
        api: ApiKey,
        /// The versions that the broker advertises, if it knows the API.
        offered: Option<(i16, i16)>,
    },
    /// The broker answered with an error.
    Broker {
        /// What was asked for.
        api: ApiKey,
        /// What it was about: a topic, a partition, a configuration; may be empty.
        subject: String,
        /// Kafka's error code.
        code: i16,
        /// What the broker says about it, if anything.
        message: Option<String>,
    },
    /// The topic has no such partition.
    NoSuchPartition {
        /// The topic.
        topic: String,
        /// What was asked for.
        partition: i32,
        /// How many it has, counted from 0.
        partitions: usize,
    },
    /// A batch of records that came from the broker is damaged or cannot be decompressed.
    Batch {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The batch's base offset, as far as it can be believed.
        offset: i64,
        /// What is wrong.
        what: String,
    },
    /// A record that does not fit into the largest batch.
    RecordTooLarge {
        /// Bytes of key and value.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Tried again until the deadline, in vain.
    Deadline {
        /// The time that was allowed.
        after: Duration,
        /// The last failure.
        last: Box<ClientError>,
    },
}

impl ClientError {
    /// An error that the broker answered with; `subject` says what it was about.
    pub(crate) fn broker(
        api: ApiKey,
        subject: impl Into<String>,
        code: i16,
        message: Option<&str>,
    ) -> ClientError {
        let message = message.filter(|text| !text.is_empty()).map(str::to_owned);
        ClientError::Broker { api, subject: subject.into(), code, message }
    }

    /// The error code, if a broker answered with one, also behind a deadline.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Broker { code, .. } => ErrorCode::try_from(*code).ok(),
            ClientError::Deadline { last, .. } => last.code(),
            _ => None,
        }
    }

    /// True if the same may succeed a little later, with fresh metadata.
    pub fn is_retriable(&self) -> bool {
        match self {
            ClientError::Connect { .. } | ClientError::Connection { .. } | ClientError::TimedOut { .. } => {
                true
            }
            ClientError::Broker { .. } => self.code().is_some_and(ErrorCode::is_retriable),
            _ => false,
        }
    }

    /// The failure itself, without the deadline around it.
    pub fn root(&self) -> &ClientError {
        match self {
            ClientError::Deadline { last, .. } => last.root(),
            other => other,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::InvalidAddress(text) => write!(f, "`{text}` is not HOST:PORT"),
            ClientError::Connect { address, source } => {
                write!(f, "cannot connect to {address}: {source}")
            }
            ClientError::Connection { address, source } => {
                write!(f, "connection to {address} lost: {source}")
            }
            ClientError::TimedOut { address, api, after } => {
                write!(f, "no answer to {api:?} from {address} within {:.1} s", after.as_secs_f64())
            }
            ClientError::Protocol { address, what } => {
                write!(f, "{address} does not answer as a Kafka broker would: {what}")
            }
            ClientError::Encode { api, source } => write!(f, "{api:?} cannot be encoded: {source}"),
            ClientError::UnsupportedApi { address, api, offered: None } => {
                write!(f, "{address} does not offer {api:?}")
            }
            ClientError::UnsupportedApi { address, api, offered: Some((min, max)) } => {
                write!(f, "{address} offers {api:?} only in versions {min} to {max}")
            }
            ClientError::Broker { subject, code, message, .. } => {
                write_broker_error(f, subject, *code, message.as_deref())
            }
            ClientError::NoSuchPartition { topic, partition, partitions } => {
                write!(f, "topic {topic} has no partition {partition}: it has {partitions}, from 0 on")
            }
            ClientError::Batch { topic, partition, offset, what } => {
                write!(f, "batch at offset {offset} of {topic}-{partition} is unreadable: {what}")
            }
            ClientError::RecordTooLarge { bytes, limit } => {
                write!(f, "a record of {bytes} bytes is larger than the batch limit of {limit}")
            }
            ClientError::Deadline { after, last } => {
                write!(f, "{last} (tried for {:.1} s)", after.as_secs_f64())
            }
        }
    }
}

fn write_broker_error(
    f: &mut fmt::Formatter<'_>,
    subject: &str,
    code: i16,
    message: Option<&str>,
) -> fmt::Result {
    if !subject.is_empty() {
        write!(f, "{subject}: ")?;
    }
    match (ErrorCode::try_from(code), message) {
        (Ok(code), Some(message)) => {
            write!(f, "{} ({})", message.trim_end_matches('.'), code.name())
        }
        (Ok(code), None) => write!(f, "{} ({})", code.message(), code.name()),
        (Err(_), Some(message)) => write!(f, "{message} (error code {code})"),
        (Err(_), None) => write!(f, "error code {code}"),
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ClientError::Connect { source, .. } | ClientError::Connection { source, .. } => Some(source),
            ClientError::Encode { source, .. } => Some(source),
            ClientError::Deadline { last, .. } => Some(last.as_ref()),
            _ => None,
        }
    }
}
