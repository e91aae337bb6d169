//! Broker keys: listeners, connections, requests and client quotas.

use super::key::{Key, keys};

keys! {
    pub(super) static KEYS: &[Key];

    "advertised.listeners" List [High honoured some_of(&[])]
        "Addresses that clients are told to use; by default those listened on. Needed behind NAT and in \
         containers. Flumen has one for clients, of the name that the listener has.";
    "client.quota.callback.class" Class [Low]
        "Class that decides the quota of a client.";
    "connection.failed.authentication.delay.ms" Int = "100" [Low at_least(0)]
        "Milliseconds before a connection that failed to authenticate is closed, to slow down guessing.";
    "connections.max.idle.ms" Long = "600000" [Medium honoured]
        "Milliseconds without traffic after which a connection is closed.";
    "connections.max.reauth.ms" Long = "0" [Medium]
        "Longest life in milliseconds of a SASL session before the client must authenticate again; 0 asks \
         it never.";
    "delete.records.purgatory.purge.interval.requests" Int = "1" [Medium]
        "Finished deletions of records that may stay in the waiting list before it is swept.";
    "early.start.listeners" List [High any_of(&[])]
        "Listeners that accept connections before the node has finished starting.";
    "fetch.max.bytes" Int = "57671680" [Medium honoured at_least(1_024)]
        "Bytes in the answer to one fetch, whatever the client asks for. The first batch is sent even if \
         it is larger.";
    "fetch.purgatory.purge.interval.requests" Int = "1000" [Medium]
        "Finished fetches that may stay in the waiting list before it is swept.";
    "inter.broker.listener.name" String [Medium]
        "Listener that brokers use among themselves.";
    "listener.security.protocol.map" String = "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"
        [Low per_broker honoured]
        "Security protocol of each listener name, as `NAME:PROTOCOL` pairs. Flumen has neither TLS nor \
         SASL: it does not start with a listener for clients that is not `PLAINTEXT`.";
    "listeners" List = "PLAINTEXT://:9092" [High per_broker honoured some_of(&[])]
        "Addresses to listen on, as `NAME://host:port`. An empty host means every address of the machine. \
         Flumen has one for clients, of the protocol `PLAINTEXT`, and refuses others; those that \
         `controller.listener.names` has are left out. Not to be changed while the broker runs.";
    "max.connection.creation.rate" Int = "2147483647" [Medium cluster_wide honoured at_least(0)]
        "New connections a second accepted on this node, by the windows of client quotas; those above \
         it wait in the kernel's queue. `listener.name.<name>.max.connection.creation.rate` holds as well.";
    "max.connections" Int = "2147483647" [Medium cluster_wide honoured at_least(0)]
        "Connections open on this node at one time, on all listeners; one more is closed at once, so that its \
         client tries elsewhere or later (in Kafka it waits). A change closes none that is open. \
         `listener.name.<name>.max.connections` holds as well.";
    "max.connections.per.ip" Int = "2147483647" [Medium cluster_wide honoured at_least(0)]
        "Connections open from one address at one time; one more is closed at once.";
    "max.connections.per.ip.overrides" String = "" [Medium cluster_wide honoured]
        "Other limits for single addresses, as `address:count` pairs. Names of hosts, which Kafka looks up, \
         are refused.";
    "max.incremental.fetch.session.cache.slots" Int = "1000" [Medium honoured at_least(0)]
        "Incremental fetch sessions remembered at one time. Without one a client sends its whole list \
         each time.";
    "max.request.partition.size.limit" Int = "2000" [Medium honoured at_least(1)]
        "Partitions answered in one request that describes topics; the rest comes with the next page.";
    "num.network.threads" Int = "3" [High cluster_wide at_least(1)]
        "Threads a listener that read requests and write answers. Flumen has one thread a core instead.";
    "producer.purgatory.purge.interval.requests" Int = "1000" [Medium]
        "Finished produces that may stay in the waiting list before it is swept.";
    "queued.max.request.bytes" Long = "-1" [Medium]
        "Bytes of requests waiting to be executed before reading stops; not positive means no limit.";
    "queued.max.requests" Int = "500" [High at_least(1)]
        "Requests waiting to be executed before reading stops.";
    "quota.window.num" Int = "11" [Low honoured at_least(1)]
        "Sample windows kept for client quotas.";
    "quota.window.size.seconds" Int = "1" [Low honoured at_least(1)]
        "Length in seconds of a sample window of client quotas.";
    "security.inter.broker.protocol" String = "PLAINTEXT" [Medium
        one_of(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])]
        "Security protocol among brokers, where no listener is named for it.";
    "share.fetch.purgatory.purge.interval.requests" Int = "1000" [Medium]
        "Finished share fetches that may stay in the waiting list before it is swept.";
    "socket.connection.setup.timeout.max.ms" Long = "30000" [Medium]
        "Longest milliseconds to wait for a connection of this node to another, after repeated failures.";
    "socket.connection.setup.timeout.ms" Long = "10000" [Medium]
        "Milliseconds to wait for a connection of this node to another on the first try.";
    "socket.listen.backlog.size" Int = "50" [Medium at_least(1)]
        "Connections the kernel may hold that were not yet accepted.";
    "socket.receive.buffer.bytes" Int = "102400" [High]
        "Receive buffer of a server socket in bytes; -1 leaves it to the kernel.";
    "socket.request.max.bytes" Int = "104857600" [High honoured at_least(1)]
        "Largest request accepted, in bytes. A larger one closes the connection.";
    "socket.send.buffer.bytes" Int = "102400" [High]
        "Send buffer of a server socket in bytes; -1 leaves it to the kernel.";
}
