import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.LogDirNotFoundException;
import org.apache.kafka.common.errors.NoReassignmentInProgressException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.ResourceNotFoundException;
import org.apache.kafka.common.errors.ThrottlingQuotaExceededException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;

/** The Java admin client. */
final class Administration {
    static void tests() {
        topics();
        configurations();
        offsets();
        quotas();
        credentials();
    }

    private static NewTopic topic(String name, int partitions, int replication) {
        return new NewTopic(Compat.topic(name), partitions, (short) replication);
    }

    private static void topics() {
        Compat.test("describe-cluster", () -> {
            var cluster = Clients.admin.describeCluster();
            Compat.equal(cluster.nodes().get().size(), 1, "nodes");
            Compat.check(!cluster.clusterId().get().isEmpty(), "no cluster id");
            Compat.check(cluster.controller().get() != null, "no controller");
        });
        Compat.test("describe-topics", () -> {
            String name = Clients.create("described", 3);
            var byName = Clients.admin.describeTopics(List.of(name)).allTopicNames().get().get(name);
            Compat.equal(byName.partitions().size(), 3, "partitions");
            Compat.check(byName.partitions().stream().allMatch(p -> p.leader() != null && p.isr().size() == 1), "leaders");
            Uuid id = byName.topicId();
            Compat.check(!id.equals(Uuid.ZERO_UUID), "no topic id");
            var byId = Clients.admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds().get().get(id);
            Compat.equal(byId.name(), name, "name by id");
            Clients.fails(UnknownTopicOrPartitionException.class,
                    () -> Clients.admin.describeTopics(List.of("no-such-topic")).allTopicNames().get());
            Clients.fails(UnknownTopicIdException.class, () -> Clients.admin
                    .describeTopics(TopicCollection.ofTopicIds(List.of(Uuid.randomUuid()))).allTopicIds().get());
        });
        Compat.test("create-topics-refused", () -> {
            String name = Clients.create("existing", 1);
            Clients.fails(TopicExistsException.class, () -> make(new NewTopic(name, 1, (short) 1)));
            Clients.fails(InvalidPartitionsException.class, () -> make(topic("none", 0, 1)));
            Clients.fails(InvalidReplicationFactorException.class, () -> make(topic("three", 1, 3)));
            Clients.fails(InvalidTopicException.class, () -> make(new NewTopic("not/a/name", 1, (short) 1)));
            Clients.fails(InvalidConfigurationException.class,
                    () -> make(topic("unknown", 1, 1).configs(Map.of("no.such.setting", "1"))));
        });
        Compat.test("create-topics-validate-only", () -> {
            NewTopic topic = topic("only-validated", 2, 1);
            Clients.admin.createTopics(List.of(topic), new CreateTopicsOptions().validateOnly(true)).all().get();
            Compat.check(!Clients.admin.listTopics().names().get().contains(topic.name()), "the topic was made");
        });
        Compat.test("create-topics-defaults", () -> {
            NewTopic topic = new NewTopic(Compat.topic("defaults"), Optional.empty(), Optional.empty());
            var made = Clients.admin.createTopics(List.of(topic));
            made.all().get();
            Compat.equal(made.numPartitions(topic.name()).get(), 1, "partitions");
            Compat.equal(made.replicationFactor(topic.name()).get(), 1, "replicas");
            Compat.check(made.config(topic.name()).get().get("retention.ms") != null, "no configuration in the answer");
        });
        Compat.test("create-partitions", () -> {
            String name = Clients.create("growing", 1);
            Clients.send(name, 0, 0, 10);
            Clients.admin.createPartitions(Map.of(name, NewPartitions.increaseTo(5))).all().get();
            Compat.eventually("five partitions", () -> Clients.admin.describeTopics(List.of(name)).allTopicNames().get()
                    .get(name).partitions().size() == 5);
            Clients.send(name, 4, 0, 10);
            Clients.expectInOrder(Clients.read(name, 0, 10), 0, 0);
            Clients.expectInOrder(Clients.read(name, 4, 10), 0, 0);
            Clients.fails(InvalidPartitionsException.class,
                    () -> Clients.admin.createPartitions(Map.of(name, NewPartitions.increaseTo(3))).all().get());
        });
        Compat.test("many-topics", () -> {
            List<NewTopic> topics = IntStream.range(0, 200).mapToObj(n -> topic("many-" + n, 5, 1)).toList();
            Collection<String> names = topics.stream().map(NewTopic::name).toList();
            Clients.admin.createTopics(topics).all().get();
            Compat.eventually("all are described", () -> Clients.admin.describeTopics(names).allTopicNames().get()
                    .values().stream().mapToInt(t -> t.partitions().size()).sum() == 1000);
            Compat.check(Clients.admin.listTopics().names().get().containsAll(names), "not all are listed");
            Clients.admin.deleteTopics(names).all().get();
            Compat.eventually("all are gone",
                    () -> Clients.admin.listTopics().names().get().stream().noneMatch(names::contains));
        });
        Compat.test("delete-topic-by-id", () -> {
            String name = Clients.create("by-id", 1);
            Uuid id = Clients.admin.describeTopics(List.of(name)).allTopicNames().get().get(name).topicId();
            Clients.admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get();
            Compat.eventually("it is gone", () -> !Clients.admin.listTopics().names().get().contains(name));
            Clients.fails(UnknownTopicOrPartitionException.class,
                    () -> Clients.admin.deleteTopics(List.of("no-such-topic")).all().get());
        });
    }

    private static void make(NewTopic topic) throws Exception {
        Clients.admin.createTopics(List.of(topic)).all().get();
    }

    private static void configurations() {
        Compat.test("alter-and-describe-configs", () -> {
            String name = Clients.create("settings", 1, Map.of("retention.ms", "1234567"));
            var resource = new ConfigResource(ConfigResource.Type.TOPIC, name);
            ConfigEntry retention = describe(resource).get("retention.ms");
            Compat.equal(retention.value(), "1234567", "value");
            Compat.equal(retention.source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "source");
            alter(resource, "cleanup.policy", "compact", AlterConfigOp.OpType.SET);
            alter(resource, "cleanup.policy", "delete", AlterConfigOp.OpType.APPEND);
            Compat.eventually("both policies",
                    () -> describe(resource).get("cleanup.policy").value().equals("compact,delete"));
            alter(resource, "retention.ms", "", AlterConfigOp.OpType.DELETE);
            Compat.eventually("the default again", () -> describe(resource).get("retention.ms").isDefault());
            Compat.equal(describe(resource).get("retention.ms").value(), "604800000", "default");
            Clients.fails(InvalidConfigurationException.class,
                    () -> alter(resource, "retention.ms", "x", AlterConfigOp.OpType.SET));
        });
        Compat.test("setting-takes-effect", () -> {
            String name = Clients.create("effect", 1);
            var resource = new ConfigResource(ConfigResource.Type.TOPIC, name);
            Clients.send(name, 0, 0, 1);
            alter(resource, "max.message.bytes", "100", AlterConfigOp.OpType.SET);
            Compat.eventually("larger batches are refused", () -> {
                try {
                    Clients.send(name, 0, 0, 1);
                    return false;
                } catch (java.util.concurrent.ExecutionException e) {
                    return e.getCause() instanceof org.apache.kafka.common.errors.RecordTooLargeException;
                }
            });
        });
        Compat.test("describe-broker-configs", () -> {
            String id = Clients.admin.describeCluster().nodes().get().iterator().next().idString();
            Config broker = describe(new ConfigResource(ConfigResource.Type.BROKER, id));
            Compat.check(broker.entries().size() > 100, "only " + broker.entries().size() + " settings");
            Compat.equal(broker.get("log.segment.bytes").source(), ConfigEntry.ConfigSource.DEFAULT_CONFIG, "source");
            Compat.check(broker.get("node.id").isReadOnly(), "node.id can be changed");
        });
    }

    private static Config describe(ConfigResource resource) throws Exception {
        return Clients.admin.describeConfigs(List.of(resource)).all().get().get(resource);
    }

    private static void alter(ConfigResource resource, String key, String value, AlterConfigOp.OpType how)
            throws Exception {
        var change = new AlterConfigOp(new ConfigEntry(key, value), how);
        Clients.admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
    }

    private static void offsets() {
        Compat.test("list-offsets", () -> {
            String name = Clients.create("listed", 1);
            var tp = new TopicPartition(name, 0);
            try (var producer = Clients.producer("linger.ms=0")) {
                for (long timestamp : List.of(3000L, 9000L, 6000L)) {
                    producer.send(new org.apache.kafka.clients.producer.ProducerRecord<>(name, 0,
                            1_700_000_000_000L + timestamp, "k", "v")).get();
                }
            }
            Map<OffsetSpec, Long> wanted = new HashMap<>(Map.of(OffsetSpec.earliest(), 0L, OffsetSpec.latest(), 3L,
                    OffsetSpec.maxTimestamp(), 1L, OffsetSpec.earliestLocal(), 0L,
                    OffsetSpec.forTimestamp(1_700_000_005_000L), 1L, OffsetSpec.forTimestamp(1_800_000_000_000L), -1L));
            for (var each : wanted.entrySet()) {
                Compat.equal(Clients.admin.listOffsets(Map.of(tp, each.getKey())).partitionResult(tp).get().offset(),
                        each.getValue(), each.getKey().getClass().getSimpleName());
            }
        });
        Compat.test("delete-records", () -> {
            String name = Clients.create("trimmed", 1);
            var tp = new TopicPartition(name, 0);
            Clients.send(name, 0, 0, 100);
            var low = Clients.admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(60))).lowWatermarks().get(tp);
            Compat.equal(low.get().lowWatermark(), 60L, "low watermark");
            Clients.expectInOrder(Clients.read(name, 0, 40), 60, 60);
            Clients.fails(OffsetOutOfRangeException.class,
                    () -> Clients.admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(1000))).all().get());
            Clients.admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(-1))).all().get();
            Compat.equal(Clients.admin.listOffsets(Map.of(tp, OffsetSpec.earliest())).partitionResult(tp).get().offset(),
                    100L, "earliest after deleting all");
        });
        Compat.test("log-dirs", () -> {
            String name = Clients.create("stored", 2);
            Clients.send(name, 0, 0, 1000);
            int id = Clients.admin.describeCluster().nodes().get().iterator().next().id();
            var sizes = new ArrayList<Long>();
            Clients.admin.describeLogDirs(List.of(id)).allDescriptions().get().get(id).values()
                    .forEach(d -> d.replicaInfos().forEach((tp, info) -> {
                        if (tp.topic().equals(name)) {
                            sizes.add(info.size());
                        }
                    }));
            Compat.equal(sizes.size(), 2, "partitions");
            Compat.check(sizes.stream().mapToLong(s -> s).sum() > 10_000, "sizes " + sizes);
        });
        Compat.test("alter-replica-log-dirs", () -> {
            String name = Clients.create("directory", 1);
            Clients.send(name, 0, 0, 10);
            int id = Clients.admin.describeCluster().nodes().get().iterator().next().id();
            var replica = new TopicPartitionReplica(name, 0, id);
            String own = Clients.admin.describeReplicaLogDirs(List.of(replica)).all().get().get(replica)
                    .getCurrentReplicaLogDir();
            Clients.admin.alterReplicaLogDirs(Map.of(replica, own)).all().get();
            Clients.fails(LogDirNotFoundException.class,
                    () -> Clients.admin.alterReplicaLogDirs(Map.of(replica, own + "-other")).all().get());
            var after = Clients.admin.describeReplicaLogDirs(List.of(replica)).all().get().get(replica);
            Compat.equal(after.getCurrentReplicaLogDir(), own, "directory");
            Compat.check(after.getFutureReplicaLogDir() == null, "it moves to " + after.getFutureReplicaLogDir());
            Clients.expectInOrder(Clients.read(name, 0, 10), 0, 0);
        });
        Compat.test("alter-partition-reassignments", () -> {
            String name = Clients.create("placed", 1);
            var tp = new TopicPartition(name, 0);
            int id = Clients.admin.describeCluster().nodes().get().iterator().next().id();
            Clients.admin.alterPartitionReassignments(Map.of(tp, to(id))).all().get();
            Clients.fails(InvalidReplicaAssignmentException.class,
                    () -> Clients.admin.alterPartitionReassignments(Map.of(tp, to(id + 76))).all().get());
            Clients.fails(NoReassignmentInProgressException.class,
                    () -> Clients.admin.alterPartitionReassignments(Map.of(tp, Optional.empty())).all().get());
            Compat.equal(Clients.admin.listPartitionReassignments().reassignments().get(), Map.of(), "reassignments");
        });
        Compat.test("features", () -> Compat.check(Clients.admin.describeFeatures().featureMetadata().get()
                .finalizedFeatures().containsKey("metadata.version"), "no metadata.version"));
        Compat.test("config-resources", () -> {
            String name = Clients.create("resource", 1, Map.of("retention.ms", "7"));
            Compat.eventually("the topic is listed", () -> Clients.admin.listConfigResources().all().get()
                    .contains(new ConfigResource(ConfigResource.Type.TOPIC, name)));
        });
    }

    private static Optional<NewPartitionReassignment> to(int node) {
        return Optional.of(new NewPartitionReassignment(List.of(node)));
    }

    private static void quotas() {
        Compat.test("client-quotas", () -> {
            String id = "quota" + Compat.RUN;
            ClientQuotaEntity client = client(id);
            var filter = ClientQuotaFilter.containsOnly(
                    List.of(ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.CLIENT_ID, id)));
            limit(client, "producer_byte_rate", 1_000_000.0);
            limit(client, "request_percentage", 150.5);
            Compat.eventually("both are described", () -> Map.of("producer_byte_rate", 1_000_000.0,
                    "request_percentage", 150.5).equals(described(filter).get(client)));
            // Names and defaults are different entities.
            var users = new ClientQuotaEntity(Collections.singletonMap(ClientQuotaEntity.USER, null));
            limit(users, "consumer_byte_rate", 9e12);
            var defaults = ClientQuotaFilter.contains(
                    List.of(ClientQuotaFilterComponent.ofDefaultEntity(ClientQuotaEntity.USER)));
            Compat.eventually("the default is described",
                    () -> Map.of("consumer_byte_rate", 9e12).equals(described(defaults).get(users)));
            Compat.check(!described(defaults).containsKey(client), "a client id is no user");
            Compat.check(described(ClientQuotaFilter.all()).keySet().containsAll(List.of(client, users)), "all");
            for (var each : List.of("producer_byte_rate", "no_such_rate")) {
                Clients.fails(InvalidRequestException.class, () -> limit(client, each, -1.0));
            }
            limit(users, "consumer_byte_rate", null);
            limit(client, "producer_byte_rate", null);
            limit(client, "request_percentage", null);
            Compat.eventually("all are gone",
                    () -> described(filter).isEmpty() && described(defaults).isEmpty());
        });
        Compat.test("producer-throttled", () -> {
            String id = "throttled" + Compat.RUN;
            String name = Clients.create("throttled", 1);
            limit(client(id), "producer_byte_rate", 5_000.0);
            // Ten seconds count: this is a little more than may be sent in them at once.
            try (var producer = Clients.producer("client.id=" + id, "linger.ms=0")) {
                for (int n = 0; n < 8; n++) {
                    producer.send(new org.apache.kafka.clients.producer.ProducerRecord<>(name, 0, "k", "v".repeat(8_000)))
                            .get();
                }
                double waited = producer.metrics().entrySet().stream()
                        .filter(e -> e.getKey().name().equals("produce-throttle-time-avg"))
                        .mapToDouble(e -> ((Number) e.getValue().metricValue()).doubleValue()).findFirst().orElseThrow();
                Compat.check(waited > 0, "produce-throttle-time-avg is " + waited);
            } finally {
                limit(client(id), "producer_byte_rate", null);
            }
        });
        Compat.test("creations-throttled", () -> {
            String id = "creating" + Compat.RUN;
            NewTopic next = topic("next", 1, 1);
            limit(client(id), "controller_mutation_rate", 2.0);
            try (var admin = Admin.create(Map.<String, Object>of("bootstrap.servers", Compat.address, "client.id", id))) {
                // Eleven seconds count, which is 22 partitions: this leaves a debt of eight seconds.
                admin.createTopics(List.of(topic("small", 2, 1), topic("large", 36, 1))).all().get();
                var once = new CreateTopicsOptions().retryOnQuotaViolation(false);
                Clients.fails(ThrottlingQuotaExceededException.class,
                        () -> admin.createTopics(List.of(next), once).all().get());
                admin.createTopics(List.of(next)).all().get();
            } finally {
                limit(client(id), "controller_mutation_rate", null);
            }
        });
    }

    private static void credentials() {
        Compat.test("user-credentials", () -> {
            Compat.equal(Clients.admin.describeUserScramCredentials().all().get(), Map.of(), "of all users");
            var named = Clients.admin.describeUserScramCredentials(List.of("nobody", "noone"));
            Compat.equal(named.users().get(), List.of(), "users with credentials");
            Clients.fails(ResourceNotFoundException.class, () -> named.description("nobody").get());
            Clients.fails(ResourceNotFoundException.class, () -> named.description("noone").get());
        });
    }

    private static ClientQuotaEntity client(String id) {
        return new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, id));
    }

    private static void limit(ClientQuotaEntity entity, String key, Double value) throws Exception {
        var change = new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op(key, value)));
        Clients.admin.alterClientQuotas(List.of(change)).all().get();
    }

    private static Map<ClientQuotaEntity, Map<String, Double>> described(ClientQuotaFilter filter) throws Exception {
        return Clients.admin.describeClientQuotas(filter).entities().get();
    }
}
