//! ListTransactions: the transactional ids of this node, by state, producer, age and name (KIP-664, 994, 1152).

use crate::broker::Broker;
use crate::coordinators::ask_transactions;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use kafka_wire::ErrorCode;
use kafka_wire::messages::list_transactions_request::ListTransactionsRequest;
use kafka_wire::messages::list_transactions_response::ListTransactionsResponse;
use network::Answer;
use regex::{Regex, RegexBuilder};
use std::rc::Rc;
use transactions::wire;

/// Memory that a pattern may take.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Answers with what is durable. If a coordinator is still being loaded, that is the answer: a list that lacks ids
/// would be taken for the whole.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: ListTransactionsRequest<'_> = decoded(request, request.decode())?;
    let (filter, unknown_state_filters) = wire::list_filter(&asked);
    let found = match pattern(asked.transactional_id_pattern.as_deref()) {
        Ok(pattern) => ask_transactions::list(broker, &filter, pattern.as_ref()).await,
        Err(code) => Err(code),
    };
    let response = match &found {
        Ok(listed) => ListTransactionsResponse {
            unknown_state_filters,
            transaction_states: listed.iter().map(wire::listed).collect(),
            ..Default::default()
        },
        Err(code) => ListTransactionsResponse { error_code: code.code(), ..Default::default() },
    };
    Ok(answer(request, &response))
}

/// The pattern that an id must match as a whole. Kafka's are those of RE2, and so are these, nearly.
fn pattern(text: Option<&str>) -> Result<Option<Regex>, ErrorCode> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let build = |text: &str| RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build();
    // By itself it must be one, too: it could close the group that is put around it.
    match (build(&format!("^(?:{text})$")), build(text)) {
        (Ok(built), Ok(_)) => Ok(Some(built)),
        _ => Err(ErrorCode::InvalidRegularExpression),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_ids() {
        let matches = |text, id: &str| {
            pattern(Some(text)).expect("a pattern").is_none_or(|pattern| pattern.is_match(id))
        };
        assert!(matches("a.*|b", "abc") && matches("a.*|b", "b") && !matches("a.*|b", "xb"));
        assert!(matches("", "anything"));
        assert!(pattern(None).expect("none").is_none());
        for bad in ["(", "a)(b", "[", "a{100000}{100000}"] {
            assert_eq!(pattern(Some(bad)).err(), Some(ErrorCode::InvalidRegularExpression), "{bad}");
        }
    }
}
