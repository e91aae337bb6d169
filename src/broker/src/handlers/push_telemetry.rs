//! PushTelemetry: the metrics of a client (KIP-714), to be shown beside the broker's own.

use crate::broker::Broker;
use crate::client_telemetry::{TelemetryQuestion, Wish, ask};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use kafka_wire::ErrorCode;
use kafka_wire::messages::push_telemetry_request::PushTelemetryRequest;
use kafka_wire::messages::push_telemetry_response::PushTelemetryResponse;
use memory::Slice;
use network::Answer;
use std::rc::Rc;
use telemetry::Push;

/// Answers when the metrics are taken in.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: PushTelemetryRequest<'_> = decoded(request, request.decode())?;
    let push = Push {
        subscription_id: asked.subscription_id,
        terminating: asked.terminating,
        compression: asked.compression_type,
        bytes: asked.metrics.len(),
    };
    // They travel as a part of the frame.
    let metrics = match asked.metrics.is_empty() {
        true => Slice::from(Vec::new()),
        false => request.share(&asked.metrics),
    };
    let question = TelemetryQuestion::new(asked.client_instance_id, request, Wish::Push { push, metrics });
    let code = ask(broker, question).await.err().unwrap_or(ErrorCode::None);
    Ok(answer(request, &PushTelemetryResponse { error_code: code.code(), ..Default::default() }))
}
