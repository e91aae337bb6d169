//! What the machine gives: cores, descriptors, room on disk.

use broker::Space;
use rustix::fs::statvfs;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::path::Path;

/// Descriptors below which the log warns.
const DESCRIPTORS_WANTED: u64 = 65_536;
/// Descriptors without which it makes no sense to start.
const DESCRIPTORS_NEEDED: u64 = 256;

/// The cores to run on: those asked for, or all that the process may use.
pub(crate) fn cores(wanted: &[u16]) -> Result<Vec<usize>, String> {
    let allowed =
        sched_getaffinity(None).map_err(|error| format!("cannot ask for the process's cores: {error}"))?;
    let may_use: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect();
    if wanted.is_empty() {
        return Ok(may_use);
    }
    for core in wanted {
        if !may_use.contains(&usize::from(*core)) {
            return Err(format!(
                "core {core} was asked for, but this process may use only {}: change --cores",
                list(&may_use)
            ));
        }
    }
    Ok(wanted.iter().map(|core| usize::from(*core)).collect())
}

/// Cores as people write them: `0-3,6`.
pub(crate) fn list(cores: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &core in cores {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == core => *end = core,
            _ => ranges.push((core, core)),
        }
    }
    let texts: Vec<String> = ranges
        .into_iter()
        .map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") })
        .collect();
    texts.join(",")
}

/// So many cores, in words.
pub(crate) fn counted(cores: usize) -> String {
    match cores {
        1 => "1 core".to_owned(),
        _ => format!("{cores} cores"),
    }
}

/// Keeps the calling thread on one core.
pub(crate) fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    if let Err(error) = sched_setaffinity(None, &set) {
        log::warn!("this thread cannot be kept on core {core}: {error}; it runs where the system puts it");
    }
}

/// Keeps the calling thread off these cores, if the process may use others.
pub(crate) fn keep_off(cores: &[usize]) {
    let Ok(mut set) = sched_getaffinity(None) else { return };
    cores.iter().for_each(|&core| set.unset(core));
    if set.count() > 0
        && let Err(error) = sched_setaffinity(None, &set)
    {
        log::debug!("a thread that is to leave the cores alone cannot be kept off them: {error}");
    }
}

/// Where the system says which nodes it has, each with memory that is nearer to its own cores: `0` or `0-1`. A kernel
/// that knows of none says nothing.
const NODES: &str = "/sys/devices/system/node/online";

/// All memory is as near to one core as to another, as far as the system says.
pub(crate) fn has_one_node() -> bool {
    std::fs::read_to_string(NODES).ok().is_none_or(|nodes| is_one(&nodes))
}

/// Numbers as the kernel writes them are a single one.
fn is_one(numbers: &str) -> bool {
    numbers.trim().parse::<usize>().is_ok()
}

/// Raises the limit on descriptors as far as it goes. Too few for connections is said, too few to start with is
/// refused.
pub(crate) fn raise_descriptors() -> Result<(), String> {
    let limit = getrlimit(Resource::Nofile);
    let maximum = limit.maximum.unwrap_or(u64::MAX);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(_) => limit.current.unwrap_or(u64::MAX),
    };
    if now < DESCRIPTORS_NEEDED {
        return Err(format!(
            "the process may open only {now} files, {DESCRIPTORS_NEEDED} are needed: raise the limit (ulimit -n, LimitNOFILE= of a systemd unit)"
        ));
    }
    if now < DESCRIPTORS_WANTED {
        log::warn!(
            "the process may open only {now} files and connections: raise the limit (ulimit -n, LimitNOFILE=) for more than a few thousand clients"
        );
    }
    Ok(())
}

/// Measures the file system that a directory is on. If it cannot be asked, the last measurement stays.
pub(crate) fn measure(directory: &Path, space: &Space) {
    match statvfs(directory) {
        Ok(told) => {
            let bytes = |blocks: u64| blocks.saturating_mul(told.f_frsize);
            space.tell(bytes(told.f_blocks), bytes(told.f_bavail));
        }
        Err(error) => {
            log::debug!("cannot ask how large the file system of {} is: {error}", directory.display())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_has_a_size() {
        let space = Space::default();
        measure(Path::new("/no/such/directory"), &space);
        assert_eq!((space.total_bytes(), space.usable_bytes()), (-1, -1));
        measure(&std::env::temp_dir(), &space);
        assert!(space.total_bytes() > 0);
        assert!((0..=space.total_bytes()).contains(&space.usable_bytes()));
    }

    #[test]
    fn cores_are_listed_in_ranges() {
        assert_eq!(list(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(list(&[]), "");
    }

    #[test]
    fn one_core_is_not_called_cores() {
        assert_eq!([1, 2].map(counted), ["1 core", "2 cores"]);
    }

    #[test]
    fn one_node_is_told_from_several() {
        assert!(is_one("0\n") && is_one("12\n"));
        assert!(!is_one("0-1\n") && !is_one("0,2\n"));
    }

    #[test]
    fn a_core_that_is_not_there_is_refused() {
        let error = cores(&[999]).expect_err("no such core");
        assert!(error.contains("core 999") && error.contains("--cores"), "{error}");
        assert!(!cores(&[]).expect("some").is_empty());
    }
}
