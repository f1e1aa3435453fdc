import { type AddressInfo, createServer, type Server } from "node:net";
import { PipelineError } from "#schema/errors";
import type { Ports } from "../config.ts";

/** @returns A port of 127.0.0.1 that nothing listens on now. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port!;
}

/** @returns So many ports, all different: held until the last is found, for a port let go may be given again at once. */
export async function freePorts(count: number): Promise<number[]> {
  const held = await Promise.all(Array.from({ length: count }, () => listenOn(0)));
  const ports = held.map(portOf);
  await Promise.all(held.map(letGo));
  return ports;
}

/** Free ports in place of the configured ones. */
export async function freePortsFor(configured: Ports): Promise<Ports> {
  const names = Object.keys(configured);
  const ports = await freePorts(names.length);
  return Object.fromEntries(names.map((name, index) => [name, ports[index]])) as Ports;
}

/** @throws PortInUseError naming the setting that moves the port. */
export async function expectFreePort(port: number, name: string, setting: string): Promise<void> {
  try {
    await letGo(await listenOn(port));
  } catch (cause) {
    throw new PortInUseError(port, name, setting, cause);
  }
}

function listenOn(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function letGo(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
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
