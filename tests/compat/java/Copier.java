import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Future;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;

/**
 * Kafka's TransactionalMessageCopier, which reads, writes and commits in transactions and aborts one in three, while
 * the broker is killed twice in every round. What it has copied in all rounds must be there once, in order. Then a
 * consumer of Kafka's, which commits what it has read, while the broker is killed.
 */
final class Copier {
    private static final int RECORDS = 5000;
    private static final String TRANSACTION_SIZE = "20";
    private static final Pattern REMAINING = Pattern.compile("\"remaining\":(\\d+)");
    private static final Pattern FIRST = Pattern.compile("\"minOffset\":(\\d+)");
    private static final Pattern LAST = Pattern.compile("\"maxOffset\":(\\d+)");

    private static String from;
    private static String to;
    private static int copied;

    public static void main(String[] args) {
        Compat.begin(args);
        Clients.admin = Admin.create(Map.of("bootstrap.servers", Compat.address));
        int rounds = Integer.parseInt(System.getenv("COMPAT_ROUNDS"));
        Compat.test("topics", () -> {
            from = Clients.create("copier-from", 1);
            to = Clients.create("copier-to", 1);
        });
        for (int round = 1; round <= rounds; round++) {
            int seed = round;
            Compat.test("round-" + round, () -> round(new Random(seed)));
        }
        Compat.test("each-once-in-order", Copier::compare);
        Compat.test("verifiable-consumer", Copier::consumerKilledUnder);
        Compat.end();
    }

    private static void round(Random chance) throws Exception {
        for (int tries = 1; !killedUnder(chance); tries++) {
            Compat.check(tries < 5, "five times it had ended before the broker was killed");
        }
    }

    /** Copies what is new, and gives whether the broker could be killed twice meanwhile: we may have been too slow. */
    private static boolean killedUnder(Random chance) throws Exception {
        fill();
        boolean killed = true;
        try (Program copier = Program.java("copier", System.getProperty("java.class.path"),
                "org.apache.kafka.tools.TransactionalMessageCopier", "--broker-list", Compat.address,
                "--input-topic", from, "--input-partition", "0", "--output-topic", to,
                "--transaction-size", TRANSACTION_SIZE, "--transaction-timeout", "60000",
                "--transactional-id", "copier" + Compat.RUN, "--consumer-group", "copier" + Compat.RUN,
                "--enable-random-aborts")) {
            for (int percent : List.of(85, 40)) {
                copier.await("its first " + (100 - percent) + " %", 120,
                        line -> remaining(line) * 100 <= (long) RECORDS * percent);
                Thread.sleep(chance.nextInt(200));
                killed &= copier.runs();
                Brokers.crash(Brokers.TESTED);
            }
            int code = copier.ended(120);
            Compat.equal(code, 0, "the copier's exit code (" + copier.errors() + ")");
        }
        return killed;
    }

    /** What is left to copy, as a line of the copier says; all, where it says nothing. */
    private static long remaining(String line) {
        Matcher found = REMAINING.matcher(line);
        // Until it knows, it says the largest number there is.
        return found.find() && found.group(1).length() < 10 ? Long.parseLong(found.group(1)) : RECORDS;
    }

    private static void fill() throws Exception {
        try (var producer = Clients.producer("linger.ms=5")) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int n = 0; n < RECORDS; n++) {
                sent.add(producer.send(new ProducerRecord<>(from, 0, "k", Integer.toString(copied + n))));
            }
            for (var each : sent) {
                each.get();
            }
        }
        copied += RECORDS;
    }

    private static void compare() throws Exception {
        var tp = new TopicPartition(to, 0);
        List<ConsumerRecord<String, String>> read = new ArrayList<>();
        try (var consumer = Clients.consumer("isolation.level=read_committed", "max.poll.records=5000")) {
            consumer.assign(List.of(tp));
            consumer.seekToBeginning(List.of(tp));
            long end = consumer.endOffsets(List.of(tp)).get(tp);
            long limit = System.nanoTime() + 120_000_000_000L;
            while (consumer.position(tp) < end) {
                Compat.check(System.nanoTime() < limit, "read " + read.size() + ", not all within 120 s");
                consumer.poll(Duration.ofMillis(200)).forEach(read::add);
            }
        }
        for (int n = 0; n < Math.min(read.size(), copied); n++) {
            Compat.equal(read.get(n).value(), Integer.toString(n), "the value at place " + n);
        }
        Compat.equal(read.size(), copied, "records");
        var committed = Clients.admin.listConsumerGroupOffsets("copier" + Compat.RUN).partitionsToOffsetAndMetadata().get();
        Compat.equal(committed.get(new TopicPartition(from, 0)).offset(), (long) copied, "the committed offset");
    }

    /** Kafka's VerifiableConsumer goes on through kills of the broker: it may see records again, and misses none. */
    private static void consumerKilledUnder() throws Exception {
        String topic = Clients.create("verified", 1);
        String group = "verified" + Compat.RUN;
        Random chance = new Random(3);
        long end = 0;
        try (Program consumer = Program.java("verifiable-consumer", System.getProperty("java.class.path"),
                "org.apache.kafka.tools.VerifiableConsumer", "--bootstrap-server", Compat.address, "--topic", topic,
                "--group-id", group, "--reset-policy", "earliest");
                var producer = Clients.producer("linger.ms=5", "delivery.timeout.ms=120000")) {
            for (int round = 0; round < 3; round++) {
                List<Future<RecordMetadata>> sent = new ArrayList<>();
                for (int n = 0; n < RECORDS; n++) {
                    sent.add(producer.send(new ProducerRecord<>(topic, 0, "k", "v")));
                }
                long before = end;
                consumer.await("records of round " + round, 120, line -> number(LAST, line) >= before);
                Thread.sleep(chance.nextInt(200));
                Brokers.crash(Brokers.TESTED);
                for (var each : sent) {
                    end = each.get().offset() + 1;
                }
            }
            Compat.equal(end, 3L * RECORDS, "the topic's end");
            long last = end - 1;
            consumer.await("the last record", 120, line -> number(LAST, line) == last);
            Compat.eventually("the last offset is committed", () -> {
                var found = Clients.admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get()
                        .get(new TopicPartition(topic, 0));
                return found != null && found.offset() == last + 1;
            });
            consumer.stop();
            long next = 0;
            for (String line : consumer.lines()) {
                if (number(FIRST, line) >= 0) {
                    Compat.check(number(FIRST, line) <= next, "offset " + next + " is missed before: " + line);
                    next = Math.max(next, number(LAST, line) + 1);
                }
            }
            Compat.equal(next, end, "offsets seen without a gap");
        }
    }

    /** The number that a line names; -1 if it names none. */
    private static long number(Pattern pattern, String line) {
        Matcher found = pattern.matcher(line);
        return found.find() ? Long.parseLong(found.group(1)) : -1;
    }
}
