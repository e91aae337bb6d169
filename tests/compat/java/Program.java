import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;

/** A program in a process of its own, whose lines are seen while it runs. */
final class Program implements AutoCloseable {
    private static int started;

    private final String name;
    private final Path errors;
    private final Process process;
    private final Thread reader;
    private final List<String> lines = new ArrayList<>();

    /** Starts a command. Its standard error goes into a file that is kept. */
    Program(String name, List<String> command, Map<String, String> environment) throws IOException {
        this.name = name;
        started++;
        errors = Path.of(System.getenv("COMPAT_LOGS")).resolve(name + "-" + started + ".err");
        ProcessBuilder builder = new ProcessBuilder(command).redirectError(new File(errors.toString()));
        builder.environment().putAll(environment);
        process = builder.start();
        process.getOutputStream().close();
        reader = new Thread(this::read, name + " lines");
        reader.setDaemon(true);
        reader.start();
    }

    /** Starts a main method in a virtual machine of its own. */
    static Program java(String name, String classpath, String... words) throws IOException {
        List<String> command = new ArrayList<>(List.of(System.getProperty("java.home") + "/bin/java", "-Xmx256m",
                "-XX:TieredStopAtLevel=1", "-Dlog4j2.configurationFile=" + System.getProperty("log4j2.configurationFile"),
                "-cp", classpath));
        command.addAll(List.of(words));
        return new Program(name, command, Map.of());
    }

    private void read() {
        try (BufferedReader from = process.inputReader(StandardCharsets.UTF_8)) {
            for (String line = from.readLine(); line != null; line = from.readLine()) {
                synchronized (lines) {
                    lines.add(line);
                    lines.notifyAll();
                }
            }
        } catch (IOException ended) {
            // Killed while it spoke.
        }
        synchronized (lines) {
            lines.notifyAll();
        }
    }

    /** What it has said so far. */
    List<String> lines() {
        synchronized (lines) {
            return List.copyOf(lines);
        }
    }

    /** Waits for a line and gives it; an error if the program ends without it. */
    String await(String what, int seconds, Predicate<String> wanted) throws Exception {
        long end = System.nanoTime() + seconds * 1_000_000_000L;
        int next = 0;
        synchronized (lines) {
            while (true) {
                boolean last = !reader.isAlive();
                for (; next < lines.size(); next++) {
                    if (wanted.test(lines.get(next))) {
                        return lines.get(next);
                    }
                }
                if (last) {
                    throw new AssertionError(name + " ended, and " + what + " was still to come: " + errors());
                }
                Compat.check(System.nanoTime() < end, name + ": not within " + seconds + " s: " + what);
                lines.wait(50);
            }
        }
    }

    boolean runs() {
        return process.isAlive();
    }

    /** Waits for its end and gives its exit code. */
    int ended(int seconds) throws Exception {
        Compat.check(process.waitFor(seconds, TimeUnit.SECONDS), name + " did not end within " + seconds + " s");
        reader.join();
        return process.exitValue();
    }

    /** SIGKILL. */
    void kill() throws Exception {
        process.destroyForcibly();
        ended(60);
    }

    /** SIGTERM, as a user stops a program; waits for its end. */
    void stop() throws Exception {
        // The process's own method closes what its last lines come through.
        process.toHandle().destroy();
        ended(60);
    }

    /** The end of its standard error. */
    String errors() throws IOException {
        List<String> all = Files.readAllLines(errors);
        return String.join(" | ", all.subList(Math.max(0, all.size() - 6), all.size()));
    }

    @Override
    public void close() {
        process.destroyForcibly();
    }
}
