//! The history of a run under the checker.

use crate::control::Control;
use checker::{Rules, check};
use sim_driver::World;

/// Anomalies that a failure names; the trace has all.
const NAMED: usize = 3;

/// Judges the history. `complete`: the run came to its end, where everything was read.
///
/// # Errors
/// The first anomalies that must not be; or that a complete run committed nothing.
pub(crate) fn judge(control: &Control, world: &World, complete: bool) -> Result<(), String> {
    let history = control.history.borrow();
    let verdict = check(&history, &Rules::kafka(complete));
    {
        let counts = &mut control.book.borrow_mut().counts;
        counts.judged = history.operations().len() as u64;
        counts.permitted = verdict.permitted.len() as u64;
    }
    for anomaly in &verdict.errors {
        world.note(&format!("the checker: {anomaly}"));
        for place in &anomaly.operations {
            world.note(&format!("  operation {place}: {:?}", history.operations()[*place]));
        }
    }
    if verdict.errors.is_empty() {
        let counts = control.book.borrow().counts;
        return match complete && (counts.committed == 0 || counts.offsets == 0) {
            true => Err(format!("nothing was done that could be judged: {counts}")),
            false => Ok(()),
        };
    }
    let named: Vec<String> = verdict.errors.iter().take(NAMED).map(ToString::to_string).collect();
    Err(format!("the checker found {} anomalies: {}", verdict.errors.len(), named.join("; ")))
}
