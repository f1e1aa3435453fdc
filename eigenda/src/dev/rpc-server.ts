import {
  create,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type Message,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { messageBytesMax } from "../client/channel.ts";
import { EigenDaError } from "../errors.ts";

/** One function for each method implemented; the others answer UNIMPLEMENTED. */
export type Handlers<S extends DescService> = {
  [Name in keyof S["method"]]?: S["method"][Name] extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>) => Promise<MessageInitShape<O>>
    : never;
};

type AnyHandler = (request: Message) => Promise<object>;

/** A gRPC server without TLS, for loopback. */
export class RpcServer {
  readonly #server = new Server({
    "grpc.max_receive_message_length": messageBytesMax,
    "grpc.max_send_message_length": messageBytesMax,
  });
  readonly #log: (message: string) => void;

  constructor(log: (message: string) => void) {
    this.#log = log;
  }

  add<S extends DescService>(service: S, handlers: Handlers<S>): void {
    const definition: Record<string, MethodDefinition<Message, object>> = {};
    const implementation: Record<
      string,
      (call: ServerUnaryCall<Message, object>, done: sendUnaryData<object>) => void
    > = {};
    for (const method of service.methods) {
      definition[method.localName] = {
        path: `/${service.typeName}/${method.name}`,
        requestStream: false,
        responseStream: false,
        requestSerialize: (message: Message) => Buffer.from(toBinary(method.input, message)),
        requestDeserialize: (bytes) => fromBinary(method.input, Uint8Array.from(bytes)),
        responseSerialize: (message: object) =>
          Buffer.from(
            toBinary(method.output, create(method.output, message as MessageInitShape<typeof method.output>)),
          ),
        responseDeserialize: (bytes) => fromBinary(method.output, Uint8Array.from(bytes)),
      };
      const handler = (handlers as Record<string, AnyHandler | undefined>)[method.localName];
      if (handler !== undefined) implementation[method.localName] = this.#unary(method.name, handler);
    }
    this.#server.addService(definition, implementation);
  }

  /**
   * Listens on 127.0.0.1; port 0 lets the system choose. Returns the port.
   * @throws EigenDaError invalid if the port is taken.
   */
  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else
          reject(
            new EigenDaError("invalid", `Port ${port} is in use or not allowed: ${error.message}`, {
              cause: error,
            }),
          );
      });
    });
  }

  close(): void {
    this.#server.forceShutdown();
  }

  #unary(name: string, handler: AnyHandler) {
    return (call: ServerUnaryCall<Message, object>, done: sendUnaryData<object>) => {
      handler(call.request).then(
        (reply) => done(null, reply),
        (error: unknown) => {
          if (error instanceof RpcRefusal) return done({ code: error.code, details: error.message });
          this.#log(`${name} failed: ${error instanceof Error ? error.stack : error}`);
          done({ code: status.INTERNAL, details: `${name} failed` });
        },
      );
    };
  }
}

/** A refusal that reaches the caller as this status. */
export class RpcRefusal extends Error {
  readonly code: status;

  constructor(code: status, details: string) {
    super(details);
    this.code = code;
  }
}
