//! How far a long replay has come: a line now and then.

use base::Instant;
use std::path::Path;
use std::time::Duration;

/// A line at most so often, and the first after so long: of a quick start nobody needs one.
const INTERVAL: Duration = Duration::from_secs(2);

/// When the next line is due.
pub(crate) struct Told {
    next: Instant,
}

impl Told {
    /// For work that begins now.
    pub fn new() -> Told {
        Told { next: executor::now() + INTERVAL }
    }

    /// So many of all commits of a journal are replayed, the last of this file. Says so if it is time, and whether it was.
    pub fn replayed(&mut self, file: &Path, commits: usize, all: usize) -> bool {
        let now = executor::now();
        if now < self.next {
            return false;
        }
        self.next = now + INTERVAL;
        log::info!("recovering: {commits} of {all} commits are replayed, up to {}", file.display());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Rig;
    use executor::sleep;

    #[test]
    fn a_line_comes_every_two_seconds_and_none_before() {
        let mut rig = Rig::new(730);
        let run = rig.begin();
        rig.run(&run, async {
            let mut told = Told::new();
            let mut lines = Vec::new();
            for tenth in 0..65 {
                if told.replayed(Path::new("/data/shard-0/journal/0.journal"), tenth, 65) {
                    lines.push(tenth);
                }
                sleep(Duration::from_millis(100)).await;
            }
            // Timers may be a little late.
            assert_eq!(lines.len(), 3, "{lines:?}");
            assert!(lines[0] >= 19 && lines.windows(2).all(|two| two[1] - two[0] >= 19), "{lines:?}");
        });
    }
}
