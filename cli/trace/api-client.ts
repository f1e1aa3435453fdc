import { PipelineError } from "#schema/errors";

/** One GraphQL request to our API. @throws ApiUnreachableError, ApiRefusedError */
export async function queryApi<T>(
  url: string,
  query: string,
  variables: Record<string, unknown>,
): Promise<T> {
  const response = await post(url, JSON.stringify({ query, variables }));
  const { data, errors } = await answerOf<T>(url, response);
  const [error] = errors ?? [];
  if (data === undefined || error !== undefined) throw new ApiRefusedError(url, error?.message ?? notOurs);
  return data;
}

const notOurs = "it does not speak GraphQL. The API serves it at /graphql.";

type Answer<T> = { data?: T; errors?: { message: string }[] };

async function answerOf<T>(url: string, response: Response): Promise<Answer<T>> {
  try {
    return (await response.json()) as Answer<T>;
  } catch {
    // Whatever serves there is not our API: what it said tells nothing.
    throw new ApiRefusedError(url, notOurs);
  }
}

async function post(url: string, body: string): Promise<Response> {
  try {
    return await fetch(url, { method: "POST", body, headers: { "content-type": "application/json" } });
  } catch (cause) {
    throw new ApiUnreachableError(url, cause);
  }
}

export class ApiUnreachableError extends PipelineError {
  override readonly name = "ApiUnreachableError";
  constructor(url: string, cause: unknown) {
    super(
      `The API at ${url} does not answer. Start it (npm start), or name another with --api. Without it: tributary verify.`,
      { code: "api_unreachable", retryable: true, cause },
    );
  }
}

export class ApiRefusedError extends PipelineError {
  override readonly name = "ApiRefusedError";
  constructor(url: string, reason: string) {
    super(`The API at ${url} refused: ${reason}`, { code: "api_refused", retryable: false });
  }
}
