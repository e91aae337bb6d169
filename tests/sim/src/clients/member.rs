//! A member of a group: it joins, polls, commits, leaves, and now and then is not heard of for longer than its session
//! lasts, and then goes on as if it had been there.
//!
//! Where its partitions come from is in [`classic`](super::classic) and [`modern`](super::modern); what is special
//! about static members is in [`statics`](super::statics).

use super::Client;
use super::coordinated::{OF_GROUPS, OF_TRANSACTIONS, Said, partition, time};
use super::polling::{as_poll, fetch};
use super::transaction::Producer;
use super::{classic, modern, statics, transform};
use crate::book::Place;
use crate::control::Phase;
use crate::coordination::{Group, Protocol};
use crate::plan::Load;
use crate::wire::Trouble;
use checker::{Action, Commit, Committed, NEVER, Outcome, Own, Time};
use kafka_wire::ApiKey;
use kafka_wire::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_wire::messages::offset_commit_response::OffsetCommitResponse;
use kafka_wire::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_wire::messages::offset_fetch_response::OffsetFetchResponse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A member, and what it has.
pub(crate) struct Member {
    pub client: Client,
    pub group: Group,
    pub load: Load,
    /// How it comes to its partitions now; the group's, unless that changes.
    pub protocol: Protocol,
    /// The id that the coordinator knows it by; empty if there is none yet.
    pub id: String,
    /// Its number in the history; a new one each time that it joins as somebody new.
    pub number: u32,
    /// The number in its instance id, if it is static.
    pub instance: Option<u32>,
    /// What it had before it went and came back as a static member.
    pub before: Option<statics::Before>,
    /// The generation, or the member's epoch.
    pub epoch: i32,
    pub joined: bool,
    /// It has an assignment, and need not join another round for a better one.
    pub settled: bool,
    pub owned: BTreeSet<Place>,
    pub positions: BTreeMap<Place, i64>,
    /// What was committed last, by this member.
    committed: BTreeMap<Place, i64>,
    pub producer: Option<Producer>,
    found: bool,
}

/// Runs until the run ends; `nth` is the member's place in the plan of its group.
pub(crate) async fn run(client: Client, group: Group, nth: usize, load: Load) {
    let producer = group.members[nth].clone().map(Producer::new);
    let number = client.control.new_member();
    let (instance, protocol) = (group.instances[nth], group.protocol);
    let mut member = Member {
        client,
        group,
        load,
        protocol,
        id: String::new(),
        number,
        instance,
        before: None,
        epoch: 0,
        joined: false,
        settled: false,
        owned: BTreeSet::new(),
        positions: BTreeMap::new(),
        committed: BTreeMap::new(),
        producer,
        found: false,
    };
    member.client.control.settles(member.client.number, member.group.by_pattern);
    loop {
        let phase = member.client.control.gate(member.client.number, member.joined).await;
        if let Err(trouble) = member.turn(phase).await {
            member.client.trouble(trouble);
        }
        member.client.pause(6_000).await;
    }
}

impl Member {
    /// Whether it is of the consumer protocol.
    pub(crate) fn is_modern(&self) -> bool {
        self.protocol == Protocol::Consumer
    }

    /// The generation that it is in, where one generation is one assignment: while a group changes its protocol, what
    /// classic members are told for one is an epoch of their own, and it may begin anew.
    fn generation(&self) -> Option<i32> {
        (!self.is_modern() && self.group.migrates.is_none()).then_some(self.epoch)
    }

    async fn turn(&mut self, phase: Phase) -> Result<(), Trouble> {
        if phase == Phase::Finish {
            return self.leave().await;
        }
        if !self.find().await? {
            return Ok(());
        }
        if phase == Phase::Settle {
            // Nothing but heartbeats: topics are looked at anew after seconds only.
            self.keep_up().await?;
            self.client.pause(40_000).await;
            return Ok(());
        }
        let stays = if self.group.migrates.is_some() { 15 } else { 60 };
        if self.joined && self.client.random.one_in(stays) {
            return self.leave().await;
        }
        if self.joined && self.instance.is_some() && self.client.random.one_in(20) {
            return statics::go(self).await;
        }
        if self.joined && self.settled && self.client.random.one_in(40) {
            // It comes back when it has been given up for dead, and does not know that.
            let away = self.group.session_ms as u64 * self.client.random.between(1, 4);
            executor::sleep(Duration::from_millis(away)).await;
        } else if !self.keep_up().await? {
            return Ok(());
        }
        self.find_positions().await?;
        if self.positions.is_empty() {
            // There are more members than partitions.
            if self.joined && self.owned.is_empty() {
                self.client.control.success(self.client.number);
            }
            return Ok(());
        }
        match self.producer.is_some() {
            true => transform::turn(self).await,
            false => self.consume().await,
        }
    }

    /// Its instance id, if it is static.
    pub(crate) fn instance_id(&self) -> Option<String> {
        self.instance.map(|number| format!("instance-{number}"))
    }

    async fn find(&mut self) -> Result<bool, Trouble> {
        if !self.found {
            let name = self.group.name();
            self.found = self.client.find(&name, OF_GROUPS).await?;
            if let Some(producer) = self.producer.as_ref().filter(|_| self.found) {
                self.found = self.client.find(producer.id(), OF_TRANSACTIONS).await?;
            }
        }
        Ok(self.found)
    }

    /// Joins, or tells that it is there; true if it is a member in good standing then.
    async fn keep_up(&mut self) -> Result<bool, Trouble> {
        match self.is_modern() {
            true => modern::heartbeat(self).await,
            false => classic::keep_up(self).await,
        }
    }

    async fn leave(&mut self) -> Result<(), Trouble> {
        if self.joined {
            match self.is_modern() {
                true => modern::leave(self).await?,
                false => classic::leave(self).await?,
            }
        }
        self.begin_anew();
        Ok(())
    }

    /// A commit that was asked for at `asked` was accepted: in between the coordinator found the member in its
    /// generation, so that it had its partitions still. Members of the consumer protocol are told so by heartbeats, and
    /// their commits may be late (KIP-1251).
    pub(crate) fn confirmed(&mut self, asked: Time) {
        if !self.is_modern() {
            let same = self.owned.clone();
            self.take(same, asked);
        }
    }

    /// Takes what it was given, as the coordinator has just said.
    pub(crate) fn take(&mut self, owned: BTreeSet<Place>, since: Time) {
        if let Some(why) = self.before.take().and_then(|before| statics::missed(&before, self.epoch, &owned))
        {
            self.client.control.violated(format!("{}: {why}", self.group.name()));
        }
        self.positions.retain(|place, _| owned.contains(place));
        self.committed.retain(|place, _| owned.contains(place));
        let of = |owned: &BTreeSet<Place>| owned.iter().map(|place| partition(*place)).collect();
        let own = Own {
            group: self.group.number,
            member: self.number,
            instance: self.instance,
            generation: self.generation(),
            held: of(&self.owned),
            partitions: of(&owned),
        };
        self.owned = owned;
        self.tell_share();
        self.client.did(since, Action::Own(own));
    }

    /// Tells the run what it has, if it subscribes to a pattern.
    fn tell_share(&self) {
        if self.group.by_pattern {
            let share = (self.group.number, self.owned.clone());
            self.client.control.shares.borrow_mut().insert(self.client.number, share);
        }
    }

    /// Gives all partitions back.
    pub(crate) fn drop_all(&mut self) {
        self.owned.clear();
        self.tell_share();
        self.positions.clear();
        self.committed.clear();
        self.proves_nothing();
    }

    /// What it had so far, it may have lost since: the history knows of nothing that it has.
    pub(crate) fn proves_nothing(&self) {
        let (group, member) = (self.group.number, self.number);
        let (instance, generation) = (self.instance, None);
        let own = Own { group, member, instance, generation, held: Vec::new(), partitions: Vec::new() };
        self.client.did(time(), Action::Own(own));
    }

    /// It is no member any more, and has nothing.
    pub(crate) fn begin_anew(&mut self) {
        self.drop_all();
        self.id.clear();
        (self.joined, self.settled, self.epoch) = (false, false, 0);
        self.number = self.client.control.new_member();
        if let Some(classic) = self.group.migrates {
            self.protocol = if self.client.random.one_in(2) { classic } else { Protocol::Consumer };
        }
    }

    /// Asks where to go on in partitions that are new.
    async fn find_positions(&mut self) -> Result<(), Trouble> {
        let new = self.owned.iter().filter(|place| !self.positions.contains_key(*place)).copied();
        let new: Vec<Place> = new.collect();
        for of_topic in new.chunk_by(|one, next| one.0 == next.0) {
            for (place, offset) in committed(&mut self.client, &self.group, of_topic).await? {
                let offset = offset.unwrap_or(0);
                self.positions.insert(place, offset);
                self.committed.insert(place, offset);
            }
        }
        Ok(())
    }

    /// Fetches from its positions, and goes on to the next.
    pub(crate) async fn poll(&mut self) -> Result<Option<checker::Poll>, Trouble> {
        let wait_ms = self.client.random.below(12) as i32;
        let committed = self.group.committed;
        let given = fetch(&mut self.client, &self.positions, committed, wait_ms).await?;
        let Some(given) = given else { return Ok(None) };
        for one in &given {
            self.positions.insert(one.place, one.read.next);
        }
        Ok(Some(as_poll(given, committed)))
    }

    async fn consume(&mut self) -> Result<(), Trouble> {
        let since = time();
        let Some(poll) = self.poll().await? else { return Ok(()) };
        self.client.did(since, Action::Poll(poll));
        let changed = self.positions.iter().filter(|(place, at)| self.committed.get(*place) != Some(*at));
        let changed: BTreeMap<Place, i64> = changed.map(|(place, at)| (*place, *at)).collect();
        if changed.is_empty() {
            // Nothing new is no fault of the member's.
            self.client.control.success(self.client.number);
            return Ok(());
        }
        self.commit(changed).await
    }

    /// A commit, for the history.
    pub(crate) fn commit_of(&self, offsets: &BTreeMap<Place, i64>) -> Commit {
        Commit {
            group: self.group.number,
            member: Some(self.number),
            generation: self.generation(),
            offsets: offsets.iter().map(|(place, offset)| (partition(*place), *offset)).collect(),
            asked: time(),
            accepted: NEVER,
        }
    }

    async fn commit(&mut self, offsets: BTreeMap<Place, i64>) -> Result<(), Trouble> {
        let name = offsets.keys().next().map(|place| self.client.topic_name(*place)).unwrap_or_default();
        let partitions = offsets.iter().map(|(place, offset)| OffsetCommitRequestPartition {
            partition_index: place.1,
            committed_offset: *offset,
            ..Default::default()
        });
        let topic = OffsetCommitRequestTopic {
            name: name.as_str().into(),
            partitions: partitions.collect(),
            ..Default::default()
        };
        let (group, id, instance) = (self.group.name(), self.id.clone(), self.instance_id());
        let request = OffsetCommitRequest {
            group_id: group.as_str().into(),
            generation_id_or_member_epoch: self.epoch,
            member_id: id.as_str().into(),
            group_instance_id: instance.as_deref().map(Into::into),
            topics: vec![topic],
            ..Default::default()
        };
        let action = Action::Commit(self.commit_of(&offsets));
        let asked = time();
        let ticket = self.client.history().invoke(self.client.process(), asked, action);
        let version = if self.is_modern() { 9 } else { 8 };
        let extra = super::coordinated::EXTRA;
        let answer = self.client.call(ApiKey::OffsetCommit, version, &request, extra).await;
        let Some(answer) = answer else { return Ok(()) };
        let response: OffsetCommitResponse<'_> = answer.decode()?;
        let codes = response.topics.iter().flat_map(|topic| &topic.partitions).map(|one| one.error_code);
        let codes: Vec<i16> = codes.collect();
        let code = codes.iter().copied().find(|code| *code != 0).unwrap_or(0);
        let said = self.client.said("OffsetCommit", if codes.is_empty() { -1 } else { code });
        let outcome = match said {
            Said::Done => Outcome::Ok,
            // One of several partitions may have been committed nevertheless.
            Said::Unsure => Outcome::Info,
            _ if codes.contains(&0) => Outcome::Info,
            Said::Again | Said::Over => Outcome::Fail,
        };
        {
            let mut history = self.client.history();
            if let (Action::Commit(commit), Outcome::Ok) = (history.action(ticket), outcome) {
                commit.accepted = time();
            }
            history.complete(ticket, time(), outcome);
        }
        match said {
            Said::Done => {
                self.client.control.book.borrow_mut().counts.offsets += 1;
                self.client.control.success(self.client.number);
                self.committed.extend(offsets);
                self.confirmed(asked);
            }
            Said::Over => self.refused(code),
            Said::Again | Said::Unsure => {}
        }
        Ok(())
    }

    /// A coordinator does not know it in this generation.
    pub(crate) fn refused(&mut self, code: i16) {
        use kafka_wire::ErrorCode as E;
        let passes = [E::RebalanceInProgress, E::StaleMemberEpoch];
        if !passes.iter().any(|one| one.code() == code) {
            self.begin_anew();
        }
    }
}

/// What is committed for a group in partitions of one topic, as far as that is told; it goes into the history. What a
/// transaction still decides on is left out.
pub(crate) async fn committed(
    client: &mut Client,
    group: &Group,
    places: &[Place],
) -> Result<Vec<(Place, Option<i64>)>, Trouble> {
    let Some(topic) = places.first().map(|place| place.0) else { return Ok(Vec::new()) };
    let (group_name, name) = (group.name(), client.topic_name(places[0]));
    let topics = vec![OffsetFetchRequestTopics {
        name: name.as_str().into(),
        partition_indexes: places.iter().map(|place| place.1).collect(),
        ..Default::default()
    }];
    let asked = OffsetFetchRequestGroup {
        group_id: group_name.as_str().into(),
        topics: Some(topics),
        ..Default::default()
    };
    let request = OffsetFetchRequest { groups: vec![asked], require_stable: true, ..Default::default() };
    let since = time();
    let extra = super::coordinated::EXTRA;
    let Some(answer) = client.call(ApiKey::OffsetFetch, 8, &request, extra).await else {
        return Ok(Vec::new());
    };
    let response: OffsetFetchResponse<'_> = answer.decode()?;
    let Some(found) = response.groups.first() else {
        return Err(Trouble::Wrong("OffsetFetch was answered for no group".to_owned()));
    };
    if client.said("OffsetFetch", found.error_code) != Said::Done {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for one in found.topics.iter().flat_map(|topic| &topic.partitions) {
        if client.said("OffsetFetch of a partition", one.error_code) != Said::Done {
            continue;
        }
        let place = (topic, one.partition_index);
        let offset = (one.committed_offset >= 0).then_some(one.committed_offset);
        let told = Committed { group: group.number, partition: partition(place), offset, stable: true };
        client.did(since, Action::Committed(told));
        all.push((place, offset));
    }
    Ok(all)
}
