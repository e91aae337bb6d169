//! DescribeUserScramCredentials: how users may prove who they are (KIP-554). There are no credentials, so it says what
//! a Kafka without any says. `kafka-configs --describe --entity-type users` asks, besides for quotas.
//!
//! AlterUserScramCredentials is not served, and ApiVersions does not show it: where nothing is kept, no answer that
//! Kafka has for it would be true.

use crate::broker::Broker;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use kafka_wire::ErrorCode;
use kafka_wire::messages::describe_user_scram_credentials_request::{
    DescribeUserScramCredentialsRequest, UserName,
};
use kafka_wire::messages::describe_user_scram_credentials_response::{
    DescribeUserScramCredentialsResponse, DescribeUserScramCredentialsResult,
};
use network::Answer;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Users that are looked at between two looks at other work.
const PORTION: usize = 1024;

/// RESOURCE_NOT_FOUND for each user that is named, DUPLICATE_RESOURCE for one that is named more than once; who asks
/// for all is told that there is none.
pub async fn handle(_: Rc<Broker>, request: Request) -> Answer {
    answered(run(&request)).await
}

async fn run(request: &Request) -> Result<Answer, Answer> {
    let asked: DescribeUserScramCredentialsRequest<'_> = decoded(request, request.decode())?;
    let mut times: BTreeMap<&str, u32> = BTreeMap::new();
    for users in asked.users.iter().flat_map(|users| users.chunks(PORTION)) {
        count(users, &mut times);
        if users.len() == PORTION {
            executor::yield_now().await;
        }
    }
    let results = times.into_iter().map(|(user, times)| result(user, times)).collect();
    Ok(answer(request, &DescribeUserScramCredentialsResponse { results, ..Default::default() }))
}

fn count<'a>(users: &'a [UserName<'_>], times: &mut BTreeMap<&'a str, u32>) {
    for user in users {
        *times.entry(&user.name).or_default() += 1;
    }
}

fn result(user: &str, times: u32) -> DescribeUserScramCredentialsResult<'_> {
    let (code, message) = match times {
        1 => (ErrorCode::ResourceNotFound, "There are no SCRAM credentials of this user."),
        _ => (ErrorCode::DuplicateResource, "The request names this user more than once."),
    };
    DescribeUserScramCredentialsResult {
        user: user.into(),
        error_code: code.code(),
        error_message: Some(message.into()),
        credential_infos: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_one_result() {
        let users = ["b", "a", "b", "", "c"].map(|name| UserName { name: name.into() });
        let mut times = BTreeMap::new();
        count(&users[..2], &mut times);
        count(&users[2..], &mut times);
        let results: Vec<_> = times.into_iter().map(|(user, times)| result(user, times)).collect();
        let told: Vec<(&str, i16)> = results.iter().map(|one| (&*one.user, one.error_code)).collect();
        assert_eq!(told, [("", 91), ("a", 91), ("b", 92), ("c", 91)]);
        assert!(results.iter().all(|one| one.error_message.is_some() && one.credential_infos.is_empty()));
    }
}
