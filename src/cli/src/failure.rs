//! Failures, as people are told: one line that says what went wrong and what to do.

use client::ClientError;
use kafka_wire::ErrorCode;
use std::io::{self, Write};
use std::process::ExitCode;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The cluster, or the way to it.
    Client(Box<ClientError>),
    /// The options contradict each other, or a value makes no sense for this topic.
    Usage(String),
    /// Anything else: what happened, and what to do about it.
    Other { what: String, remedy: String },
    /// Whoever read our output has gone. Nobody is to be told.
    OutputClosed,
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        Failure::Client(Box::new(error))
    }
}

impl Failure {
    /// A failure with its remedy.
    pub fn other(what: impl Into<String>, remedy: impl Into<String>) -> Failure {
        Failure::Other { what: what.into(), remedy: remedy.into() }
    }

    /// A failure to write to stdout.
    pub fn output(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::other(
                format!("cannot write to standard output: {error}"),
                "check where it is redirected to",
            ),
        }
    }

    /// The line for stderr, if there is to be one.
    pub fn line(&self) -> Option<String> {
        match self {
            Failure::Client(error) => match remedy(error) {
                "" => Some(error.to_string()),
                remedy => Some(format!("{error}; {remedy}")),
            },
            Failure::Usage(what) => Some(what.clone()),
            Failure::Other { what, remedy } => Some(format!("{what}; {remedy}")),
            Failure::OutputClosed => None,
        }
    }

    /// Prints the line and gives the exit code.
    pub fn report(&self) -> ExitCode {
        if let Some(line) = self.line() {
            // A line is a line, whatever a broker put into its message.
            let line = line.replace(['\n', '\r'], " ");
            // If stderr is gone as well, the exit code must do.
            let _ = writeln!(io::stderr(), "flumen: {line}");
        }
        match self {
            Failure::OutputClosed => ExitCode::SUCCESS,
            Failure::Usage(_) => ExitCode::from(2),
            Failure::Client(_) | Failure::Other { .. } => ExitCode::FAILURE,
        }
    }
}

/// What to do about an error of the cluster; may be empty.
fn remedy(error: &ClientError) -> &'static str {
    match error.root() {
        ClientError::InvalidAddress(_) => "name the broker as in -b 127.0.0.1:9092",
        ClientError::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => {
            "start a broker there with `flumen start`, or name another with -b HOST:PORT"
        }
        ClientError::Connect { .. } => {
            "check that this address, which you gave or the broker advertises, can be reached from here"
        }
        ClientError::Connection { .. } | ClientError::TimedOut { .. } => {
            "see the broker's log, then try again"
        }
        ClientError::Protocol { .. } => {
            "check that -b names the Kafka listener and that it uses neither TLS nor SASL"
        }
        ClientError::UnsupportedApi { .. } => "check that -b names a broker, of Kafka 2.1 or later",
        ClientError::NoSuchPartition { .. } => "`flumen topic describe` lists them",
        ClientError::Batch { .. } => {
            "skip it with --from and the next offset; `flumen log dump` on the segment shows the damage"
        }
        ClientError::RecordTooLarge { .. } => {
            "raise the topic's max.message.bytes with `flumen topic alter --config`"
        }
        ClientError::Encode { .. } => "use a newer broker, or leave out the option that it lacks",
        ClientError::Broker { .. } | ClientError::Deadline { .. } => error.code().map_or("", code_remedy),
    }
}

fn code_remedy(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::UnknownTopicOrPartition => {
            "`flumen topic list` shows what there is, `flumen topic create` makes one"
        }
        ErrorCode::TopicAlreadyExists => "choose another name, or change it with `flumen topic alter`",
        ErrorCode::InvalidTopicException => {
            "choose another name, of 1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and '-'"
        }
        ErrorCode::InvalidPartitions => "partitions can only be added: name a number above the present one",
        ErrorCode::InvalidReplicationFactor => {
            "ask for no more replicas than there are brokers: --replication-factor 1 always works"
        }
        ErrorCode::InvalidConfig => "`flumen topic describe --all` lists the keys and the values they have",
        ErrorCode::OffsetOutOfRange => "`--from beginning` starts at the first record that is still there",
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => {
            "raise the topic's max.message.bytes with `flumen topic alter --config`"
        }
        ErrorCode::NotEnoughReplicas | ErrorCode::NotEnoughReplicasAfterAppend => {
            "bring more replicas up, or lower min.insync.replicas"
        }
        ErrorCode::LeaderNotAvailable | ErrorCode::NotLeaderOrFollower => {
            "wait for a leader, or bring the partition's brokers up: `flumen topic describe` shows them"
        }
        ErrorCode::TopicAuthorizationFailed
        | ErrorCode::ClusterAuthorizationFailed
        | ErrorCode::TopicDeletionDisabled
        | ErrorCode::PolicyViolation => "ask whoever runs the cluster to allow it",
        ErrorCode::GroupIdNotFound => "`flumen group list` shows what there is",
        ErrorCode::NonEmptyGroup | ErrorCode::UnknownMemberId => {
            "stop the group's consumers first, or wait until their sessions end"
        }
        ErrorCode::InconsistentGroupProtocol => {
            "the group's members share their partitions by another assignor than `range`: choose another --group"
        }
        ErrorCode::GroupMaxSizeReached => {
            "stop a consumer of the group, or raise the broker's group.max.size"
        }
        ErrorCode::InvalidRecord => "a compacted topic wants a key in every record: see --key-separator",
        ErrorCode::KafkaStorageError => "see the broker's log: its disk fails or is full",
        _ => "see the broker's log",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_connection_says_how_to_start_a_broker() {
        let source = io::ErrorKind::ConnectionRefused.into();
        let address = "127.0.0.1:9092".to_owned();
        let failure = Failure::from(ClientError::Connect { address, source });
        let line = failure.line().unwrap();
        assert!(line.contains("127.0.0.1:9092") && line.contains("flumen start"), "{line}");
    }

    #[test]
    fn the_remedy_is_found_behind_a_deadline() {
        let unknown = ClientError::Broker {
            api: kafka_wire::ApiKey::Metadata,
            subject: "topic t".to_owned(),
            code: ErrorCode::UnknownTopicOrPartition.code(),
            message: None,
        };
        let after = std::time::Duration::from_secs(1);
        let failure = Failure::from(ClientError::Deadline { after, last: Box::new(unknown) });
        let line = failure.line().unwrap();
        assert!(line.contains("UNKNOWN_TOPIC_OR_PARTITION") && line.contains("topic list"), "{line}");
    }

    #[test]
    fn a_closed_pipe_is_no_news() {
        assert_eq!(Failure::output(io::ErrorKind::BrokenPipe.into()).line(), None);
        assert!(Failure::output(io::ErrorKind::StorageFull.into()).line().is_some());
    }
}
