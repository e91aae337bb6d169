//! A member of a classic group.

use crate::scene::Parked;
use std::sync::Arc;

/// A protocol that a member offers: its name and the member's metadata for it.
pub(crate) type Protocol = (String, Vec<u8>);

/// A member.
#[derive(Clone, Debug)]
pub(crate) struct ClassicMember {
    pub id: Arc<str>,
    pub instance: Option<Arc<str>>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// In the order of its preference.
    pub protocols: Vec<Protocol>,
    pub assignment: Vec<u8>,
    /// Its join, while it waits for the round to end.
    pub joining: Option<Parked>,
    /// Its sync, while it waits for the leader's.
    pub syncing: Option<Parked>,
    /// True until its first round ends: it does not know its id yet, so it cannot heartbeat.
    pub is_new: bool,
}

impl ClassicMember {
    /// What it said about a protocol; nothing if it does not offer it.
    pub fn metadata(&self, protocol: &str) -> &[u8] {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map_or(&[][..], |(_, metadata)| metadata.as_slice())
    }

    /// True if the member need not heartbeat: it waits for us.
    pub fn is_excused(&self) -> bool {
        !self.is_new && (self.joining.is_some() || self.syncing.is_some())
    }
}
