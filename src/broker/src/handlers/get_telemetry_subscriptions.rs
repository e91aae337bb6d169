//! GetTelemetrySubscriptions: which metrics a client shall push, and how often (KIP-714).

use crate::broker::Broker;
use crate::client_telemetry::{TelemetryQuestion, Wish, ask, fresh_id};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use kafka_wire::messages::get_telemetry_subscriptions_request::GetTelemetrySubscriptionsRequest;
use kafka_wire::messages::get_telemetry_subscriptions_response::GetTelemetrySubscriptionsResponse;
use network::Answer;
use std::rc::Rc;
use telemetry::instance::COMPRESSION_TYPES;

/// Answers with what the client is subscribed to; one that has no instance id yet gets it. Counters are asked for as
/// they stand, and not as what came since the push before: so none is lost with a push, and Prometheus wants them so.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: GetTelemetrySubscriptionsRequest = decoded(request, request.decode())?;
    let id = if asked.client_instance_id.is_zero() { fresh_id() } else { asked.client_instance_id };
    let told = ask(broker, TelemetryQuestion::new(id, request, Wish::Ask)).await;
    let response = match &told {
        Ok(told) => GetTelemetrySubscriptionsResponse {
            client_instance_id: id,
            subscription_id: told.subscription_id,
            accepted_compression_types: COMPRESSION_TYPES.to_vec(),
            push_interval_ms: told.interval_ms,
            telemetry_max_bytes: broker.config().telemetry_max_bytes,
            delta_temporality: false,
            requested_metrics: told.metrics.iter().map(|name| name.as_str().into()).collect(),
            ..Default::default()
        },
        Err(code) => GetTelemetrySubscriptionsResponse { error_code: code.code(), ..Default::default() },
    };
    Ok(answer(request, &response))
}
