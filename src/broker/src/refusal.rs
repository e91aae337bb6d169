//! Why a client's wish is refused, and changes of metadata whose refusals are told so.

use crate::broker::Broker;
use crate::errors;
use controller::changes::Named;
use controller::{Change, ControlError, Outcome};
use kafka_wire::{ErrorCode, Str};

/// Kafka's error and the words that go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    message: String,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into() }
    }

    /// The request contradicts itself, or asks for what there cannot be.
    pub(crate) fn invalid(message: impl Into<String>) -> Refusal {
        Refusal::new(ErrorCode::InvalidRequest, message)
    }

    /// The fields of a response.
    pub(crate) fn told(self) -> (i16, Option<Str<'static>>) {
        (self.code as i16, Some(self.message.into()))
    }
}

/// With the words that every such error has.
impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Refusal {
        Refusal::new(code, code.message())
    }
}

impl From<ControlError> for Refusal {
    fn from(error: ControlError) -> Refusal {
        Refusal::new(errors::of_control(&error), error.message)
    }
}

/// The fields of a response for what may have gone well: then the code 0 and no words.
pub(crate) fn told<T>(result: Result<T, Refusal>) -> (i16, Option<Str<'static>>) {
    result.map_or_else(Refusal::told, |_| (ErrorCode::None as i16, None))
}

/// Changes metadata; `pick` takes the outcome out of its variant.
pub(crate) async fn change<T>(
    broker: &Broker,
    change: Change,
    pick: impl FnOnce(Outcome) -> Option<T>,
) -> Result<T, Refusal> {
    let outcome = broker.change(change).await?;
    pick(outcome).ok_or_else(|| {
        log::error!("the controller answered a change with the outcome of another");
        ErrorCode::UnknownServerError.into()
    })
}

/// The results of named items; a change that was refused as a whole is refused for each of its names once.
pub(crate) fn each<'a, T>(
    names: impl Iterator<Item = &'a str>,
    result: Result<Vec<Named<T>>, Refusal>,
) -> Vec<(String, Result<T, Refusal>)> {
    match result {
        Ok(results) => {
            results.into_iter().map(|(name, result)| (name, result.map_err(Refusal::from))).collect()
        }
        Err(refusal) => {
            let mut seen = std::collections::HashSet::new();
            let once = names.filter(|name| seen.insert(*name));
            once.map(|name| (name.to_owned(), Err(refusal.clone()))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use controller::ErrorKind;

    #[test]
    fn a_controllers_error_keeps_its_words() {
        let refusal = Refusal::from(ControlError::new(ErrorKind::InvalidConfig, "no such key"));
        assert_eq!(told::<()>(Err(refusal)), (40, Some("no such key".into())));
        assert_eq!(told(Ok(1)), (0, None));
    }

    #[test]
    fn what_is_refused_as_a_whole_is_refused_for_each_name_once() {
        let refusal = Refusal::from(ErrorCode::NotController);
        let each = each::<()>(["a", "b", "a"].into_iter(), Err(refusal.clone()));
        assert_eq!(each, [("a".to_owned(), Err(refusal.clone())), ("b".to_owned(), Err(refusal))]);
    }
}
