import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { ChannelCredentials, Client, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { blobSymbolsMax } from "../codec/blob.ts";
import { symbolBytes } from "../curve/field.ts";
import { EigenDaError, type EigenDaErrorKind } from "../errors.ts";
import type { SrsAnchor } from "../kzg/srs.ts";

/** Receive limit: the largest blob and a tenth more for its frame. */
export const messageBytesMax = Math.ceil(1.1 * blobSymbolsMax * symbolBytes);

/** Pauses between attempts to connect; gRPC's own maximum of two minutes would outlast every deadline here. */
const reconnectMsMin = 200;
const reconnectMsMax = 2_000;

const loopbackHosts: readonly string[] = ["127.0.0.1", "[::1]", "localhost"];

/**
 * One gRPC connection: `http://host:port` in the clear, `https://host` with TLS.
 * @throws EigenDaError invalid as `checkEndpoint`.
 */
export class RpcChannel {
  readonly #client: Client;

  constructor(url: string, srs: SrsAnchor) {
    const endpoint = checkEndpoint(url, srs);
    const credentials = endpoint.isTls ? ChannelCredentials.createSsl() : ChannelCredentials.createInsecure();
    this.#client = new Client(endpoint.target, credentials, {
      "grpc.max_receive_message_length": messageBytesMax,
      "grpc.max_send_message_length": messageBytesMax,
      "grpc.initial_reconnect_backoff_ms": reconnectMsMin,
      "grpc.max_reconnect_backoff_ms": reconnectMsMax,
    });
  }

  /**
   * One unary call.
   * @throws EigenDaError by the status the server answers with; the signal's reason if it is aborted.
   */
  call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options: { msMax: number; signal?: AbortSignal | undefined },
  ): Promise<MessageShape<O>> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const call = this.#client.makeUnaryRequest(
        `/${method.parent.typeName}/${method.name}`,
        (message: MessageShape<I>) => Buffer.from(toBinary(method.input, message)),
        (bytes) => fromBinary(method.output, Uint8Array.from(bytes)),
        create(method.input, request),
        new Metadata(),
        { deadline: Date.now() + options.msMax },
        (error, reply) => {
          signal?.removeEventListener("abort", cancel);
          if (signal?.aborted) reject(signal.reason);
          else if (error !== null) reject(errorFromStatus(method.name, error));
          else resolve(reply as MessageShape<O>);
        },
      );
      const cancel = () => call.cancel();
      signal?.addEventListener("abort", cancel, { once: true });
    });
  }

  close(): void {
    this.#client.close();
  }
}

/**
 * An endpoint that may be used under this SRS.
 * @throws EigenDaError invalid if the URL is neither `http:` nor `https:`, or if the host is not loopback and the line is plaintext or the SRS forgeable.
 */
export function checkEndpoint(url: string, srs: SrsAnchor): ReturnType<typeof parseEndpoint> {
  const endpoint = parseEndpoint(url);
  const isLoopback = loopbackHosts.includes(endpoint.host);
  if (!endpoint.isTls && !isLoopback)
    throw new EigenDaError(
      "invalid",
      `Plaintext is refused outside loopback: write https:// instead. Given: ${url}.`,
    );
  if (srs.isForgeable && !isLoopback) {
    throw new EigenDaError("invalid", `The ${srs.name} is refused outside loopback. Given: ${url}.`);
  }
  return endpoint;
}

/** Statuses with one meaning for every method. INVALID_ARGUMENT is told apart by its message. */
const kindByStatus: Partial<Record<status, EigenDaErrorKind>> = {
  [status.ALREADY_EXISTS]: "duplicate",
  [status.UNAUTHENTICATED]: "auth",
  [status.PERMISSION_DENIED]: "payment",
  [status.UNIMPLEMENTED]: "invalid",
  [status.OUT_OF_RANGE]: "invalid",
};

function errorFromStatus(method: string, error: ServiceError): EigenDaError {
  const kind = kindOf(error);
  return new EigenDaError(kind, `${method}: ${status[error.code]}: ${error.details}`, { cause: error });
}

function kindOf({ code, details }: ServiceError): EigenDaErrorKind {
  if (code === status.INVALID_ARGUMENT) return kindOfRefusal(details);
  // Throttling passes; a reservation or deposit that is used up does not by itself.
  if (code === status.RESOURCE_EXHAUSTED && /reservation|deposit|payment|funds/.test(details))
    return "payment";
  return kindByStatus[code] ?? "failover";
}

/** The server answers INVALID_ARGUMENT to skewed clocks and bad signatures too; only its text tells. */
function kindOfRefusal(details: string): EigenDaErrorKind {
  if (/clock drift|timestamp is too/.test(details)) return "clock";
  if (/authentication failed|anchor signature/.test(details)) return "auth";
  if (/on-demand payments/.test(details)) return "payment";
  return "invalid";
}

function parseEndpoint(url: string): { target: string; host: string; isTls: boolean } {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || (parsed.protocol !== "http:" && parsed.protocol !== "https:")) {
    throw new EigenDaError(
      "invalid",
      `An endpoint is http://host:port or https://host[:port]. Given: ${url}.`,
    );
  }
  const isTls = parsed.protocol === "https:";
  return { target: `${parsed.hostname}:${parsed.port || (isTls ? 443 : 80)}`, host: parsed.hostname, isTls };
}
