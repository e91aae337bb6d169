//! DescribeCluster: the brokers and the cluster's id (KIP-700).

use crate::authorized;
use crate::broker::Broker;
use crate::refusal::Refusal;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use kafka_wire::ErrorCode;
use kafka_wire::messages::describe_cluster_request::DescribeClusterRequest;
use kafka_wire::messages::describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponse};
use network::Answer;
use std::rc::Rc;

/// The endpoints that this listener tells of; those of controllers are 2.
const BROKERS: i8 = 1;

/// Answers with the brokers. Controllers are not told of: clients reach none but through a broker.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: DescribeClusterRequest = decoded(request, request.decode())?;
    if let Err(refusal) = check_endpoints(asked.endpoint_type) {
        let (error_code, error_message) = refusal.told();
        let response = DescribeClusterResponse { error_code, error_message, ..Default::default() };
        return Ok(answer(request, &response));
    }
    let image = broker.image();
    let identity = &broker.identity;
    let mut response = DescribeClusterResponse {
        cluster_id: image.cluster_id().into(),
        controller_id: identity.node.0,
        brokers: vec![DescribeClusterBroker {
            broker_id: identity.node.0,
            host: identity.host.as_str().into(),
            port: i32::from(broker.port()),
            rack: identity.rack.as_deref().map(Into::into),
            is_fenced: false,
        }],
        ..Default::default()
    };
    if asked.include_cluster_authorized_operations {
        response.cluster_authorized_operations = authorized::CLUSTER;
    }
    Ok(answer(request, &response))
}

/// Version 0 says nothing of endpoints and means brokers.
fn check_endpoints(endpoints: i8) -> Result<(), Refusal> {
    match endpoints {
        BROKERS => Ok(()),
        2 => {
            let message = "This is a broker; the endpoints of controllers are not told here.";
            Err(Refusal::new(ErrorCode::MismatchedEndpointType, message))
        }
        other => {
            let message = format!("There is no endpoint type {other}.");
            Err(Refusal::new(ErrorCode::UnsupportedEndpointType, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_brokers_are_told_of() {
        assert_eq!(check_endpoints(DescribeClusterRequest::default().endpoint_type), Ok(()));
        let code = |endpoints| check_endpoints(endpoints).expect_err("refused").code;
        assert_eq!(code(2), ErrorCode::MismatchedEndpointType);
        assert_eq!(
            (code(0), code(3)),
            (ErrorCode::UnsupportedEndpointType, ErrorCode::UnsupportedEndpointType)
        );
    }
}
