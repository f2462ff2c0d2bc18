/** The JDK's own HttpClient as it is by default, with its offer to upgrade to HTTP/2: the cells of `cells.py`. */
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

class HttpClientCells {
    static final HttpClient CLIENT = HttpClient.newHttpClient();
    static final Set<String> SAID =
        Set.of("Ask jane.canary@northwind-traders.com for help.", "Ask [EMAIL_REDACTED] for help.");

    interface Cell {
        String run() throws Exception;
    }

    public static void main(String[] arguments) {
        String model = System.getenv("MATRIX_MODEL");
        report("versions", "{\"java\":\"" + System.getProperty("java.version") + "\"}");
        cell("whole", () -> said(whole("whole", model)));
        cell("streamed", () -> said(streamed("streamed", model)));
        cell("402", () -> said(whole("402", System.getenv("MATRIX_DEAR"))));
        cell("429", () -> said(whole("429", model)));
        cell("cancel", () -> left("cancel", model));
        System.exit(0);
    }

    static HttpRequest request(String cell, String model, boolean stream) {
        String body = String.format(
            "{\"model\":\"%s\",\"max_tokens\":50,\"stream\":%s,\"messages\":[{\"role\":\"user\",\"content\":\"cell %s: say hello.\"}]}",
            model, stream, cell);
        return HttpRequest.newBuilder(URI.create(System.getenv("OPENAI_BASE_URL") + "/chat/completions"))
            .header("authorization", "Bearer " + System.getenv("OPENAI_API_KEY"))
            .header("content-type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
    }

    static String whole(String cell, String model) throws Exception {
        HttpResponse<String> response = CLIENT.send(request(cell, model, false), HttpResponse.BodyHandlers.ofString());
        if (response.statusCode() != 200) throw new Exception(response.statusCode() + " " + response.body());
        return texts(response.body());
    }

    static String streamed(String cell, String model) throws Exception {
        try (BufferedReader lines = open(cell, model)) {
            StringBuilder text = new StringBuilder();
            for (String line = lines.readLine(); line != null; line = lines.readLine()) text.append(texts(line));
            return text.toString();
        }
    }

    static String left(String cell, String model) throws Exception {
        try (BufferedReader lines = open(cell, model)) {
            lines.readLine();
        }
        CLIENT.send(
            HttpRequest.newBuilder(URI.create(System.getenv("MATRIX_LEFT"))).build(), HttpResponse.BodyHandlers.discarding());
        return "ok";
    }

    static BufferedReader open(String cell, String model) throws Exception {
        var response = CLIENT.send(request(cell, model, true), HttpResponse.BodyHandlers.ofInputStream());
        return new BufferedReader(new InputStreamReader(response.body()));
    }

    static String texts(String json) {
        Matcher found = Pattern.compile("\"content\":\\s*\"([^\"]*)\"").matcher(json);
        StringBuilder all = new StringBuilder();
        while (found.find()) all.append(found.group(1));
        return all.toString();
    }

    static String said(String text) throws Exception {
        if (!SAID.contains(text)) throw new Exception("answered " + text);
        return text.contains("jane") ? "leak" : "ok";
    }

    static void cell(String name, Cell cell) {
        String result;
        try {
            result = "\"ok\":\"" + cell.run() + "\"";
        } catch (Exception error) {
            String message = String.valueOf(error.getMessage()).replaceAll("[\"\\\\\\s]+", " ");
            result = "\"error\":\"an answer with a status\",\"message\":\"" + message + "\"";
        }
        report(name, "{" + result + ",\"at\":" + System.currentTimeMillis() / 1000.0 + "}");
    }

    static void report(String name, String value) {
        System.out.println("@@[\"" + name + "\"," + value + "]");
    }
}
