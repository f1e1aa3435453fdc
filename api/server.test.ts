import { expect, it } from "vitest";
import { bodyBytesMax } from "./limits.ts";
import { createApp } from "./server.ts";

it("refuses a body above the limit before it asks the database", async () => {
  const app = createApp({ db: {} as never, client: {} as never });
  const query = `{ status { chainBlock } } #${"x".repeat(bodyBytesMax)}`;
  const response = await app.request("/graphql", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query }),
  });
  expect(response.status).toBe(413);
  expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: "BODY_LIMIT" } }] });
});
