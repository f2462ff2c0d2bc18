import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.List;

/** Calls the gateway with the JDK's own client, as LangChain4j and Spring AI do; prints each status, version and body. */
class JdkClient {
  public static void main(String[] arguments) throws Exception {
    var body = "{\"model\":\"penny\",\"max_tokens\":4,\"stream\":STREAM,\"messages\":[{\"role\":\"user\",\"content\":\"Say hello.\"}]}";
    // A client that has not said which version it wants offers HTTP/2 with its first request.
    var client = HttpClient.newHttpClient();
    for (var stream : List.of("false", "true")) {
      var request = HttpRequest.newBuilder(URI.create(arguments[0] + "/chat/completions"))
          .header("content-type", "application/json")
          .header("authorization", "Bearer sk-of-the-agent")
          .POST(HttpRequest.BodyPublishers.ofString(body.replace("STREAM", stream)))
          .build();
      var answer = client.send(request, BodyHandlers.ofString());
      System.out.println(answer.statusCode() + " " + answer.version() + " " + answer.body().replace("\n", "\\n"));
    }
  }
}
