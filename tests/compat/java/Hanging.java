import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * A transaction that nobody will end: it was begun under Kafka, whose coordinator knows it, and its segments come to
 * the tested broker, whose coordinator does not. Kafka's tool must find it there, and abort it.
 */
final class Hanging {
    private static final String TOPIC = Compat.topic("hanging");
    private static final int BEFORE = 10;
    private static final int OPEN = 5;
    private static final int AFTER = 3;

    /** Writes the topic under Kafka, and makes an empty one of its name for the tested broker. */
    static void write(Segments.Side kafka, Segments.Side tested) throws Exception {
        for (Segments.Side side : List.of(kafka, tested)) {
            Segments.create(side, TOPIC, Map.of());
            Segments.remember(side, TOPIC);
        }
        try (var plain = kafka.producer()) {
            send(plain, BEFORE);
        }
        var producer = kafka.producer("transactional.id=" + TOPIC, "transaction.timeout.ms=600000");
        producer.initTransactions();
        producer.beginTransaction();
        send(producer, OPEN);
        // With time to close it would abort what is open.
        producer.close(Duration.ZERO);
        try (var plain = kafka.producer()) {
            send(plain, AFTER);
        }
    }

    private static void send(KafkaProducer<String, String> producer, int count) throws Exception {
        for (int n = 0; n < count; n++) {
            producer.send(new ProducerRecord<>(TOPIC, 0, "k" + n, "v" + n)).get();
        }
    }

    /** Moves the segments; both brokers are stopped. */
    static void move(Segments.Side kafka, Segments.Side tested) throws IOException {
        Segments.copy(kafka, tested, TOPIC);
        if (!tested.isKafka()) {
            return;
        }
        // After a clean end Kafka does not read a log for its producers: without the snapshot it would know none.
        Path target = Segments.directory(tested, TOPIC);
        try (Stream<Path> files = Files.list(Segments.directory(kafka, TOPIC))) {
            for (Path file : files.filter(path -> path.toString().endsWith(".snapshot")).toList()) {
                Files.copy(file, target.resolve(file.getFileName()));
            }
        }
    }

    /** It is found where it holds up readers of committed data, is aborted, and does so no longer. */
    static void foundAndAborted(Segments.Side tested) throws Exception {
        Compat.equal(Segments.read(tested, TOPIC, "read_uncommitted").size(), BEFORE + OPEN + AFTER, "records");
        Compat.equal(Segments.read(tested, TOPIC, "read_committed").size(), BEFORE, "committed records before it");
        List<String> found = found(tested);
        Compat.equal(found.size(), 1, "hanging transactions");
        // Topic, partition, producer, its epoch, the coordinator's epoch, first offset, time, minutes.
        String[] columns = found.get(0).strip().split("\\s+");
        Compat.equal(List.of(columns[0], columns[1], columns[5]), List.of(TOPIC, "0", "" + BEFORE), "what hangs");
        tool(tested, "abort", "--topic", TOPIC, "--partition", "0", "--start-offset", columns[5]).ok();
        Compat.eventually("nothing hangs", () -> found(tested).isEmpty());
        Compat.equal(Segments.read(tested, TOPIC, "read_committed").size(), BEFORE + AFTER, "committed records");
        Compat.equal(Segments.read(tested, TOPIC, "read_uncommitted").size(), BEFORE + OPEN + AFTER, "records");
        Compat.check(tool(tested, "abort", "--topic", TOPIC, "--partition", "0", "--start-offset", columns[5]).code() != 0,
                "it can be aborted a second time");
    }

    /** The lines about transactions, without the one about columns. */
    private static List<String> found(Segments.Side side) throws Exception {
        return tool(side, "find-hanging", "--topic", TOPIC, "--max-transaction-timeout", "0").ok().out().lines()
                .skip(1).toList();
    }

    private static Compat.Said tool(Segments.Side side, String... words) throws Exception {
        String[] server = {"--bootstrap-server", side.place().address()};
        return Compat.call("TransactionsCommand", "",
                Stream.concat(Stream.of(server), Stream.of(words)).toArray(String[]::new));
    }
}
