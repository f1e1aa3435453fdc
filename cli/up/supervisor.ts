import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { PipelineError } from "#schema/errors";
import { type Log, splitLines } from "./log.ts";
import { endProcess, type ProcessRecord, readBirth, writeProcesses } from "./processes.ts";

/** One long-running process and how to know that it serves. */
export type Service = {
  name: string;
  command: string;
  /** Asked at every start: a restart may find a state the first start did not. */
  args: () => readonly string[];
  env: Readonly<Record<string, string>>;
  cwd?: string;
  uid?: number;
  gid?: number;
  /** SIGTERM unless named: Ponder and PostgreSQL end cleanly on SIGINT. */
  stopSignal?: NodeJS.Signals;
  /** Before every start, also a restart: clear a stale lock, restore a state. */
  beforeStart?: () => Promise<void>;
  /** Before the stop signal: save what only the running process knows. */
  beforeStop?: () => Promise<void>;
  isReady: () => Promise<boolean>;
  readyMsMax?: number;
};

/** Time a process has to become ready, in ms, unless its service says otherwise. */
export const readyMsMax = 120_000;
/** Time a process has to end after its stop signal before it is killed, in ms. */
export const stopMsMax = 15_000;
/**
 * How often a crashed service is started again: at most `countMax` times within `windowMs`, waiting `delayMs`, then
 * twice as long each time up to `delayMsMax`. Beyond that the supervisor gives up.
 */
export const restartLimits = { countMax: 8, windowMs: 600_000, delayMs: 250, delayMsMax: 10_000 };

const readyPollMs = 100;
/** Last lines of a process that are shown when it fails. */
const tailLinesMax = 20;

type Child = {
  service: Service;
  process: ChildProcess;
  record: ProcessRecord;
  restarts: number[];
  exited: Promise<void>;
  tail: string[];
};

/**
 * Owner of the child processes: starts one after the other, restarts the crashed, stops all in reverse order. Each
 * child leads its own process group, so that Ctrl-C in the terminal reaches the supervisor alone. `path` records the
 * children (see processes.ts), so that whoever comes after a killed supervisor can end them.
 */
export class Supervisor {
  readonly #path: string;
  readonly #log: Log;
  readonly #limits: typeof restartLimits;
  readonly #children: Child[] = [];
  readonly #failure = Promise.withResolvers<never>();
  #isStopping = false;
  #stopped: Promise<void> | undefined;

  constructor(path: string, log: Log, limits = restartLimits) {
    this.#path = path;
    this.#log = log;
    this.#limits = limits;
    this.#failure.promise.catch(() => undefined); // Awaited by whoever calls `failed`; nobody may.
    this.#writeRecords();
  }

  /** Rejects with what made the supervisor give up: a service that keeps crashing. Never resolves. */
  get failed(): Promise<never> {
    return this.#failure.promise;
  }

  /** Pid of a running service, for tests and for the report. */
  pidOf(name: string): number | undefined {
    return this.#children.find(({ service }) => service.name === name)?.record.pid;
  }

  /**
   * Starts one service and resolves once it is ready.
   * @throws ServiceFailedError if it exits or is not ready in time, with its last lines.
   */
  async start(service: Service): Promise<void> {
    if (this.#isStopping) throw new ServiceFailedError(service.name, "was not started: stopping", []);
    const startedAt = Date.now();
    await service.beforeStart?.();
    const child = this.#spawn(service, []);
    this.#children.push(child);
    this.#writeRecords();
    await this.#waitUntilReady(child);
    this.#log(service.name, `ready in ${Date.now() - startedAt} ms (pid ${child.record.pid})`);
    void child.exited.then(() => this.#restart(child));
  }

  /** Stops everything in reverse order. Safe to call twice: both calls end when all is stopped. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stopAll();
    return this.#stopped;
  }

  async #stopAll(): Promise<void> {
    this.#isStopping = true;
    for (const child of [...this.#children].reverse()) {
      await this.#beforeStop(child.service);
      await endProcess(child.record, stopMsMax);
      this.#log(child.service.name, "stopped");
    }
    this.#children.length = 0;
    writeProcesses(this.#path, []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** What could not be saved must not keep the rest from stopping; it is said. */
  async #beforeStop(service: Service): Promise<void> {
    try {
      await service.beforeStop?.();
    } catch (error) {
      this.#log(service.name, `before stop: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #spawn(service: Service, restarts: number[]): Child {
    const { command, args, cwd, uid, gid } = service;
    const spawned = spawn(command, args(), {
      env: { ...service.env },
      ...(cwd === undefined ? {} : { cwd }),
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const tail: string[] = [];
    for (const stream of [spawned.stdout, spawned.stderr]) {
      const lines = splitLines((line) => {
        tail.push(line);
        if (tail.length > tailLinesMax) tail.shift();
        this.#log(service.name, line);
      });
      stream.setEncoding("utf8").on("data", lines.push).on("end", lines.end);
    }
    const exited = new Promise<void>((resolve) => {
      spawned.once("error", (error) => {
        tail.push(error.message);
        resolve();
      });
      spawned.once("exit", (code, signal) => {
        if (!this.#isStopping) this.#log(service.name, `exited with ${signal ?? code}`);
        resolve();
      });
    });
    const pid = spawned.pid ?? 0;
    const birth = (pid > 0 ? readBirth(pid) : undefined) ?? "none";
    const record = { name: service.name, pid, birth, stopSignal: service.stopSignal ?? "SIGTERM" };
    return { service, process: spawned, record, restarts, exited, tail };
  }

  async #waitUntilReady(child: Child): Promise<void> {
    const { service } = child;
    let hasExited = false;
    void child.exited.then(() => {
      hasExited = true;
    });
    const deadline = Date.now() + (service.readyMsMax ?? readyMsMax);
    for (let isReady = false; !isReady; ) {
      isReady = await service.isReady();
      // Asked even where something answers: it may be a stranger that holds our port.
      if (hasExited) throw new ServiceFailedError(service.name, "exited before it was ready", child.tail);
      if (Date.now() > deadline)
        throw new ServiceFailedError(service.name, "was not ready in time", child.tail);
      if (!isReady) await sleep(readyPollMs);
    }
  }

  async #restart(crashed: Child): Promise<void> {
    const { service } = crashed;
    const { countMax, windowMs, delayMs, delayMsMax } = this.#limits;
    while (!this.#isStopping) {
      const restarts = crashed.restarts.filter((at) => at > Date.now() - windowMs);
      if (restarts.length >= countMax) {
        const reason = `crashed ${countMax + 1} times within ${windowMs / 60_000} minutes`;
        this.#failure.reject(new ServiceFailedError(service.name, reason, crashed.tail));
        return;
      }
      crashed.restarts = [...restarts, Date.now()];
      await sleep(Math.min(delayMs * 2 ** restarts.length, delayMsMax));
      if (this.#isStopping) return;
      if (await this.#respawn(crashed)) return;
    }
  }

  /** @returns Whether the new process is ready; its own exit then starts the next restart. */
  async #respawn(crashed: Child): Promise<boolean> {
    const { service } = crashed;
    try {
      await service.beforeStart?.();
      if (this.#isStopping) return true;
      Object.assign(crashed, this.#spawn(service, crashed.restarts));
      this.#writeRecords();
      await this.#waitUntilReady(crashed);
    } catch (error) {
      if (!(error instanceof PipelineError)) {
        this.#failure.reject(error);
        return true;
      }
      this.#log(service.name, error.message.split("\n")[0]!);
      await endProcess(crashed.record, stopMsMax);
      return false;
    }
    this.#log(service.name, `restarted (pid ${crashed.record.pid})`);
    void crashed.exited.then(() => this.#restart(crashed));
    return true;
  }

  #writeRecords(): void {
    const own: ProcessRecord = {
      name: "supervisor",
      pid: process.pid,
      birth: readBirth(process.pid) ?? "none",
      stopSignal: "SIGTERM",
    };
    writeProcesses(this.#path, [own, ...this.#children.map(({ record }) => record)]);
  }
}

export class ServiceFailedError extends PipelineError {
  override readonly name = "ServiceFailedError";
  readonly service: string;
  constructor(service: string, reason: string, tail: readonly string[]) {
    super([`${service} ${reason}. Its last lines:`, ...tail.map((line) => `  ${line}`)].join("\n"), {
      code: "service_failed",
      retryable: false,
    });
    this.service = service;
  }
}
