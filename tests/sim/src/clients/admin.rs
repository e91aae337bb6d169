//! The one client that changes metadata, one change after the other: so whatever is found can be told right or wrong.

use super::consumer::{EARLIEST, list_offset};
use super::producer::request;
use super::{Client, consumer};
use crate::book::{Exists, Topic};
use crate::check;
use crate::coordination::{Coordination, LEVEL};
use crate::record::{RecordId, batch};
use crate::shares::GROUP;
use crate::wire::Trouble;
use kafka_wire::ApiKey;
use kafka_wire::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use kafka_wire::messages::create_partitions_response::CreatePartitionsResponse;
use kafka_wire::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use kafka_wire::messages::create_topics_response::CreateTopicsResponse;
use kafka_wire::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use kafka_wire::messages::delete_records_response::DeleteRecordsResponse;
use kafka_wire::messages::delete_topics_request::DeleteTopicsRequest;
use kafka_wire::messages::delete_topics_response::DeleteTopicsResponse;
use kafka_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use kafka_wire::messages::incremental_alter_configs_response::IncrementalAlterConfigsResponse;
use kafka_wire::messages::produce_response::ProduceResponse;
use kafka_wire::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};
use kafka_wire::messages::update_features_response::UpdateFeaturesResponse;
use std::time::Duration;

const PARTITIONS_MAX: i32 = 6;
const SAFE_DOWNGRADE: i8 = 2;
/// Of IncrementalAlterConfigs: the kind of resource, and what is done.
const OF_GROUP: i8 = 32;
const SET: i8 = 0;
/// Changes of metadata pass through the metadata's log and every core.
const EXTRA: Duration = Duration::from_millis(200);

/// Runs until the run ends.
pub(crate) async fn run(client: Client) {
    let mut client = client;
    loop {
        client.control.gate(client.number, false).await;
        if let Err(trouble) = turn(&mut client).await {
            client.trouble(trouble);
        }
        client.pause(30_000).await;
    }
}

async fn turn(client: &mut Client) -> Result<(), Trouble> {
    match client.random.below(10) {
        0..=1 => {
            let count = client.random.between(1, 3) as i32;
            let name = free_name(client);
            create(client, name, count, None, false).await
        }
        2..=3 => match pick(client, |topic| !topic.lasting && topic.exists == Exists::Yes) {
            Some(topic) => delete(client, topic).await,
            None => Ok(()),
        },
        4 => {
            match pick(client, |topic| topic.exists == Exists::Yes && topic.partitions_asked < PARTITIONS_MAX)
            {
                Some(topic) => add_partition(client, topic).await,
                None => Ok(()),
            }
        }
        5..=6 => delete_records(client).await,
        7 => match pick(client, |topic| !topic.lasting && topic.exists == Exists::Yes) {
            Some(topic) => produce(client, topic).await,
            None => Ok(()),
        },
        _ => check::metadata(client, false).await,
    }
}

fn pick(client: &mut Client, which: impl Fn(&Topic) -> bool) -> Option<usize> {
    let book = client.control.book.borrow();
    let all: Vec<usize> = (0..book.topics.len()).filter(|number| which(&book.topics[*number])).collect();
    (!all.is_empty()).then(|| all[client.random.below(all.len() as u64) as usize])
}

/// A name that no topic has; often one that a topic had.
fn free_name(client: &mut Client) -> String {
    let gone = pick(client, |topic| topic.exists == Exists::Gone);
    let book = client.control.book.borrow();
    let old = gone.map(|number| book.topics[number].name.clone());
    let free =
        |name: &String| book.topics.iter().all(|topic| topic.name != *name || topic.exists == Exists::Gone);
    match old.filter(free) {
        Some(name) if client.random.one_in(2) => name,
        _ => format!("passing-{}", book.topics.len()),
    }
}

fn acknowledged(client: &mut Client) {
    client.control.book.borrow_mut().counts.changes += 1;
    client.control.success(client.number);
}

/// Creates a topic, with segments that roll after so many milliseconds.
pub(crate) async fn create(
    client: &mut Client,
    name: String,
    partitions: i32,
    rolls: Option<u64>,
    lasting: bool,
) -> Result<(), Trouble> {
    let number = {
        let mut book = client.control.book.borrow_mut();
        let topic = Topic {
            name: name.clone(),
            id: None,
            exists: Exists::Perhaps,
            partitions: 0,
            partitions_asked: partitions,
            lasting,
            judged: None,
        };
        book.topics.push(topic);
        book.topics.len() - 1
    };
    let configs = rolls.map(|rolls| CreatableTopicConfig {
        name: "segment.ms".into(),
        value: Some(rolls.to_string().into()),
    });
    let topic = CreatableTopic {
        name: name.as_str().into(),
        num_partitions: partitions,
        replication_factor: 1,
        configs: configs.into_iter().collect(),
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 1_000, validate_only: false };
    let Some(answer) = client.call(ApiKey::CreateTopics, 7, &request, EXTRA).await else { return Ok(()) };
    let response: CreateTopicsResponse<'_> = answer.decode()?;
    let Some(result) = response.topics.first().filter(|result| result.name == name) else {
        return Err(Trouble::Wrong("CreateTopics was answered for another topic".to_owned()));
    };
    if result.error_code != 0 {
        client.refused(&format!("CreateTopics of {name}"), result.error_code);
        return Ok(());
    }
    {
        let mut book = client.control.book.borrow_mut();
        if book.topics.iter().any(|topic| topic.id == Some(result.topic_id.0)) {
            book.violated(format!("{name} was given the id of another topic"));
        }
        let topic = &mut book.topics[number];
        topic.exists = Exists::Yes;
        topic.id = Some(result.topic_id.0);
        topic.partitions = partitions;
    }
    acknowledged(client);
    Ok(())
}

/// Makes the topics that groups and transactions work on, and sets the level of transactions.
pub(crate) async fn prepare(client: &mut Client, coordination: &Coordination) -> Result<(), Trouble> {
    for (which, partitions) in coordination.partitions.into_iter().enumerate() {
        create(client, format!("judged-{which}"), partitions, None, false).await?;
        if let Some(topic) = client.control.book.borrow_mut().topics.last_mut() {
            topic.judged = Some(which);
        }
    }
    if coordination.sharers > 0 {
        share_from_the_beginning(client).await?;
    }
    if coordination.level == LEVEL {
        return Ok(());
    }
    let update = FeatureUpdateKey {
        feature: "transaction.version".into(),
        max_version_level: coordination.level,
        upgrade_type: SAFE_DOWNGRADE,
        ..Default::default()
    };
    let request =
        UpdateFeaturesRequest { timeout_ms: 1_000, feature_updates: vec![update], validate_only: false };
    let Some(answer) = client.call(ApiKey::UpdateFeatures, 2, &request, EXTRA).await else { return Ok(()) };
    let response: UpdateFeaturesResponse<'_> = answer.decode()?;
    match response.error_code {
        0 => acknowledged(client),
        code => client.refused("UpdateFeatures", code),
    }
    Ok(())
}

/// The share group begins with the first record that there is.
async fn share_from_the_beginning(client: &mut Client) -> Result<(), Trouble> {
    let config = AlterableConfig {
        name: "share.auto.offset.reset".into(),
        config_operation: SET,
        value: Some("earliest".into()),
    };
    let group =
        AlterConfigsResource { resource_type: OF_GROUP, resource_name: GROUP.into(), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![group], validate_only: false };
    let answer = client.call(ApiKey::IncrementalAlterConfigs, 1, &request, EXTRA).await;
    let Some(answer) = answer else { return Ok(()) };
    let response: IncrementalAlterConfigsResponse<'_> = answer.decode()?;
    match response.responses.first().map_or(-1, |one| one.error_code) {
        0 => acknowledged(client),
        code => client.refused("IncrementalAlterConfigs of the share group", code),
    }
    Ok(())
}

async fn delete(client: &mut Client, number: usize) -> Result<(), Trouble> {
    let name = {
        let mut book = client.control.book.borrow_mut();
        book.topics[number].exists = Exists::PerhapsGone;
        book.topics[number].name.clone()
    };
    let request = DeleteTopicsRequest {
        topic_names: vec![name.as_str().into()],
        timeout_ms: 1_000,
        ..Default::default()
    };
    let Some(answer) = client.call(ApiKey::DeleteTopics, 5, &request, EXTRA).await else { return Ok(()) };
    let response: DeleteTopicsResponse<'_> = answer.decode()?;
    let code = response.responses.first().map_or(-1, |result| result.error_code);
    if code != 0 {
        client.refused(&format!("DeleteTopics of {name}"), code);
        return Ok(());
    }
    client.control.book.borrow_mut().topics[number].exists = Exists::Gone;
    acknowledged(client);
    Ok(())
}

async fn add_partition(client: &mut Client, number: usize) -> Result<(), Trouble> {
    let (name, count) = {
        let mut book = client.control.book.borrow_mut();
        let topic = &mut book.topics[number];
        topic.partitions_asked += 1;
        (topic.name.clone(), topic.partitions_asked)
    };
    let wanted = CreatePartitionsTopic { name: name.as_str().into(), count, assignments: None };
    let request = CreatePartitionsRequest { topics: vec![wanted], timeout_ms: 1_000, validate_only: false };
    let Some(answer) = client.call(ApiKey::CreatePartitions, 3, &request, EXTRA).await else {
        return Ok(());
    };
    let response: CreatePartitionsResponse<'_> = answer.decode()?;
    let code = response.results.first().map_or(-1, |result| result.error_code);
    if code != 0 {
        client.refused(&format!("CreatePartitions of {name}"), code);
        return Ok(());
    }
    client.control.book.borrow_mut().topics[number].partitions = count;
    acknowledged(client);
    Ok(())
}

async fn delete_records(client: &mut Client) -> Result<(), Trouble> {
    let places = client.control.book.borrow().lasting();
    let place = places[client.random.below(places.len() as u64) as usize];
    let (name, before) = {
        let mut book = client.control.book.borrow_mut();
        let name = book.topics[place.0].name.clone();
        let log = book.log(place);
        let room = (log.end - log.start_least) as u64;
        // Seldom all of it.
        let reach = if client.random.one_in(8) { room + 1 } else { room / 2 + 1 };
        let before = log.start_least + client.random.below(reach) as i64;
        log.start_most = log.start_most.max(before);
        (name, before)
    };
    let partition = DeleteRecordsPartition { partition_index: place.1, offset: before };
    let topic = DeleteRecordsTopic { name: name.as_str().into(), partitions: vec![partition] };
    let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 1_000 };
    let Some(answer) = client.call(ApiKey::DeleteRecords, 2, &request, EXTRA).await else { return Ok(()) };
    let response: DeleteRecordsResponse<'_> = answer.decode()?;
    let result = response.topics.first().and_then(|topic| topic.partitions.first());
    let Some(result) = result else {
        return Err(Trouble::Wrong("DeleteRecords was not answered for its partition".to_owned()));
    };
    if result.error_code != 0 {
        client.refused(&format!("DeleteRecords of {name}-{} before {before}", place.1), result.error_code);
        return Ok(());
    }
    let low = result.low_watermark;
    {
        let mut book = client.control.book.borrow_mut();
        let log = book.log(place);
        let allowed = before..=log.start_most;
        if !allowed.contains(&low) {
            book.violated(format!("{name}-{}: deleted before {before}, now begins at {low}", place.1));
            return Ok(());
        }
        log.start_least = log.start_least.max(low);
    }
    acknowledged(client);
    let earliest = list_offset(client, place, EARLIEST).await?;
    if earliest.is_some_and(|(earliest, _)| earliest < low) {
        return Err(Trouble::Wrong(format!("{name}-{}: begins before {low} after DeleteRecords", place.1)));
    }
    Ok(())
}

/// A few records into a passing topic.
async fn produce(client: &mut Client, number: usize) -> Result<(), Trouble> {
    let (place, name, made) = {
        let mut book = client.control.book.borrow_mut();
        let topic = &book.topics[number];
        let place = (number, client.random.below(topic.partitions as u64) as i32);
        let name = topic.name.clone();
        let first = RecordId { lane: book.lane(place, false), counter: 0 };
        let made = batch(first, &[100, 2000, 30], None);
        book.will_send(first, made.count);
        (place, name, made)
    };
    let message = request(&[(place, &name, Default::default(), &made.bytes)], 9, -1);
    let Some(answer) = client.call(ApiKey::Produce, 9, &message, Duration::ZERO).await else {
        return Ok(());
    };
    let response: ProduceResponse<'_> = answer.decode()?;
    let result = response.responses.first().and_then(|topic| topic.partition_responses.first());
    match result.map(|result| (result.error_code, result.base_offset)) {
        Some((0, base)) => {
            client.control.book.borrow_mut().acknowledged(made.first, made.count, Some(base));
        }
        Some((code, _)) => client.refused(&format!("Produce to {name}"), code),
        None => return Err(Trouble::Wrong("Produce was not answered for its partition".to_owned())),
    }
    // What was just written can be asked for.
    let end = client.control.book.borrow().end(place);
    if let Some((latest, _)) = list_offset(client, place, consumer::LATEST).await? {
        client.control.book.borrow_mut().end_shown(place, latest, end);
    }
    Ok(())
}
