import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AwsClient } from "aws4fetch";
import { EigenDaError } from "../errors.ts";

/** Named bytes. Names are lower-case letters, digits, `-`, `.` and `/`. */
export type ObjectStore = {
  name: string;
  /** Whole or not at all; replaces what was there. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** Null if there is nothing of this name. */
  get(key: string): Promise<Uint8Array | null>;
  /** All names that start with `prefix`, which ends with `/`. */
  list(prefix: string): Promise<string[]>;
};

/** Objects as files under one folder. */
export function directoryStore(folder: string): ObjectStore {
  return {
    name: `folder ${folder}`,
    async put(key, bytes) {
      const path = join(folder, key);
      await mkdir(dirname(path), { recursive: true });
      const temporary = `${path}.${randomUUID()}.tmp`;
      const file = await open(temporary, "wx");
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
    },
    async get(key) {
      return await readFile(join(folder, key)).catch(absent(null));
    },
    async list(prefix) {
      const names = await readdir(join(folder, prefix)).catch(absent([]));
      return names.filter((name) => !name.endsWith(".tmp")).map((name) => prefix + name);
    },
  };
}

export type S3Options = {
  /** The bucket's URL, path-style or with the bucket in the host: `https://s3.example/bucket`. */
  url: string;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
};

/** Times a request is sent again after an answer of 500 or above, or 429. */
const retriesMax = 3;

/** Pages of a listing, of up to 1,000 names each. */
const pagesMax = 10_000;

/** Objects in a bucket of an S3-compatible store; requests are signed (SigV4) by aws4fetch. */
export function s3Store(options: S3Options): ObjectStore {
  const { url, ...credentials } = options;
  const client = new AwsClient({ ...credentials, service: "s3", retries: retriesMax });
  const bucket = url.replace(/\/+$/, "");
  const call = async (target: string, init: RequestInit = {}): Promise<Response> => {
    const response = await client.fetch(target, init).catch((cause) => {
      throw new EigenDaError("failover", `The store ${bucket} cannot be reached: ${cause}`, { cause });
    });
    if (response.ok || response.status === 404) return response;
    const kind = response.status === 403 || response.status === 401 ? "auth" : "failover";
    const text = (await response.text()).slice(0, 300);
    throw new EigenDaError(kind, `The store ${bucket} answered ${response.status}: ${text}`);
  };
  return {
    name: `bucket ${bucket}`,
    async put(key, bytes) {
      const response = await call(`${bucket}/${key}`, { method: "PUT", body: Uint8Array.from(bytes) });
      if (response.status === 404) throw new EigenDaError("invalid", `The bucket ${bucket} does not exist.`);
    },
    async get(key) {
      const response = await call(`${bucket}/${key}`);
      return response.status === 404 ? null : new Uint8Array(await response.arrayBuffer());
    },
    async list(prefix) {
      const keys: string[] = [];
      let token: string | undefined;
      for (let page = 0; page < pagesMax; page++) {
        const query = new URLSearchParams({ "list-type": "2", prefix });
        if (token !== undefined) query.set("continuation-token", token);
        const text = await (await call(`${bucket}?${query}`)).text();
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
