import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.common.utils.Exit;

/**
 * What the programs here share: named tests with one line about each, and Kafka's tools called
 * in this process.
 *
 * <p>A program gets the broker's address and the names to leave out. It prints {@code begin NAME} and then
 * {@code ok NAME} or {@code not ok NAME: why}, or {@code left out NAME}, and at the end {@code plan N}.
 */
final class Compat {
    static final PrintStream OUT = System.out;
    /** Makes topics of two runs against the same broker distinct. */
    static final String RUN = Long.toString(System.currentTimeMillis(), 36);

    static String address;
    private static Set<String> leftOut = Set.of();
    private static int count;
    private static volatile Integer firstExit;
    /** What tools want done when the process ends: some close their producer only there. */
    private static final Queue<Runnable> HOOKS = new ConcurrentLinkedQueue<>();

    /** A test that takes longer is interrupted: it fails under its name, and the others still run. */
    private static final int TEST_SECONDS = 300;
    /** A process that takes longer has failed. */
    private static final int PROCESS_SECONDS = 180;

    interface Body {
        void run() throws Exception;
    }

    /** Interrupts the thread that made it, after a time, unless it was closed before. */
    private static final class Watch implements AutoCloseable {
        private final Thread tested = Thread.currentThread();
        private boolean over;
        private boolean late;

        Watch(String name) {
            Thread thread = new Thread(() -> watch(name), "watch over " + name);
            thread.setDaemon(true);
            thread.start();
        }

        private synchronized void watch(String name) {
            long end = System.nanoTime() + TEST_SECONDS * 1_000_000_000L;
            try {
                for (long left = TEST_SECONDS * 1000L; !over && left > 0; left = (end - System.nanoTime()) / 1_000_000) {
                    wait(left);
                }
            } catch (InterruptedException stopped) {
                return;
            }
            if (!over) {
                late = true;
                System.err.println(name + " takes longer than " + TEST_SECONDS + " s, and is here:");
                for (StackTraceElement place : tested.getStackTrace()) {
                    System.err.println("    at " + place);
                }
                tested.interrupt();
            }
        }

        synchronized boolean late() {
            return late;
        }

        /** From here on nothing is interrupted, and no interruption is left over for the next test. */
        @Override
        public synchronized void close() {
            over = true;
            notifyAll();
            Thread.interrupted();
        }
    }

    static void begin(String[] args) {
        address = args[0];
        leftOut = args.length > 1 ? Set.of(args[1].split(",")) : Set.of();
        Exit.setExitProcedure((code, message) -> exit(code));
        Exit.setHaltProcedure((code, message) -> exit(code));
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
    }

    static void test(String name, Body body) {
        count++;
        if (leftOut.contains(name)) {
            OUT.println("left out " + name);
            return;
        }
        long start = System.nanoTime();
        OUT.println("begin " + name);
        OUT.flush();
        try (Watch watch = new Watch(name)) {
            try {
                body.run();
                OUT.println("ok " + name);
            } catch (Throwable failure) {
                failure.printStackTrace();
                String late = watch.late() ? "took longer than " + TEST_SECONDS + " s, " : "";
                OUT.println("not ok " + name + ": " + late + shortened(failure.toString().replace('\n', '|')));
            }
        }
        OUT.flush();
        System.err.printf("%s took %d ms%n", name, (System.nanoTime() - start) / 1_000_000);
    }

    /** Ends the program, whatever threads the tools have left behind. */
    static void end() {
        OUT.println("plan " + count);
        OUT.flush();
        Runtime.getRuntime().halt(0);
    }

    static void check(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    static void equal(Object got, Object wanted, String what) {
        check(wanted.equals(got), what + ": got " + shortened(got) + ", wanted " + shortened(wanted));
    }

    private static String shortened(Object value) {
        String text = String.valueOf(value);
        return text.length() < 400 ? text : text.substring(0, 400) + "...";
    }

    static String topic(String name) {
        return "compat-" + name + "-" + RUN;
    }

    /** Asks again until the answer is true; a broker needs a moment for what it does later. */
    static void eventually(String what, Callable<Boolean> question) throws Exception {
        long end = System.nanoTime() + 60_000_000_000L;
        while (!question.call()) {
            check(System.nanoTime() < end, "not within 60 s: " + what);
            Thread.sleep(50);
        }
    }

    /**
     * Takes the place of leaving the process. Some tools catch what is thrown here and exit once
     * more, with a code for the failure that they believe to have seen: the first code counts.
     */
    private static void exit(int code) {
        if (firstExit == null) {
            firstExit = code;
        }
        throw new Exited(code);
    }

    private static final class Exited extends Error {
        Exited(int code) {
            super("exit code " + code);
        }
    }

    /** What a tool printed, with its exit code. */
    record Said(int code, String out) {
        Said ok() {
            check(code == 0, "exit code " + code + ": " + out);
            return this;
        }

        Said has(String... texts) {
            for (String text : texts) {
                check(out.contains(text), "no \"" + text + "\" in: " + shortened(out));
            }
            return this;
        }
    }

    /** Calls a tool's main method with {@code --bootstrap-server} and the arguments. */
    static Said tool(String name, String... args) throws Exception {
        return call(name, "", withServer("--bootstrap-server", args));
    }

    /** The same with a text on standard input. */
    static Said toolReading(String input, String name, String... args) throws Exception {
        return call(name, input, withServer("--bootstrap-server", args));
    }

    static String[] withServer(String flag, String... args) {
        String[] all = new String[args.length + 2];
        all[0] = flag;
        all[1] = address;
        System.arraycopy(args, 0, all, 2, args.length);
        return all;
    }

    /** Runs a main method in a process of its own, for tools that print their last line only when theirs ends. */
    static Said process(String name, String... args) throws Exception {
        List<String> command = new ArrayList<>(List.of(System.getProperty("java.home") + "/bin/java", "-Xmx128m",
                "-XX:TieredStopAtLevel=1", "-cp", System.getProperty("java.class.path"), "org.apache.kafka.tools." + name));
        command.addAll(List.of(args));
        Path logs = Path.of(System.getenv("COMPAT_LOGS"));
        Path out = logs.resolve(name + ".out");
        Process process = new ProcessBuilder(command).redirectOutput(out.toFile())
                .redirectError(logs.resolve(name + ".err").toFile()).start();
        try {
            boolean ended = process.waitFor(PROCESS_SECONDS, TimeUnit.SECONDS);
            String said = Files.readString(out);
            check(ended, name + " did not end within " + PROCESS_SECONDS + " s, and said: " + shortened(said));
            return new Said(process.exitValue(), said);
        } finally {
            process.destroyForcibly();
        }
    }

    /** Calls a main method; names without a package are of {@code org.apache.kafka.tools}. */
    static Said call(String name, String input, String... args) throws Exception {
        String full = name.contains("kafka.") ? name : "org.apache.kafka.tools." + name;
        InputStream in = System.in;
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        firstExit = null;
        System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
        System.setOut(new PrintStream(out, true));
        try {
            Class.forName(full).getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (InvocationTargetException failure) {
            if (!(failure.getCause() instanceof Exited)) {
                throw new Exception(full + " said " + out, failure.getCause());
            }
        } finally {
            for (Runnable hook = HOOKS.poll(); hook != null; hook = HOOKS.poll()) {
                hook.run();
            }
            System.setOut(OUT);
            System.setIn(in);
        }
        return new Said(firstExit == null ? 0 : firstExit, out.toString(StandardCharsets.UTF_8));
    }
}
