import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;

/** Sends a request to each URL of its arguments, and prints a line of JSON for each answer. */
public class Client {
  public static void main(String[] urls) {
    HttpClient client = HttpClient.newHttpClient();
    for (String url : urls) {
      long start = System.currentTimeMillis();
      boolean ok = false;
      String text;
      try {
        var response = client.send(HttpRequest.newBuilder(URI.create(url)).build(), BodyHandlers.ofString());
        ok = response.statusCode() == 200;
        text = response.body();
      } catch (Exception error) {
        text = error.toString();
        for (Throwable cause = error.getCause(); cause != null; cause = cause.getCause()) text += ": " + cause;
      }
      String quoted = '"' + text.replaceAll("[\"\\\\\\p{Cntrl}]", " ") + '"';
      System.out.printf("{\"ok\": %s, \"text\": %s, \"ms\": %d}%n", ok, quoted, System.currentTimeMillis() - start);
    }
  }
}
