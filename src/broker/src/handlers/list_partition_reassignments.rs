//! ListPartitionReassignments: which partitions are moving from node to node (KIP-455).

use crate::broker::Broker;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use kafka_wire::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use kafka_wire::messages::list_partition_reassignments_response::ListPartitionReassignmentsResponse;
use network::Answer;
use std::rc::Rc;

/// Answers that none is: with one node there is nowhere to move, and a reassignment to where a partition is already
/// is done at once. Partitions that are not there are left out too, as Kafka does.
pub async fn handle(_broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&request)).await
}

async fn run(request: &Request) -> Result<Answer, Answer> {
    let _: ListPartitionReassignmentsRequest<'_> = decoded(request, request.decode())?;
    let none = ListPartitionReassignmentsResponse { error_message: None, ..Default::default() };
    Ok(answer(request, &none))
}
