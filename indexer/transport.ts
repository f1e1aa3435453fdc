import { http, type Transport } from "viem";

/** Largest answer read, in bytes: a backfill asks for the logs of many blocks at once. */
const responseBytesMax = 256 * 2 ** 20;

/**
 * HTTP transport for Ponder that fails at once where the node says that a block is unknown. Ponder asks for logs by
 * block hash; if that block has been reorganised away meanwhile, it would repeat the question for over a minute and
 * index nothing until then. Failing, it takes the next head and finds the reorganisation.
 */
export function reorgAwareHttp(url: string): Transport {
  const transport = http(url, { maxResponseBodySize: responseBytesMax });
  return (options) => {
    const inner = transport(options);
    const request = async (body: { method: string; params?: unknown }) => {
      try {
        return await inner.request(body);
      } catch (error) {
        throw isUnknownBlock(error) ? new BlockRevertedError(error) : error;
      }
    };
    return { ...inner, request: request as typeof inner.request };
  };
}

/** anvil and geth: "unknown block"; others: "block not found", "header not found". */
function isUnknownBlock(error: unknown): boolean {
  const { details, message } = error as { details?: string; message?: string };
  return /unknown block|(block|header) not found/i.test(details ?? message ?? "");
}

/** Ponder does not repeat a request whose error has a numeric code and says "revert". */
export class BlockRevertedError extends Error {
  override readonly name = "BlockRevertedError";
  readonly code = -32_000;
  constructor(cause: unknown) {
    super("the block was reverted by a reorganisation", { cause });
  }
}
