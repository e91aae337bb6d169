import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/** Brokers that are stopped, killed and started on request, by who has started this program. */
final class Brokers {
    /** Where a broker answers, and its data directory. */
    record Place(String address, Path data) {}

    /** The broker that runs when the program begins. */
    static final String TESTED = "tested";
    /** An Apache Kafka beside it, which runs when it was started. */
    static final String KAFKA = "kafka";

    /** Starts a broker and waits until it answers. */
    static Place start(String broker) throws Exception {
        return ask(broker, "start");
    }

    /** Stops a broker cleanly and waits until it has ended. */
    static void stop(String broker) throws Exception {
        ask(broker, "stop");
    }

    /** Kills a broker and starts it again. */
    static void crash(String broker) throws Exception {
        ask(broker, "kill");
        ask(broker, "start");
    }

    private static Place ask(String broker, String verb) throws Exception {
        Path directory = Path.of(System.getenv("COMPAT_CONTROL"));
        Path written = directory.resolve("request.new");
        Path answer = directory.resolve("answer");
        Files.writeString(written, broker + " " + verb);
        Files.move(written, directory.resolve("request"), StandardCopyOption.ATOMIC_MOVE);
        // More than who answers gives a broker to be made, to start and to stop.
        long end = System.nanoTime() + 240_000_000_000L;
        while (!Files.exists(answer)) {
            Compat.check(System.nanoTime() < end, "no answer to \"" + broker + " " + verb + "\"");
            Thread.sleep(5);
        }
        String text = Files.readString(answer).strip();
        Files.delete(answer);
        Compat.check(text.startsWith("ok "), broker + " " + verb + ": " + text);
        String[] words = text.split(" ", 3);
        return new Place(words[1], Path.of(words[2]));
    }
}
