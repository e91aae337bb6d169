//! AddPartitionsToTxn: a producer will write to partitions within its transaction; from version 4 on other brokers ask
//! for producers too, and whether partitions were added (KIP-890).

use crate::broker::Broker;
use crate::coordinators::ask_transactions;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::Image;
use executor::join_all;
use kafka_wire::ErrorCode;
use kafka_wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnRequest;
use kafka_wire::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnResponse, AddPartitionsToTxnTopicResult,
};
use model::PartitionId;
use network::Answer;
use std::rc::Rc;
use transactions::{AddPartitions, Outcome, wire};

/// Adds all partitions of a transaction or, if one of them does not exist, none.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: AddPartitionsToTxnRequest<'_> = decoded(request, request.decode())?;
    let image = broker.image();
    let asks = wire::add_partitions(&asked, request.version).into_iter().map(|one| {
        let known = is_known(&image, &one);
        async move {
            match known {
                true => ask_transactions::serve(broker, transactions::Request::Add(one)).await,
                false => Outcome::Refused(ErrorCode::OperationNotAttempted),
            }
        }
    });
    let outcomes: Vec<Outcome> = join_all(asks.collect()).await;
    let mut response = wire::add_partitions_response(&asked, request.version, &outcomes);
    name_unknown(&image, &mut response);
    Ok(answer(request, &response))
}

fn exists(image: &Image, topic: &str, partition: i32) -> bool {
    image.topic(topic).is_some_and(|topic| topic.partition(PartitionId(partition)).is_some())
}

fn is_known(image: &Image, asked: &AddPartitions) -> bool {
    asked.partitions.iter().all(|(topic, partition)| exists(image, topic, partition))
}

/// Of what was not attempted, tells the partitions because of which it was not.
fn name_unknown(image: &Image, response: &mut AddPartitionsToTxnResponse<'_>) {
    let not_attempted = ErrorCode::OperationNotAttempted.code();
    let by_transaction = response.results_by_transaction.iter_mut();
    let topics = by_transaction.flat_map(|transaction| &mut transaction.topic_results);
    let tell = |topic: &mut AddPartitionsToTxnTopicResult<'_>| {
        for one in &mut topic.results_by_partition {
            let unknown = !exists(image, &topic.name, one.partition_index);
            if one.partition_error_code == not_attempted && unknown {
                one.partition_error_code = ErrorCode::UnknownTopicOrPartition.code();
            }
        }
    };
    topics.chain(&mut response.results_by_topic_v3_and_below).for_each(tell);
}

#[cfg(test)]
mod tests {
    use super::*;
    use controller::Record;
    use kafka_wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
    use model::TopicId;

    #[test]
    fn partitions_that_are_not_there_are_named_and_the_others_not_attempted() {
        let records = [Record::Topic { id: TopicId([1; 16]), name: "t".to_owned() }];
        let image = Image::default().with(&records, 1).expect("the record fits");
        let topic = AddPartitionsToTxnTopic { name: "no".into(), partitions: vec![3] };
        let asked = AddPartitionsToTxnRequest { v3_and_below_topics: vec![topic], ..Default::default() };
        let add = &wire::add_partitions(&asked, 3)[0];
        assert!(!is_known(&image, add));
        let refused = [Outcome::Refused(ErrorCode::OperationNotAttempted)];
        let mut response = wire::add_partitions_response(&asked, 3, &refused);
        name_unknown(&image, &mut response);
        let told = &response.results_by_topic_v3_and_below[0].results_by_partition[0];
        assert_eq!(told.partition_error_code, ErrorCode::UnknownTopicOrPartition.code());
    }
}
