//! Broker keys: the node itself, topics made on it, policies and metrics.

use super::key::{Key, keys};

keys! {
    pub(super) static KEYS: &[Key];

    "alter.config.policy.class.name" Class [Low]
        "Class that may veto a change of configuration.";
    "auto.create.topics.enable" Boolean = "true" [High honoured]
        "Whether asking for the metadata of an unknown topic creates it, if the client agrees.";
    "background.threads" Int = "10" [High cluster_wide at_least(1)]
        "Threads for work behind the scenes, such as deleting files.";
    "broker.heartbeat.interval.ms" Int = "2000" [Medium]
        "Milliseconds between heartbeats of a broker to the controller.";
    "broker.id" Int = "-1" [High honoured]
        "Older name of the node's number; when both are given they must agree. -1 means it is not given.";
    "broker.rack" String [Medium honoured]
        "Name of the rack or zone this node stands in. Told to clients, and used to spread replicas.";
    "broker.session.timeout.ms" Int = "9000" [Medium]
        "Milliseconds without a heartbeat after which the controller fences a broker.";
    "config.providers" List = "" [Low cluster_wide any_of(&[])]
        "Names of providers that fill in configuration values kept elsewhere, such as secrets.";
    "controlled.shutdown.enable" Boolean = "true" [Medium]
        "Whether a stopping broker first hands its partitions to other leaders.";
    "create.topic.policy.class.name" Class [Low]
        "Class that may veto the creation of a topic.";
    "default.replication.factor" Int = "1" [Medium honoured]
        "Replicas of a partition of a topic that is created without a number of them.";
    "delete.topic.enable" Boolean = "true" [High honoured]
        "Whether topics can be deleted at all.";
    "initial.broker.registration.timeout.ms" Int = "60000" [Medium]
        "Milliseconds a starting broker tries to register with the controller before it exits.";
    "kafka.metrics.polling.interval.secs" Int = "10" [Low at_least(1)]
        "Seconds between two readings by the older kind of metrics reporters.";
    "kafka.metrics.reporters" List = "" [Low any_of(&[])]
        "Classes of the older kind of metrics reporters.";
    "metric.reporters" List = "org.apache.kafka.common.metrics.JmxReporter" [Low cluster_wide any_of(&[])]
        "Classes that metrics are handed to.";
    "metrics.num.samples" Int = "2" [Low at_least(1)]
        "Sample windows kept for computing a metric.";
    "metrics.recording.level" String = "INFO" [Low]
        "Most detailed level of metrics that is recorded: `INFO`, `DEBUG` or `TRACE`.";
    "metrics.sample.window.ms" Long = "30000" [Low at_least(1)]
        "Length in milliseconds of one sample window of a metric.";
    "node.id" Int [High honoured at_least(0)]
        "Number of this node in the cluster, 0 or more. Every node needs its own, and it never changes.";
    "num.io.threads" Int = "8" [High cluster_wide at_least(1)]
        "Threads that execute requests, disk work included. Flumen has one thread a core instead.";
    "num.partitions" Int = "1" [Medium honoured at_least(1)]
        "Partitions of a topic that is created without a number of them.";
    "num.recovery.threads.per.data.dir" Int = "2" [High cluster_wide at_least(1)]
        "Threads a data directory for loading logs at start and flushing them at the end.";
    "num.replica.alter.log.dirs.threads" Int [High]
        "Threads that move replicas between data directories; by default one for each directory.";
    "process.roles" List [High some_of(&["broker", "controller"])]
        "What this process is: `broker`, `controller`, or both.";
    "request.timeout.ms" Int = "30000" [High]
        "Milliseconds this node waits for the answer to a request of its own, retries included.";
    "server.max.startup.time.ms" Long = "9223372036854775807" [Medium at_least(0) when_set]
        "Milliseconds a start may take before the process gives up.";
    "telemetry.max.bytes" Int = "1048576" [Low honoured at_least(1)]
        "Largest push of client metrics accepted, in bytes after decompression.";
    "unstable.api.versions.enable" Boolean = "false" [High when_set]
        "Whether versions of requests that are still in development are offered. For development only.";
    "unstable.feature.versions.enable" Boolean = "false" [High when_set]
        "Whether feature levels that are still in development may be used. For development only.";
}
