//! Topic names.

use crate::error::{ControlError, ErrorKind};

/// Where groups keep their offsets.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// Where transactions keep their state.
pub const TRANSACTION_STATE: &str = "__transaction_state";
/// Where share groups keep their state.
pub const SHARE_GROUP_STATE: &str = "__share_group_state";
/// The name under which Kafka tools know the metadata log; no topic may have it.
pub const CLUSTER_METADATA: &str = "__cluster_metadata";
/// The longest topic name, in characters.
pub const NAME_LENGTH_MAX: usize = 249;

/// Topics that the broker itself writes.
pub fn is_internal(name: &str) -> bool {
    matches!(name, CONSUMER_OFFSETS | TRANSACTION_STATE | SHARE_GROUP_STATE)
}

/// Whether a topic may have this name: Kafka's rule, of which directory names depend as well.
///
/// # Errors
/// `InvalidTopic`.
pub fn check_name(name: &str) -> Result<(), ControlError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let problem = if name.is_empty() {
        "it must not be empty".to_owned()
    } else if matches!(name, "." | "..") {
        format!("'{name}' means a directory")
    } else if !name.bytes().all(legal) {
        // Long ones are not repeated to their sender.
        let shown: String = name.chars().take(NAME_LENGTH_MAX).collect();
        format!("'{shown}' has characters other than ASCII letters and digits, '.', '_' and '-'")
    } else if name.len() > NAME_LENGTH_MAX {
        format!("it has {} characters, {NAME_LENGTH_MAX} are allowed", name.len())
    } else {
        return Ok(());
    };
    Err(ControlError::new(ErrorKind::InvalidTopic, format!("Topic name is invalid: {problem}.")))
}
