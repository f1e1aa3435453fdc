import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { AwsClient } from "aws4fetch";
import { messageBytesMax } from "../client/channel.ts";
import { readBody, readErrorText } from "../client/response-body.ts";
import { unfinishedSuffix, writeDurably } from "../durable-file.ts";
import { EigenDaError } from "../errors.ts";

/** Named bytes. Names are lower-case letters, digits, `-`, `.` and `/`. */
export type ObjectStore = {
  name: string;
  /** Whole or not at all; replaces what was there. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** Null if there is nothing of this name. */
  get(key: string, options?: { signal?: AbortSignal | undefined }): Promise<Uint8Array | null>;
  /** All names that start with `prefix`, which ends with `/`. */
  list(prefix: string): Promise<string[]>;
};

/** Objects as files under one folder. */
export function directoryStore(folder: string): ObjectStore {
  return {
    name: `folder ${folder}`,
    put: (key, bytes) => writeDurably(join(folder, key), bytes),
    async get(key, { signal } = {}) {
      return await readFile(join(folder, key), signal ? { signal } : {}).catch(absent(null));
    },
    async list(prefix) {
      const names = await readdir(join(folder, prefix)).catch(absent([]));
      return names.filter((name) => !name.endsWith(unfinishedSuffix)).map((name) => prefix + name);
    },
  };
}

export type S3Options = {
  /** The bucket's URL, path-style or with the bucket in the host: `https://s3.example/bucket`. */
  url: string;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
  /** Time for one request with its body and its repetitions; default 60 000. */
  callMsMax?: number;
};

const callMsMaxDefault = 60_000;

/** Largest page of a listing: 1,000 names of up to 1,024 bytes, and as much again for the markup around them. */
const pageBytesMax = 2_097_152;

/** Times a request is sent again after an answer of 500 or above, or 429. */
const retriesMax = 3;

/** Pages of a listing, of up to 1,000 names each. */
const pagesMax = 10_000;

/** Objects in a bucket of an S3-compatible store; requests are signed (SigV4) by aws4fetch. */
export function s3Store(options: S3Options): ObjectStore {
  const { url, callMsMax = callMsMaxDefault, ...credentials } = options;
  const client = new AwsClient({ ...credentials, service: "s3", retries: retriesMax });
  const bucket = url.replace(/\/+$/, "");
  /** The body, or null for 404. */
  const call = async (
    target: string,
    init: RequestInit,
    bytesMax: number,
    signal?: AbortSignal | undefined,
  ): Promise<Uint8Array | null> => {
    const timeout = AbortSignal.timeout(callMsMax);
    const either = signal ? AbortSignal.any([signal, timeout]) : timeout;
    try {
      const response = await client.fetch(target, { ...init, signal: either });
      if (response.ok) return await readBody(response, bytesMax, `The store ${bucket}`);
      const text = await readErrorText(response);
      if (response.status === 404) return null;
      const kind = response.status === 403 || response.status === 401 ? "auth" : "failover";
      throw new EigenDaError(kind, `The store ${bucket} answered ${response.status}: ${text}`);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof EigenDaError) throw error;
      throw new EigenDaError("failover", `The store ${bucket} cannot be reached: ${error}`, { cause: error });
    }
  };
  return {
    name: `bucket ${bucket}`,
    async put(key, bytes) {
      const init = { method: "PUT", body: Uint8Array.from(bytes) };
      if ((await call(`${bucket}/${key}`, init, pageBytesMax)) === null)
        throw new EigenDaError("invalid", `The bucket ${bucket} does not exist.`);
    },
    get(key, { signal } = {}) {
      return call(`${bucket}/${key}`, {}, messageBytesMax, signal);
    },
    async list(prefix) {
      const keys: string[] = [];
      let token: string | undefined;
      for (let page = 0; page < pagesMax; page++) {
        const query = new URLSearchParams({ "list-type": "2", prefix });
        if (token !== undefined) query.set("continuation-token", token);
        const bytes = await call(`${bucket}?${query}`, {}, pageBytesMax);
        if (bytes === null) throw new EigenDaError("invalid", `The bucket ${bucket} does not exist.`);
        const text = Buffer.from(bytes).toString();
        for (const [, key] of text.matchAll(/<Key>([^<]*)<\/Key>/g)) keys.push(key!);
        token = /<NextContinuationToken>([^<]*)</.exec(text)?.[1];
        if (token === undefined) return keys;
      }
      throw new EigenDaError("invalid", `The store ${bucket} lists more than ${pagesMax} pages.`);
    },
  };
}

function absent<T>(value: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === "ENOENT") return value;
    throw error;
  };
}
