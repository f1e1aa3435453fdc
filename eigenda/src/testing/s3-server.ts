import { createHash, createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

export const s3Credentials = { region: "test-1", accessKeyId: "test-key", secretAccessKey: "test-secret" };

/**
 * A STAND-IN for an S3-compatible store, in memory, with one bucket `archive`: PUT, GET and ListObjectsV2 with two names a page. It checks each request's SigV4
 * signature by a computation of its own, and refuses with 403.
 */
export async function startS3StandIn() {
  const objects = new Map<string, Buffer>();
  const server = createServer(async (request, response) => {
    const body = await buffer(request);
    const url = new URL(request.url ?? "/", "http://localhost");
    if (!isSigned(request, url)) return void response.writeHead(403).end("SignatureDoesNotMatch");
    if (!url.pathname.startsWith("/archive")) return void response.writeHead(404).end("NoSuchBucket");
    const key = url.pathname.slice("/archive/".length);
    if (request.method === "PUT") {
      objects.set(key, body);
      return void response.end();
    }
    if (url.searchParams.has("list-type")) return void response.end(listing(objects, url.searchParams));
    const object = objects.get(key);
    return void (object === undefined ? response.writeHead(404).end("NoSuchKey") : response.end(object));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/archive`,
    objects,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function listing(objects: Map<string, Buffer>, query: URLSearchParams): string {
  const keys = [...objects.keys()].filter((key) => key.startsWith(query.get("prefix") ?? "")).sort();
  const start = Number(query.get("continuation-token") ?? 0);
  const next = start + 2 < keys.length ? `<NextContinuationToken>${start + 2}</NextContinuationToken>` : "";
  const contents = keys.slice(start, start + 2).map((key) => `<Contents><Key>${key}</Key></Contents>`);
  return `<ListBucketResult>${contents.join("")}${next}</ListBucketResult>`;
}

/** AWS Signature Version 4, header form: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
function isSigned(request: IncomingMessage, url: URL): boolean {
  const pattern =
    /Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=(\w+)/;
  const match = pattern.exec(request.headers.authorization ?? "");
  if (match === null || match[1] !== s3Credentials.accessKeyId) return false;
  const [, , date, region, signedHeaders, signature] = match as unknown as string[];
  const query = [...url.searchParams]
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .sort();
  const headers = signedHeaders!.split(";").map((name) => `${name}:${request.headers[name]}\n`);
  const payloadHash = request.headers["x-amz-content-sha256"];
  const canonical = [
    request.method,
    url.pathname,
    query.join("&"),
    headers.join(""),
    signedHeaders,
    payloadHash,
  ];
  const scope = `${date}/${region}/s3/aws4_request`;
  const digest = createHash("sha256").update(canonical.join("\n")).digest("hex");
  const text = ["AWS4-HMAC-SHA256", request.headers["x-amz-date"], scope, digest].join("\n");
  const key = [date!, region!, "s3", "aws4_request"].reduce<string | Buffer>(
    (secret, part) => createHmac("sha256", secret).update(part).digest(),
    `AWS4${s3Credentials.secretAccessKey}`,
  );
  return createHmac("sha256", key).update(text).digest("hex") === signature;
}
