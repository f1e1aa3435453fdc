import { createServer } from "node:net";
import { PipelineError } from "#schema/errors";

/** @returns A port of 127.0.0.1 that nothing listens on now. */
export async function freePort(): Promise<number> {
  return listenOnce(0);
}

/** @throws PortInUseError naming the setting that moves the port. */
export async function expectFreePort(port: number, name: string, setting: string): Promise<void> {
  try {
    await listenOnce(port);
  } catch (cause) {
    throw new PortInUseError(port, name, setting, cause);
  }
}

function listenOnce(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : port));
    });
  });
}

export class PortInUseError extends PipelineError {
  override readonly name = "PortInUseError";
  constructor(port: number, name: string, setting: string, cause: unknown) {
    super(
      `Port ${port} for ${name} is in use. Stop what listens there, or choose another: ${setting}=<port> npm start.`,
      { code: "port_in_use", retryable: false, cause },
    );
  }
}
