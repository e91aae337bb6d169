//! Nodes coming up.

use super::plan::Plan;
use crate::error::{ControlError, ErrorKind};
use crate::record::{ENDPOINTS_MAX, Endpoint, Record, TEXT_BYTES_MAX};
use model::NodeId;

/// A node that came up. Its epoch becomes the offset of the record that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterNode {
    /// Its id.
    pub node: NodeId,
    /// Its rack.
    pub rack: Option<String>,
    /// Where it can be reached.
    pub endpoints: Vec<Endpoint>,
}

impl RegisterNode {
    pub(super) fn plan(&self, plan: &mut Plan<'_>) -> Result<i64, ControlError> {
        let texts = self.endpoints.iter().flat_map(|endpoint| [&endpoint.listener, &endpoint.host]);
        let fits = texts.chain(&self.rack).all(|text| text.len() <= 1024.min(TEXT_BYTES_MAX));
        if self.node.0 < 0 || self.endpoints.len() > ENDPOINTS_MAX || !fits {
            let message = format!(
                "A node has an id of 0 or more, {ENDPOINTS_MAX} listeners at most, and names of 1,024 bytes at most."
            );
            return Err(ControlError::new(ErrorKind::InvalidRequest, message));
        }
        let epoch = plan.image().offset();
        plan.push(Record::Node {
            node: self.node,
            epoch,
            rack: self.rack.clone(),
            endpoints: self.endpoints.clone(),
        });
        Ok(epoch)
    }
}

/// Whether a node is registered, and that is its latest epoch.
pub(super) fn check_epoch(node: NodeId, epoch: i64, plan: &mut Plan<'_>) -> Result<(), ControlError> {
    match plan.image().node(node) {
        None => {
            Err(ControlError::new(ErrorKind::BrokerIdNotRegistered, format!("There is no broker {node}.")))
        }
        Some(registered) if registered.epoch != epoch => Err(ControlError::new(
            ErrorKind::StaleBrokerEpoch,
            format!("Broker {node} has registered again; its epoch is {}, not {epoch}.", registered.epoch),
        )),
        Some(_) => Ok(()),
    }
}
