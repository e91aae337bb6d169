//! What all clients of coordinators need: the history, the coordinators, and what their answers mean.

use super::Client;
use crate::book::Place;
use crate::record::RecordId;
use crate::wire::Trouble;
use checker::{Action, History, Partition, Time, Value};
use executor::now;
use kafka_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_wire::messages::find_coordinator_response::FindCoordinatorResponse;
use kafka_wire::{ApiKey, ErrorCode};
use std::cell::RefMut;
use std::time::Duration;

/// What coordinators may take longer than others: they wait for markers, and for what they write.
pub(crate) const EXTRA: Duration = Duration::from_millis(200);
/// Keys of FindCoordinator.
pub(crate) const OF_GROUPS: i8 = 0;
pub(crate) const OF_TRANSACTIONS: i8 = 1;

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It is done.
    Done,
    /// It is not done, and may be asked for again.
    Again,
    /// Nobody knows whether it is done.
    Unsure,
    /// It is not done, and never will be: whoever asks is not who it was, or too late.
    Over,
}

/// What coordinators say to those who must begin anew.
pub(crate) const OVER: [ErrorCode; 16] = [
    ErrorCode::FencedInstanceId,
    ErrorCode::FencedMemberEpoch,
    ErrorCode::GroupIdNotFound,
    ErrorCode::IllegalGeneration,
    ErrorCode::InvalidProducerEpoch,
    ErrorCode::InvalidProducerIdMapping,
    ErrorCode::InvalidTxnState,
    ErrorCode::MemberIdRequired,
    ErrorCode::OutOfOrderSequenceNumber,
    ErrorCode::ProducerFenced,
    ErrorCode::RebalanceInProgress,
    ErrorCode::StaleMemberEpoch,
    ErrorCode::TransactionAbortable,
    ErrorCode::UnknownMemberId,
    ErrorCode::UnknownProducerId,
    ErrorCode::UnreleasedInstanceId,
];
const AGAIN: [ErrorCode; 3] = [
    ErrorCode::ConcurrentTransactions,
    ErrorCode::CoordinatorLoadInProgress,
    ErrorCode::UnstableOffsetCommit,
];
const UNSURE: [ErrorCode; 6] = [
    ErrorCode::CoordinatorNotAvailable,
    ErrorCode::KafkaStorageError,
    ErrorCode::NotCoordinator,
    ErrorCode::NotEnoughReplicas,
    ErrorCode::NotLeaderOrFollower,
    ErrorCode::RequestTimedOut,
];

/// The moment, for the history.
pub(crate) fn time() -> Time {
    now().as_nanos()
}

/// A partition, for the history.
pub(crate) fn partition(place: Place) -> Partition {
    Partition { topic: place.0 as u32, number: place.1 }
}

/// A record, for the history.
pub(crate) fn value(id: RecordId) -> Value {
    u64::from(id.lane) << 40 | id.counter
}

impl Client {
    /// Its number in the history.
    pub(crate) fn process(&self) -> u32 {
        self.number as u32
    }

    /// The history, to be added to.
    pub(crate) fn history(&self) -> RefMut<'_, History> {
        self.control.history.borrow_mut()
    }

    /// Adds something to the history that began at one moment and is done now.
    pub(crate) fn did(&self, since: Time, action: Action) {
        self.history().done(self.process(), (since, time()), action);
    }

    /// What a code means; one that must not be is a violation.
    pub(crate) fn said(&mut self, what: &str, code: i16) -> Said {
        let is_in = |list: &[ErrorCode]| list.iter().any(|one| one.code() == code);
        if code == 0 {
            return Said::Done;
        }
        self.control.note(self.number, &format!("{what} was refused with {code}"));
        let said = match code {
            _ if is_in(&AGAIN) => Said::Again,
            _ if is_in(&UNSURE) => Said::Unsure,
            _ if is_in(&OVER) => Said::Over,
            _ => {
                self.refused(what, code);
                return Said::Over;
            }
        };
        self.control.book.borrow_mut().counts.refused += 1;
        said
    }

    /// The name of a judged topic.
    pub(crate) fn topic_name(&self, place: Place) -> String {
        self.control.book.borrow().topics[place.0].name.clone()
    }

    /// Whether there is a coordinator for a key; its topic is made when it is first asked for.
    pub(crate) async fn find(&mut self, key: &str, key_type: i8) -> Result<bool, Trouble> {
        let request =
            FindCoordinatorRequest { key_type, coordinator_keys: vec![key.into()], ..Default::default() };
        let Some(answer) = self.call(ApiKey::FindCoordinator, 4, &request, EXTRA).await else {
            return Ok(false);
        };
        let response: FindCoordinatorResponse<'_> = answer.decode()?;
        let code = response.coordinators.first().map_or(-1, |one| one.error_code);
        Ok(self.said("FindCoordinator", code) == Said::Done)
    }
}
