import { EigenDaError } from "../errors.ts";

/**
 * A response's body, no longer than `bytesMax`.
 * @throws EigenDaError mismatch if it is longer; whatever the connection throws where it breaks.
 */
export async function readBody(response: Response, bytesMax: number, who: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.length;
    if (size > bytesMax) throw new EigenDaError("mismatch", `${who} sent more than ${bytesMax} bytes.`);
    parts.push(part);
  }
  return Uint8Array.from(Buffer.concat(parts));
}

/** The beginning of an error's body, as text, whatever its length. */
export async function readErrorText(response: Response, bytesMax = 500): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    parts.push(part);
    size += part.length;
    if (size >= bytesMax) break;
  }
  return Buffer.concat(parts).subarray(0, bytesMax).toString();
}
