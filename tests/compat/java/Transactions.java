import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;

/** Transactions that are forgotten, taken over, or very wide. */
final class Transactions {
    private static final String COMMITTED = "isolation.level=read_committed";
    private static final int PARTITIONS = 1000;

    static void tests() {
        Compat.test("transaction-forgotten", Transactions::forgotten);
        Compat.test("producer-fenced", Transactions::fenced);
        Compat.test("transactions-thousand-partitions", Transactions::wide);
    }

    private static KafkaProducer<String, String> begun(String topic, String id, String value, String... settings)
            throws Exception {
        List<String> all = new ArrayList<>(List.of(settings));
        all.add("transactional.id=" + id);
        var producer = Clients.producer(all.toArray(String[]::new));
        producer.initTransactions();
        producer.beginTransaction();
        producer.send(new ProducerRecord<>(topic, 0, "k", value)).get();
        return producer;
    }

    /** What a producer is told that has been shut out. */
    private static void expectFenced(Throwable got) {
        Compat.check(got instanceof ProducerFencedException || got instanceof InvalidProducerEpochException,
                "wanted a fenced producer, got " + got);
    }

    private static void expectValues(String topic, String... wanted) {
        List<String> got = new ArrayList<>();
        Clients.read(topic, 0, wanted.length, COMMITTED).forEach(record -> got.add(record.value()));
        Compat.equal(got, List.of(wanted), "committed records");
    }

    /** The coordinator aborts what nobody ends, and readers go on. */
    private static void forgotten() throws Exception {
        String topic = Clients.create("forgotten", 1);
        String id = "forgotten" + Compat.RUN;
        try (var producer = begun(topic, id, "lost", "transaction.timeout.ms=1000")) {
            Clients.send(topic, 0, 0, 1);
            expectValues(topic, Clients.value(0));
            expectFenced(Clients.failure(producer::commitTransaction));
            expectFenced(Clients.failure(producer::beginTransaction));
        }
        try (var producer = begun(topic, id, "kept")) {
            producer.commitTransaction();
        }
        expectValues(topic, Clients.value(0), "kept");
    }

    /** A second producer with the id of the first aborts its transaction, and shuts it out. */
    private static void fenced() throws Exception {
        String topic = Clients.create("fenced", 1);
        String id = "fenced" + Compat.RUN;
        try (var first = begun(topic, id, "first"); var second = begun(topic, id, "second")) {
            expectFenced(Clients.failure(first::commitTransaction));
            second.commitTransaction();
            expectValues(topic, "second");
            second.beginTransaction();
            second.send(new ProducerRecord<>(topic, 0, "k", "third"));
            second.commitTransaction();
        }
        expectValues(topic, "second", "third");
        Clients.read(topic, 0, 3);
    }

    private static void wide() throws Exception {
        String topic = Clients.create("wide", PARTITIONS);
        List<TopicPartition> partitions =
                IntStream.range(0, PARTITIONS).mapToObj(number -> new TopicPartition(topic, number)).toList();
        try (var producer = Clients.producer("transactional.id=wide" + Compat.RUN, "batch.size=1000")) {
            producer.initTransactions();
            for (String value : List.of("committed", "aborted")) {
                producer.beginTransaction();
                List<Future<RecordMetadata>> sent = new ArrayList<>();
                for (int number = 0; number < PARTITIONS; number++) {
                    sent.add(producer.send(new ProducerRecord<>(topic, number, "k", value)));
                }
                for (var each : sent) {
                    each.get();
                }
                if (value.equals("committed")) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
            }
        }
        int[] seen = new int[PARTITIONS];
        try (var consumer = Clients.consumer(COMMITTED, "max.poll.records=5000")) {
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            long limit = System.nanoTime() + 120_000_000_000L;
            // A record and a marker of each transaction.
            while (partitions.stream().anyMatch(partition -> consumer.position(partition) < 4)) {
                Compat.check(System.nanoTime() < limit, "not read to the end within 120 s");
                consumer.poll(Duration.ofMillis(200)).forEach(record -> {
                    Compat.equal(record.value(), "committed", "the record of partition " + record.partition());
                    seen[record.partition()]++;
                });
            }
        }
        Compat.check(IntStream.of(seen).allMatch(count -> count == 1), "not one record of each partition");
        Map<TopicPartition, OffsetSpec> latest = new HashMap<>();
        partitions.forEach(partition -> latest.put(partition, OffsetSpec.latest()));
        var ends = Clients.admin.listOffsets(latest).all().get().values();
        Compat.check(ends.stream().allMatch(end -> end.offset() == 4), "not four offsets in each partition");
        Clients.admin.deleteTopics(List.of(topic)).all().get();
    }
}
