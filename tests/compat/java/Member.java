import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.common.TopicPartition;

/**
 * A member of a group, for tests in other languages: {@code Member ADDRESS TOPIC GROUP PROTOCOL}. It prints
 * {@code assigned P,P} when its partitions change and {@code record PARTITION OFFSET VALUE} for what it reads, which
 * it then commits. When a byte comes to its standard input it leaves the group and says {@code left}.
 */
final class Member {
    public static void main(String[] args) {
        Compat.address = args[0];
        String assignor = args[3].equals("classic")
                ? "partition.assignment.strategy=org.apache.kafka.clients.consumer.RangeAssignor" : "client.id=java";
        Set<Integer> before = null;
        try (var consumer = Clients.consumer("group.id=" + args[2], "group.protocol=" + args[3], assignor,
                "enable.auto.commit=false")) {
            consumer.subscribe(List.of(args[1]));
            while (!inputEnded()) {
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
                records.forEach(r -> say("record " + r.partition() + " " + r.offset() + " " + r.value()));
                if (!records.isEmpty()) {
                    consumer.commitSync();
                }
                Set<Integer> now = new TreeSet<>();
                for (TopicPartition tp : consumer.assignment()) {
                    now.add(tp.partition());
                }
                if (!now.equals(before)) {
                    say("assigned " + now.toString().replaceAll("[\\[\\] ]", ""));
                    before = now;
                }
            }
        }
        say("left");
    }

    private static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static boolean inputEnded() {
        try {
            return System.in.available() > 0 && System.in.read() >= 0;
        } catch (java.io.IOException closed) {
            return true;
        }
    }
}
