import {
  type Adapter,
  createAdapter,
  type Device,
  type Example,
  type ExampleGradient,
  openGradients,
} from "#runtime/index";
import { invariant, PipelineError } from "#schema/errors";

/** Largest error of a gradient, relative to its length, that is rounding: about 1e-4 was seen. */
export const relativeErrorMax = 1e-3;

const exampleTokens = 24;

/**
 * Take the gradient of one example under a made-up adapter of a model on a device and on the CPU: drivers and kernels that
 * compute something else must not decide who is paid. It runs the model's whole graph there once.
 * @throws DeviceWrongError; those of `openGradients`, among them DeviceUnavailableError with what to do.
 */
export async function assertSameNumbers(
  folder: string,
  targetModules: readonly string[],
  device: Device,
): Promise<void> {
  const adapter = await createAdapter(folder, { rank: 2, alpha: 4, targetModules, seed: 1n });
  // As an adapter starts B is zero, and so is the gradient of A.
  for (const { b } of adapter.modules.values()) for (let i = 0; i < b.length; i++) b[i] = ((i % 7) - 3) / 100;
  const tokenIds = Array.from({ length: exampleTokens }, (_, at) => 3 + 2 * at);
  const example = { tokenIds, answerFrom: 1 };
  const found = await gradientOn(device, folder, adapter, example);
  const error = relativeError(found, await gradientOn("cpu", folder, adapter, example));
  if (!(error <= relativeErrorMax)) throw new DeviceWrongError(device, error);
}

async function gradientOn(
  device: Device,
  folder: string,
  adapter: Adapter,
  example: Example,
): Promise<ExampleGradient> {
  await using gradients = await openGradients(folder, adapter, { kind: "full" }, { device });
  const [gradient] = await gradients.of([example]);
  invariant(gradient !== undefined, "a gradient for the example");
  return gradient;
}

/** |found − wanted| / |wanted| over all entries, or that of the losses where it is larger. */
export function relativeError(found: ExampleGradient, wanted: ExampleGradient): number {
  let [errors, squares] = [0, 0];
  for (const [name, values] of wanted.factors) {
    const others = found.factors.get(name);
    invariant(others?.length === values.length, "the same matrices");
    for (let i = 0; i < values.length; i++) {
      errors += (others[i]! - values[i]!) ** 2;
      squares += values[i]! ** 2;
    }
  }
  return Math.max(Math.sqrt(errors / squares), Math.abs(found.loss / wanted.loss - 1));
}

export class DeviceWrongError extends PipelineError {
  override readonly name = "DeviceWrongError";
  constructor(device: Device, error: number) {
    super(
      `${device} computes other gradients than the CPU: relative error ${error.toPrecision(3)}, at most ${relativeErrorMax} is rounding. Look for a newer driver.`,
      { code: "device_wrong", retryable: false },
    );
  }
}
