// Java's HttpClient over TLS, in each version: a file goes up and comes down whole, and a WebSocket hears what it says.

import java.io.FileInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.WebSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.TrustManagerFactory;

class Client {
    public static void main(String[] words) throws Exception {
        String url = words[0];
        byte[] content = Files.readAllBytes(Path.of(words[2]));
        KeyStore known = KeyStore.getInstance(KeyStore.getDefaultType());
        known.load(null, null);
        try (FileInputStream file = new FileInputStream(words[1])) {
            known.setCertificateEntry("hythe", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(known);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        for (String version : new String[] {"TLSv1.2", "TLSv1.3"}) {
            SSLParameters parameters = context.getDefaultSSLParameters();
            parameters.setProtocols(new String[] {version});
            HttpClient client = HttpClient.newBuilder().sslContext(context).sslParameters(parameters).build();
            URI file = URI.create(url + "/files/java-" + version + ".bin");
            URI create = URI.create(file + "?create=1");
            HttpRequest put = HttpRequest.newBuilder(create).timeout(Duration.ofSeconds(20))
                .PUT(HttpRequest.BodyPublishers.ofByteArray(content)).build();
            int status = client.send(put, BodyHandlers.discarding()).statusCode();
            check(status == 201, version + ": " + status);
            var got = client.send(HttpRequest.newBuilder(file).build(), BodyHandlers.ofByteArray());
            check(got.statusCode() == 200 && Arrays.equals(got.body(), content), version + ": it comes back whole");
            check(got.sslSession().get().getProtocol().equals(version), got.sslSession().get().getProtocol());
            hear(client, url);
        }
    }

    private static void hear(HttpClient client, String url) throws Exception {
        CompletableFuture<String> heard = new CompletableFuture<>();
        WebSocket.Listener listener = new WebSocket.Listener() {
            private final StringBuilder text = new StringBuilder();

            @Override
            public CompletionStage<?> onText(WebSocket socket, CharSequence part, boolean isLast) {
                text.append(part);
                socket.request(1);
                if (isLast) {
                    String said = text.toString();
                    text.setLength(0);
                    if (said.contains("\"type\":\"message\"")) {
                        heard.complete(said);
                    }
                }
                return null;
            }
        };
        WebSocket socket = client.newWebSocketBuilder().subprotocols("hythe.chat.v1")
            .buildAsync(URI.create(url.replace("https", "wss") + "/ws?room=java&name=Duke"), listener).get(20, TimeUnit.SECONDS);
        socket.sendText("{\"type\":\"send\",\"message\":\"gr\u00fc\u00dfe\",\"ref\":1}", true);
        String said = heard.get(20, TimeUnit.SECONDS);
        check(said.contains("gr\u00fc\u00dfe"), said);
        socket.sendClose(WebSocket.NORMAL_CLOSURE, "").get(20, TimeUnit.SECONDS);
    }

    private static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }
}
