//! Optional features of the kernel.

/// Which optional features are in use.
///
/// | name | what for | without it |
/// |---|---|---|
/// | `buffer_ring` | the kernel picks a receive buffer when data is there (5.19) | poll, then receive |
/// | `msg_ring` | one core wakes another through the rings (5.18) | a write to an eventfd |
/// | `no_iowait` | a waiting core is not counted as waiting for disk (6.15) | load averages look worse |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    disabled: Vec<String>,
}

impl Features {
    /// Names that `flumen.io.features.disable` takes.
    pub const NAMES: &[&str] = &["buffer_ring", "msg_ring", "no_iowait"];

    /// All features but these; unknown names are an error that lists the known ones.
    pub fn without(disabled: &[String]) -> Result<Features, String> {
        for name in disabled {
            if !Features::NAMES.contains(&name.as_str()) {
                return Err(format!("unknown I/O feature '{name}'; known are {}", Features::NAMES.join(", ")));
            }
        }
        Ok(Features { disabled: disabled.to_vec() })
    }

    /// Why a feature is off, if a setting says so.
    pub(crate) fn reason_off(&self, name: &'static str) -> Option<String> {
        let off = self.disabled.iter().any(|disabled| disabled == name);
        off.then(|| "switched off by flumen.io.features.disable".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_refused() {
        let error = Features::without(&["buffer_rings".into()]).expect_err("unknown");
        assert!(error.contains("buffer_ring,"), "{error}");
        let off = Features::without(&["msg_ring".into()]).expect("known");
        assert!(off.reason_off("msg_ring").is_some() && off.reason_off("no_iowait").is_none());
    }
}
