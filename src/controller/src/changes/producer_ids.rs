//! Blocks of producer ids (KIP-730).

use super::plan::Plan;
use crate::error::{ControlError, ErrorKind};
use crate::record::Record;
use model::NodeId;

/// How many ids a node gets at a time.
pub const PRODUCER_ID_BLOCK: i32 = 1000;

/// A block for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocateProducerIds {
    /// The node.
    pub node: NodeId,
    /// Its epoch: an earlier incarnation gets none.
    pub node_epoch: i64,
}

/// The ids `first..first + length`, which nobody else has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The first id.
    pub first: i64,
    /// How many.
    pub length: i32,
}

impl AllocateProducerIds {
    pub(super) fn plan(&self, plan: &mut Plan<'_>) -> Result<ProducerIdBlock, ControlError> {
        super::nodes::check_epoch(self.node, self.node_epoch, plan)?;
        let first = plan.image().next_producer_id();
        let Some(next) = first.checked_add(i64::from(PRODUCER_ID_BLOCK)) else {
            return Err(ControlError::new(ErrorKind::UnknownServerError, "All producer ids were given out."));
        };
        plan.push(Record::ProducerIds { next });
        Ok(ProducerIdBlock { first, length: PRODUCER_ID_BLOCK })
    }
}
