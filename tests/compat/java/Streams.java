import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * The word count of {@code tests/compat/streams-wordcount} under both guarantees, through kills of it and of the
 * broker, the loss of its state, and restarts. Its counts are compared with our own. Without a cache each word that
 * comes gives a count, so that under exactly once the counts of a word are 1, 2, 3 and so on, none left out.
 */
final class Streams {
    private static final int PARTITIONS = 2;
    private static final int WORDS_A_LINE = 10;
    private static final String EXACTLY_ONCE = "exactly_once_v2";
    private static final String AT_LEAST_ONCE = "at_least_once";
    /** For a program that is not killed: a stall of some seconds would end its session, and at least once counts twice. */
    private static final String PATIENT = "consumer.session.timeout.ms=45000";
    /** What follows the application in the names of the topics that Streams makes. */
    private static final String REPARTITION = "-counts-store-repartition";
    private static final String CHANGELOG = "-counts-store-changelog";

    public static void main(String[] args) {
        Compat.begin(args);
        Clients.admin = Admin.create(Map.of("bootstrap.servers", Compat.address));
        Compat.test("at-least-once", () -> plain("at-least-once", AT_LEAST_ONCE));
        Compat.test("exactly-once", () -> plain("exactly-once", EXACTLY_ONCE));
        Compat.test("streams-protocol", Streams::streamsProtocol);
        Compat.test("program-killed", Streams::programKilled);
        Compat.test("program-killed-at-least-once", Streams::programKilledAtLeastOnce);
        Compat.test("broker-killed", () -> brokerKilled("broker", EXACTLY_ONCE, true));
        Compat.test("broker-killed-at-least-once", () -> brokerKilled("broker-alo", AT_LEAST_ONCE, false));
        Compat.test("state-lost", Streams::stateLost);
        Compat.test("standby-takes-over", Streams::standby);
        Compat.test("closed-and-started", Streams::restarted);
        Compat.test("internal-topics", Streams::internalTopics);
        Compat.test("equal-to-kafka", () -> equalToKafka("equal", EXACTLY_ONCE));
        Compat.test("equal-to-kafka-at-least-once", () -> equalToKafka("equal-alo", AT_LEAST_ONCE));
        Compat.end();
    }

    /** One word count: its topics, what went in, and what has come out. */
    private static final class Count implements AutoCloseable {
        private final String application;
        private final String input;
        private final String output;
        private final String guarantee;
        private final boolean exact;
        private final Random chance = new Random(11);
        private final Map<String, Long> wanted = new HashMap<>();
        private final Map<String, Long> told = new HashMap<>();
        /** Words with their counts, as they came. */
        private final List<String> seen = new ArrayList<>();
        private final KafkaProducer<String, String> producer = Clients.producer("linger.ms=5");
        private final KafkaConsumer<String, Long> consumer;
        private final List<Program> programs = new ArrayList<>();
        private long fed;

        /** With {@code exact} no count may come twice or be left out, now and later. */
        Count(String name, String guarantee, boolean exact) throws Exception {
            this.guarantee = guarantee;
            this.exact = exact;
            input = Clients.create("lines-" + name, PARTITIONS);
            output = Clients.create("counts-" + name, PARTITIONS);
            application = "count-" + name + "-" + Compat.RUN;
            consumer = new KafkaConsumer<>(Map.of("bootstrap.servers", Compat.address, "isolation.level", "read_committed",
                    "max.poll.records", "5000"), new StringDeserializer(), new LongDeserializer());
            List<TopicPartition> all = IntStream.range(0, PARTITIONS).mapToObj(p -> new TopicPartition(output, p)).toList();
            consumer.assign(all);
            consumer.seekToBeginning(all);
        }

        /** Some words are frequent, most are rare. */
        void feed(int lines) throws Exception {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int n = 0; n < lines; n++) {
                StringBuilder line = new StringBuilder();
                for (int word = 0; word < WORDS_A_LINE; word++) {
                    double place = chance.nextDouble();
                    String next = "Word" + (int) (600 * place * place);
                    line.append(next).append(word % 2 == 0 ? " " : ", ");
                    wanted.merge(next.toLowerCase(), 1L, Long::sum);
                }
                sent.add(producer.send(new ProducerRecord<>(input, n % PARTITIONS, null, line.toString())));
            }
            for (var each : sent) {
                each.get();
            }
            fed += (long) lines * WORDS_A_LINE;
        }

        Path state(int instance) {
            return Path.of("state-" + application + "-" + instance).toAbsolutePath();
        }

        /** Starts the program; an instance has a state directory of its own. */
        Program start(int instance, String... settings) throws IOException {
            List<String> words = new ArrayList<>(List.of("WordCount", input, output, "application.id=" + application,
                    "bootstrap.servers=" + Compat.address, "processing.guarantee=" + guarantee,
                    "state.dir=" + state(instance), "statestore.cache.max.bytes=0", "commit.interval.ms=100",
                    "replication.factor=1", "auto.offset.reset=earliest"));
            if (!List.of(settings).contains("group.protocol=streams")) {
                // The place of a killed one is free when its session has ended.
                words.addAll(List.of("consumer.session.timeout.ms=6000", "consumer.heartbeat.interval.ms=1000"));
            }
            words.addAll(List.of(settings));
            Program program = Program.java(application, System.getProperty("wordcount"), words.toArray(String[]::new));
            programs.add(program);
            return program;
        }

        private void read() {
            for (ConsumerRecord<String, Long> record : consumer.poll(Duration.ofMillis(100))) {
                seen.add(record.key() + " " + record.value());
                Long before = told.put(record.key(), record.value());
                long expected = before == null ? 1 : before + 1;
                if (exact) {
                    Compat.equal(record.value(), expected, "the count of " + record.key() + " at offset " + record.offset()
                            + " of partition " + record.partition());
                }
            }
        }

        private long sum(Map<String, Long> counts) {
            return counts.values().stream().mapToLong(n -> n).sum();
        }

        /** Waits until the counts add up to this share of what was fed. */
        void awaitPart(double part) {
            await((long) (part * 100) + " % of the counts", () -> sum(told) >= part * fed);
        }

        /** Waits until all counts are there: exact ones, or, of at least once, not fewer. */
        void awaitAll() {
            await("all counts", () -> exact ? sum(told) >= fed
                    : wanted.entrySet().stream().allMatch(e -> told.getOrDefault(e.getKey(), 0L) >= e.getValue()));
            if (exact) {
                Compat.equal(told, wanted, "counts");
            } else {
                Compat.equal(told.keySet(), wanted.keySet(), "words");
            }
        }

        /** Waits until the group has committed all that there is to read. */
        void awaitCommitted() throws Exception {
            Compat.eventually("all is committed", () -> {
                Map<TopicPartition, Long> ends = new HashMap<>(offsets(input, OffsetSpec.latest()));
                ends.putAll(offsets(application + REPARTITION, OffsetSpec.latest()));
                var committed = Clients.admin.listConsumerGroupOffsets(application).partitionsToOffsetAndMetadata().get();
                return ends.entrySet().stream().allMatch(end -> committed.get(end.getKey()) != null
                        && committed.get(end.getKey()).offset() == end.getValue());
            });
        }

        private void await(String what, BooleanSupplier there) {
            long end = System.nanoTime() + 120_000_000_000L;
            while (!there.getAsBoolean()) {
                if (System.nanoTime() > end) {
                    throw new AssertionError("not within 120 s: " + what + ", but " + sum(told) + " of " + fed);
                }
                if (programs.stream().noneMatch(Program::runs)) {
                    throw new AssertionError("the program has ended, and " + what + " were still to come");
                }
                read();
            }
        }

        @Override
        public void close() {
            programs.forEach(Program::close);
            producer.close();
            consumer.close();
        }
    }

    /** How many records a program has restored its stores from. */
    private static long restored(Program program) {
        return program.lines().stream().filter(l -> l.startsWith("restored "))
                .mapToLong(l -> Long.parseLong(l.substring(9))).sum();
    }

    private static void awaitRunning(Program program) throws Exception {
        program.await("the state RUNNING", 120, "state RUNNING"::equals);
    }

    private static void plain(String name, String guarantee) throws Exception {
        try (var count = new Count(name, guarantee, true)) {
            count.feed(2000);
            count.start(1, PATIENT);
            count.awaitPart(0.5);
            count.feed(2000);
            count.awaitAll();
        }
    }

    /** The protocol of Streams' own, and what Kafka's tool says of such a group. */
    private static void streamsProtocol() throws Exception {
        try (var count = new Count("streams-protocol", EXACTLY_ONCE, true)) {
            count.feed(2000);
            count.start(1, "group.protocol=streams");
            count.awaitPart(0.5);
            count.feed(2000);
            count.awaitAll();
            String group = count.application;
            String command = "streams.StreamsGroupCommand";
            Compat.tool(command, "--list").ok().has(group);
            Compat.tool(command, "--describe", "--group", group, "--state").ok().has(group, "Stable");
            Compat.tool(command, "--describe", "--group", group, "--members").ok().has(group, "ACTIVE");
            Compat.tool(command, "--describe", "--group", group).ok().has(group, count.input);
        }
    }

    private static void killProgram(Count count) throws Exception {
        count.feed(1000);
        Program first = count.start(1);
        count.awaitPart(0.5);
        count.feed(2000);
        count.awaitPart(0.5);
        first.kill();
        count.feed(500);
        Program second = count.start(1);
        count.awaitAll();
        Compat.check(second.runs(), "the second one has ended");
    }

    private static void programKilled() throws Exception {
        try (var count = new Count("killed", EXACTLY_ONCE, true)) {
            killProgram(count);
        }
    }

    private static void programKilledAtLeastOnce() throws Exception {
        try (var count = new Count("killed-alo", AT_LEAST_ONCE, false)) {
            killProgram(count);
        }
    }

    private static void brokerKilled(String name, String guarantee, boolean exact) throws Exception {
        try (var count = new Count(name, guarantee, exact)) {
            count.feed(1000);
            Program program = count.start(1);
            count.awaitPart(0.5);
            for (int round = 0; round < 3; round++) {
                count.feed(1000);
                Thread.sleep(100 + 150 * round);
                Brokers.crash(Brokers.TESTED);
                count.awaitPart(0.8);
            }
            count.awaitAll();
            Compat.check(program.runs(), "the program has ended");
        }
    }

    private static void stateLost() throws Exception {
        try (var count = new Count("lost", EXACTLY_ONCE, true)) {
            count.feed(1000);
            Program first = count.start(1);
            count.awaitAll();
            first.stop();
            try (Stream<Path> files = Files.walk(count.state(1))) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            }
            count.feed(1000);
            Program second = count.start(1);
            count.awaitAll();
            long restored = restored(second);
            Compat.check(restored >= count.wanted.size() / 2, "restored from " + restored + " records only");
        }
    }

    private static void standby() throws Exception {
        try (var count = new Count("standby", EXACTLY_ONCE, true)) {
            count.feed(1000);
            Program first = count.start(1, "num.standby.replicas=1");
            awaitRunning(first);
            Program second = count.start(2, "num.standby.replicas=1");
            awaitRunning(second);
            count.awaitAll();
            count.feed(1000);
            second.await("records of a standby task", 120, line -> line.startsWith("standby ") && !line.equals("standby 0"));
            first.kill();
            count.feed(1000);
            count.awaitAll();
            Program third = count.start(1, "num.standby.replicas=1");
            awaitRunning(third);
            count.feed(500);
            count.awaitAll();
            Compat.check(second.runs() && third.runs(), "one of both has ended");
        }
    }

    private static void restarted() throws Exception {
        try (var count = new Count("restarted", EXACTLY_ONCE, true)) {
            for (int round = 0; round < 3; round++) {
                count.feed(700);
                Program program = count.start(1);
                count.awaitAll();
                program.stop();
                Compat.check(program.lines().contains("closed"), "it did not close: " + program.errors());
                Compat.equal(restored(program), 0L, "records restored from after a clean end");
            }
        }
    }

    private static Map<TopicPartition, Long> offsets(String topic, OffsetSpec which) throws Exception {
        Map<TopicPartition, OffsetSpec> wanted = new HashMap<>();
        for (int partition = 0; partition < PARTITIONS; partition++) {
            wanted.put(new TopicPartition(topic, partition), which);
        }
        return Clients.admin.listOffsets(wanted).all().get().entrySet().stream()
                .collect(Collectors.toMap(Map.Entry::getKey, found -> found.getValue().offset()));
    }

    /** The topics that Streams makes for itself: their settings, and that what was read of the one is deleted. */
    private static void internalTopics() throws Exception {
        try (var count = new Count("internal", EXACTLY_ONCE, true)) {
            count.feed(1000);
            count.start(1, "repartition.purge.interval.ms=500");
            count.awaitAll();
            String application = count.application;
            Set<String> made = Clients.admin.listTopics().names().get().stream()
                    .filter(name -> name.startsWith(application)).collect(Collectors.toSet());
            Compat.equal(made, Set.of(application + REPARTITION, application + CHANGELOG), "topics made");
            expectSettings(application + CHANGELOG, Map.of("cleanup.policy", "compact"));
            expectSettings(application + REPARTITION,
                    Map.of("cleanup.policy", "delete", "retention.ms", "-1", "segment.bytes", "52428800"));
            // Behind the last word of each partition lies the marker of its transaction.
            Compat.eventually("every word that was counted is deleted from the repartition topic", () -> {
                var first = offsets(application + REPARTITION, OffsetSpec.earliest());
                return offsets(application + REPARTITION, OffsetSpec.latest()).entrySet().stream()
                        .allMatch(end -> first.get(end.getKey()) > 0 && end.getValue() - first.get(end.getKey()) <= 1);
            });
            var counts = offsets(application + CHANGELOG, OffsetSpec.earliest());
            Compat.check(counts.values().stream().allMatch(first -> first == 0), "the changelog begins at " + counts);
        }
    }

    private static void expectSettings(String topic, Map<String, String> wanted) throws Exception {
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        var described = Clients.admin.describeConfigs(List.of(resource)).all().get().get(resource);
        for (var each : wanted.entrySet()) {
            Compat.equal(described.get(each.getKey()).value(), each.getValue(), each.getKey() + " of " + topic);
        }
    }

    /** What a word count has told: the last count of each word, and all of them in an order that says nothing. */
    private record Told(Map<String, Long> last, List<String> all) {}

    /** The same lines give the same counts here and under Kafka, though the program is killed on the way. */
    private static void equalToKafka(String name, String guarantee) throws Exception {
        Told ours = toldDespiteKill(name, guarantee);
        String address = Compat.address;
        Admin admin = Clients.admin;
        Told theirs;
        Compat.address = Brokers.start(Brokers.KAFKA).address();
        try (var kafka = Admin.create(Map.of("bootstrap.servers", Compat.address))) {
            Clients.admin = kafka;
            theirs = toldDespiteKill(name + "-kafka", guarantee);
        } finally {
            Compat.address = address;
            Clients.admin = admin;
            Brokers.stop(Brokers.KAFKA);
        }
        Compat.equal(ours.last, theirs.last, "the last count of each word");
        Compat.equal(ours.all, theirs.all, "words with their counts");
    }

    private static Told toldDespiteKill(String name, String guarantee) throws Exception {
        try (var count = new Count(name, guarantee, true)) {
            count.feed(1000);
            Program first = count.start(1);
            if (guarantee.equals(AT_LEAST_ONCE)) {
                // What is not committed when the program is killed would be counted twice, here or there.
                count.awaitAll();
                count.awaitCommitted();
            } else {
                count.awaitPart(0.5);
                count.feed(1000);
            }
            first.kill();
            count.feed(1000);
            count.start(1, PATIENT);
            count.awaitAll();
            return new Told(Map.copyOf(count.told), count.seen.stream().sorted().toList());
        }
    }
}
