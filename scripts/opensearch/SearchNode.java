import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/**
 * One node of OpenSearch in this process, for tests and drills. The official start refuses root and checks the machine;
 * this one does neither: it is for loopback.
 */
public final class SearchNode extends Node {
    private static final String USAGE = "opensearch-node --name NAME --cluster NAME --host 127.x.y.z --http PORT"
        + " --transport PORT --data DIR [--seeds HOST[:PORT],...] [--initial NAME,...] [--set KEY=VALUE]...";

    private SearchNode(Environment environment) {
        super(environment, List.of(Netty4Plugin.class), false);
    }

    public static void main(String[] args) throws Exception {
        Settings settings = settings(args);
        String name = settings.get("node.name");
        SearchNode node =
            new SearchNode(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> name));
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> end(node, ended)));
        node.start();
        ended.await();
    }

    private static void end(SearchNode node, CountDownLatch ended) {
        try {
            node.close();
        } catch (Exception error) {
            System.err.println("error: " + error);
        } finally {
            ended.countDown();
        }
    }

    private static Settings settings(String[] args) {
        Settings.Builder settings = Settings.builder()
            // The disk of a test is nobody's business.
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .put("discovery.seed_hosts", "");
        List<String> missing =
            new ArrayList<>(List.of("--name", "--cluster", "--host", "--http", "--transport", "--data"));
        for (int i = 0; i < args.length; i += 2) {
            if (i + 1 == args.length) {
                refuse(args[i] + " without a value");
            }
            set(settings, args[i], args[i + 1]);
            missing.remove(args[i]);
        }
        if (!missing.isEmpty()) {
            refuse(missing.get(0) + " is missing");
        }
        return settings.build();
    }

    private static void set(Settings.Builder settings, String key, String value) {
        switch (key) {
            case "--name": settings.put("node.name", value); break;
            case "--cluster": settings.put("cluster.name", value); break;
            case "--host": settings.put("network.host", value); break;
            case "--http": settings.put("http.port", value); break;
            case "--transport": settings.put("transport.port", value); break;
            case "--data":
                settings.put("path.home", value).put("path.data", value + "/data").put("path.repo", value + "/repo");
                break;
            case "--seeds": settings.put("discovery.seed_hosts", value); break;
            case "--initial": settings.put("cluster.initial_cluster_manager_nodes", value); break;
            case "--set": {
                String[] pair = value.split("=", 2);
                if (pair.length != 2) {
                    refuse("--set " + value + " is not KEY=VALUE");
                }
                settings.put(pair[0], pair[1]);
                break;
            }
            default: refuse("unknown option " + key);
        }
    }

    private static void refuse(String why) {
        System.err.println("error: " + why + "\nusage: " + USAGE);
        System.exit(2);
    }
}
