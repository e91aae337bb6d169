//! Broker keys: the controller quorum and the metadata log.

use super::key::{Key, Valid, keys};

keys! {
    pub(super) static KEYS: &[Key];

    "controller.listener.names" List [High honoured some_of(&[])]
        "Listeners that controllers are reached on; the first is the one brokers use. Flumen's controller \
         is inside of the broker: what is named here is neither listened on nor told to clients.";
    "controller.performance.always.log.threshold.ms" Long = "2000" [Medium at_least(0) when_set]
        "Milliseconds beyond which an event in the controller is always logged as slow.";
    "controller.performance.sample.period.ms" Long = "60000" [Medium at_least(100) when_set]
        "Milliseconds between two summaries of how long events in the controller took.";
    "controller.quorum.append.linger.ms" Int = "25" [Medium at_least(0)]
        "Milliseconds the leader of the metadata log gathers records before it writes them.";
    "controller.quorum.auto.join.enable" Boolean = "false" [Low]
        "Whether a controller that is not yet a voter asks to become one.";
    "controller.quorum.bootstrap.servers" List = "" [High]
        "`host:port` of controllers to find the quorum through.";
    "controller.quorum.election.backoff.max.ms" Int = "1000" [High at_least(0)]
        "Longest pause in milliseconds before a new election after one without a winner.";
    "controller.quorum.election.timeout.ms" Int = "1000" [High at_least(0)]
        "Milliseconds a candidate waits for a majority of votes before it tries again.";
    "controller.quorum.fetch.max.bytes" Int = "1048576" [Low at_least(1)]
        "Bytes of metadata log asked for in one fetch between quorum members.";
    "controller.quorum.fetch.snapshot.max.bytes" Int = "1048576" [Low at_least(1)]
        "Bytes of a metadata snapshot asked for in one fetch.";
    "controller.quorum.fetch.timeout.ms" Int = "2000" [High at_least(0)]
        "Milliseconds without a fetch from the leader after which a voter stands for election, and a \
         leader without followers steps down.";
    "controller.quorum.request.timeout.ms" Int = "2000" [Medium at_least(0)]
        "Milliseconds a quorum member waits for an answer before it retries.";
    "controller.quorum.retry.backoff.ms" Int = "20" [Low at_least(0)]
        "Milliseconds between retries of a failed request inside the quorum.";
    "controller.quorum.voters" List = "" [High valid(Valid::Voters)]
        "Fixed set of voters as `id@host:port`; left empty where membership may change.";
    "controller.quota.window.num" Int = "11" [Low honoured at_least(1)]
        "Sample windows kept for the quota on topic creation, deletion and growth.";
    "controller.quota.window.size.seconds" Int = "1" [Low honoured at_least(1)]
        "Length in seconds of a sample window of that quota on changes.";
    "controller.socket.timeout.ms" Int = "30000" [Medium]
        "Milliseconds a broker waits on a connection to the controller.";
    "internal.metadata.delete.delay.millis" Long = "60000" [Low when_set]
        "Milliseconds before the files of a dropped metadata segment or snapshot are removed. For tests.";
    "internal.metadata.log.segment.bytes" Int [Low when_set]
        "Segment size of the metadata log without the public lower limit. For tests.";
    "internal.metadata.max.batch.size.in.bytes" Int = "8388608" [Low when_set]
        "Largest batch in the metadata log, in bytes. For tests.";
    "metadata.log.dir" String [High]
        "Directory of the metadata log; by default the first data directory.";
    "metadata.log.max.record.bytes.between.snapshots" Long = "20971520" [High at_least(1)]
        "Bytes of new metadata records after which a snapshot is taken.";
    "metadata.log.max.snapshot.interval.ms" Long = "3600000" [High at_least(0)]
        "Milliseconds after which a snapshot is taken if anything changed; 0 leaves it to the size alone.";
    "metadata.log.segment.bytes" Int = "1073741824" [High at_least(8_388_608)]
        "Size in bytes at which a segment of the metadata log is closed.";
    "metadata.log.segment.ms" Long = "604800000" [High]
        "Age in milliseconds at which a segment of the metadata log is closed.";
    "metadata.max.idle.interval.ms" Int = "500" [Low at_least(0)]
        "Milliseconds of silence after which the active controller writes an empty record; 0 writes none.";
    "metadata.max.retention.bytes" Long = "104857600" [High]
        "Size of metadata log and snapshots together, in bytes, beyond which old ones are deleted.";
    "metadata.max.retention.ms" Long = "604800000" [High]
        "Milliseconds that metadata segments and snapshots are kept once a newer snapshot exists.";
}
