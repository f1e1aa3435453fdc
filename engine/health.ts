import { createServer } from "node:http";
import type { Metrics } from "./metrics.ts";

/** The engine's HTTP face on 127.0.0.1: `/health` and `/metrics`. */
export type HealthServer = AsyncDisposable & { url: string };

/** @throws the server's error if the port is in use. */
export async function serveHealth(
  port: number,
  metrics: Metrics,
  state: () => object,
): Promise<HealthServer> {
  const server = createServer((request, response) => {
    const send = (status: number, type: string, text: string) => {
      response.writeHead(status, { "content-type": type }).end(text);
    };
    if (request.url === "/health")
      return send(200, "application/json", JSON.stringify({ status: "ok", ...state() }));
    if (request.url !== "/metrics") return send(404, "application/json", '{"error":"not found"}');
    metrics.registry.metrics().then(
      (text) => send(200, metrics.registry.contentType, text),
      (error) => send(500, "text/plain", String(error)),
    );
  });
  const listening = Promise.withResolvers<void>();
  server.once("error", listening.reject);
  server.listen(port, "127.0.0.1", listening.resolve);
  await listening.promise;
  const address = server.address();
  const bound = typeof address === "object" && address !== null ? address.port : port;
  return {
    url: `http://127.0.0.1:${bound}`,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
