import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/**
 * Programs that read what the coordinators write: Kafka's formatters over {@code __consumer_offsets} and
 * {@code __transaction_state}, and franz-go's decoders. What they tell is compared with what was committed.
 */
final class Internals {
    private static final String FORMATTERS = "org.apache.kafka.tools.consumer.";
    private static final String OFFSETS = "__consumer_offsets";

    public static void main(String[] args) {
        Compat.begin(args);
        Clients.admin = Admin.create(Map.of("bootstrap.servers", Compat.address));
        Compat.test("offsets", Internals::offsets);
        Compat.test("offsets-in-transactions", Internals::offsetsInTransactions);
        Compat.test("offsets-deleted", Internals::offsetsDeleted);
        Compat.test("group-metadata", Internals::groupMetadata);
        Compat.test("transaction-log", Internals::transactionLog);
        Compat.test("franz-go-decoders", Internals::franzGo);
        Compat.end();
    }

    /** What a formatter prints of a topic from its beginning on: JSON values, each with a key and a value. */
    private static List<JsonNode> format(String topic, String formatter, String... more) throws Exception {
        String out = printed("3000", topic, formatter, more);
        if (out.isBlank()) {
            // Its time to join a group and to fetch counts too, and was not enough: these topics are never empty here.
            out = printed("60000", topic, formatter, more);
        }
        try (var values = new ObjectMapper().readerFor(JsonNode.class).<JsonNode>readValues(out)) {
            return values.readAll();
        }
    }

    /** What a formatter prints until there has been nothing more for this time. */
    private static String printed(String milliseconds, String topic, String formatter, String... more) throws Exception {
        String[] first = {"--topic", topic, "--from-beginning", "--timeout-ms", milliseconds, "--formatter",
            FORMATTERS + formatter};
        return Compat.tool("consumer.ConsoleConsumer",
                Stream.concat(Stream.of(first), Stream.of(more)).toArray(String[]::new)).ok().out();
    }

    /** The last value of each partition that a group has committed; null where it was deleted. */
    private static Map<TopicPartition, JsonNode> committed(String group, String... more) throws Exception {
        Map<TopicPartition, JsonNode> last = new HashMap<>();
        for (JsonNode record : format(OFFSETS, "OffsetsMessageFormatter", more)) {
            JsonNode key = record.get("key").get("data");
            if (key.get("group").asText().equals(group)) {
                var tp = new TopicPartition(key.get("topic").asText(), key.get("partition").asInt());
                JsonNode value = record.get("value");
                last.put(tp, value.isNull() ? null : value.get("data"));
            }
        }
        return last;
    }

    private static void offsets() throws Exception {
        String topic = Clients.create("internal", 3);
        for (String protocol : List.of("classic", "consumer")) {
            String group = protocol + Compat.RUN;
            try (var consumer = Clients.consumer("group.id=" + group, "group.protocol=" + protocol,
                    "enable.auto.commit=false")) {
                consumer.subscribe(List.of(topic));
                Compat.eventually("all partitions are assigned", () -> {
                    consumer.poll(Duration.ofMillis(100));
                    return consumer.assignment().size() == 3;
                });
                for (int p = 0; p < 3; p++) {
                    for (long offset : List.of(1L, 5L + p)) {
                        consumer.commitSync(Map.of(new TopicPartition(topic, p), new OffsetAndMetadata(offset, "note " + p)));
                    }
                }
            }
            var told = committed(group);
            Compat.equal(told.size(), 3, "partitions of " + group);
            for (int p = 0; p < 3; p++) {
                JsonNode value = told.get(new TopicPartition(topic, p));
                Compat.equal(value.get("offset").asLong(), 5L + p, "offset of partition " + p);
                Compat.equal(value.get("metadata").asText(), "note " + p, "metadata of partition " + p);
                long age = System.currentTimeMillis() - value.get("commitTimestamp").asLong();
                Compat.check(age >= -1000 && age < 120_000, "the commit's timestamp is " + age + " ms old");
            }
        }
    }

    private static void offsetsInTransactions() throws Exception {
        String topic = Clients.create("internal-txn", 1);
        String group = "txn" + Compat.RUN;
        var tp = new TopicPartition(topic, 0);
        Clients.send(topic, 0, 0, 30);
        try (var producer = Clients.producer("transactional.id=i" + Compat.RUN);
                var consumer = Clients.consumer("group.id=" + group, "enable.auto.commit=false")) {
            producer.initTransactions();
            consumer.subscribe(List.of(topic));
            Clients.poll(consumer, 30);
            for (long offset : List.of(10L, 20L, 30L)) {
                producer.beginTransaction();
                producer.sendOffsetsToTransaction(Map.of(tp, new OffsetAndMetadata(offset)), consumer.groupMetadata());
                if (offset == 20L) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
            }
        }
        var told = committed(group, "--isolation-level", "read_committed");
        Compat.equal(told.get(tp).get("offset").asLong(), 20L, "the committed offset");
        Compat.equal(committed(group).get(tp).get("offset").asLong(), 30L, "the last offset, aborted or not");
    }

    private static void offsetsDeleted() throws Exception {
        String topic = Clients.create("internal-deleted", 2);
        String group = "deleted" + Compat.RUN;
        var zero = new TopicPartition(topic, 0);
        var one = new TopicPartition(topic, 1);
        Clients.admin.alterConsumerGroupOffsets(group, Map.of(zero, new OffsetAndMetadata(4), one, new OffsetAndMetadata(5)))
                .all().get();
        Clients.admin.deleteConsumerGroupOffsets(group, Set.of(one)).all().get();
        var told = committed(group);
        Compat.equal(told.get(zero).get("offset").asLong(), 4L, "what stays");
        Compat.check(told.containsKey(one) && told.get(one) == null, "no tombstone for what was deleted");
        Clients.admin.deleteConsumerGroups(List.of(group)).all().get();
        told = committed(group);
        Compat.check(told.containsKey(zero) && told.get(zero) == null, "no tombstone for the group's other offset");
    }

    private static void groupMetadata() throws Exception {
        String topic = Clients.create("internal-members", 4);
        String group = "members" + Compat.RUN;
        try (var first = Clients.consumer("group.id=" + group, "client.id=one");
                var second = Clients.consumer("group.id=" + group, "client.id=two")) {
            first.subscribe(List.of(topic));
            second.subscribe(List.of(topic));
            Compat.eventually("two partitions each", () -> {
                first.poll(Duration.ofMillis(100));
                second.poll(Duration.ofMillis(100));
                return first.assignment().size() == 2 && second.assignment().size() == 2;
            });
            JsonNode last = null;
            for (JsonNode record : format(OFFSETS, "GroupMetadataMessageFormatter")) {
                if (record.get("key").get("data").get("group").asText().equals(group) && !record.get("value").isNull()) {
                    last = record.get("value").get("data");
                }
            }
            Compat.check(last != null, "no record of the group");
            Compat.equal(last.get("protocolType").asText(), "consumer", "protocol type");
            Compat.equal(last.get("generation").asInt(), first.groupMetadata().generationId(), "generation");
            Set<String> told = new HashSet<>();
            last.get("members").forEach(m -> told.add(m.get("memberId").asText() + "/" + m.get("clientId").asText()));
            Compat.equal(told, Set.of(first.groupMetadata().memberId() + "/one", second.groupMetadata().memberId() + "/two"),
                    "members");
            String leader = last.get("leader").asText() + "/";
            Compat.check(told.stream().anyMatch(m -> m.startsWith(leader)), "the leader " + leader + " is no member");
        }
    }

    private static void transactionLog() throws Exception {
        String topic = Clients.create("internal-log", 2);
        String id = "log" + Compat.RUN;
        Map<String, Integer> wanted = new TreeMap<>(Map.of(id + "-committed", 4, id + "-aborted", 5, id + "-open", 1));
        for (String each : wanted.keySet()) {
            var producer = Clients.producer("transactional.id=" + each, "transaction.timeout.ms=500000");
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, 1, "k", "v")).get();
            switch (each.substring(id.length())) {
                case "-committed" -> producer.commitTransaction();
                case "-aborted" -> producer.abortTransaction();
                default -> producer.flush();
            }
            if (!each.endsWith("-open")) {
                producer.close();
            }
            // The one that is open stays so until this program ends.
        }
        Map<String, JsonNode> last = new HashMap<>();
        Compat.eventually("all have ended that were to", () -> {
            for (JsonNode record : format("__transaction_state", "TransactionLogMessageFormatter")) {
                last.put(record.get("key").get("data").get("transactionalId").asText(), record.get("value"));
            }
            return wanted.entrySet().stream().allMatch(each -> last.containsKey(each.getKey())
                    && last.get(each.getKey()).get("data").get("transactionStatus").asInt() == each.getValue());
        });
        for (String each : wanted.keySet()) {
            JsonNode data = last.get(each).get("data");
            var described = Clients.admin.describeTransactions(List.of(each)).all().get().get(each);
            Compat.equal(data.get("producerId").asLong(), described.producerId(), "producer of " + each);
            Compat.equal(data.get("producerEpoch").asInt(), described.producerEpoch(), "epoch of " + each);
            Compat.equal(data.get("transactionTimeoutMs").asInt(), 500_000, "timeout of " + each);
        }
        JsonNode partitions = last.get(id + "-open").get("data").get("transactionPartitions");
        Compat.equal(partitions.get(0).get("topic").asText() + partitions.get(0).get("partitionIds"), topic + "[1]",
                "partitions of the open one");
    }

    /** A reader in Go with decoders of its own: the offsets and the members that a monitor of groups shows. */
    private static void franzGo() throws Exception {
        String topic = Clients.create("internal-go", 2);
        String group = "go" + Compat.RUN;
        var zero = new TopicPartition(topic, 0);
        var one = new TopicPartition(topic, 1);
        try (var consumer = Clients.consumer("group.id=" + group, "client.id=java", "enable.auto.commit=false")) {
            consumer.subscribe(List.of(topic));
            Compat.eventually("both partitions are assigned", () -> {
                consumer.poll(Duration.ofMillis(100));
                return consumer.assignment().size() == 2;
            });
            consumer.commitSync(Map.of(zero, new OffsetAndMetadata(20, "half"), one, new OffsetAndMetadata(69, "less")));
            consumer.commitSync(Map.of(one, new OffsetAndMetadata(70, "all")));
            var member = consumer.groupMetadata();
            List<String> told;
            List<String> command = List.of(System.getProperty("reader"), Compat.address);
            try (Program reader = new Program("franz-go", command, Map.of())) {
                int code = reader.ended(120);
                Compat.equal(code, 0, "exit code (" + reader.errors() + ")");
                told = reader.lines().stream().filter(line -> line.split(" ")[1].equals(group)).toList();
            }
            Set<String> offsets = new HashSet<>(told.stream().filter(line -> line.startsWith("offset ")).toList());
            String start = "offset " + group + " " + topic + " ";
            Compat.equal(offsets, Set.of(start + "0 20 half", start + "1 69 less", start + "1 70 all"), "offsets");
            String last = told.stream().filter(line -> line.startsWith("group ")).reduce("", (before, line) -> line);
            Compat.equal(last, "group " + group + " range " + member.generationId() + " " + member.memberId() + "/java",
                    "group");
        }
    }
}
