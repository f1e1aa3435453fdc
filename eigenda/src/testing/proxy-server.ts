import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { bytesToHex, hexToBytes } from "viem";
import type { DisperserClient } from "../client/disperser-client.ts";
import { encodePayload } from "../codec/payload.ts";

/** A STAND-IN for eigenda-proxy's standard routes: it disperses through a client of ours and remembers payloads. `status` answers all calls with an error. */
export async function startProxyStandIn(disperser: DisperserClient) {
  const payloads = new Map<string, Uint8Array>();
  const control = {
    status: 200,
    errorText: '{"StatusCode":3,"Msg":""}',
    change: (bytes: Uint8Array) => bytes,
  };
  const server = createServer(async (request, response) => {
    const body = await buffer(request);
    const url = new URL(request.url ?? "/", "http://localhost");
    if (control.status !== 200) return void response.writeHead(control.status).end(control.errorText);
    if (request.method === "POST" && url.pathname === "/put") {
      const { certificate } = await disperser.disperse(body);
      payloads.set(bytesToHex(certificate), body);
      return void response.end(control.change(certificate));
    }
    const payload = payloads.get(bytesToHex(hexToBytes(url.pathname.slice("/get/".length) as `0x${string}`)));
    if (payload === undefined) return void response.writeHead(404).end();
    const isEncoded = url.searchParams.get("return_encoded_payload") === "true";
    response.end(control.change(isEncoded ? encodePayload(payload, 64) : payload));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    control,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
