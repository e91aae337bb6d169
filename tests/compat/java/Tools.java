import static java.util.stream.Collectors.joining;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** The command line tools, called as a user calls them. */
final class Tools {
    private static final String CONSUMER = "consumer.ConsoleConsumer";
    private static final String CONFIGS = "kafka.admin.ConfigCommand";

    public static void main(String[] args) {
        Compat.begin(args);
        topics();
        configurations();
        quotas();
        records();
        performance();
        cluster();
        groups();
        Features.tests();
        TransactionTools.tests();
        Compat.end();
    }

    static String topic(String name) {
        return Compat.topic(name);
    }

    static void create(String topic, int partitions) throws Exception {
        Compat.tool("TopicCommand", "--create", "--topic", topic, "--partitions", "" + partitions,
                "--replication-factor", "1").ok();
    }

    private static void topics() {
        Compat.test("topic-create-and-describe", () -> {
            Compat.tool("TopicCommand", "--create", "--topic", topic("made"), "--partitions", "3",
                    "--replication-factor", "1", "--config", "retention.ms=600000").ok().has("Created topic");
            Compat.tool("TopicCommand", "--describe", "--topic", topic("made")).ok()
                    .has("PartitionCount: 3", "ReplicationFactor: 1", "retention.ms=600000", "Partition: 2", "TopicId: ");
        });
        Compat.test("topic-create-twice", () -> {
            create(topic("twice"), 1);
            Compat.Said again = Compat.tool("TopicCommand", "--create", "--topic", topic("twice"));
            Compat.equal(again.code(), 1, "exit code");
            again.has("already exists");
            Compat.tool("TopicCommand", "--create", "--topic", topic("twice"), "--if-not-exists").ok();
        });
        Compat.test("topic-alter", () -> {
            create(topic("grown"), 1);
            Compat.tool("TopicCommand", "--alter", "--topic", topic("grown"), "--partitions", "4").ok();
            Compat.tool("TopicCommand", "--describe", "--topic", topic("grown")).ok().has("PartitionCount: 4");
            Compat.equal(Compat.tool("TopicCommand", "--alter", "--topic", topic("grown"), "--partitions", "2").code(),
                    1, "exit code of fewer partitions");
        });
        Compat.test("topic-list-and-delete", () -> {
            create(topic("gone"), 2);
            Compat.tool("TopicCommand", "--list").ok().has(topic("gone"));
            Compat.tool("TopicCommand", "--delete", "--topic", topic("gone")).ok();
            Compat.eventually("the topic is gone",
                    () -> !Compat.tool("TopicCommand", "--list").ok().out().contains(topic("gone")));
        });
    }

    private static void configurations() {
        Compat.test("config-topic", () -> {
            String topic = topic("configured");
            create(topic, 1);
            String[] entity = {"--entity-type", "topics", "--entity-name", topic};
            config(entity, "--alter", "--add-config", "max.message.bytes=2000000,cleanup.policy=[compact,delete]").ok();
            config(entity, "--describe").ok()
                    .has("max.message.bytes=2000000", "DYNAMIC_TOPIC_CONFIG:max.message.bytes=2000000",
                            "DEFAULT_CONFIG:message.max.bytes=1048588", "cleanup.policy=compact,delete");
            config(entity, "--describe", "--all").ok()
                    .has("retention.ms=604800000", "segment.bytes=1073741824", "compression.type=producer",
                            "min.insync.replicas=1", "message.timestamp.type=CreateTime");
            config(entity, "--alter", "--delete-config", "max.message.bytes").ok();
            Compat.check(!config(entity, "--describe").ok().out().contains("2000000"), "the setting is still there");
        });
        Compat.test("config-topic-refused", () -> {
            String topic = topic("refused");
            create(topic, 1);
            String[] entity = {"--entity-type", "topics", "--entity-name", topic};
            Compat.equal(config(entity, "--alter", "--add-config", "retention.ms=soon").code(), 1, "no number");
            Compat.equal(config(entity, "--alter", "--add-config", "no.such.setting=1").code(), 1, "unknown key");
        });
        Compat.test("config-broker", () -> {
            String[] one = {"--entity-type", "brokers", "--entity-name", brokerId()};
            config(one, "--alter", "--add-config", "log.retention.ms=700000000").ok();
            config(one, "--describe").ok().has("log.retention.ms=700000000", "DYNAMIC_BROKER_CONFIG:log.retention.ms");
            config(one, "--describe", "--all").ok().has("num.partitions=1", "message.max.bytes=1048588",
                    "auto.create.topics.enable=true", "DEFAULT_CONFIG:log.segment.bytes=1073741824");
            config(one, "--alter", "--delete-config", "log.retention.ms").ok();
            String[] all = {"--entity-type", "brokers", "--entity-default"};
            config(all, "--alter", "--add-config", "message.max.bytes=1500000").ok();
            config(all, "--describe").ok().has("DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=1500000");
            config(all, "--alter", "--delete-config", "message.max.bytes").ok();
        });
        Compat.test("config-group", () -> {
            String[] entity = {"--entity-type", "groups", "--entity-name", "tools-" + Compat.RUN};
            config(entity, "--alter", "--add-config", "consumer.session.timeout.ms=50000").ok();
            config(entity, "--describe").ok().has("consumer.session.timeout.ms=50000",
                    "DYNAMIC_GROUP_CONFIG:consumer.session.timeout.ms=50000",
                    "DEFAULT_CONFIG:group.consumer.session.timeout.ms=45000");
            config(entity, "--describe", "--all").ok().has("share.auto.offset.reset=latest");
            Compat.equal(config(entity, "--alter", "--add-config", "consumer.session.timeout.ms=1").code(), 1, "too short");
            config(entity, "--alter", "--delete-config", "consumer.session.timeout.ms").ok();
            Compat.check(!config(entity, "--describe").ok().out().contains("50000"), "the setting is still there");
        });
        Compat.test("client-metrics", () -> {
            String command = "ClientMetricsCommand";
            String name = "tools-" + Compat.RUN;
            Compat.tool(command, "--alter", "--name", name, "--metrics", "org.apache.kafka.producer.", "--interval",
                    "60000", "--match", "client_id=nobody").ok().has("Altered client metrics config for " + name);
            Compat.tool(command, "--describe", "--name", name).ok()
                    .has("metrics=org.apache.kafka.producer.", "interval.ms=60000", "match=client_id=nobody");
            Compat.tool(command, "--list").ok().has(name);
            Compat.tool(command, "--delete", "--name", name).ok().has("Deleted client metrics config for " + name);
            Compat.check(!Compat.tool(command, "--list").ok().out().contains(name), "it is still listed");
        });
    }

    private static void quotas() {
        Compat.test("config-client", () -> {
            String[] one = {"--entity-type", "clients", "--entity-name", "quota" + Compat.RUN};
            config(one, "--alter", "--add-config", "producer_byte_rate=1234567,request_percentage=75.5").ok();
            Compat.eventually("both are described", () -> {
                String out = config(one, "--describe").ok().out();
                return out.contains("producer_byte_rate=1234567") && out.contains("request_percentage=75.5");
            });
            Compat.equal(config(one, "--alter", "--add-config", "producer_byte_rate=0").code(), 1, "nothing at all");
            config(one, "--alter", "--delete-config", "producer_byte_rate,request_percentage").ok();
            Compat.eventually("they are gone", () -> !config(one, "--describe").ok().out().contains("1234567"));
        });
        Compat.test("config-user-default", () -> {
            String[] all = {"--entity-type", "users", "--entity-default"};
            config(all, "--alter", "--add-config", "consumer_byte_rate=7654321").ok();
            Compat.eventually("it is described",
                    () -> config(all, "--describe").ok().out().contains("consumer_byte_rate=7654321"));
            config(all, "--alter", "--delete-config", "consumer_byte_rate").ok();
            Compat.eventually("it is gone", () -> !config(all, "--describe").ok().out().contains("7654321"));
        });
        Compat.test("config-user", () -> {
            String[] one = {"--entity-type", "users", "--entity-name", "user" + Compat.RUN};
            Compat.Said before = config(one, "--describe").ok();
            Compat.check(!before.out().contains("SCRAM"), "credentials of nobody: " + before.out());
            config(one, "--alter", "--add-config", "controller_mutation_rate=12.5").ok();
            Compat.eventually("it is described",
                    () -> config(one, "--describe").ok().out().contains("controller_mutation_rate=12.5"));
            config(one, "--alter", "--delete-config", "controller_mutation_rate").ok();
            Compat.eventually("it is gone", () -> !config(one, "--describe").ok().out().contains("12.5"));
            config(new String[] {"--entity-type", "users"}, "--describe").ok();
        });
        Compat.test("config-ip", () -> {
            String[] one = {"--entity-type", "ips", "--entity-name", "10.9.8.7"};
            config(one, "--alter", "--add-config", "connection_creation_rate=50").ok();
            Compat.eventually("it is described",
                    () -> config(one, "--describe").ok().out().contains("connection_creation_rate=50"));
            config(one, "--alter", "--delete-config", "connection_creation_rate").ok();
        });
    }

    static Compat.Said config(String[] entity, String... args) throws Exception {
        return Compat.tool(CONFIGS, Stream.concat(Stream.of(entity), Stream.of(args)).toArray(String[]::new));
    }

    /** The broker's id, from the line "host:port (id: 1 rack: null …) -> (" of BrokerApiVersions. */
    static String brokerId() throws Exception {
        String out = Compat.tool("BrokerApiVersionsCommand").ok().out();
        int start = out.indexOf("(id: ") + 5;
        return out.substring(start, out.indexOf(' ', start));
    }

    private static String lines(int count) {
        return IntStream.range(0, count).mapToObj(n -> "k" + n + ":value " + n + "\n").collect(joining());
    }

    private static Compat.Said consume(String topic, String... args) throws Exception {
        String[] first = {"--topic", topic, "--partition", "0", "--timeout-ms", "60000"};
        return Compat.tool(CONSUMER, Stream.concat(Stream.of(first), Stream.of(args)).toArray(String[]::new));
    }

    static void produce(String topic, int count, String... args) throws Exception {
        String[] first = {"--topic", topic, "--reader-property", "parse.key=true", "--reader-property", "key.separator=:"};
        Compat.toolReading(lines(count), "ConsoleProducer",
                Stream.concat(Stream.of(first), Stream.of(args)).toArray(String[]::new)).ok();
    }

    private static void records() {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            Compat.test("console-" + codec, () -> {
                String topic = topic("console-" + codec);
                create(topic, 1);
                produce(topic, 1000, "--compression-codec", codec);
                String out = consume(topic, "--offset", "earliest", "--max-messages", "1000", "--formatter-property",
                        "print.key=true", "--formatter-property", "key.separator=:").ok().out();
                Compat.equal(out, lines(1000), "records");
            });
        }
        Compat.test("console-offset", () -> {
            String topic = topic("console-offset");
            create(topic, 1);
            produce(topic, 10);
            String out = consume(topic, "--offset", "7", "--max-messages", "3", "--formatter-property",
                    "print.offset=true").ok().out();
            Compat.equal(out, "Offset:7\tvalue 7\nOffset:8\tvalue 8\nOffset:9\tvalue 9\n", "records");
        });
        Compat.test("get-offset-shell", () -> {
            String topic = topic("offsets");
            create(topic, 1);
            produce(topic, 25);
            Compat.tool("GetOffsetShell", "--topic", topic, "--time", "-1").ok().has(topic + ":0:25");
            Compat.tool("GetOffsetShell", "--topic", topic, "--time", "-2").ok().has(topic + ":0:0");
            Compat.tool("GetOffsetShell", "--topic", topic, "--time", "max-timestamp").ok().has(topic + ":0:");
            Compat.tool("GetOffsetShell", "--topic", topic, "--time", "1").ok().has(topic + ":0:0");
        });
        Compat.test("delete-records", () -> {
            String topic = topic("trimmed");
            create(topic, 1);
            produce(topic, 100);
            Path file = Files.createTempFile("compat", ".json");
            Files.writeString(file, "{\"partitions\":[{\"topic\":\"" + topic
                    + "\",\"partition\":0,\"offset\":40}],\"version\":1}");
            Compat.tool("DeleteRecordsCommand", "--offset-json-file", file.toString()).ok().has("low_watermark: 40");
            Files.delete(file);
            Compat.tool("GetOffsetShell", "--topic", topic, "--time", "-2").ok().has(topic + ":0:40");
            Compat.equal(consume(topic, "--offset", "earliest", "--max-messages", "1").ok().out(), "value 40\n", "first");
        });
    }

    private static void performance() {
        for (String acks : List.of("0", "1", "all")) {
            Compat.test("producer-performance-acks-" + acks, () -> {
                String topic = topic("perf-" + acks);
                create(topic, 2);
                String idempotence = "enable.idempotence=" + acks.equals("all");
                Compat.tool("ProducerPerformance", "--topic", topic, "--num-records", "20000", "--record-size", "1000",
                        "--throughput", "-1", "--command-property", "acks=" + acks, idempotence)
                        .ok().has("20000 records sent");
                eventuallyHolds(topic, 20000);
            });
        }
        Compat.test("producer-performance-compressed", () -> {
            String topic = topic("perf-zstd");
            create(topic, 2);
            Compat.tool("ProducerPerformance", "--topic", topic, "--num-records", "20000", "--record-size", "1000",
                    "--throughput", "-1", "--command-property", "compression.type=zstd").ok().has("20000 records sent");
            eventuallyHolds(topic, 20000);
        });
        Compat.test("end-to-end-latency", () -> {
            create(topic("latency"), 1);
            Compat.tool("EndToEndLatency", "--topic", topic("latency"), "--num-records", "500", "--producer-acks",
                    "all", "--record-size", "100").ok().has("Avg latency:", "Percentiles: 50th");
        });
        Compat.test("verifiable-producer", () -> {
            String topic = topic("verifiable");
            create(topic, 1);
            Compat.process("VerifiableProducer", "--bootstrap-server", Compat.address, "--topic", topic,
                    "--max-messages", "500", "--throughput", "1000", "--acks", "-1").ok().has("\"acked\":500", "\"sent\":500");
            eventuallyHolds(topic, 500);
        });
    }

    /** Waits until the topic's ends add up: acks=0 may be visible a little later. */
    static void eventuallyHolds(String topic, long records) throws Exception {
        Compat.eventually(topic + " holds " + records, () -> Compat.tool("GetOffsetShell", "--topic", topic).ok().out()
                .lines().mapToLong(l -> Long.parseLong(l.substring(l.lastIndexOf(':') + 1))).sum() == records);
    }

    private static void cluster() {
        Compat.test("broker-api-versions", () -> Compat.tool("BrokerApiVersionsCommand").ok()
                .has("Produce(0): ", "Fetch(1): ", "ApiVersions(18): "));
        Compat.test("cluster-id", () -> {
            String out = Compat.call("ClusterTool", "", "cluster-id", "--bootstrap-server", Compat.address).ok().out();
            String id = out.strip().substring(out.strip().lastIndexOf(' ') + 1);
            Compat.check(out.startsWith("Cluster ID: ") && id.length() == 22, "cluster id: " + out);
        });
        Compat.test("log-dirs", () -> {
            create(topic("sized"), 2);
            produce(topic("sized"), 10);
            Compat.tool("LogDirsCommand", "--describe", "--topic-list", topic("sized")).ok()
                    .has("\"partition\":\"" + topic("sized") + "-0\"", "\"partition\":\"" + topic("sized") + "-1\"",
                            "\"offsetLag\":0", "\"error\":null");
        });
        Compat.test("features", () -> Compat.call("FeatureCommand", "", "--bootstrap-server", Compat.address, "describe")
                .ok().has("metadata.version"));
        Compat.test("quorum", () -> Compat.call("MetadataQuorumCommand", "", "--bootstrap-server", Compat.address,
                "describe", "--status").ok().has("ClusterId:", "LeaderId:"));
        Compat.test("quorum-replication", () -> Compat.call("MetadataQuorumCommand", "", "--bootstrap-server",
                Compat.address, "describe", "--replication").ok().has("NodeId", "Leader"));
        Compat.test("leader-election", () -> Compat.call("LeaderElectionCommand", "", "--bootstrap-server",
                Compat.address, "--election-type", "preferred", "--all-topic-partitions").ok());
        Compat.test("reassign-list", () -> Compat.tool("reassign.ReassignPartitionsCommand", "--list").ok()
                .has("No partition reassignments found"));
        Compat.test("reassign", () -> {
            String topic = topic("reassigned");
            create(topic, 2);
            int id = Integer.parseInt(brokerId());
            Path file = Files.createTempFile("compat", ".json");
            try {
                // Where it is already it may go, and is at once.
                Files.writeString(file, assignment(topic, id));
                reassign("--execute", file).ok().has("Successfully started partition reassignments for");
                reassign("--verify", file).ok().has("Reassignment of partition " + topic + "-0 is completed.",
                        "Reassignment of partition " + topic + "-1 is completed.");
                Files.writeString(file, assignment(topic, id + 76));
                Compat.Said elsewhere = reassign("--execute", file);
                Compat.equal(elsewhere.code(), 1, "exit code for a node that is not there");
                elsewhere.has("" + (id + 76));
                Compat.tool("TopicCommand", "--describe", "--topic", topic).ok().has("Replicas: " + id);
            } finally {
                Files.delete(file);
            }
        });
    }

    private static String assignment(String topic, int node) {
        String partitions = IntStream.range(0, 2).mapToObj(number -> "{\"topic\":\"" + topic + "\",\"partition\":" + number
                + ",\"replicas\":[" + node + "]}").collect(joining(","));
        return "{\"version\":1,\"partitions\":[" + partitions + "]}";
    }

    private static Compat.Said reassign(String action, Path file) throws Exception {
        return Compat.tool("reassign.ReassignPartitionsCommand", action, "--reassignment-json-file", file.toString());
    }

    private static void groups() {
        Compat.test("console-group", () -> {
            String topic = topic("grouped");
            create(topic, 1);
            produce(topic, 100);
            for (String protocol : List.of("classic", "consumer")) {
                Compat.Said read = Compat.tool(CONSUMER, "--topic", topic, "--group", protocol + Compat.RUN,
                        "--from-beginning", "--max-messages", "100", "--timeout-ms", "60000", "--command-property",
                        "group.protocol=" + protocol).ok();
                Compat.equal(read.out().lines().count(), 100L, "records of a " + protocol + " group");
            }
        });
        Compat.test("consumer-groups", () -> {
            String command = "consumer.group.ConsumerGroupCommand";
            String group = "described" + Compat.RUN;
            String topic = topic("grouped2");
            create(topic, 1);
            produce(topic, 100);
            Compat.tool(CONSUMER, "--topic", topic, "--group", group, "--from-beginning", "--max-messages", "100",
                    "--timeout-ms", "60000").ok();
            Compat.tool(command, "--list").ok().has(group);
            Compat.tool("GroupsCommand", "--list").ok().has(group);
            Compat.tool(command, "--describe", "--group", group).ok().has(topic, "100");
            Compat.eventually("the offsets are reset", () -> Compat.tool(command, "--group", group, "--reset-offsets",
                    "--topic", topic, "--to-earliest", "--execute").ok().out().contains("NEW-OFFSET"));
            Compat.tool(command, "--group", group, "--delete-offsets", "--topic", topic).ok();
            Compat.tool(command, "--group", group, "--delete").ok();
        });
        Compat.test("consumer-groups-members-and-states", () -> {
            String command = "consumer.group.ConsumerGroupCommand";
            String topic = topic("stated");
            create(topic, 2);
            for (String protocol : List.of("classic", "consumer")) {
                String group = "stated-" + protocol + Compat.RUN;
                try (var member = Clients.consumer("group.id=" + group, "group.protocol=" + protocol, "client.id=me")) {
                    member.subscribe(List.of(topic));
                    Compat.eventually("it has its partitions", () -> {
                        member.poll(java.time.Duration.ofMillis(100));
                        return member.assignment().size() == 2;
                    });
                    Compat.tool(command, "--describe", "--group", group, "--members", "--verbose").ok()
                            .has(group, "me", topic + ":0,1");
                    Compat.tool(command, "--describe", "--group", group, "--state").ok().has(group, "Stable");
                    Compat.tool(command, "--list", "--state", "Stable", "--type", protocol).ok().has(group);
                }
                Compat.tool(command, "--list", "--state", "Empty").ok().has(group);
                Compat.check(!Compat.tool(command, "--list", "--state", "Stable").ok().out().contains(group),
                        "a group without members is listed as stable");
            }
        });
        Compat.test("consumer-performance", () -> {
            String topic = topic("perf-read");
            create(topic, 1);
            produce(topic, 5000);
            Compat.tool("ConsumerPerformance", "--topic", topic, "--num-records", "5000", "--timeout", "60000").ok()
                    .has("5000");
        });
        Compat.test("verifiable-consumer", () -> {
            String topic = topic("verifiable-read");
            create(topic, 1);
            produce(topic, 500);
            Compat.tool("VerifiableConsumer", "--topic", topic, "--group-id", "vg" + Compat.RUN, "--max-messages",
                    "500", "--reset-policy", "earliest").ok().has("partitions_assigned", "records_consumed");
        });
        Compat.test("transactional-performance", () -> {
            create(topic("perf-txn"), 1);
            Compat.tool("ProducerPerformance", "--topic", topic("perf-txn"), "--num-records", "5000", "--record-size",
                    "100", "--throughput", "-1", "--transactional-id", "perf" + Compat.RUN,
                    "--transaction-duration-ms", "100").ok().has("5000 records sent");
            Compat.tool("TransactionsCommand", "list").ok().has("perf" + Compat.RUN);
        });
        Compat.test("transactional-copier", () -> {
            String from = topic("copied");
            create(from, 1);
            create(topic("copy"), 1);
            produce(from, 500);
            Compat.call("TransactionalMessageCopier", "", "--broker-list", Compat.address, "--input-topic", from,
                    "--input-partition", "0", "--output-topic", topic("copy"), "--max-messages", "500",
                    "--transaction-size", "50", "--transactional-id", "copier" + Compat.RUN, "--consumer-group",
                    "cg" + Compat.RUN, "--enable-random-aborts").ok();
            String out = consume(topic("copy"), "--offset", "earliest", "--max-messages", "500", "--isolation-level",
                    "read_committed").ok().out();
            String wanted = IntStream.range(0, 500).mapToObj(n -> "value " + n + "\n").collect(joining());
            Compat.equal(out, wanted, "each once, in order");
        });
    }
}
