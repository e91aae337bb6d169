import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidRequestException;

/** Configuration of single groups and of client metrics, and metrics that a client pushes (KIP-714). */
final class Telemetry {
    static void tests() {
        Compat.test("group-configs", () -> {
            var group = new ConfigResource(ConfigResource.Type.GROUP, "configured-" + Compat.RUN);
            ConfigEntry before = describe(group).get("consumer.session.timeout.ms");
            Compat.equal(before.value(), "45000", "the broker's value");
            Compat.equal(before.source(), ConfigEntry.ConfigSource.DEFAULT_CONFIG, "source");
            alter(group, Map.of("consumer.session.timeout.ms", "50000"));
            Compat.eventually("the group's own value", () -> {
                ConfigEntry entry = describe(group).get("consumer.session.timeout.ms");
                return entry.value().equals("50000") && entry.source() == ConfigEntry.ConfigSource.DYNAMIC_GROUP_CONFIG;
            });
            Compat.check(listed(ConfigResource.Type.GROUP).contains(group), "the group is not listed");
            Clients.fails(InvalidConfigurationException.class,
                    () -> alter(group, Map.of("consumer.session.timeout.ms", "1000")));
            Clients.fails(InvalidConfigurationException.class, () -> alter(group, Map.of("no.such.key", "1")));
            Clients.fails(InvalidRequestException.class, () -> alter(
                    new ConfigResource(ConfigResource.Type.GROUP, ""), Map.of("consumer.session.timeout.ms", "50000")));
            reset(group, "consumer.session.timeout.ms");
            Compat.eventually("it is listed no longer", () -> !listed(ConfigResource.Type.GROUP).contains(group));
        });
        Compat.test("client-metrics-configs", () -> {
            var metrics = new ConfigResource(ConfigResource.Type.CLIENT_METRICS, "described-" + Compat.RUN);
            alter(metrics, Map.of("metrics", "a.,b.", "interval.ms", "1000", "match", "client_id=none"));
            Compat.eventually("what is set", () -> {
                Config set = describe(metrics);
                return set.get("metrics").value().equals("a.,b.") && set.get("interval.ms").value().equals("1000")
                        && set.get("match").source() == ConfigEntry.ConfigSource.DYNAMIC_CLIENT_METRICS_CONFIG;
            });
            Compat.check(listed(ConfigResource.Type.CLIENT_METRICS).contains(metrics), "it is not listed");
            Clients.fails(InvalidRequestException.class, () -> alter(metrics, Map.of("interval.ms", "99")));
            Clients.fails(InvalidConfigurationException.class, () -> alter(metrics, Map.of("match", "client_id=[")));
            reset(metrics, "metrics", "interval.ms", "match");
            Compat.eventually("it is listed no longer",
                    () -> !listed(ConfigResource.Type.CLIENT_METRICS).contains(metrics));
        });
        Compat.test("pushed-metrics-are-shown", Telemetry::pushing);
    }

    private static void pushing() throws Exception {
        String http = System.getProperty("http");
        Compat.check(http != null, "the broker shows no metrics");
        String name = "pushing-" + Compat.RUN;
        var metrics = new ConfigResource(ConfigResource.Type.CLIENT_METRICS, name);
        alter(metrics, Map.of("metrics", "org.apache.kafka.producer.", "interval.ms", "200", "match",
                "client_id=" + name + ",client_software_name=apache-kafka-java"));
        String topic = Clients.create("pushing", 1);
        try (var producer = Clients.producer("client.id=" + name, "enable.metrics.push=true")) {
            for (int n = 0; n < 20; n++) {
                producer.send(new ProducerRecord<>(topic, "k" + n, "v")).get();
            }
            Uuid id = producer.clientInstanceId(Duration.ofSeconds(60));
            String labels = "{client_instance_id=\"" + id + "\",client_id=\"" + name + "\"";
            String sent = "org_apache_kafka_producer_record_send_total" + labels;
            Compat.eventually("the page shows that 20 records were sent",
                    () -> page(http).lines().anyMatch(line -> line.startsWith(sent) && line.endsWith(" 20")));
            Compat.check(page(http).lines().noneMatch(line -> line.contains(labels)
                    && !line.startsWith("org_apache_kafka_producer_")), "metrics that nobody has asked for");
        } finally {
            reset(metrics, "metrics", "interval.ms", "match");
        }
    }

    private static String page(String http) throws Exception {
        var request = HttpRequest.newBuilder(URI.create("http://" + http + "/metrics")).build();
        return HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body();
    }

    private static Collection<ConfigResource> listed(ConfigResource.Type type) throws Exception {
        return Clients.admin.listConfigResources(Set.of(type), new ListConfigResourcesOptions()).all().get();
    }

    private static Config describe(ConfigResource resource) throws Exception {
        return Clients.admin.describeConfigs(List.of(resource)).all().get().get(resource);
    }

    private static void alter(ConfigResource resource, Map<String, String> settings) throws Exception {
        Collection<AlterConfigOp> changes = new ArrayList<>();
        settings.forEach((key, value) -> changes
                .add(new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET)));
        Clients.admin.incrementalAlterConfigs(Map.of(resource, changes)).all().get();
    }

    private static void reset(ConfigResource resource, String... keys) throws Exception {
        Collection<AlterConfigOp> changes = new ArrayList<>();
        for (String key : keys) {
            changes.add(new AlterConfigOp(new ConfigEntry(key, ""), AlterConfigOp.OpType.DELETE));
        }
        Clients.admin.incrementalAlterConfigs(Map.of(resource, changes)).all().get();
    }
}
