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
import java.util.concurrent.Future;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
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

    public static void main(String[] args) {
        Compat.begin(args);
        Clients.admin = Admin.create(Map.of("bootstrap.servers", Compat.address));
        Compat.test("at-least-once", () -> plain("at-least-once", AT_LEAST_ONCE));
        Compat.test("exactly-once", () -> plain("exactly-once", EXACTLY_ONCE));
        Compat.test("streams-protocol", () -> plain("streams-protocol", EXACTLY_ONCE, "group.protocol=streams"));
        Compat.test("program-killed", Streams::programKilled);
        Compat.test("program-killed-at-least-once", Streams::programKilledAtLeastOnce);
        Compat.test("broker-killed", Streams::brokerKilled);
        Compat.test("state-lost", Streams::stateLost);
        Compat.test("standby-takes-over", Streams::standby);
        Compat.test("closed-and-started", Streams::restarted);
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

        private void await(String what, BooleanSupplier there) {
            long end = System.nanoTime() + 60_000_000_000L;
            while (!there.getAsBoolean()) {
                if (System.nanoTime() > end) {
                    throw new AssertionError("not within 60 s: " + what + ", but " + sum(told) + " of " + fed);
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
        program.await("the state RUNNING", 60, "state RUNNING"::equals);
    }

    private static void plain(String name, String guarantee, String... settings) throws Exception {
        try (var count = new Count(name, guarantee, true)) {
            count.feed(2000);
            count.start(1, settings);
            count.awaitPart(0.5);
            count.feed(2000);
            count.awaitAll();
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

    private static void brokerKilled() throws Exception {
        try (var count = new Count("broker", EXACTLY_ONCE, true)) {
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
            second.await("records of a standby task", 60, line -> line.startsWith("standby ") && !line.equals("standby 0"));
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
}
