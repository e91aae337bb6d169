//! What can be seen of transactions: DescribeTransactions and ListTransactions (KIP-664, KIP-994, KIP-1152).

use crate::{Coordinator, State, Transaction};
use kafka_wire::ErrorCode;

/// Which transactions are listed. Those that all of the fields allow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// In one of these states; `None`: in any.
    pub states: Option<Vec<State>>,
    /// Of one of these producers; empty: of any.
    pub producer_ids: Vec<i64>,
    /// Begun longer ago, in milliseconds; `None`: at any time. As in Kafka, an id that never had a transaction
    /// counts as begun long ago.
    pub longer_than_ms: Option<i64>,
}

impl ListFilter {
    fn allows(&self, transaction: &Transaction, now_ms: i64) -> bool {
        let open_ms = now_ms.saturating_sub(transaction.start_ms);
        self.states.as_ref().is_none_or(|states| states.contains(&transaction.state))
            && (self.producer_ids.is_empty() || self.producer_ids.contains(&transaction.producer_id))
            && self.longer_than_ms.is_none_or(|longer_than_ms| open_ms > longer_than_ms)
    }
}

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The id.
    pub transactional_id: String,
    /// Its producer.
    pub producer_id: i64,
    /// Where it stands.
    pub state: State,
}

impl Coordinator {
    /// The transaction of an id. The answer must wait for the records returned before.
    ///
    /// # Errors
    /// COORDINATOR_LOAD_IN_PROGRESS; INVALID_REQUEST for an empty id; TRANSACTIONAL_ID_NOT_FOUND.
    pub fn describe(&self, id: &str) -> Result<&Transaction, ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        if !self.is_loaded {
            return Err(ErrorCode::CoordinatorLoadInProgress);
        }
        self.transaction(id).ok_or(ErrorCode::TransactionalIdNotFound)
    }

    /// The transactions that `filter` allows, in the order of the ids. The answer must wait for the records returned
    /// before.
    ///
    /// # Errors
    /// COORDINATOR_LOAD_IN_PROGRESS.
    pub fn list(&self, now_ms: i64, filter: &ListFilter) -> Result<Vec<Listed>, ErrorCode> {
        if !self.is_loaded {
            return Err(ErrorCode::CoordinatorLoadInProgress);
        }
        let allowed = self.entries.iter().filter(|(_, entry)| filter.allows(&entry.transaction, now_ms)).map(
            |(id, entry)| Listed {
                transactional_id: id.to_string(),
                producer_id: entry.transaction.producer_id,
                state: entry.transaction.state,
            },
        );
        Ok(allowed.collect())
    }
}
