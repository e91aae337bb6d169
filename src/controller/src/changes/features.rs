//! Levels of features (KIP-584).

use super::Named;
use super::plan::Plan;
use crate::error::{ControlError, ErrorKind};
use crate::record::Record;
use std::collections::BTreeSet;

/// A feature that this program knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureRange {
    /// Its name, such as `metadata.version`.
    pub name: String,
    /// The lowest level that it can work at; 0 if it can be off.
    pub min: i16,
    /// The highest.
    pub max: i16,
    /// The level of a new cluster.
    pub initial: i16,
}

/// In which direction a level may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeType {
    /// Up, or staying.
    Upgrade,
    /// Down, if nothing is lost.
    SafeDowngrade,
    /// Down, whatever is lost.
    UnsafeDowngrade,
}

/// A feature to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureUpdate {
    /// Its name.
    pub name: String,
    /// The level it shall have; 0 is off.
    pub level: i16,
    /// The direction that is meant.
    pub upgrade: UpgradeType,
}

/// Features to set; all of them or none.
#[derive(Clone, Debug, Default)]
pub struct UpdateFeatures {
    /// The features.
    pub updates: Vec<FeatureUpdate>,
    /// Says what would happen, and does nothing.
    pub validate_only: bool,
}

impl UpdateFeatures {
    pub(super) fn plan(&self, plan: &mut Plan<'_>) -> Result<Vec<Named<()>>, ControlError> {
        plan.check_room(self.updates.len())?;
        let mut seen = BTreeSet::new();
        let mut results = Vec::new();
        for update in &self.updates {
            let problem = if seen.insert(&update.name) {
                problem(update, plan)
            } else {
                Some("The request names it more than once.".to_owned())
            };
            let result = match problem {
                None => Ok(()),
                Some(problem) => Err(ControlError::new(
                    ErrorKind::InvalidUpdateVersion,
                    format!("Feature {} cannot go to level {}. {problem}", update.name, update.level),
                )),
            };
            results.push((update.name.clone(), result));
        }
        let good = results.iter().all(|(_, result)| result.is_ok());
        for update in self.updates.iter().filter(|_| good && !self.validate_only) {
            if plan.image().feature(&update.name) != update.level {
                plan.push(Record::Feature { name: update.name.clone(), level: update.level });
            }
        }
        Ok(results)
    }
}

fn problem(update: &FeatureUpdate, plan: &mut Plan<'_>) -> Option<String> {
    let current = plan.image().feature(&update.name);
    let Some(known) = plan.context().features.iter().find(|known| known.name == update.name) else {
        return Some("No broker of this cluster knows it.".to_owned());
    };
    if update.level != 0 && !(known.min..=known.max).contains(&update.level) || update.level < known.min {
        return Some(format!("The levels from {} to {} are supported.", known.min, known.max));
    }
    match update.upgrade {
        UpgradeType::Upgrade if update.level < current => {
            Some(format!("It is at {current}; going down must be asked for as a downgrade."))
        }
        UpgradeType::SafeDowngrade | UpgradeType::UnsafeDowngrade if update.level > current => {
            Some(format!("It is at {current}, and a downgrade cannot go up."))
        }
        _ => None,
    }
}
