import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/**
 * The level of {@code transaction.version} goes down and up again while producers are at work. A client learns of it
 * from the ApiVersions of a new connection, so that one goes on as it began.
 */
final class Features {
    private static final String COMMAND = "FeatureCommand";
    private static final String FEATURE = "transaction.version";
    private static final String COMMITTED = "committed";

    static void tests() {
        Compat.test("features-change", Features::change);
        Compat.test("features-refused", () -> {
            Compat.Said said = Compat.tool(COMMAND, "upgrade", "--feature", FEATURE + "=77");
            Compat.equal(said.code(), 1, "exit code");
            Compat.equal(Compat.tool(COMMAND, "upgrade", "--feature", FEATURE + "=1").code(), 1, "exit code of going down");
            Compat.equal(level(), 2, "the level");
        });
    }

    private static void change() throws Exception {
        String topic = Tools.topic("features");
        Tools.create(topic, 1);
        int rounds = 0;
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", Compat.address));
                Writer old = new Writer(admin, topic, "before")) {
            old.round();
            try {
                set("downgrade", 1);
                try (Writer one = new Writer(admin, topic, "one")) {
                    one.round();
                    int epoch = one.epoch();
                    one.round();
                    Compat.equal(one.epoch(), epoch, "the producer's epoch, which at level 1 stays");
                    old.round();
                    set("upgrade", 2);
                    one.round();
                    old.round();
                    rounds += one.rounds;
                }
                try (Writer two = new Writer(admin, topic, "two")) {
                    two.round();
                    int epoch = two.epoch();
                    two.round();
                    Compat.check(two.epoch() > epoch, "at level 2 an end raises the epoch, which stays at " + epoch);
                    rounds += two.rounds;
                }
            } finally {
                set("upgrade", 2);
            }
            rounds += old.rounds;
        }
        for (var record : Clients.read(topic, 0, rounds, "isolation.level=read_committed")) {
            Compat.equal(record.value(), COMMITTED, "the record at offset " + record.offset());
        }
    }

    private static void set(String verb, int level) throws Exception {
        Compat.tool(COMMAND, verb, "--feature", FEATURE + "=" + level).ok().has(FEATURE);
        Compat.eventually("level " + level + " is described", () -> level() == level);
    }

    /** The level that is described, of a line like {@code Feature: NAME ... FinalizedVersionLevel: 2 Epoch: 5}. */
    private static int level() throws Exception {
        String line = Compat.tool(COMMAND, "describe").ok().out().lines()
                .filter(l -> l.contains("Feature: " + FEATURE)).findFirst().orElseThrow();
        List<String> words = List.of(line.split("\\s+"));
        return Integer.parseInt(words.get(words.indexOf("FinalizedVersionLevel:") + 1));
    }

    /** A producer with transactions that hold a record and an offset. */
    private static final class Writer implements AutoCloseable {
        private final Admin admin;
        private final TopicPartition partition;
        private final String id;
        private final KafkaProducer<String, String> producer;
        private final KafkaConsumer<String, String> group;
        private int rounds;

        Writer(Admin admin, String topic, String name) {
            this.admin = admin;
            partition = new TopicPartition(topic, 0);
            id = topic + "-" + name;
            producer = Clients.producer("transactional.id=" + id);
            group = Clients.consumer("group.id=" + id, "enable.auto.commit=false");
            group.assign(List.of(partition));
            producer.initTransactions();
        }

        /** A transaction that is aborted, and one that is committed. */
        void round() throws Exception {
            for (boolean commit : List.of(false, true)) {
                producer.beginTransaction();
                producer.send(new ProducerRecord<>(partition.topic(), 0, id, commit ? COMMITTED : "aborted")).get();
                long offset = commit ? rounds + 1 : 1_000_000;
                producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(offset)), group.groupMetadata());
                if (commit) {
                    producer.commitTransaction();
                    rounds++;
                } else {
                    producer.abortTransaction();
                }
            }
            Compat.equal(group.committed(Set.of(partition)).get(partition).offset(), (long) rounds, "offset of " + id);
        }

        int epoch() throws Exception {
            return admin.describeTransactions(List.of(id)).all().get().get(id).producerEpoch();
        }

        @Override
        public void close() {
            producer.close();
            group.close();
        }
    }
}
