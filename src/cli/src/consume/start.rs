//! Where to begin to read.

use crate::failure::Failure;
use crate::timestamp::{now_ms, parse};
use client::{Client, OffsetAt};
use std::str::FromStr;

/// A place in a topic, as given by `--from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The first record that is still there.
    Beginning,
    /// Only what comes from now on.
    End,
    /// This offset.
    Offset(i64),
    /// The first record that is not older; milliseconds since 1970.
    Time(i64),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<From, String> {
        match text {
            "beginning" => return Ok(From::Beginning),
            "end" => return Ok(From::End),
            _ => {}
        }
        if let Ok(offset) = text.parse::<u64>() {
            return i64::try_from(offset).map(From::Offset).map_err(|_| "no offset is so large".to_owned());
        }
        parse(text, now_ms()).map(From::Time).ok_or_else(|| {
            "expected `beginning`, `end`, an offset such as 42, a time such as 2026-01-31T12:00:00Z, or an \
             age such as 15m"
                .to_owned()
        })
    }
}

impl From {
    /// The offset to begin at in each partition.
    pub(crate) fn resolve(
        self,
        client: &mut Client,
        topic: &str,
        partitions: &[i32],
    ) -> Result<Vec<(i32, i64)>, Failure> {
        let at = match self {
            From::Offset(offset) => return Ok(partitions.iter().map(|&id| (id, offset)).collect()),
            From::Beginning => OffsetAt::Beginning,
            From::End => OffsetAt::End,
            From::Time(time) => OffsetAt::Time(time),
        };
        let mut found = client.offsets(topic, partitions, at)?;
        // Where nothing is as young as the time, reading begins with what comes next.
        let old = found.iter().filter(|answer| answer.offset < 0).map(|answer| answer.partition);
        let old: Vec<i32> = old.collect();
        if !old.is_empty() {
            found.retain(|answer| answer.offset >= 0);
            found.extend(client.offsets(topic, &old, OffsetAt::End)?);
        }
        Ok(found.iter().map(|answer| (answer.partition, answer.offset)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!("beginning".parse(), Ok(From::Beginning));
        assert_eq!("end".parse(), Ok(From::End));
        assert_eq!("42".parse(), Ok(From::Offset(42)));
        assert_eq!("2026-01-31".parse(), Ok(From::Time(1_769_817_600_000)));
        assert!(matches!("15m".parse(), Ok(From::Time(time)) if time > 1_600_000_000_000));
        for text in ["", "-1", "start", "18446744073709551615", "15x"] {
            assert!(text.parse::<From>().is_err(), "{text}");
        }
    }
}
