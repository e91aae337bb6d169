//! `flumen group describe`.

use super::find;
use crate::args::{BrokerArgs, OutputArgs};
use crate::failure::Failure;
use crate::output::Output;
use clap::Args;
use client::groups::{GroupMember, GroupOffsets, ListedGroup};
use client::{Client, OffsetAt};
use kafka_wire::ErrorCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `flumen group describe`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flumen group describe billing
  flumen group describe billing --output json | jq '[.offsets[].lag] | add'   # how far it is behind")]
pub struct DescribeArgs {
    /// Id of the group
    group: String,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// How far a group is in a partition.
#[derive(Debug, PartialEq, Eq)]
struct Progress {
    topic: String,
    partition: i32,
    committed: i64,
    /// `None` if the topic is gone.
    end: Option<i64>,
}

impl Progress {
    /// Records that the group has not read yet, counted by their offsets.
    fn lag(&self) -> Option<i64> {
        self.end.map(|end| end.saturating_sub(self.committed).max(0))
    }
}

pub(super) fn run(args: &DescribeArgs) -> Result<(), Failure> {
    let mut client = args.broker.connect()?;
    let Some(group) = find(&mut client, &args.group)? else {
        let what = format!("there is no group {}", args.group);
        return Err(Failure::other(what, "`flumen group list` shows what there is"));
    };
    let members = client.group_members(&group)?;
    let committed = match group.kind.eq_ignore_ascii_case("share") {
        true => client.share_positions(&group.group)?,
        false => client.group_offsets(&group.group)?,
    };
    let progress = look(&mut client, committed)?;
    let mut output = Output::stdout();
    match args.output.is_json() {
        true => output.pretty_json(&to_json(&group, &members, &progress))?,
        false => print(&mut output, &group, &members, &progress)?,
    }
    output.flush()
}

/// Asks how far each topic goes; of one that is gone the group's offsets are still shown.
fn look(client: &mut Client, committed: GroupOffsets) -> Result<Vec<Progress>, Failure> {
    let mut by_topic: BTreeMap<String, Vec<(i32, i64)>> = BTreeMap::new();
    for ((topic, partition), offset) in committed {
        by_topic.entry(topic).or_default().push((partition, offset));
    }
    let mut all = Vec::new();
    for (topic, offsets) in by_topic {
        let partitions: Vec<i32> = offsets.iter().map(|&(partition, _)| partition).collect();
        let ends: BTreeMap<i32, i64> = match client.offsets(&topic, &partitions, OffsetAt::End) {
            Ok(ends) => ends.iter().map(|end| (end.partition, end.offset)).collect(),
            Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => BTreeMap::new(),
            Err(error) => return Err(error.into()),
        };
        all.extend(offsets.into_iter().map(|(partition, committed)| Progress {
            topic: topic.clone(),
            partition,
            committed,
            end: ends.get(&partition).copied(),
        }));
    }
    Ok(all)
}

fn print(
    output: &mut Output,
    group: &ListedGroup,
    members: &[GroupMember],
    progress: &[Progress],
) -> Result<(), Failure> {
    output.line(format!("Group {}", group.group))?;
    output.line(format!("{}, protocol {}, members: {}", group.state, group.kind, members.len()))?;
    if !members.is_empty() {
        let rows = members.iter().map(|one| vec![one.member.clone(), one.client.clone(), one.host.clone()]);
        output.table(&["MEMBER", "CLIENT", "HOST"], &rows.collect::<Vec<_>>())?;
    }
    if progress.is_empty() {
        return output.line("Nothing is committed.");
    }
    let number = |number: Option<i64>| number.map_or("-".to_owned(), |number| number.to_string());
    let rows = progress.iter().map(|one| {
        vec![
            one.topic.clone(),
            one.partition.to_string(),
            one.committed.to_string(),
            number(one.end),
            number(one.lag()),
        ]
    });
    output.table(&["TOPIC", "PARTITION", "COMMITTED", "END OFFSET", "LAG"], &rows.collect::<Vec<_>>())
}

fn to_json(group: &ListedGroup, members: &[GroupMember], progress: &[Progress]) -> Value {
    let members =
        members.iter().map(|one| json!({ "member": one.member, "client": one.client, "host": one.host }));
    let offsets = progress.iter().map(|one| {
        json!({
            "topic": one.topic,
            "partition": one.partition,
            "committed": one.committed,
            "end_offset": one.end,
            "lag": one.lag(),
        })
    });
    json!({
        "group": group.group,
        "state": group.state,
        "type": group.kind,
        "protocol": group.protocol,
        "members": members.collect::<Vec<_>>(),
        "offsets": offsets.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_what_is_left_to_read() {
        let lag = |committed, end| Progress { topic: "t".to_owned(), partition: 0, committed, end }.lag();
        assert_eq!((lag(3, Some(10)), lag(10, Some(10))), (Some(7), Some(0)));
        // A topic that was made anew may end before what was committed of the old one.
        assert_eq!((lag(11, Some(10)), lag(3, None)), (Some(0), None));
    }
}
