//! UpdateFeatures: sets the levels of features (KIP-584).

use crate::broker::Broker;
use crate::refusal::{Refusal, change, told};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::changes::{FeatureUpdate, Named, UpdateFeatures, UpgradeType};
use controller::{Change, Outcome};
use kafka_wire::ErrorCode;
use kafka_wire::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};
use kafka_wire::messages::update_features_response::{UpdatableFeatureResult, UpdateFeaturesResponse};
use network::Answer;
use std::rc::Rc;

/// Sets all of the levels or none, or says what would become of it; the first refusal is that of the whole.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: UpdateFeaturesRequest<'_> = decoded(request, request.decode())?;
    let result = update(broker, request.version, &asked).await;
    Ok(answer(request, &response(&asked, result)))
}

async fn update(broker: &Broker, version: i16, asked: &UpdateFeaturesRequest<'_>) -> Result<(), Refusal> {
    let updates =
        asked.feature_updates.iter().map(|key| wanted(version, key)).collect::<Result<Vec<_>, Refusal>>()?;
    let wanted = Change::UpdateFeatures(UpdateFeatures { updates, validate_only: asked.validate_only });
    let results = change(broker, wanted, |outcome| match outcome {
        Outcome::UpdateFeatures(results) => Some(results),
        _ => None,
    });
    first_refusal(results.await?)
}

fn wanted(version: i16, key: &FeatureUpdateKey<'_>) -> Result<FeatureUpdate, Refusal> {
    let upgrade = match (version, key.upgrade_type) {
        (0, _) if key.allow_downgrade => UpgradeType::SafeDowngrade,
        (0, _) | (_, 1) => UpgradeType::Upgrade,
        (_, 2) => UpgradeType::SafeDowngrade,
        (_, 3) => UpgradeType::UnsafeDowngrade,
        (_, other) => {
            let message = format!("Feature {}: there is no upgrade type {other}.", key.feature);
            return Err(Refusal::new(ErrorCode::InvalidUpdateVersion, message));
        }
    };
    Ok(FeatureUpdate { name: key.feature.to_string(), level: key.max_version_level, upgrade })
}

fn first_refusal(results: Vec<Named<()>>) -> Result<(), Refusal> {
    results.into_iter().try_for_each(|(_, result)| result.map_err(Refusal::from))
}

/// Since all features share their fate, each is told the result of the whole.
fn response<'a>(
    asked: &'a UpdateFeaturesRequest<'_>,
    result: Result<(), Refusal>,
) -> UpdateFeaturesResponse<'a> {
    let (error_code, error_message) = told(result);
    let results = asked.feature_updates.iter().map(|key| UpdatableFeatureResult {
        feature: key.feature.as_ref().into(),
        error_code,
        error_message: error_message.clone(),
    });
    let results = results.collect();
    UpdateFeaturesResponse { error_code, error_message, results, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use controller::{ControlError, ErrorKind};

    #[test]
    fn directions_by_version() {
        let of = |version, allow_downgrade, upgrade_type| {
            let key =
                FeatureUpdateKey { feature: "f".into(), max_version_level: 1, allow_downgrade, upgrade_type };
            wanted(version, &key).map(|update| update.upgrade).map_err(|refusal| refusal.code)
        };
        assert_eq!(
            (of(0, false, 1), of(0, true, 1)),
            (Ok(UpgradeType::Upgrade), Ok(UpgradeType::SafeDowngrade))
        );
        let told = [0, 1, 2, 3, 4].map(|kind| of(2, false, kind).ok());
        let known =
            [UpgradeType::Upgrade, UpgradeType::SafeDowngrade, UpgradeType::UnsafeDowngrade].map(Some);
        assert_eq!((told[0], &told[1..4], told[4]), (None, &known[..], None));
        assert_eq!(of(1, false, 0), Err(ErrorCode::InvalidUpdateVersion));
    }

    #[test]
    fn one_refusal_is_that_of_all() {
        let key = |feature: &'static str| FeatureUpdateKey { feature: feature.into(), ..Default::default() };
        let asked = UpdateFeaturesRequest { feature_updates: vec![key("a"), key("b")], ..Default::default() };
        let bad = ControlError::new(ErrorKind::InvalidUpdateVersion, "b cannot");
        let result = first_refusal(vec![("a".to_owned(), Ok(())), ("b".to_owned(), Err(bad))]);
        let refused = response(&asked, result);
        assert_eq!((refused.error_code, refused.error_message.as_deref()), (95, Some("b cannot")));
        assert!(refused.results.iter().all(|one| one.error_code == 95) && refused.results.len() == 2);
        let done = response(&asked, first_refusal(vec![("a".to_owned(), Ok(())), ("b".to_owned(), Ok(()))]));
        assert_eq!((done.error_code, done.error_message, done.results.len()), (0, None, 2));
    }
}
