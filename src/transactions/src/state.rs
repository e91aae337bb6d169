//! The states of a transaction, and which may follow which.

/// Where a transactional id stands. The numbers are those of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub enum State {
    /// It has a producer and no transaction.
    Empty = 0,
    /// A transaction is open.
    Ongoing = 1,
    /// It will be committed: markers are being written.
    PrepareCommit = 2,
    /// It will be aborted: markers are being written.
    PrepareAbort = 3,
    /// It was committed, and all markers are durable.
    CompleteCommit = 4,
    /// It was aborted, and all markers are durable.
    CompleteAbort = 5,
    /// It has expired. Nobody sees an id in this state: it is removed at once.
    Dead = 6,
    /// Its producer is being fenced. Nobody sees it either: the abort follows at once.
    PrepareEpochFence = 7,
}

impl State {
    /// Every state, by number.
    pub const ALL: [State; 8] = [
        State::Empty,
        State::Ongoing,
        State::PrepareCommit,
        State::PrepareAbort,
        State::CompleteCommit,
        State::CompleteAbort,
        State::Dead,
        State::PrepareEpochFence,
    ];

    /// The number in records.
    pub fn id(self) -> i8 {
        self as i8
    }

    /// The state of a number, if there is one.
    pub fn from_id(id: i8) -> Option<State> {
        State::ALL.into_iter().find(|state| state.id() == id)
    }

    /// The name in DescribeTransactions and ListTransactions (KIP-664).
    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::Ongoing => "Ongoing",
            State::PrepareCommit => "PrepareCommit",
            State::PrepareAbort => "PrepareAbort",
            State::CompleteCommit => "CompleteCommit",
            State::CompleteAbort => "CompleteAbort",
            State::Dead => "Dead",
            State::PrepareEpochFence => "PrepareEpochFence",
        }
    }

    /// The state of a name, exactly as [`State::name`] has it.
    pub fn from_name(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether a transaction may go from `previous` to this state.
    pub fn may_follow(self, previous: State) -> bool {
        use State::*;
        match self {
            Empty => previous.is_idle(),
            Ongoing => previous == Ongoing || previous.is_idle(),
            PrepareCommit => previous == Ongoing,
            // With V2 a client that does not know whether it has begun may abort.
            PrepareAbort => matches!(previous, Ongoing | PrepareEpochFence) || previous.is_idle(),
            CompleteCommit => previous == PrepareCommit,
            CompleteAbort => previous == PrepareAbort,
            Dead => previous.is_idle(),
            PrepareEpochFence => previous == Ongoing,
        }
    }

    /// Decided, and markers are not all written.
    pub fn is_prepared(self) -> bool {
        matches!(self, State::PrepareCommit | State::PrepareAbort)
    }

    /// No transaction is open or being ended; the id may expire.
    pub fn is_idle(self) -> bool {
        matches!(self, State::Empty | State::CompleteCommit | State::CompleteAbort)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_kafkas() {
        let names = State::ALL.map(State::name);
        let kafkas = [
            "Empty",
            "Ongoing",
            "PrepareCommit",
            "PrepareAbort",
            "CompleteCommit",
            "CompleteAbort",
            "Dead",
            "PrepareEpochFence",
        ];
        assert_eq!(names, kafkas);
        for (number, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(usize::try_from(state.id()), Ok(number));
            assert_eq!(State::from_id(state.id()), Some(state));
            assert_eq!(State::from_name(state.name()), Some(state));
        }
        assert_eq!((State::from_id(8), State::from_id(-1), State::from_name("ongoing")), (None, None, None));
    }

    #[test]
    fn transitions_are_kafkas() {
        use State::*;
        let allowed: [&[State]; 8] = [
            &[Empty, CompleteCommit, CompleteAbort],
            &[Empty, Ongoing, CompleteCommit, CompleteAbort],
            &[Ongoing],
            &[Empty, Ongoing, CompleteCommit, CompleteAbort, PrepareEpochFence],
            &[PrepareCommit],
            &[PrepareAbort],
            &[Empty, CompleteCommit, CompleteAbort],
            &[Ongoing],
        ];
        for (state, allowed) in State::ALL.into_iter().zip(allowed) {
            for previous in State::ALL {
                assert_eq!(state.may_follow(previous), allowed.contains(&previous), "{previous:?} {state:?}");
            }
        }
    }
}
