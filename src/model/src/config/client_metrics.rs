//! Configuration of client metrics subscriptions.

use super::key::{Key, keys};

keys! {
    /// Every key of a subscription, by name.
    pub static CLIENT_METRICS: &[Key];

    "interval.ms" Int = "300000" [Medium cluster_wide honoured]
        "Milliseconds between two pushes of metrics by a client that matches this subscription.";
    "match" List = "" [Medium cluster_wide honoured any_of(&[])]
        "Which clients this subscription is for: `name=pattern` selectors on client id, instance id, \
         software, version, address or port. All must match; none means every client.";
    "metrics" List = "" [Medium cluster_wide honoured any_of(&[])]
        "Prefixes of the metric names that matching clients shall push; `*` asks for all and an empty \
         list for none.";
}
