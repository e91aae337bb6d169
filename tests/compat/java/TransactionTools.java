import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;

/** The tools for transactions and share groups, and two of Kafka's tests that are tools. */
final class TransactionTools {
    private static final String COMMAND = "TransactionsCommand";

    static void tests() {
        transactions();
        shareGroups();
        wholeTests();
    }

    private static KafkaProducer<String, String> begun(String topic, String id) throws Exception {
        KafkaProducer<String, String> producer = Clients.producer("transactional.id=" + id);
        producer.initTransactions();
        producer.beginTransaction();
        producer.send(new ProducerRecord<>(topic, 0, "k", "v")).get();
        return producer;
    }

    private static void transactions() {
        Compat.test("transactions-describe", () -> {
            String topic = Tools.topic("txn-described");
            Tools.create(topic, 1);
            String id = "described" + Compat.RUN;
            try (var producer = begun(topic, id)) {
                Compat.tool(COMMAND, "describe", "--transactional-id", id).ok().has(id, "Ongoing", topic + "-0");
                producer.commitTransaction();
            }
            Compat.eventually("it is complete", () -> Compat.tool(COMMAND, "describe", "--transactional-id", id).ok()
                    .out().contains("CompleteCommit"));
            Compat.tool(COMMAND, "list").ok().has(id, "CompleteCommit");
        });
        Compat.test("transactions-describe-producers", () -> {
            String topic = Tools.topic("txn-producers");
            Tools.create(topic, 1);
            try (var producer = begun(topic, "producers" + Compat.RUN)) {
                // Producer, epoch, coordinator's epoch, last sequence, time, first offset of the transaction.
                String open = producers(topic).get(0);
                Compat.check(open.matches("\\d+\\s+\\d+\\s+-?\\d+\\s+0\\s+\\d+\\s+0\\s*"), "while it is open: " + open);
                producer.commitTransaction();
                Compat.eventually("none is open", () -> producers(topic).get(0).strip().endsWith("None"));
            }
        });
        Compat.test("transactions-find-hanging", () -> {
            String topic = Tools.topic("txn-hanging");
            Tools.create(topic, 1);
            try (var producer = begun(topic, "hanging" + Compat.RUN)) {
                // The limit is minutes, and what is older is held against the coordinator's word: with 15, which is the
                // default, nothing here would ever be asked for.
                Thread.sleep(50);
                Compat.Said said = Compat.tool(COMMAND, "find-hanging", "--broker-id", Tools.brokerId(),
                        "--max-transaction-timeout", "0").ok();
                Compat.check(!said.out().contains(topic), "one that its coordinator knows: " + said.out());
                producer.abortTransaction();
            }
        });
        Compat.test("transactions-abort", () -> {
            String topic = Tools.topic("txn-aborted");
            Tools.create(topic, 1);
            try (var producer = begun(topic, "aborted" + Compat.RUN)) {
                Compat.tool(COMMAND, "abort", "--topic", topic, "--partition", "0", "--start-offset", "0").ok();
                Compat.eventually("none is open", () -> producers(topic).get(0).strip().endsWith("None"));
                Clients.send(topic, 0, 0, 1);
                Compat.equal(Clients.read(topic, 0, 1, "isolation.level=read_committed").get(0).value(), Clients.value(0),
                        "the first record that is committed");
            }
        });
    }

    /** The lines about producers, without the one about columns. */
    private static List<String> producers(String topic) throws Exception {
        return Compat.tool(COMMAND, "describe-producers", "--topic", topic, "--partition", "0").ok().out().lines()
                .skip(1).toList();
    }

    private static void shareGroups() {
        Compat.test("share-groups", () -> {
            String topic = Tools.topic("share-read");
            Tools.create(topic, 1);
            Tools.produce(topic, 300);
            String group = "vsg" + Compat.RUN;
            String[] entity = {"--entity-type", "groups", "--entity-name", group};
            Tools.config(entity, "--alter", "--add-config", "share.auto.offset.reset=earliest").ok();
            Compat.tool("VerifiableShareConsumer", "--topic", topic, "--group-id", group, "--max-messages", "300").ok()
                    .has("records_consumed");
            Compat.tool("consumer.group.ShareGroupCommand", "--list").ok().has(group);
            shareGroupDescribed(topic, group);
        });
    }

    /** What the tool says while there is a member, and of an empty group. */
    private static void shareGroupDescribed(String topic, String group) throws Exception {
        String command = "consumer.group.ShareGroupCommand";
        String client = "sharing" + Compat.RUN;
        Map<String, Object> settings = Map.of("bootstrap.servers", Compat.address, "group.id", group, "client.id", client);
        try (var member = new KafkaShareConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            member.subscribe(List.of(topic));
            Compat.eventually("it has its partition", () -> {
                member.poll(Duration.ofMillis(200));
                String told = Compat.tool(command, "--describe", "--group", group, "--members").ok().out();
                return told.contains(client) && told.contains(topic + ":0");
            });
            Compat.tool(command, "--describe", "--group", group, "--state").ok().has(group, "Stable");
            Compat.tool(command, "--describe", "--group", group).ok().has(group, topic);
        }
        Compat.eventually("it is empty", () -> Compat.tool(command, "--describe", "--group", group, "--state").ok().out()
                .contains("Empty"));
        Compat.tool(command, "--list", "--state", "Empty").ok().has(group);
    }

    private static void wholeTests() {
        Compat.test("client-compatibility-test", () -> Compat.process("ClientCompatibilityTest", "--bootstrap-server",
                Compat.address, "--topic", Tools.topic("compatible"), "--num-cluster-nodes", "1",
                "--offsets-for-times-supported", "true", "--cluster-id-supported", "true",
                "--expect-record-too-large-exception", "false", "--create-topics-supported", "true",
                "--describe-acls-supported", "true", "--describe-configs-supported", "true",
                "--idempotent-producer-supported", "true").ok().has("SUCCESS"));
        Compat.test("log-compaction-tester", () -> Compat.process("LogCompactionTester", "--bootstrap-server",
                Compat.address, "--messages", "5000", "--duplicates", "10", "--percent-deletes", "20", "--sleep", "2").ok());
    }
}
