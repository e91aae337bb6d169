//! Optional features of the kernel.

/// Which optional features are in use.
///
/// A ring as ours is made only since Linux 6.1, and most of these are older; they are asked for all the same, since who
/// builds or patches a kernel may leave out or add what its version does not say. Kinds of requests (`msg_ring`,
/// `send_zc`) are in the list that the kernel gives of them. Flags of requests (`multishot_accept`,
/// `multishot_receive`) are in no list: each is tried, on a handle that is none. `no_iowait` is a bit that the kernel
/// sets when the ring is made. Memory is advised to be in `huge_pages`, unless the system says never. What must be
/// registered is registered, and the data directory's device is asked about `direct_io`. A `time_slice` is asked for,
/// and then whether it holds.
///
/// | name | what for | without it |
/// |---|---|---|
/// | `buffer_ring` | the kernel picks a receive buffer when data is there (5.19) | poll, then receive |
/// | `direct_io` | file data past the page cache, in the units that the device asks for | through the page cache |
/// | `huge_pages` | the pool in pages of 2 MiB, so that a device gets large pieces (2.6.38) | in pages of 4 KiB |
/// | `msg_ring` | one core wakes another through the rings (5.18) | a write to an eventfd |
/// | `multishot_accept` | a listening socket is armed once for many connections (5.19) | one accept a connection |
/// | `multishot_receive` | a socket that keeps receiving little is armed once (6.0) | one receive at a time |
/// | `no_iowait` | a waiting core is not counted as waiting for disk (6.15) | load averages look worse |
/// | `registered_buffers` | the pool is pinned once and not with each file operation | pages are pinned each time |
/// | `registered_files` | requests name files by the ring's own table | by the process's table |
/// | `send_zc` | large sends without a copy, where the network allows it (6.1) | every send copies |
/// | `time_slice` | the kernel's flushing workers interrupt a busy core (6.12) | they wait for milliseconds |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    enabled: Vec<String>,
    disabled: Vec<String>,
}

impl Features {
    /// Names that `flumen.io.features.enable` and `flumen.io.features.disable` take.
    pub const NAMES: &[&str] = &[
        "buffer_ring",
        "direct_io",
        "huge_pages",
        "msg_ring",
        "multishot_accept",
        "multishot_receive",
        "no_iowait",
        "registered_buffers",
        "registered_files",
        "send_zc",
        "time_slice",
    ];

    /// Features that are used only if they are switched on: `docs/decisions` says why.
    pub const OFF_BY_DEFAULT: &[&str] = &["registered_files"];

    /// Those that are on by default and those in `enabled`, but none in `disabled`. Unknown names are an error that
    /// lists the known ones.
    pub fn new(enabled: &[String], disabled: &[String]) -> Result<Features, String> {
        for name in enabled.iter().chain(disabled) {
            if !Features::NAMES.contains(&name.as_str()) {
                let known = Features::NAMES.join(", ");
                return Err(format!("unknown I/O feature '{name}'; known are {known}"));
            }
        }
        Ok(Features { enabled: enabled.to_vec(), disabled: disabled.to_vec() })
    }

    /// Why a feature is off, if a setting or its default says so.
    pub(crate) fn reason_off(&self, name: &'static str) -> Option<String> {
        let named = |list: &[String]| list.iter().any(|one| one == name);
        if named(&self.disabled) {
            return Some("switched off by flumen.io.features.disable".to_owned());
        }
        let off = Features::OFF_BY_DEFAULT.contains(&name) && !named(&self.enabled);
        off.then(|| "by default".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(enabled: &[&str], disabled: &[&str]) -> Result<Features, String> {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        Features::new(&owned(enabled), &owned(disabled))
    }

    #[test]
    fn unknown_names_are_refused() {
        let error = features(&[], &["buffer_rings"]).expect_err("unknown");
        assert!(error.contains("buffer_ring,"), "{error}");
        assert!(features(&["none"], &[]).is_err());
    }

    #[test]
    fn every_name_is_documented() {
        let page = include_str!("../../../docs/configuration.md");
        for name in Features::NAMES {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn settings_win_over_defaults_and_off_over_on() {
        let off = features(&[], &["msg_ring"]).expect("known");
        assert!(off.reason_off("msg_ring").is_some() && off.reason_off("no_iowait").is_none());
        for name in Features::OFF_BY_DEFAULT {
            assert_eq!(Features::default().reason_off(name).as_deref(), Some("by default"));
            assert_eq!(features(&[name], &[]).expect("known").reason_off(name), None);
            assert!(features(&[name], &[name]).expect("known").reason_off(name).is_some());
        }
    }
}
