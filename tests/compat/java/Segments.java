import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.Future;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Segment files of the tested broker under Kafka, and Kafka's under the tested one. Both write topics of every codec,
 * with transactions and compacted ones; both are stopped; Kafka's DumpLogSegments reads what the tested one wrote;
 * each gets the other's files into an empty topic, is started, and must serve what the other served.
 */
final class Segments {
    private static final int RECORDS = 8000;
    private static final String SEGMENT_BYTES = "1048576";
    private static final Pattern OFFSET = Pattern.compile("^\\| offset: (\\d+) (\\w+): (-?\\d+) keySize: .*?headerKeys: \\[.*?\\](.*)$");
    private static final Pattern FILES = Pattern.compile("(\\d{20}\\.(log|index|timeindex|txnindex)|leader-epoch-checkpoint)");

    /** What a topic is written like, and the settings that it needs. */
    private record Kind(String name, Map<String, String> settings, Writer writer) {}

    private interface Writer {
        void write(Side side, String topic) throws Exception;
    }

    /** What is read of a topic. */
    record Seen(List<String> all, List<String> committed, Map<Long, Long> offsetsOfTimes) {}

    /** One of the two brokers. */
    record Side(String name, Brokers.Place place, Admin admin, Map<String, Seen> seen) {
        Side(String name, Brokers.Place place) {
            this(name, place, Admin.create(Map.of("bootstrap.servers", place.address())), new HashMap<>());
        }

        String topic(Kind kind) {
            return Compat.topic(name + "-" + kind.name);
        }

        boolean isKafka() {
            return Files.exists(place.data().resolve("meta.properties"));
        }

        Path directory(String topic, Uuid id) {
            return isKafka() ? place.data().resolve(topic + "-0")
                    : place.data().resolve("topics").resolve(topic + "." + id).resolve("0");
        }

        Uuid id(String topic) throws Exception {
            return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).topicId();
        }

        KafkaProducer<String, String> producer(String... settings) {
            return new KafkaProducer<>(properties(settings), new StringSerializer(), new StringSerializer());
        }

        KafkaConsumer<String, String> consumer(String... settings) {
            return new KafkaConsumer<>(properties(settings), new StringDeserializer(), new StringDeserializer());
        }

        private Properties properties(String... settings) {
            Properties all = new Properties();
            all.put("bootstrap.servers", place.address());
            for (String setting : settings) {
                all.put(setting.substring(0, setting.indexOf('=')), setting.substring(setting.indexOf('=') + 1));
            }
            return all;
        }
    }

    private static final List<Kind> KINDS = new ArrayList<>();
    private static final Map<String, Uuid> IDS = new HashMap<>();
    private static Side tested;
    private static Side kafka;

    public static void main(String[] args) {
        Compat.begin(args);
        kinds();
        Compat.test("written", Segments::write);
        for (Kind kind : KINDS) {
            Compat.test("dump-" + kind.name, () -> dump(tested.topic(kind)));
        }
        Compat.test("dump-consumer-offsets", () -> dumpInternal("__consumer_offsets", "--offsets-decoder",
                "\"group\":\"segments" + Compat.RUN + "\""));
        Compat.test("dump-transaction-state", () -> dumpInternal("__transaction_state", "--transaction-log-decoder",
                "\"transactionalId\":\"segments" + Compat.RUN + "\""));
        Compat.test("moved", Segments::move);
        for (Kind kind : KINDS) {
            Compat.test("kafka-serves-" + kind.name, () -> serves(kafka, tested.topic(kind), tested));
            Compat.test("kafka-times-" + kind.name, () -> times(kafka, tested.topic(kind), tested));
        }
        for (Kind kind : KINDS) {
            Compat.test("served-from-kafka-" + kind.name, () -> serves(tested, kafka.topic(kind), kafka));
            Compat.test("times-from-kafka-" + kind.name, () -> times(tested, kafka.topic(kind), kafka));
        }
        Compat.test("hanging-from-kafka", () -> Hanging.foundAndAborted(tested));
        Compat.end();
    }

    private static void kinds() {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            KINDS.add(new Kind(codec, Map.of(), (side, topic) -> plain(side, topic, codec)));
        }
        KINDS.add(new Kind("append-time", Map.of("message.timestamp.type", "LogAppendTime"),
                (side, topic) -> plain(side, topic, "lz4")));
        KINDS.add(new Kind("transactions", Map.of(), (side, topic) -> transactions(side, topic, 5 * RECORDS)));
        Map<String, String> compact = Map.of("cleanup.policy", "compact", "min.cleanable.dirty.ratio", "0.01");
        KINDS.add(new Kind("compacted", compact, Segments::compacted));
        KINDS.add(new Kind("compacted-transactions", compact, Segments::compactedTransactions));
    }

    private static void write() throws Exception {
        Path data = Path.of(System.getProperty("data"));
        tested = new Side("tested", new Brokers.Place(Compat.address, data));
        kafka = new Side("kafka", Brokers.start(Brokers.KAFKA));
        for (Side side : List.of(tested, kafka)) {
            Side other = side == tested ? kafka : tested;
            for (Kind kind : KINDS) {
                String topic = side.topic(kind);
                create(side, topic, kind.settings);
                kind.writer.write(side, topic);
                // Compacting it further would make what is compared another: from now on nothing is.
                Map<String, String> still = new HashMap<>(kind.settings);
                still.put("min.compaction.lag.ms", "604800000");
                create(other, topic, still);
                if (kind.settings.containsKey("cleanup.policy")) {
                    alter(side, topic, "min.compaction.lag.ms", "604800000");
                    Thread.sleep(1000);
                }
                side.seen.put(topic, see(side, topic));
                remember(side, topic);
                remember(other, topic);
            }
        }
        try (var producer = tested.producer("transactional.id=segments" + Compat.RUN);
                var consumer = tested.consumer("group.id=segments" + Compat.RUN, "auto.offset.reset=earliest")) {
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(tested.topic(KINDS.get(0)), 0, "last", "one"));
            producer.commitTransaction();
            consumer.subscribe(List.of(tested.topic(KINDS.get(0))));
            Clients.poll(consumer, RECORDS + 1);
            consumer.commitSync();
        }
        String first = tested.topic(KINDS.get(0));
        tested.seen.put(first, see(tested, first));
        Hanging.write(kafka, tested);
        Brokers.stop(Brokers.TESTED);
        Brokers.stop(Brokers.KAFKA);
    }

    /** Keeps the id of a topic for when its broker is stopped. */
    static void remember(Side side, String topic) throws Exception {
        IDS.put(side.name + topic, side.id(topic));
    }

    /** The directory of a topic's only partition. */
    static Path directory(Side side, String topic) {
        return side.directory(topic, IDS.get(side.name + topic));
    }

    static void create(Side side, String topic, Map<String, String> settings) throws Exception {
        Map<String, String> all = new HashMap<>(settings);
        all.put("segment.bytes", SEGMENT_BYTES);
        all.put("index.interval.bytes", "4096");
        side.admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1).configs(all))).all().get();
        Compat.eventually(topic + " has a leader", () -> {
            try {
                return side.admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().get(0)
                        .leader() != null;
            } catch (java.util.concurrent.ExecutionException notYet) {
                return false;
            }
        });
    }

    private static void alter(Side side, String topic, String key, String value) throws Exception {
        var change = new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET);
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        side.admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
    }

    /** 400 characters that compress to the half. */
    private static String value(Random chance) {
        StringBuilder text = new StringBuilder(400);
        while (text.length() < 400) {
            text.append(Integer.toHexString(chance.nextInt() | 0x80000000));
        }
        return text.toString();
    }

    private static void send(KafkaProducer<String, String> producer, String topic, int count,
            java.util.function.IntFunction<String> key, boolean tombstones) throws Exception {
        Random chance = new Random(count);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (int n = 0; n < count; n++) {
            String value = tombstones && n % 50 == 0 ? null : value(chance);
            sent.add(producer.send(new ProducerRecord<>(topic, 0, key.apply(n), value)));
        }
        for (var each : sent) {
            each.get();
        }
    }

    private static void plain(Side side, String topic, String codec) throws Exception {
        try (var producer = side.producer("compression.type=" + codec, "batch.size=4000")) {
            send(producer, topic, RECORDS, n -> "k" + n, false);
        }
    }

    /** Two producers whose transactions lie between each other's; every third is aborted. */
    private static void transactions(Side side, String topic, int keys) throws Exception {
        String alone = "max.in.flight.requests.per.connection=1";
        try (var one = side.producer("transactional.id=one-" + topic, "batch.size=4000", alone, "compression.type=zstd");
                var two = side.producer("transactional.id=two-" + topic, "batch.size=4000", alone)) {
            var both = List.of(one, two);
            one.initTransactions();
            two.initTransactions();
            for (int round = 0; round < 24; round++) {
                int begin = round * 200;
                for (var producer : both) {
                    producer.beginTransaction();
                }
                for (var producer : both) {
                    send(producer, topic, 200, n -> "k" + (begin + n) % keys, false);
                }
                for (var producer : both) {
                    if ((round + both.indexOf(producer)) % 3 == 0) {
                        producer.abortTransaction();
                    } else {
                        producer.commitTransaction();
                    }
                }
            }
        }
    }

    private static void compacted(Side side, String topic) throws Exception {
        try (var producer = side.producer("compression.type=lz4", "batch.size=4000")) {
            for (int round = 0; round < 4; round++) {
                send(producer, topic, RECORDS / 2, n -> "k" + n % 500, round == 2);
            }
        }
        awaitCompaction(side, topic, RECORDS);
    }

    private static void compactedTransactions(Side side, String topic) throws Exception {
        transactions(side, topic, 300);
        // Only what lies before the last segment is compacted.
        try (var producer = side.producer()) {
            send(producer, topic, RECORDS / 2, n -> "last" + n, false);
        }
        awaitCompaction(side, topic, 24 * 200 + RECORDS / 2);
    }

    private static void awaitCompaction(Side side, String topic, int most) throws Exception {
        long end = System.nanoTime() + 120_000_000_000L;
        for (int records = Integer.MAX_VALUE; records > most; records = read(side, topic, "read_uncommitted").size()) {
            Compat.check(System.nanoTime() < end, side.name + " has still " + records + " records after 120 s");
            Thread.sleep(500);
        }
    }

    static List<ConsumerRecord<String, String>> read(Side side, String topic, String isolation) {
        var tp = new TopicPartition(topic, 0);
        List<ConsumerRecord<String, String>> read = new ArrayList<>();
        try (var consumer = side.consumer("isolation.level=" + isolation, "max.poll.records=5000")) {
            consumer.assign(List.of(tp));
            consumer.seekToBeginning(List.of(tp));
            long end = consumer.endOffsets(List.of(tp)).get(tp);
            long limit = System.nanoTime() + 90_000_000_000L;
            while (consumer.position(tp) < end) {
                Compat.check(System.nanoTime() < limit,
                        "read " + read.size() + " up to " + consumer.position(tp) + " of " + end + " in 90 s");
                consumer.poll(Duration.ofMillis(200)).forEach(read::add);
            }
        }
        return read;
    }

    private static String line(ConsumerRecord<String, String> record) {
        return record.offset() + " " + record.timestampType() + " " + record.timestamp() + " " + record.key() + " "
                + record.value();
    }

    /** Everything of a topic, and what it answers about some of its times. */
    private static Seen see(Side side, String topic) throws Exception {
        var all = read(side, topic, "read_uncommitted");
        var committed = read(side, topic, "read_committed");
        List<Long> times = new ArrayList<>();
        for (int at = 0; at < all.size(); at += all.size() / 20 + 1) {
            times.add(all.get(at).timestamp());
        }
        return new Seen(all.stream().map(Segments::line).toList(), committed.stream().map(Segments::line).toList(),
                offsetsOf(side, topic, times));
    }

    private static Map<Long, Long> offsetsOf(Side side, String topic, Iterable<Long> times) {
        var tp = new TopicPartition(topic, 0);
        Map<Long, Long> offsets = new TreeMap<>();
        try (var consumer = side.consumer()) {
            consumer.assign(List.of(tp));
            for (long time : times) {
                OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(tp, time)).get(tp);
                offsets.put(time, found == null ? -1 : found.offset());
            }
        }
        return offsets;
    }

    /** The files of a partition with this ending, in order. */
    private static List<Path> files(Path directory, String ending) throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            return files.filter(f -> f.getFileName().toString().endsWith(ending))
                    .sorted(Comparator.comparing(Path::getFileName)).toList();
        }
    }

    /** Kafka's reader over files: what it prints, and what it complains of. */
    private static String[] dumped(List<Path> files, String... more) throws Exception {
        PrintStream errors = System.err;
        ByteArrayOutputStream complaints = new ByteArrayOutputStream();
        System.setErr(new PrintStream(complaints, true));
        try {
            String names = files.stream().map(Path::toString).collect(Collectors.joining(","));
            String[] first = {"--files", names};
            String out = Compat.call("DumpLogSegments", "",
                    Stream.concat(Stream.of(first), Stream.of(more)).toArray(String[]::new)).ok().out();
            return new String[] {out, complaints.toString(StandardCharsets.UTF_8)};
        } finally {
            System.setErr(errors);
        }
    }

    private static void dump(String topic) throws Exception {
        Path directory = tested.directory(topic, IDS.get(tested.name + topic));
        List<Path> logs = files(directory, ".log");
        Compat.check(logs.size() > 1, "only the segments " + logs);
        String out = dumped(logs, "--print-data-log", "--deep-iteration")[0];
        Compat.check(!out.contains("isvalid: false") && !out.contains("invalid bytes"), "a batch is not valid");
        List<String> records = new ArrayList<>();
        for (String line : out.lines().toList()) {
            Matcher found = OFFSET.matcher(line);
            if (found.matches() && !line.contains(" endTxnMarker: ")) {
                records.add(found.group(1) + " " + found.group(2) + " " + found.group(3) + contents(found.group(4)));
            }
        }
        same(records, tested.seen.get(topic).all);
        for (String ending : List.of(".index", ".timeindex")) {
            String[] index = dumped(files(directory, ending));
            Compat.equal(index[1], "", "complaints about " + ending);
            // A compacted log is small.
            long least = topic.contains("compacted") ? 1 : 10;
            long entries = index[0].lines().filter(l -> l.matches("(offset|timestamp): .*")).count();
            Compat.check(entries >= least, "only " + entries + " entries in " + ending);
        }
        if (topic.contains("-transactions") && !topic.contains("compacted")) {
            long aborted = dumped(files(directory, ".txnindex"))[0].lines().filter(l -> l.contains("firstOffset: ")).count();
            Compat.equal(aborted, 16L, "aborted transactions");
        }
    }

    /** " key: k payload: v" as "k v", as in {@link #line}. */
    private static String contents(String rest) {
        int payload = rest.indexOf(" payload: ");
        String key = payload < 0 ? rest : rest.substring(0, payload);
        return " " + key.replaceFirst("^ key: ", "") + " " + (payload < 0 ? "null" : rest.substring(payload + 10));
    }

    private static void same(List<String> got, List<String> wanted) {
        for (int n = 0; n < Math.min(got.size(), wanted.size()); n++) {
            Compat.equal(got.get(n), wanted.get(n), "record " + n);
        }
        Compat.equal(got.size(), wanted.size(), "records");
    }

    /** The segments of a coordinator's topic, with the decoder of their records. */
    private static void dumpInternal(String topic, String decoder, String wanted) throws Exception {
        Predicate<Path> ours = path -> path.toString().contains(topic) && path.toString().endsWith(".log");
        List<Path> logs;
        try (Stream<Path> files = Files.walk(tested.place.data())) {
            logs = files.filter(ours).filter(path -> path.toFile().length() > 0).toList();
        }
        String out = dumped(logs, decoder)[0];
        Compat.check(out.contains(wanted), "no " + wanted + " in the segments of " + topic);
        Compat.check(!out.contains("isvalid: false") && !out.contains("Error at offset"), "not all can be read");
    }

    private static void move() throws Exception {
        for (Kind kind : KINDS) {
            copy(tested, kafka, tested.topic(kind));
            copy(kafka, tested, kafka.topic(kind));
        }
        Hanging.move(kafka, tested);
        Brokers.start(Brokers.KAFKA);
        Brokers.start(Brokers.TESTED);
    }

    static void copy(Side from, Side to, String topic) throws IOException {
        Path source = directory(from, topic);
        Path target = directory(to, topic);
        Files.createDirectories(target);
        try (Stream<Path> there = Files.list(target)) {
            for (Path file : there.filter(Segments::moves).toList()) {
                Files.delete(file);
            }
        }
        try (Stream<Path> files = Files.list(source)) {
            for (Path file : files.filter(Segments::moves).toList()) {
                Files.copy(file, target.resolve(file.getFileName()));
            }
        }
    }

    private static boolean moves(Path file) {
        return FILES.matcher(file.getFileName().toString()).matches();
    }

    /** A broker serves what the other one has written, and the log goes on. */
    private static void serves(Side side, String topic, Side writer) throws Exception {
        Seen wanted = writer.seen.get(topic);
        Seen got = see(side, topic);
        same(got.all, wanted.all);
        same(got.committed, wanted.committed);
        seek(side, topic, wanted.all);
        long end;
        try (var producer = side.producer("acks=all")) {
            end = producer.send(new ProducerRecord<>(topic, 0, "more", "of it")).get().offset();
            producer.send(new ProducerRecord<>(topic, 0, "and", "more")).get();
        }
        var after = read(side, topic, "read_committed");
        Compat.equal(after.size(), wanted.committed.size() + 2, "records with what was appended");
        Compat.equal(after.get(after.size() - 2).offset(), end, "offset of what was appended");
    }

    /** A broker answers about times as the other one did. */
    private static void times(Side side, String topic, Side writer) {
        Map<Long, Long> wanted = writer.seen.get(topic).offsetsOfTimes;
        Compat.equal(offsetsOf(side, topic, wanted.keySet()), wanted, "offsets of times");
    }

    /** Reads from offsets all over the log: through the index files that came with it. */
    private static void seek(Side side, String topic, List<String> wanted) {
        var tp = new TopicPartition(topic, 0);
        try (var consumer = side.consumer("max.poll.records=10")) {
            consumer.assign(List.of(tp));
            for (int at = 0; at < wanted.size(); at += wanted.size() / 15 + 1) {
                String line = wanted.get(at);
                consumer.seek(tp, Long.parseLong(line.substring(0, line.indexOf(' '))));
                List<ConsumerRecord<String, String>> read = new ArrayList<>();
                long end = System.nanoTime() + 60_000_000_000L;
                while (read.isEmpty() && System.nanoTime() < end) {
                    consumer.poll(Duration.ofMillis(200)).forEach(read::add);
                }
                Compat.check(!read.isEmpty(), "nothing at offset " + line.substring(0, line.indexOf(' ')));
                Compat.equal(line(read.get(0)), line, "the record sought");
            }
        }
    }
}
