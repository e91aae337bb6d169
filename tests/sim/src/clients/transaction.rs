//! A transactional producer, by the rules of V1 or V2: what it does goes into the history as one operation a
//! transaction.

use super::Client;
use super::coordinated::{EXTRA, Said, partition, time, value};
use super::producer::{answers, request, sizes};
use crate::book::Place;
use crate::control::Phase;
use crate::coordination::Identity;
use crate::plan::Load;
use crate::record::{Batch, RecordId, transactional};
use crate::wire::Trouble;
use checker::{Action, Outcome, Send, Step, Ticket, Transaction};
use kafka_wire::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic,
};
use kafka_wire::messages::add_partitions_to_txn_response::AddPartitionsToTxnResponse;
use kafka_wire::messages::end_txn_request::EndTxnRequest;
use kafka_wire::messages::end_txn_response::EndTxnResponse;
use kafka_wire::messages::init_producer_id_request::InitProducerIdRequest;
use kafka_wire::messages::init_producer_id_response::InitProducerIdResponse;
use kafka_wire::{ApiKey, Uuid};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Tries of one request, each after a pause.
const TRIES: usize = 12;
/// Tries of the end of a transaction, on which more depends.
const END_TRIES: usize = 40;
const PAUSE_MICROS: u64 = 10_000;

/// A producer with a transactional id.
pub(crate) struct Producer {
    identity: Identity,
    /// Producer id and epoch.
    pub current: Option<(i64, i16)>,
    sequences: BTreeMap<Place, i32>,
    lanes: BTreeMap<Place, u32>,
    /// The partitions that were added to the open transaction.
    added: BTreeSet<Place>,
    open: Option<Ticket>,
    /// Something was asked of the coordinator in this transaction.
    touched: bool,
    /// It can only be aborted.
    pub broken: bool,
}

impl Producer {
    pub(crate) fn new(identity: Identity) -> Producer {
        Producer {
            identity,
            current: None,
            sequences: BTreeMap::new(),
            lanes: BTreeMap::new(),
            added: BTreeSet::new(),
            open: None,
            touched: false,
            broken: false,
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.identity.id
    }

    pub(crate) fn is_v2(&self) -> bool {
        self.identity.v2
    }

    /// Gets an epoch, which fences whoever had the id before.
    pub(crate) async fn introduce(&mut self, client: &mut Client) -> Result<bool, Trouble> {
        if self.current.is_some() {
            return Ok(true);
        }
        let request = InitProducerIdRequest {
            transactional_id: Some(self.identity.id.as_str().into()),
            transaction_timeout_ms: self.identity.timeout_ms,
            ..Default::default()
        };
        let version = if self.identity.v2 { 5 } else { 3 };
        let Some(answer) = client.call(ApiKey::InitProducerId, version, &request, EXTRA).await else {
            return Ok(false);
        };
        let response: InitProducerIdResponse = answer.decode()?;
        if client.said("InitProducerId", response.error_code) != Said::Done {
            client.pause(PAUSE_MICROS).await;
            return Ok(false);
        }
        self.current = Some((response.producer_id, response.producer_epoch));
        self.sequences.clear();
        Ok(true)
    }

    /// Begins a transaction.
    pub(crate) fn begin(&mut self, client: &Client) {
        let action = Action::Transaction(Transaction::default());
        self.open = Some(client.history().invoke(client.process(), time(), action));
        self.added.clear();
        (self.touched, self.broken) = (false, false);
    }

    /// Adds a step to the open transaction; its place among the steps.
    pub(crate) fn step(&self, client: &Client, step: Step) -> usize {
        self.edit(client, |transaction| {
            transaction.steps.push(step);
            transaction.steps.len() - 1
        })
        .unwrap_or(0)
    }

    fn edit<T>(&self, client: &Client, act: impl FnOnce(&mut Transaction) -> T) -> Option<T> {
        let mut history = client.history();
        match history.action(self.open?) {
            Action::Transaction(transaction) => Some(act(transaction)),
            _ => None,
        }
    }

    /// Notes when a commit of offsets, a step of the open transaction, was accepted.
    pub(crate) fn accepted(&self, client: &Client, step: usize) {
        self.edit(client, |transaction| {
            if let Some(Step::Commit(commit)) = transaction.steps.get_mut(step) {
                commit.accepted = time();
            }
        });
    }

    /// Sends a batch of some records; the transaction is broken if that cannot be done.
    pub(crate) async fn send(
        &mut self,
        client: &mut Client,
        place: Place,
        load: &Load,
    ) -> Result<(), Trouble> {
        let Some((producer_id, epoch)) = self.current else { return Ok(()) };
        self.touched = true;
        if !self.identity.v2 && !self.added.contains(&place) && !self.add(client, place).await? {
            self.broken = true;
            return Ok(());
        }
        let sequence = *self.sequences.entry(place).or_insert(0);
        let sizes = sizes(&mut client.random, load);
        let batch = {
            let mut book = client.control.book.borrow_mut();
            let lane = *self.lanes.entry(place).or_insert_with(|| book.lane(place, true));
            let first = RecordId { lane, counter: book.lanes[lane as usize].sent };
            let batch = transactional(first, &sizes, (producer_id, epoch, sequence));
            book.will_send(first, batch.count);
            batch
        };
        let steps: Vec<usize> = (0..batch.count)
            .map(|nth| {
                let id = RecordId { counter: batch.first.counter + nth, ..batch.first };
                let send = Send { partition: partition(place), value: value(id), offset: None };
                self.step(client, Step::Send(send))
            })
            .collect();
        match self.deliver(client, place, &batch).await? {
            Some(base) => {
                self.sequences.insert(place, sequence + batch.count as i32);
                client.control.book.borrow_mut().counts.acknowledged += batch.count;
                self.edit(client, |transaction| {
                    for (nth, step) in (0..).zip(steps) {
                        if let Some(Step::Send(send)) = transaction.steps.get_mut(step) {
                            send.offset = (base >= 0).then_some(base + nth);
                        }
                    }
                });
            }
            None => self.broken = true,
        }
        Ok(())
    }

    /// Sends a batch until it is acknowledged; its offset, -1 if that is not told. `None` if it is refused, or nobody
    /// answers.
    async fn deliver(
        &self,
        client: &mut Client,
        place: Place,
        batch: &Batch,
    ) -> Result<Option<i64>, Trouble> {
        let name = client.topic_name(place);
        let version = if self.identity.v2 { 12 } else { 9 };
        for _ in 0..TRIES {
            let mut message = request(&[(place, &name, Uuid::ZERO, &batch.bytes)], version, -1);
            message.transactional_id = Some(self.identity.id.as_str().into());
            let answer = client.call(ApiKey::Produce, version, &message, EXTRA).await;
            if let Some(answer) = answer {
                let all = answers(answer.decode()?, [place.1].into_iter())?;
                let Some(one) = all.first() else { return Ok(None) };
                if one.error_code == kafka_wire::ErrorCode::DuplicateSequenceNumber.code() {
                    return Ok(Some(-1));
                }
                match client.said("Produce in a transaction", one.error_code) {
                    Said::Done => return Ok(Some(one.base_offset)),
                    Said::Over => return Ok(None),
                    Said::Again | Said::Unsure => {}
                }
            }
            if client.control.phase() == Phase::Pause {
                break;
            }
            client.pause(PAUSE_MICROS).await;
        }
        Ok(None)
    }

    /// V1: the client adds partitions.
    async fn add(&mut self, client: &mut Client, place: Place) -> Result<bool, Trouble> {
        let Some((producer_id, epoch)) = self.current else { return Ok(false) };
        let name = client.topic_name(place);
        for _ in 0..TRIES {
            let topic = AddPartitionsToTxnTopic { name: name.as_str().into(), partitions: vec![place.1] };
            let request = AddPartitionsToTxnRequest {
                v3_and_below_transactional_id: self.identity.id.as_str().into(),
                v3_and_below_producer_id: producer_id,
                v3_and_below_producer_epoch: epoch,
                v3_and_below_topics: vec![topic],
                ..Default::default()
            };
            if let Some(answer) = client.call(ApiKey::AddPartitionsToTxn, 3, &request, EXTRA).await {
                let response: AddPartitionsToTxnResponse<'_> = answer.decode()?;
                let results = response.results_by_topic_v3_and_below.first();
                let code = results.and_then(|topic| topic.results_by_partition.first());
                match client.said("AddPartitionsToTxn", code.map_or(-1, |one| one.partition_error_code)) {
                    Said::Done => {
                        self.added.insert(place);
                        return Ok(true);
                    }
                    Said::Over => return Ok(false),
                    Said::Again | Said::Unsure => {}
                }
            }
            if client.control.phase() == Phase::Pause {
                break;
            }
            client.pause(PAUSE_MICROS).await;
        }
        Ok(false)
    }

    /// Something was asked of the coordinator that makes the transaction one.
    pub(crate) fn touch(&mut self) {
        self.touched = true;
    }

    /// The producer vanishes with its transaction open, and comes back as a new one.
    pub(crate) fn vanish(&mut self, client: &Client) {
        if self.open.take().is_some() {
            client.control.book.borrow_mut().counts.uncommitted += 1;
        }
        self.current = None;
    }

    /// Ends the transaction; true if it is committed for certain.
    pub(crate) async fn end(&mut self, client: &mut Client, commit: bool) -> Result<bool, Trouble> {
        let (Some(ticket), Some((producer_id, epoch))) = (self.open, self.current) else { return Ok(false) };
        if !self.touched {
            self.open = None;
            client.history().complete(ticket, time(), Outcome::Fail);
            return Ok(false);
        }
        if commit {
            self.edit(client, |transaction| transaction.ending = Some(time()));
        }
        let request = EndTxnRequest {
            transactional_id: self.identity.id.as_str().into(),
            producer_id,
            producer_epoch: epoch,
            committed: commit,
        };
        let asked = ask_for_end(client, &request, self.identity.v2).await;
        self.open = None;
        let (ended, unsure) = match asked {
            Ok(told) => told,
            Err(trouble) => {
                self.vanish(client);
                return Err(trouble);
            }
        };
        let outcome = match (commit, &ended) {
            (false, _) => Outcome::Fail,
            (true, Some(Ok(_))) => Outcome::Ok,
            (true, Some(Err(()))) if !unsure => Outcome::Fail,
            _ => Outcome::Info,
        };
        client.history().complete(ticket, time(), outcome);
        self.current = match ended {
            Some(Ok(next)) if self.identity.v2 => {
                self.sequences.clear();
                Some(next)
            }
            Some(Ok(_)) => self.current,
            _ => None,
        };
        if self.broken {
            // Whether its last batch was appended is not known, and so not its next sequence number.
            self.current = None;
        }
        let mut book = client.control.book.borrow_mut();
        match outcome {
            Outcome::Ok => {
                book.counts.committed += 1;
                book.counts.committed_v2 += u64::from(self.identity.v2);
            }
            _ => book.counts.uncommitted += 1,
        }
        Ok(outcome == Outcome::Ok)
    }
}

/// How the end was answered: with the identity to go on with, with a refusal, or not at all; and whether an earlier
/// try may have been carried out.
type Ended = (Option<Result<(i64, i16), ()>>, bool);

async fn ask_for_end(client: &mut Client, request: &EndTxnRequest<'_>, v2: bool) -> Result<Ended, Trouble> {
    let version = if v2 { 5 } else { 4 };
    let mut unsure = false;
    for _ in 0..END_TRIES {
        match client.call(ApiKey::EndTxn, version, request, EXTRA).await {
            Some(answer) => {
                let response: EndTxnResponse = answer.decode()?;
                let what = if request.committed { "EndTxn, commit," } else { "EndTxn, abort," };
                match client.said(what, response.error_code) {
                    Said::Done => {
                        return Ok((Some(Ok((response.producer_id, response.producer_epoch))), unsure));
                    }
                    Said::Over => return Ok((Some(Err(())), unsure)),
                    Said::Again => {}
                    Said::Unsure => unsure = true,
                }
            }
            None => unsure = true,
        }
        if client.control.phase() == Phase::Pause {
            break;
        }
        client.pause(PAUSE_MICROS).await;
    }
    Ok((None, unsure))
}

/// A client that produces in transactions and does nothing else. Its id may be another one's, too.
pub(crate) async fn run(client: Client, identity: Identity, load: Load) {
    let mut client = client;
    let mut producer = Producer::new(identity);
    let mut found = false;
    loop {
        client.control.gate(client.number, false).await;
        if let Err(trouble) = turn(&mut client, &mut producer, &load, &mut found).await {
            producer.vanish(&client);
            client.trouble(trouble);
        }
        client.pause(load.think_max.as_micros() as u64).await;
    }
}

async fn turn(
    client: &mut Client,
    producer: &mut Producer,
    load: &Load,
    found: &mut bool,
) -> Result<(), Trouble> {
    if !*found {
        *found = client.find(producer.id(), super::coordinated::OF_TRANSACTIONS).await?;
    }
    if !*found || !producer.introduce(client).await? {
        return Ok(());
    }
    producer.begin(client);
    for _ in 0..client.random.between(1, 4) {
        let places = {
            let which = usize::from(client.random.one_in(5));
            client.control.book.borrow().judged(which)
        };
        let place = places[client.random.below(places.len() as u64) as usize];
        producer.send(client, place, load).await?;
        if producer.broken {
            break;
        }
    }
    if client.random.one_in(8) {
        // So that who shares the id fences it, or its time is over.
        executor::sleep(Duration::from_millis(client.random.between(20, 300))).await;
    }
    if client.random.one_in(25) {
        producer.vanish(client);
        return Ok(());
    }
    let commit = !producer.broken && !client.random.one_in(5);
    if producer.end(client, commit).await? {
        client.control.success(client.number);
    }
    Ok(())
}
