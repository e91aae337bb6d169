//! Client telemetry through what a client and an operator see: a client asks what to push, pushes, and what it
//! pushed is on the page of metrics, whichever core its connections are on.

use crate::setup;
use integration::raw::{ask, read};
use integration::{Scratch, eventually};
use kafka_wire::messages::get_telemetry_subscriptions_request::GetTelemetrySubscriptionsRequest;
use kafka_wire::messages::get_telemetry_subscriptions_response::GetTelemetrySubscriptionsResponse;
use kafka_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use kafka_wire::messages::incremental_alter_configs_response::IncrementalAlterConfigsResponse;
use kafka_wire::messages::push_telemetry_request::PushTelemetryRequest;
use kafka_wire::messages::push_telemetry_response::PushTelemetryResponse;
use kafka_wire::{ApiKey, ErrorCode, Uuid};
use std::net::SocketAddr;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);
/// Kafka's number of client metrics among resources.
const CLIENT_METRICS: i8 = 16;

fn subscribe(address: SocketAddr, settings: &[(&'static str, &'static str)]) {
    let configs = settings.iter().map(|(name, value)| AlterableConfig {
        name: (*name).into(),
        config_operation: 0,
        value: Some((*value).into()),
    });
    let resource = AlterConfigsResource {
        resource_type: CLIENT_METRICS,
        resource_name: "all".into(),
        configs: configs.collect(),
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let answer = ask(address, ApiKey::IncrementalAlterConfigs, 1, &request);
    let response: IncrementalAlterConfigsResponse<'_> = read(&answer, ApiKey::IncrementalAlterConfigs, 1);
    assert_eq!(response.responses[0].error_code, 0, "{:?}", response.responses[0].error_message);
}

/// The client's id, its subscription's, the interval, and the names of metrics; or the error.
fn subscription(address: SocketAddr, id: Uuid) -> Result<(Uuid, i32, i32, String), i16> {
    let request = GetTelemetrySubscriptionsRequest { client_instance_id: id };
    let answer = ask(address, ApiKey::GetTelemetrySubscriptions, 0, &request);
    let told: GetTelemetrySubscriptionsResponse<'_> = read(&answer, ApiKey::GetTelemetrySubscriptions, 0);
    match told.error_code {
        0 => {
            assert_eq!(
                (told.accepted_compression_types, told.telemetry_max_bytes),
                (vec![4, 3, 1, 2], 1_000)
            );
            let metrics = told.requested_metrics.join(",");
            Ok((told.client_instance_id, told.subscription_id, told.push_interval_ms, metrics))
        }
        code => Err(code),
    }
}

fn push(address: SocketAddr, id: Uuid, subscription_id: i32, metrics: &[u8]) -> ErrorCode {
    let request = PushTelemetryRequest {
        client_instance_id: id,
        subscription_id,
        metrics: metrics.into(),
        ..Default::default()
    };
    let answer = ask(address, ApiKey::PushTelemetry, 0, &request);
    let told: PushTelemetryResponse = read(&answer, ApiKey::PushTelemetry, 0);
    ErrorCode::try_from(told.error_code).expect("a known error")
}

/// A push of one gauge `a.b` that is 1.5, as OTLP writes it.
fn gauge() -> Vec<u8> {
    let field = |number: u8, content: &[u8]| [&[number << 3 | 2, content.len() as u8][..], content].concat();
    let value = [&[4 << 3 | 1][..], &1.5f64.to_bits().to_le_bytes()].concat();
    let metric = [field(1, b"a.b"), field(5, &field(1, &value))].concat();
    field(1, &field(2, &field(2, &metric)))
}

#[test]
fn what_a_client_pushes_is_on_the_page() {
    let scratch = Scratch::new("telemetry");
    let flumen = setup(&scratch).set("telemetry.max.bytes", 1_000).start();
    let address = flumen.address;
    subscribe(address, &[("metrics", "a."), ("interval.ms", "100"), ("match", "client_id=raw")]);
    let mut ids = Vec::new();
    // Enough of them that each core keeps some.
    for _ in 0..8 {
        let (id, subscription_id, interval_ms, metrics) =
            subscription(address, Uuid::ZERO).expect("a new client is told");
        assert_eq!((interval_ms, metrics.as_str()), (100, "a."));
        assert_eq!(push(address, id, subscription_id, &gauge()), ErrorCode::None);
        ids.push((id, subscription_id));
    }
    for (id, _) in &ids {
        let wanted = format!("\na_b{{client_instance_id=\"{id}\",client_id=\"raw\"}} 1.5\n");
        eventually("the page has it", LONG, || flumen.page("/metrics").contains(&wanted).then_some(()));
    }
    let page = flumen.page("/metrics");
    assert!(page.contains("\n# TYPE a_b gauge\n"), "{page}");
    flumen.stop();
}

#[test]
fn pushes_that_are_not_taken() {
    let scratch = Scratch::new("telemetry-refused");
    let flumen = setup(&scratch).set("telemetry.max.bytes", 1_000).start();
    let address = flumen.address;
    subscribe(address, &[("metrics", "*"), ("interval.ms", "3600000")]);
    let new = || {
        let (id, subscription_id, ..) = subscription(address, Uuid::ZERO).expect("a new client is told");
        (id, subscription_id)
    };
    let (id, number) = new();
    assert_eq!(push(address, Uuid::ZERO, number, &gauge()), ErrorCode::InvalidRequest);
    assert_eq!(push(address, id, number + 1, &gauge()), ErrorCode::UnknownSubscriptionId);
    assert_eq!(subscription(address, id).map(|told| told.1), Ok(number), "it may ask again at once");
    assert_eq!(push(address, id, number, &gauge()), ErrorCode::None);
    assert_eq!(push(address, id, number, &gauge()), ErrorCode::ThrottlingQuotaExceeded);
    assert_eq!(subscription(address, id), Err(ErrorCode::ThrottlingQuotaExceeded.code()));
    let (id, number) = new();
    assert_eq!(push(address, id, number, &[0; 1_001]), ErrorCode::TelemetryTooLarge);
    let (id, number) = new();
    assert_eq!(push(address, id, number, b"no protobuf"), ErrorCode::InvalidRecord);
    flumen.stop();
}
