import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { Device } from "#runtime/index";
import { PipelineError } from "#schema/errors";
import type { Log } from "#schema/log";
import type { RecordGradients, RecordsTask } from "../adapter/record-gradients.ts";
import { deviceCallMsMax } from "../constants.ts";

/** What the process is started with. */
export type Setup = { folder: string; adaptableModules: readonly string[]; device: Exclude<Device, "cpu"> };

/** What it answers: the first time unasked, when the device computes what the CPU does. */
export type Answer =
  | { ok: true; gradients: RecordGradients }
  | { ok: false; code: string; reason: string; retryable: boolean };

/**
 * The process that computes gradients of training records on a GPU. ONNX Runtime gives a GPU to one thread of a process,
 * and a driver that fails takes its process along: here one that holds nothing else. It is started with the first call, and
 * anew with the call after it ended.
 */
export type GradientDevice = AsyncDisposable & {
  name: Setup["device"];
  /** Null while there is none. */
  processId: () => number | null;
  /**
   * Start it, if it is not there. @throws DeviceError where the device is missing, fails, or computes other numbers
   * than the CPU.
   */
  check: () => Promise<void>;
  /** Have the device for a whole build, after those that came before: its graph and weights stay where they are. */
  alone: <T>(build: () => Promise<T>) => Promise<T>;
  /** Calls wait for each other. @throws DeviceError, retryable where the process ended or took too long. */
  gradients: (task: RecordsTask) => Promise<RecordGradients>;
};

type Options = Omit<Setup, "device"> & {
  device: Device;
  log?: Pick<Log, "error">;
  /** Of the process; this one's if not given. */
  environment?: Record<string, string | undefined>;
  /** Time of one call; default `deviceCallMsMax`. */
  callMsMax?: number;
};

/** Null for `cpu`: the pool's threads do it. Nothing is started yet. */
export function openGradientDevice({
  device,
  log,
  environment,
  callMsMax = deviceCallMsMax,
  ...setup
}: Options): GradientDevice | null {
  if (device === "cpu") return null;
  let child: ChildProcess | null = null;
  let isClosed = false;
  const [calls, builds] = [takeTurns(), takeTurns()];

  const startChild = async (): Promise<ChildProcess> => {
    if (child !== null) return child;
    const started = fork(new URL("./gradient-worker.ts", import.meta.url), [], {
      serialization: "advanced",
      // Standard output is the engine's own: a line when it is ready.
      stdio: ["ignore", "ignore", "inherit", "ipc"],
      ...(environment && { env: environment }),
    });
    child = started;
    started.once("exit", (code, signal) => {
      child = null;
      if (!isClosed) log?.error("the process of the device ended", { device, end: signal ?? code });
    });
    const answer = await ask(started, { ...setup, device });
    if (!answer.ok) {
      await end(started);
      throw new DeviceError(device, answer);
    }
    return started;
  };

  const ask = (to: ChildProcess, message: Setup | RecordsTask): Promise<Answer> =>
    new Promise((resolve) => {
      const lost = (how: string) => settle({ ok: false, code: "device_lost", reason: how, retryable: true });
      const onExit = (code: number | null, signal: string | null) =>
        lost(`its process ended (${signal ?? code})`);
      const onError = (error: Error) => lost(error.message);
      const timer = setTimeout(() => {
        lost(`it did not answer within ${callMsMax} ms`);
        to.kill("SIGKILL");
      }, callMsMax);
      const settle = (answer: Answer) => {
        clearTimeout(timer);
        to.off("message", settle).off("exit", onExit).off("error", onError);
        resolve(answer);
      };
      to.on("message", settle).on("exit", onExit).on("error", onError);
      to.send(message, (error) => error && lost(error.message));
    });

  return {
    name: device,
    processId: () => child?.pid ?? null,
    check: () => calls(async () => void (await startChild())),
    alone: builds,
    gradients: (task) =>
      calls(async () => {
        const answer = await ask(await startChild(), task);
        if (!answer.ok) throw new DeviceError(device, answer);
        return answer.gradients;
      }),
    [Symbol.asyncDispose]: async () => {
      isClosed = true;
      if (child !== null) await end(child);
    },
  };
}

/** Runs what it is given one after the other. Jobs in hand bound how many wait. */
function takeTurns(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const turn = last.then(work);
    last = turn.catch(() => undefined); // Whoever asked is told.
    return turn;
  };
}

/** It has nothing to lose, and may be in the middle of a run. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

/** The device is missing, or failed; with the runtime's code where it has one. */
export class DeviceError extends PipelineError {
  override readonly name = "DeviceError";
  constructor(device: Device, { code, reason, retryable }: Extract<Answer, { ok: false }>) {
    super(`ENGINE_DEVICE ${device}: ${reason} (ENGINE_DEVICE=cpu computes gradients without it.)`, {
      code,
      retryable,
    });
  }
}
