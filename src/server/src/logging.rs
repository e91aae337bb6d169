//! The log: a line an event on standard error, with time, level and where it comes from.

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

struct Lines;

static LINES: Lines = Lines;

/// Begins to log. `FLUMEN_LOG` sets the level: error, warn, info (the default), debug, trace.
pub(crate) fn begin() {
    let level = std::env::var("FLUMEN_LOG").ok().and_then(|text| text.parse().ok());
    if log::set_logger(&LINES).is_ok() {
        log::set_max_level(level.unwrap_or(LevelFilter::Info));
    }
}

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = match record.level() {
                Level::Error => "ERROR",
                Level::Warn => "WARN ",
                Level::Info => "INFO ",
                Level::Debug => "DEBUG",
                Level::Trace => "TRACE",
            };
            let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
            let (time, target, args) = (time(millis as u64), record.target(), record.args());
            // A broker goes on though nobody reads its log any more; `eprintln!` would be a panic.
            let _ = writeln!(io::stderr(), "{time} {level} {target}: {args}");
        }
    }

    fn flush(&self) {}
}

/// Milliseconds since 1970 as RFC 3339 in UTC. The date by Howard Hinnant's civil_from_days.
fn time(millis: u64) -> String {
    let (seconds, days) = (millis / 1000 % 86_400, (millis / 86_400_000) as i64);
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        millis % 1000
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_dates() {
        assert_eq!(super::time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(super::time(951_827_696_789), "2000-02-29T12:34:56.789Z");
        assert_eq!(super::time(1_795_392_000_000), "2026-11-23T00:00:00.000Z");
    }
}
