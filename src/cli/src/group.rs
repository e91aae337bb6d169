//! `flumen group`: list, describe, reset, delete.

mod describe;
mod reset;

use crate::args::{BrokerArgs, OutputArgs};
use crate::failure::Failure;
use crate::output::{Output, delete_each};
use clap::{Args, Subcommand};
use client::Client;
use client::groups::ListedGroup;
use serde_json::json;

pub use describe::DescribeArgs;
pub use reset::{ResetArgs, To};

/// What to do with consumer groups.
#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// List the groups
    List(ListArgs),
    /// Show a group's members, what it has committed, and how far it is behind
    Describe(DescribeArgs),
    /// Let a group without members go on elsewhere in a topic
    Reset(ResetArgs),
    /// Delete groups without members, and all that they have committed
    Delete(DeleteArgs),
}

/// `flumen group list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flumen group list
  flumen group list --output json | jq -r '.[] | select(.state == \"Empty\").group'")]
pub struct ListArgs {
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// `flumen group delete`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flumen group delete billing
  flumen group delete billing shipping")]
pub struct DeleteArgs {
    /// Ids of the groups
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn run(command: GroupCommand) -> Result<(), Failure> {
    match command {
        GroupCommand::List(args) => list(&args),
        GroupCommand::Describe(args) => describe::run(&args),
        GroupCommand::Reset(args) => reset::run(&args),
        GroupCommand::Delete(args) => delete(&args),
    }
}

fn list(args: &ListArgs) -> Result<(), Failure> {
    let groups = args.broker.connect()?.groups()?;
    let mut output = Output::stdout();
    if args.output.is_json() {
        let groups = groups.iter().map(|group| {
            json!({
                "group": group.group,
                "state": group.state,
                "type": group.kind,
                "protocol": group.protocol,
            })
        });
        output.pretty_json(&groups.collect())?;
    } else {
        // Bare ids, so that a shell can loop over them.
        groups.iter().try_for_each(|group| output.line(&group.group))?;
    }
    output.flush()
}

fn delete(args: &DeleteArgs) -> Result<(), Failure> {
    let mut client = args.broker.connect()?;
    delete_each("group", &args.groups, args.output, |group| client.delete_group(group))
}

/// The group of this id, if there is one.
fn find(client: &mut Client, id: &str) -> Result<Option<ListedGroup>, Failure> {
    Ok(client.groups()?.into_iter().find(|group| group.group == id))
}
