import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Consumer groups, transactions and share groups. */
final class Groups {
    static void tests() {
        for (String protocol : List.of("classic", "consumer")) {
            Compat.test("group-" + protocol, () -> group(protocol));
        }
        Compat.test("commit-without-members", () -> {
            String topic = Clients.create("committed-alone", 1);
            var tp = new TopicPartition(topic, 0);
            try (var consumer = Clients.consumer("group.id=alone" + Compat.RUN, "enable.auto.commit=false")) {
                consumer.assign(List.of(tp));
                consumer.commitSync(Map.of(tp, new OffsetAndMetadata(7, "note")));
                var found = consumer.committed(Set.of(tp)).get(tp);
                Compat.equal(found.offset() + found.metadata(), "7note", "what was committed");
            }
        });
        Compat.test("transactions", Groups::transactions);
        Compat.test("transactions-many-in-flight", Groups::manyInFlight);
        Compat.test("transactional-offsets", Groups::transactionalOffsets);
        Compat.test("share-group", Groups::share);
    }

    /** Two members share four partitions; what the first committed is not read again. */
    private static void group(String protocol) throws Exception {
        String topic = Clients.create("group-" + protocol, 4);
        String[] settings = {"group.id=" + topic, "group.protocol=" + protocol, "enable.auto.commit=false"};
        for (int p = 0; p < 4; p++) {
            Clients.send(topic, p, 0, 100);
        }
        try (var first = Clients.consumer(settings); var second = Clients.consumer(settings)) {
            first.subscribe(List.of(topic));
            Clients.poll(first, 400);
            first.commitSync();
            second.subscribe(List.of(topic));
            Compat.eventually("two partitions each", () -> {
                first.poll(Duration.ofMillis(100));
                second.poll(Duration.ofMillis(100));
                return first.assignment().size() == 2 && second.assignment().size() == 2;
            });
            int before = second.assignment().iterator().next().partition();
            Clients.send(topic, before, 100, 110);
            Clients.expectInOrder(Clients.poll(second, 10), 100, 100);
            var described = Clients.admin.describeConsumerGroups(List.of(topic)).all().get().get(topic);
            Compat.equal(described.members().size(), 2, "members");
        }
        var offsets = Clients.admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata().get();
        Compat.equal(offsets.values().stream().mapToLong(OffsetAndMetadata::offset).sum(), 400L, "committed");
        Compat.eventually("the group can be deleted", () -> {
            try {
                Clients.admin.deleteConsumerGroups(List.of(topic)).all().get();
                return true;
            } catch (java.util.concurrent.ExecutionException e) {
                return false;
            }
        });
    }

    private static void transactions() throws Exception {
        String topic = Clients.create("transactions", 1);
        try (var producer = Clients.producer("transactional.id=t" + Compat.RUN)) {
            producer.initTransactions();
            for (int round = 0; round < 4; round++) {
                producer.beginTransaction();
                for (int n = 0; n < 10; n++) {
                    producer.send(new ProducerRecord<>(topic, 0, "k", round + "/" + n));
                }
                // What has not left the producer would not be written by an abort.
                producer.flush();
                if (round % 2 == 0) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
            }
        }
        Set<String> rounds = new HashSet<>();
        Clients.read(topic, 0, 20, "isolation.level=read_committed").forEach(r -> rounds.add(r.value().substring(0, 1)));
        Compat.equal(rounds, Set.of("0", "2"), "committed rounds");
        Clients.read(topic, 0, 40);
    }

    /** Five batches on their way when a transaction begins: the first is verified, and none may overtake it. */
    private static void manyInFlight() throws Exception {
        String topic = Clients.create("in-flight", 4);
        int rounds = 150;
        try (var producer = Clients.producer("transactional.id=f" + Compat.RUN, "batch.size=1000", "linger.ms=0")) {
            producer.initTransactions();
            for (int round = 0; round < rounds; round++) {
                producer.beginTransaction();
                for (int n = 0; n < 40; n++) {
                    producer.send(new ProducerRecord<>(topic, round % 4, "k", Clients.value(round / 4 * 40 + n)));
                }
                producer.commitTransaction();
            }
        }
        for (int partition = 0; partition < 4; partition++) {
            var read = Clients.read(topic, partition, (rounds + 3 - partition) / 4 * 40, "isolation.level=read_committed");
            for (int n = 0; n < read.size(); n++) {
                Compat.equal(read.get(n).value(), Clients.value(n), "value " + n + " of partition " + partition);
            }
        }
    }

    private static void transactionalOffsets() throws Exception {
        String topic = Clients.create("transactional-offsets", 2);
        String group = "tg" + Compat.RUN;
        var tp = new TopicPartition(topic, 0);
        Clients.send(topic, 0, 0, 10);
        try (var producer = Clients.producer("transactional.id=to" + Compat.RUN);
                var consumer = Clients.consumer("group.id=" + group, "enable.auto.commit=false")) {
            producer.initTransactions();
            consumer.subscribe(List.of(topic));
            Clients.poll(consumer, 10);
            for (boolean commit : List.of(false, true)) {
                producer.beginTransaction();
                producer.send(new ProducerRecord<>(topic, 1, "k", "v"));
                producer.sendOffsetsToTransaction(Map.of(tp, new OffsetAndMetadata(10)), consumer.groupMetadata());
                if (commit) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                    Compat.check(consumer.committed(Set.of(tp)).get(tp) == null, "an aborted offset is there");
                }
            }
            Compat.equal(consumer.committed(Set.of(tp)).get(tp).offset(), 10L, "committed offset");
        }
    }

    private static void share() throws Exception {
        String topic = Clients.create("shared", 2);
        String group = "sg" + Compat.RUN;
        var change = new org.apache.kafka.clients.admin.AlterConfigOp(
                new org.apache.kafka.clients.admin.ConfigEntry("share.auto.offset.reset", "earliest"),
                org.apache.kafka.clients.admin.AlterConfigOp.OpType.SET);
        Clients.admin.incrementalAlterConfigs(
                Map.of(new ConfigResource(ConfigResource.Type.GROUP, group), List.of(change))).all().get();
        Clients.send(topic, 0, 0, 50);
        Clients.send(topic, 1, 0, 50);
        Map<String, Object> settings = Map.of("bootstrap.servers", Compat.address, "group.id", group);
        try (var consumer = new KafkaShareConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic));
            Set<String> seen = new HashSet<>();
            Compat.eventually("every record once", () -> {
                consumer.poll(Duration.ofMillis(200)).forEach(r -> seen.add(r.partition() + "/" + r.offset()));
                return seen.size() == 100;
            });
        }
    }
}
