import { createServer } from "node:http";

/** The HTTP face of a process without one of its own, on 127.0.0.1: `/health` and `/metrics`. */
export type HealthServer = AsyncDisposable & { url: string };

/** What a prom-client registry offers here. */
type Registry = { contentType: string; metrics: () => Promise<string> };

/**
 * Serve what `state` says as JSON, with status 503 where it is not `ok`, and the registry's metrics.
 * @throws the server's error if the port is in use.
 */
export async function serveHealth(
  port: number,
  registry: Registry,
  state: () => { ok: boolean },
): Promise<HealthServer> {
  const server = createServer((request, response) => {
    const send = (status: number, type: string, text: string) => {
      response.writeHead(status, { "content-type": type }).end(text);
    };
    if (request.url === "/health") {
      const told = state();
      return send(told.ok ? 200 : 503, "application/json", JSON.stringify(told));
    }
    if (request.url !== "/metrics") return send(404, "application/json", '{"error":"not found"}');
    registry.metrics().then(
      (text) => send(200, registry.contentType, text),
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
