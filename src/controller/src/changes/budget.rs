//! How many partitions a change may create and delete (KIP-599).

use crate::error::ControlError;
use std::fmt;
use std::sync::Arc;

/// What limits a change. Whoever asks for the change knows how much there is; the controller knows what an item costs,
/// and spends it when the item has passed all other checks, in a dry run too, as Kafka does.
pub trait Budget: fmt::Debug + Send + Sync {
    /// Spends for an item that creates or deletes so many partitions.
    ///
    /// # Errors
    /// What the item is refused with; nothing was spent then.
    fn spend(&self, partitions: usize) -> Result<(), ControlError>;
}

/// Spends for an item of a change; without a budget there is no limit.
pub(super) fn spend(budget: Option<&Arc<dyn Budget>>, partitions: usize) -> Result<(), ControlError> {
    budget.map_or(Ok(()), |budget| budget.spend(partitions))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::{
        Change, CreatePartitions, CreateTopics, DeleteTopics, MorePartitions, NewTopic, Outcome,
        TopicReference,
    };
    use crate::error::ErrorKind::{self, *};
    use crate::testing::Planner;
    use std::sync::Mutex;

    /// Notes what each item cost, and has enough for so many of them.
    #[derive(Debug)]
    struct Noted {
        enough_for: usize,
        spent: Mutex<Vec<usize>>,
    }

    impl Budget for Noted {
        fn spend(&self, partitions: usize) -> Result<(), ControlError> {
            let mut spent = self.spent.lock().expect("not poisoned");
            if spent.len() == self.enough_for {
                return Err(ControlError::new(ThrottlingQuotaExceeded, "no more"));
            }
            spent.push(partitions);
            Ok(())
        }
    }

    fn planner() -> Planner {
        let mut planner = Planner::new(&[1]);
        for name in ["a", "b"] {
            planner.topic(name, 2);
        }
        planner
    }

    fn create(validate_only: bool, budget: Option<Arc<dyn Budget>>) -> Change {
        let topics = [("x", 3), ("a", 1), ("y", 0), ("z", 4), ("late", 1)];
        let topics = topics.map(|(name, partitions)| NewTopic { partitions, ..NewTopic::named(name) });
        Change::CreateTopics(CreateTopics { topics: topics.to_vec(), validate_only, budget })
    }

    fn grow(validate_only: bool, budget: Option<Arc<dyn Budget>>) -> Change {
        let more =
            |(topic, count): (&str, i32)| MorePartitions { topic: topic.into(), count, assignments: None };
        let topics = [("a", 5), ("absent", 9), ("b", 3)].map(more).to_vec();
        Change::CreatePartitions(CreatePartitions { topics, validate_only, budget })
    }

    fn delete(_: bool, budget: Option<Arc<dyn Budget>>) -> Change {
        let reference = |name: &str| TopicReference { name: Some(name.into()), ..TopicReference::default() };
        Change::DeleteTopics(DeleteTopics { topics: ["absent", "a", "b"].map(reference).to_vec(), budget })
    }

    fn kinds(outcome: Outcome) -> Vec<Option<ErrorKind>> {
        let kind = |error: Option<ControlError>| error.map(|error| error.kind);
        match outcome {
            Outcome::CreateTopics(all) => all.into_iter().map(|(_, one)| kind(one.err())).collect(),
            Outcome::CreatePartitions(all) => all.into_iter().map(|(_, one)| kind(one.err())).collect(),
            Outcome::DeleteTopics(all) => all.into_iter().map(|one| kind(one.result.err())).collect(),
            other => panic!("an outcome of another change: {other:?}"),
        }
    }

    #[test]
    fn an_item_that_passes_all_other_checks_is_paid_for_or_refused() {
        type Make = fn(bool, Option<Arc<dyn Budget>>) -> Change;
        // The change, dry or not; for how many items there is enough; what is spent; what becomes of the items; how
        // many partitions there are then, of four.
        type Case = (Make, bool, usize, Vec<usize>, Vec<Option<ErrorKind>>, usize);
        let (there, wrong, absent) =
            (Some(TopicAlreadyExists), Some(InvalidPartitions), Some(UnknownTopicOrPartition));
        let no_more = Some(ThrottlingQuotaExceeded);
        let cases: [Case; 9] = [
            (create, false, 9, vec![3, 4, 1], vec![None, there, wrong, None, None], 12),
            (create, false, 2, vec![3, 4], vec![None, there, wrong, None, no_more], 11),
            (create, true, 2, vec![3, 4], vec![None, there, wrong, None, no_more], 4),
            (create, false, 0, vec![], vec![no_more, there, wrong, no_more, no_more], 4),
            (grow, false, 9, vec![3, 1], vec![None, absent, None], 8),
            (grow, false, 1, vec![3], vec![None, absent, no_more], 7),
            (grow, true, 1, vec![3], vec![None, absent, no_more], 4),
            (delete, false, 9, vec![2, 2], vec![absent, None, None], 0),
            (delete, false, 1, vec![2], vec![absent, None, no_more], 2),
        ];
        for (number, (make, validate_only, enough_for, spent, expected, partitions)) in (0..).zip(cases) {
            let noted = Arc::new(Noted { enough_for, spent: Mutex::default() });
            let mut planner = planner();
            let outcome = planner.change(make(validate_only, Some(noted.clone()))).expect("planned");
            assert_eq!(kinds(outcome), expected, "case {number}");
            assert_eq!(*noted.spent.lock().expect("not poisoned"), spent, "case {number}");
            assert_eq!(planner.image.partition_count(), partitions, "case {number}");
        }
    }

    #[test]
    fn without_a_budget_there_is_no_limit() {
        for make in [create, grow, delete] {
            let outcome = planner().change(make(false, None)).expect("planned");
            assert!(!kinds(outcome).contains(&Some(ThrottlingQuotaExceeded)));
        }
    }
}
