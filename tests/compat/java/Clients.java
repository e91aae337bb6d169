import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** The Java producer, and the consumer with assigned partitions. */
final class Clients {
    static Admin admin;

    public static void main(String[] args) {
        Compat.begin(args);
        admin = Admin.create(Map.of("bootstrap.servers", Compat.address));
        producing();
        content();
        consuming();
        Administration.tests();
        Groups.tests();
        Transactions.tests();
        Telemetry.tests();
        Compat.end();
    }

    static KafkaProducer<String, String> producer(String... settings) {
        Map<String, Object> all = settings(settings);
        all.putIfAbsent("delivery.timeout.ms", "60000");
        return new KafkaProducer<>(all, new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(String... settings) {
        Map<String, Object> all = settings(settings);
        all.putIfAbsent("auto.offset.reset", "earliest");
        all.putIfAbsent("check.crcs", "true");
        return new KafkaConsumer<>(all, new StringDeserializer(), new StringDeserializer());
    }

    private static Map<String, Object> settings(String... settings) {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", Compat.address));
        for (String setting : settings) {
            all.put(setting.substring(0, setting.indexOf('=')), setting.substring(setting.indexOf('=') + 1));
        }
        return all;
    }

    /** Makes a topic and gives its name. */
    static String create(String name, int partitions, Map<String, String> configs) throws Exception {
        String topic = Compat.topic(name);
        admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1).configs(configs))).all().get();
        // The controller has answered; the broker may learn of the topic a little later.
        Compat.eventually(topic + " has leaders", () -> {
            try {
                var described = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
                return described.partitions().stream().allMatch(p -> p.leader() != null);
            } catch (ExecutionException notYet) {
                return false;
            }
        });
        return topic;
    }

    static String create(String name, int partitions) throws Exception {
        return create(name, partitions, Map.of());
    }

    static void send(String topic, int partition, int from, int to, String... settings) throws Exception {
        try (var producer = producer(settings)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int n = from; n < to; n++) {
                sent.add(producer.send(new ProducerRecord<>(topic, partition, "k" + n, value(n))));
            }
            for (var each : sent) {
                each.get();
            }
        }
    }

    static String value(int n) {
        return "value " + n + " " + "abcdefgh".repeat(20);
    }

    /** Reads until there are so many records. */
    static List<ConsumerRecord<String, String>> poll(KafkaConsumer<String, String> consumer, int count) {
        List<ConsumerRecord<String, String>> read = new ArrayList<>();
        long end = System.nanoTime() + 60_000_000_000L;
        while (read.size() < count && System.nanoTime() < end) {
            consumer.poll(Duration.ofMillis(200)).forEach(read::add);
        }
        Compat.equal(read.size(), count, "records read");
        return read;
    }

    /** Reads a partition from the beginning. */
    static List<ConsumerRecord<String, String>> read(String topic, int partition, int count, String... settings) {
        try (var consumer = consumer(settings)) {
            var tp = new TopicPartition(topic, partition);
            consumer.assign(List.of(tp));
            consumer.seekToBeginning(List.of(tp));
            return poll(consumer, count);
        }
    }

    static void expectInOrder(List<ConsumerRecord<String, String>> read, long firstOffset, int firstValue) {
        for (int i = 0; i < read.size(); i++) {
            Compat.equal(read.get(i).offset(), firstOffset + i, "offset");
            Compat.equal(read.get(i).value(), value(firstValue + i), "value");
        }
    }

    /** The cause with which something that must fail failed. */
    static Throwable failure(Compat.Body body) throws Exception {
        try {
            body.run();
        } catch (ExecutionException e) {
            return e.getCause();
        } catch (RuntimeException e) {
            return e;
        }
        throw new AssertionError("it succeeded, and must not");
    }

    static void fails(Class<?> wanted, Compat.Body body) throws Exception {
        Throwable got = failure(body);
        Compat.check(wanted.isInstance(got), "wanted " + wanted.getSimpleName() + ", got " + got);
    }

    private static void producing() {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            Compat.test("codec-" + codec, () -> {
                String topic = create("codec-" + codec, 1);
                send(topic, 0, 0, 5000, "compression.type=" + codec, "linger.ms=5");
                expectInOrder(read(topic, 0, 5000), 0, 0);
                // A read that begins in the middle of a batch.
                try (var consumer = consumer()) {
                    var tp = new TopicPartition(topic, 0);
                    consumer.assign(List.of(tp));
                    consumer.seek(tp, 2345);
                    expectInOrder(poll(consumer, 2655), 2345, 2345);
                }
            });
        }
        for (String codec : List.of("uncompressed", "gzip", "snappy", "lz4", "zstd")) {
            Compat.test("kept-as-" + codec, () -> {
                String topic = create("kept-as-" + codec, 1, Map.of("compression.type", codec));
                // Large batches, so that there are several blocks in each.
                String[] large = {"batch.size=900000", "linger.ms=50", "compression.type=none"};
                send(topic, 0, 0, 10000, large);
                send(topic, 0, 10000, 15000, "compression.type=" + (codec.equals("gzip") ? "lz4" : "gzip"));
                expectInOrder(read(topic, 0, 15000), 0, 0);
            });
        }
        for (String acks : List.of("0", "1", "all")) {
            Compat.test("acks-" + acks, () -> {
                String topic = create("acks-" + acks, 1);
                send(topic, 0, 0, 1000, "acks=" + acks, "enable.idempotence=false",
                        "max.in.flight.requests.per.connection=1");
                expectInOrder(read(topic, 0, 1000), 0, 0);
            });
        }
        Compat.test("idempotent-many-partitions", () -> {
            String topic = create("idempotent", 8);
            var error = new AtomicReference<Exception>();
            try (var producer = producer("linger.ms=1", "batch.size=4000", "delivery.timeout.ms=120000")) {
                // Until a new partition has its leader, Kafka may refuse the first of five requests in
                // flight and take the second, and then never takes the first: so one alone at first.
                for (int n = 0; n < 8; n++) {
                    producer.send(new ProducerRecord<>(topic, n, null, value(0))).get();
                }
                for (int n = 8; n < 40_000; n++) {
                    producer.send(new ProducerRecord<>(topic, n % 8, null, value(n / 8)), (made, e) -> {
                        if (e != null) {
                            error.set(e);
                        }
                    });
                }
            }
            Compat.check(error.get() == null, "a record was not written: " + error.get());
            for (int partition = 0; partition < 8; partition++) {
                expectInOrder(read(topic, partition, 5000), 0, 0);
            }
        });
        Compat.test("metadata-of-records", () -> {
            String topic = create("metadata", 2);
            try (var producer = producer()) {
                for (long offset = 0; offset < 3; offset++) {
                    RecordMetadata made = producer.send(new ProducerRecord<>(topic, 1, 1_700_000_000_000L, "k", "v")).get();
                    Compat.equal(made.offset(), offset, "offset");
                    Compat.equal(made.partition(), 1, "partition");
                    Compat.equal(made.timestamp(), 1_700_000_000_000L, "timestamp");
                }
                Compat.equal(producer.partitionsFor(topic).size(), 2, "partitions");
            }
        });
        Compat.test("auto-created-topic", () -> {
            String topic = Compat.topic("auto");
            send(topic, 0, 0, 10);
            expectInOrder(read(topic, 0, 10), 0, 0);
        });
    }

    private static void content() {
        Compat.test("headers-nulls-and-empties", () -> {
            String topic = create("content", 1);
            try (var producer = producer()) {
                var first = new ProducerRecord<>(topic, 0, 1_700_000_000_123L, "key", "värde");
                first.headers().add("a", "1".getBytes()).add("b", null).add("a", new byte[0]);
                producer.send(first).get();
                producer.send(new ProducerRecord<>(topic, 0, null, "no key")).get();
                producer.send(new ProducerRecord<>(topic, 0, "tombstone", null)).get();
                producer.send(new ProducerRecord<>(topic, 0, "", "")).get();
            }
            var read = read(topic, 0, 4);
            Header[] headers = read.get(0).headers().toArray();
            Compat.equal(headers.length, 3, "headers");
            Compat.equal(headers[0].key() + new String(headers[0].value()), "a1", "first header");
            Compat.check(headers[1].key().equals("b") && headers[1].value() == null, "null header");
            Compat.equal(headers[2].value().length, 0, "empty header");
            Compat.equal(read.get(0).timestamp(), 1_700_000_000_123L, "timestamp");
            Compat.equal(read.get(0).value(), "värde", "value");
            Compat.check(read.get(1).key() == null, "null key");
            Compat.check(read.get(2).value() == null, "null value");
            Compat.equal(read.get(3).key() + read.get(3).value(), "", "empty key and value");
        });
        Compat.test("log-append-time", () -> {
            String topic = create("append-time", 1, Map.of("message.timestamp.type", "LogAppendTime"));
            long before = System.currentTimeMillis();
            try (var producer = producer()) {
                long given = producer.send(new ProducerRecord<>(topic, 0, 1_000L, "k", "v")).get().timestamp();
                var record = read(topic, 0, 1).get(0);
                Compat.equal(record.timestampType(), TimestampType.LOG_APPEND_TIME, "timestamp type");
                Compat.check(record.timestamp() >= before - 1000, "the broker's time");
                Compat.equal(given, record.timestamp(), "the time that the producer was told");
            }
        });
        Compat.test("timestamp-too-far", () -> {
            String topic = create("bounded-time", 1, Map.of("message.timestamp.after.max.ms", "60000"));
            try (var producer = producer()) {
                long tomorrow = System.currentTimeMillis() + 86_400_000;
                fails(InvalidTimestampException.class,
                        () -> producer.send(new ProducerRecord<>(topic, 0, tomorrow, "k", "v")).get());
                producer.send(new ProducerRecord<>(topic, 0, "k", "v")).get();
            }
        });
        Compat.test("big-records", () -> {
            String topic = create("big", 1, Map.of("max.message.bytes", "5000000"));
            String four = "x".repeat(4_000_000);
            try (var producer = producer("max.request.size=20000000", "buffer.memory=40000000")) {
                for (int n = 0; n < 3; n++) {
                    producer.send(new ProducerRecord<>(topic, 0, "k" + n, four)).get();
                }
                fails(RecordTooLargeException.class,
                        () -> producer.send(new ProducerRecord<>(topic, 0, "k", "x".repeat(5_000_001))).get());
            }
            // Larger than what the consumer asks for: the first batch comes all the same.
            for (var record : read(topic, 0, 3, "max.partition.fetch.bytes=1000", "fetch.max.bytes=1000")) {
                Compat.equal(record.value(), four, "value");
            }
        });
    }

    private static void consuming() {
        Compat.test("offsets-for-times", () -> {
            String topic = create("times", 1);
            var tp = new TopicPartition(topic, 0);
            try (var producer = producer(); var consumer = consumer()) {
                for (int n = 0; n < 100; n++) {
                    producer.send(new ProducerRecord<>(topic, 0, 1_700_000_000_000L + n * 1000, "k", value(n))).get();
                }
                OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(tp, 1_700_000_041_500L)).get(tp);
                Compat.equal(found.offset(), 42L, "offset");
                Compat.equal(found.timestamp(), 1_700_000_042_000L, "timestamp");
                Compat.equal(consumer.offsetsForTimes(Map.of(tp, 0L)).get(tp).offset(), 0L, "offset of the beginning");
                Compat.check(consumer.offsetsForTimes(Map.of(tp, 1_800_000_000_000L)).get(tp) == null, "nothing so late");
                Compat.equal(consumer.beginningOffsets(List.of(tp)), Map.of(tp, 0L), "beginning");
                Compat.equal(consumer.endOffsets(List.of(tp)), Map.of(tp, 100L), "end");
            }
        });
        Compat.test("seek-pause-and-small-fetches", () -> {
            String topic = create("seek", 2);
            send(topic, 0, 0, 3000);
            send(topic, 1, 0, 3000);
            var zero = new TopicPartition(topic, 0);
            var one = new TopicPartition(topic, 1);
            try (var consumer = consumer("max.partition.fetch.bytes=20000", "fetch.max.bytes=30000")) {
                consumer.assign(List.of(zero, one));
                consumer.pause(List.of(one));
                consumer.seekToBeginning(List.of(zero, one));
                expectInOrder(poll(consumer, 3000), 0, 0);
                consumer.resume(List.of(one));
                expectInOrder(poll(consumer, 3000), 0, 0);
                consumer.seek(zero, 2990);
                expectInOrder(poll(consumer, 10), 2990, 2990);
                Compat.equal(consumer.position(zero), 3000L, "position");
            }
        });
        Compat.test("fetch-session-of-many-partitions", () -> {
            String topic = create("session", 50);
            try (var consumer = consumer(); var producer = producer()) {
                List<TopicPartition> all = IntStream.range(0, 50).mapToObj(p -> new TopicPartition(topic, p)).toList();
                consumer.assign(all);
                consumer.seekToBeginning(all);
                consumer.poll(Duration.ofMillis(200));
                for (int round = 0; round < 5; round++) {
                    for (int p = round; p < 50; p += 7) {
                        producer.send(new ProducerRecord<>(topic, p, "k", value(p)));
                    }
                    int expected = (50 - round + 6) / 7;
                    Set<Integer> seen = new HashSet<>();
                    poll(consumer, expected).forEach(r -> seen.add(r.partition()));
                    Compat.equal(seen.size(), expected, "partitions in round " + round);
                    // The session changes: a partition leaves and comes back.
                    consumer.pause(List.of(all.get(round)));
                    consumer.poll(Duration.ofMillis(50));
                    consumer.resume(List.of(all.get(round)));
                }
            }
        });
        Compat.test("long-poll", () -> {
            String topic = create("long-poll", 1);
            try (var consumer = consumer("fetch.max.wait.ms=10000"); var producer = producer()) {
                var tp = new TopicPartition(topic, 0);
                consumer.assign(List.of(tp));
                consumer.seekToEnd(List.of(tp));
                Compat.equal(consumer.poll(Duration.ofMillis(500)).count(), 0, "records of an empty topic");
                producer.send(new ProducerRecord<>(topic, 0, "k", "v")).get();
                long start = System.nanoTime();
                poll(consumer, 1);
                long waited = (System.nanoTime() - start) / 1_000_000;
                Compat.check(waited < 7500, "the record came after " + waited + " ms only");
            }
        });
        Compat.test("offset-out-of-range", () -> {
            String topic = create("range", 1);
            send(topic, 0, 0, 10);
            try (var consumer = consumer("auto.offset.reset=none")) {
                var tp = new TopicPartition(topic, 0);
                consumer.assign(List.of(tp));
                consumer.seek(tp, 5000);
                fails(OffsetOutOfRangeException.class, () -> poll(consumer, 1));
            }
        });
        Compat.test("read-committed-without-transactions", () -> {
            String topic = create("committed", 1);
            send(topic, 0, 0, 100);
            expectInOrder(read(topic, 0, 100, "isolation.level=read_committed"), 0, 0);
        });
        Compat.test("topic-deleted-and-made-again", () -> {
            String topic = create("again", 1);
            send(topic, 0, 0, 10);
            admin.deleteTopics(List.of(topic)).all().get();
            Compat.eventually("the topic is gone", () -> !admin.listTopics().names().get().contains(topic));
            create("again", 1);
            send(topic, 0, 500, 503);
            expectInOrder(read(topic, 0, 3), 0, 500);
        });
    }
}
