import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A file as far as it is defined: bytes at places; zeros elsewhere, so that it may be larger than any memory. */
export type SparseFile = { bytes: number; pieces: readonly { at: number; bytes: Uint8Array }[] };

/** A STAND-IN for a file server that answers range requests. `control` says what goes wrong; `requests` are the ranges asked for. */
export async function startRangeServer(files: Readonly<Record<string, SparseFile>>) {
  const control = {
    /** Breaks the line after so many bytes of a body, this many times. */
    breakAfter: { bytes: 0, times: 0 },
    ignoresRanges: false,
    status: 0,
    contentRange: (right: string) => right,
    change: (bytes: Buffer) => bytes,
  };
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    requests.push(`${request.url} ${range?.[0]}`);
    const file = files[request.url!.slice(1)];
    if (control.status !== 0) return void response.writeHead(control.status).end();
    if (file === undefined) return void response.writeHead(404).end();
    if (control.ignoresRanges || range === null) return void response.writeHead(200).end("all of it");
    const [from, to] = [Number(range[1]), Number(range[2])];
    const body = control.change(read(file, from, to + 1 - from));
    const contentRange = control.contentRange(`bytes ${from}-${to}/${file.bytes}`);
    response.writeHead(206, { "content-range": contentRange, "content-length": body.length });
    const { breakAfter } = control;
    if (breakAfter.times > 0 && body.length > breakAfter.bytes) {
      breakAfter.times -= 1;
      response.write(body.subarray(0, breakAfter.bytes));
      // After what was sent has arrived: a break at once would take it along.
      return void setTimeout(() => response.destroy(), 200);
    }
    response.end(body);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    control,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function read({ pieces }: SparseFile, from: number, count: number): Buffer {
  const body = Buffer.alloc(count);
  for (const { at, bytes } of pieces) {
    const start = Math.max(at, from);
    const end = Math.min(at + bytes.length, from + count);
    if (start < end) body.set(bytes.subarray(start - at, end - at), start - from);
  }
  return body;
}
