//! ListTransactions: the transactional ids of this node, by state, producer, age and name (KIP-664, 994, 1152).

use crate::broker::Broker;
use crate::coordinators::ask_transactions;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use executor::yield_now;
use kafka_wire::ErrorCode;
use kafka_wire::messages::list_transactions_request::ListTransactionsRequest;
use kafka_wire::messages::list_transactions_response::ListTransactionsResponse;
use network::Answer;
use regex::{Regex, RegexBuilder};
use std::rc::Rc;
use transactions::{Listed, wire};

/// The most bytes of a pattern's text; how long its compiling holds the core depends on it. Kafka has no limit.
const PATTERN_TEXT_MAX: usize = 1 << 10;
/// The most memory of a compiled pattern. An expression of the library never goes back over what it has read, but
/// for each byte it may look at all of the pattern.
const PATTERN_BYTES_MAX: usize = 256 << 10;
/// After so many bytes of ids that are matched the core is given to others: the worst pattern needs some 30 us for
/// each.
const PORTION_BYTES: usize = 64;

/// Answers with what is durable. If a coordinator is still being loaded, that is the answer: a list that lacks ids
/// would be taken for the whole.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: ListTransactionsRequest<'_> = decoded(request, request.decode())?;
    let (filter, unknown_state_filters) = wire::list_filter(&asked);
    let found = match pattern(asked.transactional_id_pattern.as_deref()) {
        Ok(pattern) => matching(ask_transactions::list(broker, &filter).await, pattern).await,
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

/// What of a list matches a pattern, if there is one.
async fn matching(
    found: Result<Vec<Listed>, ErrorCode>,
    pattern: Option<Regex>,
) -> Result<Vec<Listed>, ErrorCode> {
    let Some(pattern) = pattern else { return found };
    let (mut kept, mut bytes) = (Vec::new(), 0);
    for listed in found? {
        bytes += listed.transactional_id.len();
        if pattern.is_match(&listed.transactional_id) {
            kept.push(listed);
        }
        if bytes >= PORTION_BYTES {
            bytes = 0;
            yield_now().await;
        }
    }
    Ok(kept)
}

/// The pattern that an id must match as a whole. Kafka's are those of RE2, and so are these, nearly: neither knows
/// references back or looks around, and both need time in proportion to the id.
fn pattern(text: Option<&str>) -> Result<Option<Regex>, ErrorCode> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.len() > PATTERN_TEXT_MAX {
        return Err(ErrorCode::InvalidRegularExpression);
    }
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
        let long = "a".repeat(PATTERN_TEXT_MAX + 1);
        let large = r"(?i:\pL{1,50}){1,50}";
        for bad in ["(", "a)(b", "[", "a{100000}{100000}", r"(a)\1", "(?=a)", large, &long] {
            assert_eq!(pattern(Some(bad)).err(), Some(ErrorCode::InvalidRegularExpression), "{bad}");
        }
        // Patterns that people write.
        for good in [r"orders-\d+", "^(billing|orders)-.{1,40}$", r"[\w.-]*", &long[1..]] {
            assert!(pattern(Some(good)).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_would_take_for_ever_elsewhere_takes_a_moment() {
        let bad = pattern(Some("(a+)+b")).expect("a pattern").expect("one");
        assert!(!bad.is_match(&"a".repeat(30_000)));
    }
}
